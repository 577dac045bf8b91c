//! Labels of channels of which the highest wins.

use rayon::prelude::*;

/// Voxels of a parallel task.
const CHUNK: usize = 1 << 14;

/// Where `height` exceeds `best`, takes it over and sets the label.
pub fn raise<T: Copy + Send + Sync>(best: &mut [f32], labels: &mut [T], height: &[f32], label: T) {
    best.par_chunks_mut(CHUNK)
        .zip(labels.par_chunks_mut(CHUNK))
        .zip(height.par_chunks(CHUNK))
        .for_each(|((best, labels), height)| {
            for ((best, current), height) in best.iter_mut().zip(labels).zip(height) {
                let higher = *height > *best;
                *current = if higher { label } else { *current };
                *best = if higher { *height } else { *best };
            }
        });
}

#[cfg(test)]
mod tests {
    use super::raise;

    #[test]
    fn the_first_of_the_highest_wins() {
        let mut best = vec![f32::NEG_INFINITY; 3];
        let mut labels = vec![0_u16; 3];
        for (label, heights) in [[-2.0, 1.0, 0.0], [-1.0, 1.0, -1.0], [-1.5, 0.5, 2.0]]
            .iter()
            .enumerate()
        {
            raise(&mut best, &mut labels, heights, label as u16);
        }
        assert_eq!((labels, best), (vec![1, 0, 2], vec![-1.0, 1.0, 2.0]));
    }
}
