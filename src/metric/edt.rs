//! Exact Euclidean distance transform with anisotropic spacing, one axis after another
//! (Felzenszwalb & Huttenlocher, Theory of Computing 2012).

use rayon::prelude::*;

/// Squared distance (in the units of `spacing`, squared) of every voxel to the nearest voxel where
/// `target` is true; infinite where there is none.
///
/// `target` is row-major of shape `shape`.
pub fn squared_distance(target: &[bool], shape: [usize; 3], spacing: [f64; 3]) -> Vec<f64> {
    let [n0, n1, n2] = shape;
    debug_assert_eq!(target.len(), n0 * n1 * n2);
    let mut distance: Vec<f64> = target
        .iter()
        .map(|&here| if here { 0.0 } else { f64::INFINITY })
        .collect();
    if distance.is_empty() {
        return distance;
    }
    lines(&mut distance, n2, spacing[2]);
    if n1 > 1 {
        distance.par_chunks_mut(n1 * n2).for_each(|slab| {
            let mut turned = transpose(slab, n1, n2);
            lines(&mut turned, n1, spacing[1]);
            slab.copy_from_slice(&transpose(&turned, n2, n1));
        });
    }
    if n0 > 1 {
        let mut turned = transpose(&distance, n0, n1 * n2);
        lines(&mut turned, n0, spacing[0]);
        distance = transpose(&turned, n1 * n2, n0);
    }
    distance
}

/// Transforms each contiguous run of `n` values.
fn lines(values: &mut [f64], n: usize, step: f64) {
    if n < 2 {
        return;
    }
    values.par_chunks_mut(n).for_each_init(
        || Envelope::new(n),
        |envelope, line| envelope.transform(line, step),
    );
}

/// `[rows, columns]` to `[columns, rows]`.
fn transpose(values: &[f64], rows: usize, columns: usize) -> Vec<f64> {
    let mut out = vec![0.0; values.len()];
    out.par_chunks_mut(rows)
        .enumerate()
        .for_each(|(column, line)| {
            for (row, value) in line.iter_mut().enumerate() {
                *value = values[row * columns + column];
            }
        });
    out
}

/// The lower envelope of parabolas rooted at the samples of one line, with its work space.
struct Envelope {
    /// Position and height of each parabola of the envelope.
    roots: Vec<(f64, f64)>,
    /// Where each parabola begins to be the lowest.
    starts: Vec<f64>,
}

impl Envelope {
    fn new(n: usize) -> Self {
        Self {
            roots: Vec::with_capacity(n),
            starts: Vec::with_capacity(n),
        }
    }

    fn transform(&mut self, line: &mut [f64], step: f64) {
        self.build(line, step);
        if self.roots.is_empty() {
            return;
        }
        let mut lowest = 0;
        for (index, value) in line.iter_mut().enumerate() {
            let x = index as f64 * step;
            while lowest + 1 < self.roots.len() && self.starts[lowest + 1] < x {
                lowest += 1;
            }
            let (root, height) = self.roots[lowest];
            *value = (x - root).powi(2) + height;
        }
    }

    fn build(&mut self, line: &[f64], step: f64) {
        self.roots.clear();
        self.starts.clear();
        for (index, &height) in line.iter().enumerate() {
            if height.is_infinite() {
                continue;
            }
            let x = index as f64 * step;
            let mut start = f64::NEG_INFINITY;
            while let Some(&(root, base)) = self.roots.last() {
                start = ((height + x * x) - (base + root * root)) / (2.0 * (x - root));
                if start > self.starts[self.roots.len() - 1] {
                    break;
                }
                self.roots.pop();
                self.starts.pop();
                start = f64::NEG_INFINITY;
            }
            self.roots.push((x, height));
            self.starts.push(start);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn brute_force(target: &[bool], shape: [usize; 3], spacing: [f64; 3]) -> Vec<f64> {
        let place = |index: usize| {
            let [_, n1, n2] = shape;
            [index / (n1 * n2), index / n2 % n1, index % n2]
        };
        let square = |a: usize, b: usize| -> f64 {
            let (a, b) = (place(a), place(b));
            (0..3)
                .map(|axis| ((a[axis] as f64 - b[axis] as f64) * spacing[axis]).powi(2))
                .sum()
        };
        (0..target.len())
            .map(|here| {
                (0..target.len())
                    .filter(|&there| target[there])
                    .map(|there| square(here, there))
                    .fold(f64::INFINITY, f64::min)
            })
            .collect()
    }

    proptest! {
        #[test]
        fn equals_brute_force(
            shape in [1_usize..6, 1_usize..6, 1_usize..6],
            spacing in [0.3_f64..3.0, 0.3_f64..3.0, 0.3_f64..3.0],
            seed in any::<u64>(),
            rarity in 1_u64..12,
        ) {
            let n = shape.iter().product::<usize>() as u64;
            // A linear congruential sequence: any pattern of targets does, also none and all.
            let target: Vec<bool> = (0..n)
                .map(|i| (seed ^ i).wrapping_mul(6364136223846793005).rotate_left(29) % rarity == 0)
                .collect();
            let found = squared_distance(&target, shape, spacing);
            for (a, b) in found.iter().zip(brute_force(&target, shape, spacing)) {
                // Both are sums of three products: only rounding may differ.
                prop_assert!(a == &b || (a - b).abs() < 1e-12 * (1.0 + b), "{a} and {b}");
            }
        }
    }

    #[test]
    fn no_target_is_infinitely_far() {
        let found = squared_distance(&[false; 6], [1, 2, 3], [1.0; 3]);
        assert!(found.iter().all(|d| d.is_infinite()));
        assert!(squared_distance(&[], [0, 2, 3], [1.0; 3]).is_empty());
    }
}
