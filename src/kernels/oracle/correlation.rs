//! Local correlation from its definition.

use super::boxsum::box_sum;
use crate::kernels::Extent;
use crate::kernels::correlation::Form;

/// The correlation of `a` and `b` in the window around every voxel, with the smallest covariance and variance of its form.
pub fn local(
    a: &[f64],
    b: &[f64],
    items: usize,
    extent: Extent,
    window: [usize; 3],
    (form, epsilon): (Form, f64),
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
            Form::Plain => cov * cov / (va * vb + epsilon),
            Form::Clamped => cov.max(epsilon).powi(2) / (va.max(epsilon) * vb.max(epsilon)),
            Form::Signed => cov / (va.max(epsilon) * vb.max(epsilon)).sqrt(),
        }
    };
    (0..a.len()).map(at).collect()
}
