//! Local correlation of two images, and its gradients.
//!
//! Five box sums and one pass over them forward; backward the sums are made again rather than kept, and what
//! each window gives to the sums is summed over the windows that a voxel lies in.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::boxsum::{Source, box_sum, sum_of};
use super::{Extent, vector};

/// Smallest window covariance and variance, as in VoxelMorph.
pub const EPSILON: f32 = 1e-5;

/// Which local correlation is meant; covariance and variances are sums over the window, not means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// `cov^2 / (var_a var_b + eps)`: VoxelMorph in PyTorch. Rewards anti-correlation as well.
    Plain,
    /// `max(cov, eps)^2 / (max(var_a, eps) max(var_b, eps))`: VoxelMorph in TensorFlow.
    #[default]
    Clamped,
    /// `cov / sqrt(max(var_a, eps) max(var_b, eps))`: anti-correlation counts against.
    Signed,
}

/// Values of a pass that one task takes; independent of the number of threads.
const TASK: usize = 16384;

/// Two images `[items, extent]` and how their windows are compared.
#[derive(Clone, Copy)]
pub struct Pair<'a> {
    pub a: &'a [f32],
    pub b: &'a [f32],
    pub items: usize,
    pub extent: Extent,
    /// Odd sizes of the window; zeros outside the image count.
    pub window: [usize; 3],
    pub form: Form,
}

/// The correlation in the window around every voxel, `[items, extent]`.
pub fn local(pair: &Pair) -> Vec<f32> {
    let Sums {
        a,
        b,
        aa,
        bb,
        mut ab,
    } = pair.sums();
    let n = pair.voxels();
    let tasks = ab.par_chunks_mut(TASK).enumerate();
    tasks.for_each(|(task, ab)| {
        let sums = [&a, &b, &aa, &bb].map(|x| range(x, task, ab.len()));
        vector::run(Values {
            sums,
            ab,
            n,
            form: pair.form,
        });
    });
    ab
}

/// Gradients of the loss with respect to `a` and `b`, where wanted, given that with respect to [`local`].
pub fn local_grad(pair: &Pair, grad: &[f32], wanted: [bool; 2]) -> [Option<Vec<f32>>; 2] {
    let mut sums = pair.sums();
    sums.replace_by_gradients(grad, pair);
    let spread = |x: &[f32]| box_sum(x, pair.items, pair.extent, pair.window);
    let cross = spread(&sums.ab);
    let finish = |own: &[f32], other: &[f32], first: &[f32], square: &[f32]| {
        joined(own, other, [spread(first), spread(square)], &cross)
    };
    let [of_a, of_b] = wanted;
    [
        of_a.then(|| finish(pair.a, pair.b, &sums.a, &sums.aa)),
        of_b.then(|| finish(pair.b, pair.a, &sums.b, &sums.bb)),
    ]
}

/// Sums over windows of an image and of its square, made once for an image that is compared many times.
pub struct Kept {
    sums: Vec<f32>,
    squares: Vec<f32>,
}

impl Kept {
    /// Of `x`, `[items, extent]`.
    pub fn new(x: &[f32], items: usize, extent: Extent, window: [usize; 3]) -> Self {
        Self {
            sums: sum_of(Source::Values(x), items, extent, window),
            squares: sum_of(Source::Products(x, x), items, extent, window),
        }
    }
}

/// The gradient of [`local_grad`] with respect to `a` alone, with the sums of `b` made before.
pub fn local_grad_of_first(pair: &Pair, second: &Kept, grad: &[f32]) -> Vec<f32> {
    let sum = |x| sum_of(x, pair.items, pair.extent, pair.window);
    let mut a = sum(Source::Values(pair.a));
    let mut aa = sum(Source::Products(pair.a, pair.a));
    let mut ab = sum(Source::Products(pair.a, pair.b));
    let tasks = a
        .par_chunks_mut(TASK)
        .zip(aa.par_chunks_mut(TASK))
        .zip(ab.par_chunks_mut(TASK));
    tasks.enumerate().for_each(|(task, ((a, aa), ab))| {
        let [b, bb, grad] = [&second.sums, &second.squares, grad].map(|x| range(x, task, a.len()));
        vector::run(GradientsOfFirst {
            a,
            aa,
            ab,
            b,
            bb,
            grad,
            n: pair.voxels(),
            form: pair.form,
        });
    });
    let spread = |x: &[f32]| box_sum(x, pair.items, pair.extent, pair.window);
    joined(pair.a, pair.b, [spread(&a), spread(&aa)], &spread(&ab))
}

/// The gradient for an image from those for its sums, all spread over the windows: of itself, its square, and its
/// product with the other image.
fn joined(own: &[f32], other: &[f32], [first, square]: [Vec<f32>; 2], cross: &[f32]) -> Vec<f32> {
    let mut out = first;
    let tasks = out.par_chunks_mut(TASK).enumerate();
    tasks.for_each(|(task, out)| {
        let len = out.len();
        let [own, other, square, cross] = [own, other, &square, cross].map(|x| range(x, task, len));
        for (i, out) in out.iter_mut().enumerate() {
            *out += cross[i] * other[i] + 2.0 * square[i] * own[i];
        }
    });
    out
}

/// The values of a task.
fn range(x: &[f32], task: usize, len: usize) -> &[f32] {
    &x[task * TASK..][..len]
}

/// Sums over windows of both images, their squares and their product; later the gradients with respect to them.
struct Sums {
    a: Vec<f32>,
    b: Vec<f32>,
    aa: Vec<f32>,
    bb: Vec<f32>,
    ab: Vec<f32>,
}

impl Pair<'_> {
    fn voxels(&self) -> f32 {
        self.window.iter().product::<usize>() as f32
    }

    fn sums(&self) -> Sums {
        let sum = |x| sum_of(x, self.items, self.extent, self.window);
        let (a, b) = (self.a, self.b);
        Sums {
            a: sum(Source::Values(a)),
            b: sum(Source::Values(b)),
            aa: sum(Source::Products(a, a)),
            bb: sum(Source::Products(b, b)),
            ab: sum(Source::Products(a, b)),
        }
    }
}

impl Sums {
    /// Replaces every sum by the gradient of the loss with respect to it.
    fn replace_by_gradients(&mut self, grad: &[f32], pair: &Pair) {
        let n = pair.voxels();
        let tasks = self
            .a
            .par_chunks_mut(TASK)
            .zip(self.b.par_chunks_mut(TASK))
            .zip(self.aa.par_chunks_mut(TASK))
            .zip(self.bb.par_chunks_mut(TASK))
            .zip(self.ab.par_chunks_mut(TASK))
            .zip(grad.par_chunks(TASK));
        tasks.for_each(|(((((a, b), aa), bb), ab), grad)| {
            let form = pair.form;
            vector::run(Gradients {
                a,
                b,
                aa,
                bb,
                ab,
                grad,
                n,
                form,
            });
        });
    }
}

/// Covariance and variances of a window.
#[derive(Clone, Copy)]
struct Moments {
    cov: f32,
    var_a: f32,
    var_b: f32,
}

impl Moments {
    #[inline(always)]
    fn new([a, b, aa, bb, ab]: [f32; 5], n: f32) -> Self {
        Self {
            cov: ab - a * b / n,
            var_a: aa - a * a / n,
            var_b: bb - b * b / n,
        }
    }
}

/// At least [`EPSILON`]; what is not a number stays so, that a broken loss is seen.
#[inline(always)]
fn floor(x: f32) -> f32 {
    if x < EPSILON { EPSILON } else { x }
}

/// 1 where [`floor`] passes a change on.
#[inline(always)]
fn passes(x: f32) -> f32 {
    if x < EPSILON { 0.0 } else { 1.0 }
}

#[inline(always)]
fn plain(Moments { cov, var_a, var_b }: Moments) -> f32 {
    cov * cov / (var_a * var_b + EPSILON)
}

#[inline(always)]
fn clamped(Moments { cov, var_a, var_b }: Moments) -> f32 {
    let cov = floor(cov);
    (cov / floor(var_a)) * (cov / floor(var_b))
}

#[inline(always)]
fn signed(Moments { cov, var_a, var_b }: Moments) -> f32 {
    cov / (floor(var_a) * floor(var_b)).sqrt()
}

/// Derivatives of [`plain`] with respect to covariance and variances.
#[inline(always)]
fn plain_slopes(Moments { cov, var_a, var_b }: Moments) -> [f32; 3] {
    let part = cov / (var_a * var_b + EPSILON);
    [2.0 * part, -part * part * var_b, -part * part * var_a]
}

/// Derivatives of [`clamped`].
#[inline(always)]
fn clamped_slopes(Moments { cov, var_a, var_b }: Moments) -> [f32; 3] {
    let (by_a, by_b) = (floor(cov) / floor(var_a), floor(cov) / floor(var_b));
    [
        passes(cov) * 2.0 * by_a / floor(var_b),
        -passes(var_a) * by_a * by_b / floor(var_a),
        -passes(var_b) * by_a * by_b / floor(var_b),
    ]
}

/// Derivatives of [`signed`].
#[inline(always)]
fn signed_slopes(Moments { cov, var_a, var_b }: Moments) -> [f32; 3] {
    let part = 1.0 / (floor(var_a) * floor(var_b)).sqrt();
    [
        part,
        -passes(var_a) * 0.5 * cov * part / floor(var_a),
        -passes(var_b) * 0.5 * cov * part / floor(var_b),
    ]
}

/// Turns sums into correlations, in the place of `ab`.
struct Values<'a> {
    sums: [&'a [f32]; 4],
    ab: &'a mut [f32],
    n: f32,
    form: Form,
}

impl Values<'_> {
    #[inline(always)]
    fn each(self, value: impl Fn(Moments) -> f32) {
        let [a, b, aa, bb] = self.sums.map(|x| &x[..self.ab.len()]);
        for (i, ab) in self.ab.iter_mut().enumerate() {
            *ab = value(Moments::new([a[i], b[i], aa[i], bb[i], *ab], self.n));
        }
    }
}

impl vector::Work for Values<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        match self.form {
            Form::Plain => self.each(plain),
            Form::Clamped => self.each(clamped),
            Form::Signed => self.each(signed),
        }
    }
}

/// Turns sums into gradients, in their places.
struct Gradients<'a> {
    a: &'a mut [f32],
    b: &'a mut [f32],
    aa: &'a mut [f32],
    bb: &'a mut [f32],
    ab: &'a mut [f32],
    grad: &'a [f32],
    n: f32,
    form: Form,
}

impl Gradients<'_> {
    #[inline(always)]
    fn each(self, slopes: impl Fn(Moments) -> [f32; 3]) {
        let (n, len) = (self.n, self.grad.len());
        let [a, b, aa, bb, ab] = [self.a, self.b, self.aa, self.bb, self.ab].map(|x| &mut x[..len]);
        for i in 0..len {
            let (sum_a, sum_b) = (a[i], b[i]);
            let moments = Moments::new([sum_a, sum_b, aa[i], bb[i], ab[i]], n);
            let [cov, var_a, var_b] = slopes(moments).map(|slope| slope * self.grad[i]);
            (ab[i], aa[i], bb[i]) = (cov, var_a, var_b);
            a[i] = -(cov * sum_b + 2.0 * var_a * sum_a) / n;
            b[i] = -(cov * sum_a + 2.0 * var_b * sum_b) / n;
        }
    }
}

impl vector::Work for Gradients<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        match self.form {
            Form::Plain => self.each(plain_slopes),
            Form::Clamped => self.each(clamped_slopes),
            Form::Signed => self.each(signed_slopes),
        }
    }
}

/// Turns the sums of the first image into gradients, in their places.
struct GradientsOfFirst<'a> {
    a: &'a mut [f32],
    aa: &'a mut [f32],
    ab: &'a mut [f32],
    b: &'a [f32],
    bb: &'a [f32],
    grad: &'a [f32],
    n: f32,
    form: Form,
}

impl GradientsOfFirst<'_> {
    #[inline(always)]
    fn each(self, slopes: impl Fn(Moments) -> [f32; 3]) {
        let (n, len) = (self.n, self.grad.len());
        let [a, aa, ab] = [self.a, self.aa, self.ab].map(|x| &mut x[..len]);
        let [b, bb] = [self.b, self.bb].map(|x| &x[..len]);
        for i in 0..len {
            let moments = Moments::new([a[i], b[i], aa[i], bb[i], ab[i]], n);
            let [cov, var, _] = slopes(moments).map(|slope| slope * self.grad[i]);
            a[i] = -(cov * b[i] + 2.0 * var * a[i]) / n;
            (ab[i], aa[i]) = (cov, var);
        }
    }
}

impl vector::Work for GradientsOfFirst<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        match self.form {
            Form::Plain => self.each(plain_slopes),
            Form::Clamped => self.each(clamped_slopes),
            Form::Signed => self.each(signed_slopes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::oracle::random::uniform;
    use crate::kernels::oracle::{check, correlation as oracle, widen};

    const FORMS: [Form; 3] = [Form::Plain, Form::Clamped, Form::Signed];
    /// Two images, one of them flat in a corner, where variances fall below the smallest one.
    const CASES: [(usize, Extent, [usize; 3]); 4] = [
        (2, [5, 6, 7], [3, 5, 3]),
        (1, [1, 9, 11], [1, 9, 9]),
        (1, [4, 1, 1], [9, 9, 9]),
        (1, [7, 6, 5], [3, 3, 3]),
    ];

    fn images(items: usize, extent: Extent) -> [Vec<f32>; 2] {
        let volume: usize = extent.iter().product();
        let (a, mut b) = (
            uniform(1, items * volume, 1.0),
            uniform(2, items * volume, 1.0),
        );
        // Related, so that the correlation is not all noise.
        b.iter_mut()
            .zip(&a)
            .for_each(|(b, a)| *b = 0.5 * *b + 0.5 * a);
        b[..volume / 2].fill(0.0);
        [a, b]
    }

    #[test]
    fn matches_the_definition() {
        for (items, extent, window) in CASES {
            let [a, b] = images(items, extent);
            for form in FORMS {
                let expected = oracle::local(&widen(&a), &widen(&b), items, extent, window, form);
                let found = local(&Pair {
                    a: &a,
                    b: &b,
                    items,
                    extent,
                    window,
                    form,
                });
                check::assert_close(&found, &expected, 1e-5);
            }
        }
    }

    #[test]
    fn gradients_match_finite_differences() {
        for (items, extent, window) in CASES {
            let [a, b] = images(items, extent);
            let grad = uniform(3, a.len(), 1.0);
            let (wide_a, wide_b) = (widen(&a), widen(&b));
            for form in FORMS {
                let loss = |a: &[f64], b: &[f64]| {
                    check::dot(
                        &oracle::local(a, b, items, extent, window, form),
                        &widen(&grad),
                    )
                };
                let pair = Pair {
                    a: &a,
                    b: &b,
                    items,
                    extent,
                    window,
                    form,
                };
                let [of_a, of_b] = local_grad(&pair, &grad, [true, true]).map(Option::unwrap);
                let expected = check::finite_differences(|a| loss(a, &wide_b), &wide_a, 1e-6);
                check::assert_close(&of_a, &expected, 1e-4);
                let expected = check::finite_differences(|b| loss(&wide_a, b), &wide_b, 1e-6);
                check::assert_close(&of_b, &expected, 1e-4);
                let kept = Kept::new(&b, items, extent, window);
                assert_eq!(local_grad_of_first(&pair, &kept, &grad), of_a);
            }
        }
    }

    #[test]
    fn what_is_not_a_number_is_seen() {
        let a = uniform(1, 27, 1.0);
        let mut b = a.clone();
        b[13] = f32::NAN;
        for form in FORMS {
            let pair = Pair {
                a: &a,
                b: &b,
                items: 1,
                extent: [3; 3],
                window: [3; 3],
                form,
            };
            assert!(local(&pair).iter().all(|v| v.is_nan()), "{form:?}");
        }
    }
}
