use ndarray::Array3;

use super::*;
use crate::volume::{Affine, Dimension, Geometry, Volume};

fn image(data: Array3<f32>) -> Image {
    let (i, j, k) = data.dim();
    Volume {
        data,
        geometry: Geometry::new([i, j, k], Dimension::Three, Affine::identity()),
    }
}

fn normalised(normalisation: Normalisation, data: Array3<f32>) -> Array3<f32> {
    let mut image = image(data);
    normalisation.prepare().unwrap().apply(&mut image).unwrap();
    image.data
}

fn ramp() -> Array3<f32> {
    Array3::from_shape_fn((1, 1, 201), |(_, _, k)| k as f32 * 2.0 - 100.0)
}

#[test]
fn percentile_clips_to_unit_interval() {
    // numpy.percentile(numpy.arange(201) * 2 - 100, [0.5, 99.5]) is [-98, 298].
    let data = normalised(Normalisation::default(), ramp());
    assert_eq!((data[[0, 0, 0]], data[[0, 0, 200]]), (0.0, 1.0));
    approx::assert_abs_diff_eq!(data[[0, 0, 100]], 198.0 / 396.0, epsilon = 1e-7);
}

#[test]
fn percentile_of_an_almost_empty_image_keeps_it() {
    let mut data = Array3::zeros((10, 10, 10));
    data[[3, 4, 5]] = 8.0;
    let data = normalised(Normalisation::default(), data);
    assert_eq!(data[[3, 4, 5]], 1.0);
    assert_eq!(data.sum(), 1.0);
}

#[test]
fn z_score_takes_its_statistics_from_the_foreground() {
    let data = Array3::from_shape_vec((1, 1, 5), vec![0.0, -3.0, 2.0, 4.0, 6.0]).unwrap();
    let found = normalised(
        Normalisation::ZScore {
            mask: Mask::Foreground,
        },
        data,
    );
    // Mean 4 and population deviation sqrt(8/3) of 2, 4, 6.
    let deviation = (8.0_f32 / 3.0).sqrt();
    let expected = [-4.0, -7.0, -2.0, 0.0, 2.0].map(|v| v / deviation);
    for (f, e) in found.iter().zip(expected) {
        approx::assert_abs_diff_eq!(*f, e, epsilon = 1e-6);
    }
}

#[test]
fn non_finite_voxels_are_replaced_and_do_not_count() {
    let values = vec![f32::NAN, 10.0, f32::INFINITY, 30.0, f32::NEG_INFINITY, 20.0];
    let data = Array3::from_shape_vec((1, 2, 3), values).unwrap();
    let found = normalised(Normalisation::MinMax {}, data.clone());
    assert_eq!(
        found.into_raw_vec_and_offset().0,
        [0.0, 0.0, 1.0, 1.0, 0.0, 0.5]
    );
    let kept = normalised(Normalisation::None {}, data);
    assert_eq!(
        kept.into_raw_vec_and_offset().0,
        [10.0, 10.0, 30.0, 30.0, 10.0, 20.0]
    );
}

#[test]
fn statistics_are_of_what_a_mask_holds_and_of_finite_voxels() {
    // The ramp of 201 values among more voxels that do not count, or that the mask leaves out.
    let among = |other: f32| {
        Array3::from_shape_fn((1, 3, 201), |(_, j, k)| match j {
            1 => k as f32 * 2.0 - 100.0,
            _ => other,
        })
    };
    let row = among(0.0).map(|_| 0_i32);
    let mut mask = LabelMap {
        data: row,
        geometry: image(among(0.0)).geometry,
    };
    mask.data.slice_mut(ndarray::s![.., 1, ..]).fill(1);
    for normalisation in [
        Normalisation::MinMax {},
        Normalisation::default(),
        Normalisation::ZScore { mask: Mask::All },
    ] {
        let alone = normalised(normalisation.clone(), ramp());
        let unknown = normalised(normalisation.clone(), among(f32::NAN));
        let mut masked = image(among(5000.0));
        let normaliser = normalisation.prepare().unwrap();
        normaliser.apply_within(&mut masked, Some(&mask)).unwrap();
        for k in 0..201 {
            let expected = alone[[0, 0, k]];
            assert_eq!(unknown[[0, 1, k]], expected, "{normalisation:?}");
            assert_eq!(masked.data[[0, 1, k]], expected, "{normalisation:?}");
        }
        assert!(masked.data[[0, 0, 0]] >= 1.0, "{normalisation:?}");
    }
}

#[test]
fn no_finite_voxel_is_an_error_and_a_constant_becomes_zero() {
    let mut empty = image(Array3::from_elem((2, 2, 2), f32::NAN));
    assert!(
        Normalisation::MinMax {}
            .prepare()
            .unwrap()
            .apply(&mut empty)
            .is_err()
    );
    for normalisation in [
        Normalisation::MinMax {},
        Normalisation::default(),
        Normalisation::ZScore { mask: Mask::All },
    ] {
        let found = normalised(normalisation, Array3::from_elem((2, 2, 2), 77.0));
        assert!(found.iter().all(|&v| v == 0.0));
    }
}

#[test]
fn huge_values_do_not_overflow() {
    // The squares of 2e32 and more do not fit float32.
    let data = Array3::from_shape_vec((1, 1, 3), vec![1e32, 2e32, 3e32]).unwrap();
    let found = normalised(Normalisation::ZScore { mask: Mask::All }, data);
    approx::assert_abs_diff_eq!(found[[0, 0, 2]], 1.5_f32.sqrt(), epsilon = 1e-6);
}

#[test]
fn histogram_matching_gives_equal_ranks_equal_values() {
    // Reference: 1/64, 2/64, ... 64/64. Source: squares, so the mapping is far from linear.
    let quantiles = histogram::quantiles((1..=64).map(|v| v as f32 / 64.0).collect()).unwrap();
    let normaliser = Normaliser {
        normalisation: Normalisation::HistogramMatch {
            reference: "unused.nii".into(),
            mask: Mask::Foreground,
        },
        reference_quantiles: quantiles,
    };
    let data = Array3::from_shape_fn((4, 4, 4), |(i, j, k)| ((i * 16 + j * 4 + k) as f32).powi(2));
    let mut source = image(data);
    normaliser.apply(&mut source).unwrap();
    assert_eq!(source.data[[0, 0, 0]], 0.0, "outside the foreground");
    // Voxel n > 0 has rank n - 1 of 0..=62; the reference's ranks are 0..=63.
    for (n, &found) in source.data.iter().enumerate().skip(1) {
        let rank = (n as f32 - 1.0) / 62.0 * 63.0;
        approx::assert_abs_diff_eq!(found, (1.0 + rank) / 64.0, epsilon = 1e-5);
    }
}

#[test]
fn settings_are_read_from_toml_and_unknown_ones_refused() {
    let read = |text: &str| toml::from_str::<Normalisation>(text);
    assert_eq!(
        read("kind = 'percentile'").unwrap(),
        Normalisation::default()
    );
    assert_eq!(
        read("kind = 'z-score'\nmask = 'all'").unwrap(),
        Normalisation::ZScore { mask: Mask::All }
    );
    assert_eq!(read("kind = 'none'").unwrap(), Normalisation::None {});
    for wrong in [
        "kind = 'none'\nlow = 1.0",
        "kind = 'percentile'\nlo = 1.0",
        "kind = 'zscore'",
    ] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
    let reversed = Normalisation::Percentile {
        low: 99.0,
        high: 1.0,
    };
    assert!(
        reversed
            .prepare()
            .unwrap_err()
            .to_string()
            .contains("0 <= low < high <= 100")
    );
}
