//! Intensities clipped to [0, 1] and stretched to the whole of it.

use rayon::prelude::*;

/// Values of a part of an image, and parts at most.
const PART: usize = 1 << 14;
const PARTS: usize = 64;

/// In how many parts the extremes of an image of so many values are looked for.
pub fn parts(values: usize) -> usize {
    values.div_ceil(PART).min(PARTS)
}

/// Lowest and highest value of each part of an image, clipped to [0, 1]: `[parts, 2]`.
pub fn ranges(image: &[f32]) -> Vec<f32> {
    let parts = parts(image.len());
    let bound = |part: usize| part * image.len() / parts;
    let of_part = |part| {
        let values = image[bound(part)..bound(part + 1)].iter();
        let clipped = values.map(|v| v.clamp(0.0, 1.0));
        clipped.fold([1.0_f32, 0.0], |[low, high], v| [low.min(v), high.max(v)])
    };
    (0..parts).into_par_iter().flat_map_iter(of_part).collect()
}

/// Stretches what lies between the lowest and the highest value of `ranges` to [0, 1]. An image of one intensity becomes
/// dark rather than being divided by zero.
pub fn stretch(image: &mut [f32], ranges: &[f32]) {
    let of = |n: usize, fold: fn(f32, f32) -> f32, start| {
        ranges.iter().skip(n).step_by(2).copied().fold(start, fold)
    };
    let (low, high) = (of(0, f32::min, 1.0), of(1, f32::max, 0.0));
    let scale = if high > low { 1.0 / (high - low) } else { 0.0 };
    image.par_chunks_mut(PART).for_each(|part| {
        for v in part {
            *v = ((v.clamp(low, high) - low) * scale).min(1.0);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_belongs_to_one_part() {
        for length in [1, PART, PART + 1, 3 * PART + 7] {
            let image: Vec<f32> = (0..length).map(|n| n as f32 / length as f32).collect();
            let ranges = ranges(&image);
            assert_eq!(ranges.len(), 2 * parts(length));
            assert_eq!(
                (ranges[0], ranges[ranges.len() - 1]),
                (0.0, image[length - 1])
            );
            assert!(ranges.windows(2).all(|pair| pair[0] <= pair[1]));
        }
    }

    #[test]
    fn values_are_clipped_then_stretched() {
        let mut image = vec![-0.5, 0.25, 0.5];
        let ranges = ranges(&image);
        stretch(&mut image, &ranges);
        assert_eq!(image, [0.0, 0.5, 1.0]);
        let mut flat = vec![0.4; 3];
        stretch(&mut flat, &[0.4, 0.4]);
        assert_eq!(flat, [0.0; 3]);
        // A part without light or without shade does not narrow the others.
        let mut image = vec![0.5];
        stretch(&mut image, &[0.25, 0.5, 0.5, 0.75]);
        assert_eq!(image, [0.5]);
    }
}
