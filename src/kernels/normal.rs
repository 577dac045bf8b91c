//! Normal noise whose every sample is a function of a key and the sample's number.
//!
//! The bits are those of Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011), which
//! needs no state and nothing but 32-bit arithmetic, so that a GPU makes the same. Box and Muller's transform (Annals of
//! Mathematical Statistics, 1958) makes normal samples of them.

use rayon::prelude::*;

/// What a stream of noise is told apart by: the generator's key, and the upper half of its counter.
pub type Key = [u32; 4];

/// Samples that one block of random bits makes.
pub const BLOCK: usize = 4;

/// Factors and steps of the generator, from its paper.
pub const FACTORS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
pub const STEPS: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
pub const ROUNDS: usize = 10;

/// Blocks of a parallel task.
const TASK: usize = 1 << 12;

/// `image + sd * noise`: sample `n` of the noise to voxel `n`.
pub fn add(image: &[f32], sd: f32, key: Key) -> Vec<f32> {
    each(image, key, |value, noise| value + sd * noise)
}

/// A normal sample for each voxel, of the mean and the standard deviation of its label; `tissues` lists both for every label.
pub fn paint(labels: &[f32], tissues: &[f32], key: Key) -> Vec<f32> {
    each(labels, key, |label, noise| {
        let at = 2 * label as usize;
        tissues[at] + tissues[at + 1] * noise
    })
}

fn each(values: &[f32], key: Key, of: impl Fn(f32, f32) -> f32 + Sync) -> Vec<f32> {
    let mut out = vec![0.0; values.len()];
    let tasks = out.par_chunks_mut(BLOCK * TASK).enumerate();
    tasks.for_each(|(task, out)| {
        for (at, out) in out.chunks_mut(BLOCK).enumerate() {
            let block = task * TASK + at;
            let noise = samples(block as u32, key);
            for ((out, value), noise) in out.iter_mut().zip(&values[BLOCK * block..]).zip(noise) {
                *out = of(*value, noise);
            }
        }
    });
    out
}

/// Standard normal samples `4 block` to `4 block + 3`.
pub fn samples(block: u32, [key0, key1, upper0, upper1]: Key) -> [f32; BLOCK] {
    let bits = philox([block, 0, upper0, upper1], [key0, key1]);
    let [a, b] = box_muller(bits[0], bits[1]);
    let [c, d] = box_muller(bits[2], bits[3]);
    [a, b, c, d]
}

/// Philox4x32-10.
fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..ROUNDS {
        let [first, second] = [0, 1].map(|n| {
            let product = u64::from(FACTORS[n]) * u64::from(counter[2 * n]);
            ((product >> 32) as u32, product as u32)
        });
        counter = [
            second.0 ^ counter[1] ^ key[0],
            second.1,
            first.0 ^ counter[3] ^ key[1],
            first.1,
        ];
        key = [0, 1].map(|n| key[n].wrapping_add(STEPS[n]));
    }
    counter
}

/// Two independent standard normal samples.
fn box_muller(radius: u32, angle: u32) -> [f32; 2] {
    let radius = (-2.0 * unit(radius).ln()).sqrt();
    let (sin, cos) = (std::f32::consts::TAU * (unit(angle) - 0.5)).sin_cos();
    [radius * cos, radius * sin]
}

/// The middle of one of 2^23 equal parts of the unit interval, exact in float32 and never 0 or 1.
fn unit(bits: u32) -> f32 {
    ((bits >> 9) as f32 + 0.5) * (1.0 / (1 << 23) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_those_of_the_reference_implementation() {
        // Known answers of Random123, the authors' library: `philox4x32 10` of `kat_vectors`.
        for (counter, key, expected) in [
            (
                [0; 4],
                [0; 2],
                [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8],
            ),
            (
                [u32::MAX; 4],
                [u32::MAX; 2],
                [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd],
            ),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ] {
            assert_eq!(philox(counter, key), expected);
        }
    }

    /// Standard normal samples, as many as given.
    fn noise(count: usize, key: Key) -> Vec<f64> {
        let noise = add(&vec![0.0; count], 1.0, key);
        noise.into_iter().map(f64::from).collect()
    }

    fn mean(values: impl Iterator<Item = f64>) -> f64 {
        let (sum, count) = values.fold((0.0, 0), |(sum, n), v| (sum + v, n + 1));
        sum / f64::from(count)
    }

    const COUNT: usize = 1 << 20;

    #[test]
    fn moments_are_those_of_a_standard_normal_distribution() {
        let values = noise(COUNT, [1, 2, 3, 4]);
        let moment = |n| mean(values.iter().map(|v| v.powi(n)));
        // The sample mean of z^n has variance (E z^2n - (E z^n)^2) / COUNT; five standard errors are allowed.
        for (n, expected, variance) in [
            (1, 0.0, 1.0),
            (2, 1.0, 2.0),
            (3, 0.0, 15.0),
            (4, 3.0, 96.0_f64),
        ] {
            let allowed = 5.0 * (variance / COUNT as f64).sqrt();
            let found = moment(n);
            assert!((found - expected).abs() < allowed, "moment {n}: {found}");
        }
    }

    #[test]
    fn values_are_spread_as_a_normal_distribution() {
        let mut values = noise(COUNT, [5, 6, 7, 8]);
        values.sort_by(f64::total_cmp);
        // Quantiles of the normal distribution (scipy.stats.norm.ppf). The share below a quantile has the standard
        // error sqrt(p (1 - p) / COUNT); five of those are allowed.
        for (p, quantile) in [
            (0.001, -3.090_232),
            (0.01, -2.326_348),
            (0.1, -1.281_552),
            (0.25, -0.674_490),
            (0.5, 0.0),
            (0.75, 0.674_490),
            (0.9, 1.281_552),
            (0.99, 2.326_348),
            (0.999, 3.090_232_f64),
        ] {
            let below = values.partition_point(|v| *v < quantile) as f64 / COUNT as f64;
            let allowed = 5.0 * (p * (1.0 - p) / COUNT as f64).sqrt();
            assert!((below - p).abs() < allowed, "{p}: {below}");
        }
    }

    #[test]
    fn voxels_and_streams_are_independent() {
        let values = noise(COUNT, [1, 2, 3, 4]);
        let correlation = |a: &[f64], b: &[f64]| mean(a.iter().zip(b).map(|(a, b)| a * b)).abs();
        // The mean product of independent standard normal samples has the standard error 1 / sqrt(n).
        let allowed = |n: usize| 5.0 / (n as f64).sqrt();
        // Within a block, from block to block, along rows and planes of common sizes.
        for lag in [1, 2, 3, 4, 5, 64, 256, 4096, 65536] {
            let n = COUNT - lag;
            let found = correlation(&values[lag..], &values[..n]);
            assert!(found < allowed(n), "lag {lag}: {found}");
        }
        for key in [[2, 2, 3, 4], [1, 3, 3, 4], [1, 2, 4, 4], [1, 2, 3, 5]] {
            let found = correlation(&values, &noise(COUNT, key));
            assert!(found < allowed(COUNT), "{key:?}: {found}");
        }
        // Squares too: uncorrelated samples may still depend on each other. z^2 - 1 has the variance 2.
        let squares: Vec<f64> = values.iter().map(|v| v * v - 1.0).collect();
        for lag in [1, 2, 3, 4] {
            let n = COUNT - lag;
            let found = correlation(&squares[lag..], &squares[..n]);
            assert!(found < 2.0 * allowed(n), "squares, lag {lag}: {found}");
        }
    }

    #[test]
    fn a_sample_depends_on_its_number_and_key_alone() {
        let whole = add(&[0.0; 1001], 1.0, [1, 2, 3, 4]);
        assert_eq!(add(&[0.0; 7], 1.0, [1, 2, 3, 4]), whole[..7]);
        assert_eq!(samples(2, [1, 2, 3, 4]), whole[8..12]);
        assert!(whole[..7] != add(&[0.0; 7], 1.0, [1, 2, 3, 5]));
    }
}
