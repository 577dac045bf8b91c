//! Statistics over the finite voxels of an image, in float64.

use ndarray::Array3;
use rayon::prelude::*;

/// Smallest and largest finite value; `None` where there is none.
pub fn finite_range(data: &Array3<f32>) -> Option<(f32, f32)> {
    let finite = data.iter().filter(|v| v.is_finite());
    finite.fold(None, |range, &v| {
        Some(range.map_or((v, v), |(low, high): (f32, f32)| (low.min(v), high.max(v))))
    })
}

/// Replaces every voxel, in parallel where the memory is in one piece.
fn map(data: &mut Array3<f32>, convert: impl Fn(f32) -> f32 + Sync) {
    match data.as_slice_memory_order_mut() {
        Some(values) => values.par_iter_mut().for_each(|v| *v = convert(*v)),
        None => data.mapv_inplace(convert),
    }
}

/// NaN and -Inf become `low`, +Inf becomes `high`.
pub(super) fn replace_non_finite(data: &mut Array3<f32>, (low, high): (f32, f32)) {
    map(data, |v| match v {
        v if v.is_finite() => v,
        f32::INFINITY => high,
        _ => low,
    });
}

/// `(value - origin) / range`, clipped; a range of 0 gives 0.
pub(super) fn affine_map(
    data: &mut Array3<f32>,
    origin: f64,
    range: f64,
    clip: Option<(f32, f32)>,
) {
    let factor = if range > 0.0 { 1.0 / range } else { 0.0 };
    map(data, |v| {
        let mapped = ((f64::from(v) - origin) * factor) as f32;
        clip.map_or(mapped, |(low, high)| mapped.clamp(low, high))
    });
}

/// Mean and population standard deviation of the voxels chosen; `None` if there are none.
pub(super) fn mean_and_deviation(
    data: &Array3<f32>,
    chosen: impl Fn(f32) -> bool,
) -> Option<(f64, f64)> {
    let values = || data.iter().filter(|v| chosen(**v)).map(|&v| f64::from(v));
    let count = values().count() as f64;
    let mean = values().sum::<f64>() / count;
    let variance = values().map(|v| (v - mean).powi(2)).sum::<f64>() / count;
    (count > 0.0).then_some((mean, variance.sqrt()))
}

/// Percentiles (0 to 100) of the finite values, interpolated linearly between ranks as `numpy.percentile`.
///
/// `None` if no value is finite.
pub fn percentiles<const N: usize>(data: &Array3<f32>, percents: [f64; N]) -> Option<[f64; N]> {
    let mut values: Vec<f32> = data.iter().copied().filter(|v| v.is_finite()).collect();
    if values.is_empty() {
        return None;
    }
    Some(percents.map(|percent| percentile(&mut values, percent)))
}

/// Partial selection instead of a sort: the two ranks beside the percentile are all that is needed.
fn percentile(values: &mut [f32], percent: f64) -> f64 {
    let last = values.len() - 1;
    let rank = (percent / 100.0).clamp(0.0, 1.0) * last as f64;
    let below = (rank.floor() as usize).min(last);
    let (_, &mut low, above) = values.select_nth_unstable_by(below, f32::total_cmp);
    let high = above.iter().copied().min_by(f32::total_cmp).unwrap_or(low);
    f64::from(low) + (f64::from(high) - f64::from(low)) * (rank - below as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_numpys() {
        // numpy.percentile([(i*i*7) % 31 - 9 for i in range(24)], [0, 0.5, 37, 99.5, 100])
        let data = Array3::from_shape_fn((2, 3, 4), |(i, j, k)| {
            let n = (i * 3 + j) * 4 + k;
            ((n * n * 7) % 31) as f32 - 9.0
        });
        let found = percentiles(&data, [0.0, 0.5, 37.0, 99.5, 100.0]).unwrap();
        let expected = [-9.0, -8.885, -0.49, 18.655, 19.0];
        for (f, e) in found.into_iter().zip(expected) {
            approx::assert_abs_diff_eq!(f, e, epsilon = 1e-12);
        }
    }

    #[test]
    fn non_finite_values_do_not_count() {
        let mut data = Array3::from_elem((1, 1, 4), f32::NAN);
        assert_eq!(percentiles(&data, [50.0]), None);
        assert_eq!(finite_range(&data), None);
        data[[0, 0, 1]] = 3.0;
        data[[0, 0, 2]] = f32::NEG_INFINITY;
        assert_eq!(percentiles(&data, [50.0]), Some([3.0]));
        assert_eq!(finite_range(&data), Some((3.0, 3.0)));
    }
}
