//! Local correlation from its definition.

use super::boxsum::box_sum;
use crate::kernels::Extent;
use crate::kernels::correlation::Form;

/// Smallest covariance and variance.
const EPSILON: f64 = 1e-5;

/// The correlation of `a` and `b` in the window around every voxel.
pub fn local(
    a: &[f64],
    b: &[f64],
    items: usize,
    extent: Extent,
    window: [usize; 3],
    form: Form,
) -> Vec<f64> {
    let n: f64 = window.iter().product::<usize>() as f64;
    let sum = |x: Vec<f64>| box_sum(&x, items, extent, window);
    let times = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).collect();
    let (sa, sb) = (sum(a.to_vec()), sum(b.to_vec()));
    let (saa, sbb, sab) = (sum(times(a, a)), sum(times(b, b)), sum(times(a, b)));
    let at = |i: usize| {
        let cov = sab[i] - sa[i] * sb[i] / n;
        let (va, vb) = (saa[i] - sa[i] * sa[i] / n, sbb[i] - sb[i] * sb[i] / n);
        match form {
            Form::Plain => cov * cov / (va * vb + EPSILON),
            Form::Clamped => cov.max(EPSILON).powi(2) / (va.max(EPSILON) * vb.max(EPSILON)),
            Form::Signed => cov / (va.max(EPSILON) * vb.max(EPSILON)).sqrt(),
        }
    };
    (0..a.len()).map(at).collect()
}
