//! How tests compare a kernel with its oracle.

/// Panics unless every value is within `tolerance` times the largest expected magnitude.
#[track_caller]
pub fn assert_close(found: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "number of values");
    let largest = expected.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
    assert!(
        largest > 0.0 || expected.is_empty(),
        "an expectation of zeros shows nothing"
    );
    for (i, (&f, &e)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(f) - e).abs();
        // A NaN fails too.
        assert!(
            error <= tolerance * largest,
            "value {i}: {f}, expected {e}: off by {:.1e} of the largest, {largest:.3e}",
            error / largest
        );
    }
}

/// Gradient of `f` at `x` by central differences of width `2 step`.
pub fn finite_differences(f: impl Fn(&[f64]) -> f64, x: &[f64], step: f64) -> Vec<f64> {
    let mut x = x.to_vec();
    (0..x.len())
        .map(|i| {
            let middle = x[i];
            x[i] = middle + step;
            let above = f(&x);
            x[i] = middle - step;
            let below = f(&x);
            x[i] = middle;
            (above - below) / (2.0 * step)
        })
        .collect()
}

/// Sum of products.
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
