//! Local correlation of two images, and its gradients.
//!
//! Five box sums and one pass over them forward; backward the sums are made again rather than kept, and what
//! each window gives to the sums is summed over the windows that a voxel lies in.

mod form;
#[cfg(test)]
mod tests;

use rayon::prelude::*;

use self::form::{By, Moments, Pass, Rule};
use super::boxsum::{Source, box_sum, sum_of};
use super::{Extent, vector};

pub use self::form::Form;

/// Smallest window covariance and variance in VoxelMorph.
pub const EPSILON: f32 = 1e-5;

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
    /// The `eps` of the form.
    pub epsilon: f32,
}

/// The correlation in the window around every voxel, `[items, extent]`.
pub fn local(pair: &Pair) -> Vec<f32> {
    local_of_first(
        pair,
        &Kept::new(pair.b, pair.items, pair.extent, pair.window),
    )
}

/// [`local`], with the sums of `b` made before.
pub fn local_of_first(pair: &Pair, second: &Kept) -> Vec<f32> {
    let sum = |x| sum_of(x, pair.items, pair.extent, pair.window);
    let a = sum(Source::Values(pair.a));
    let aa = sum(Source::Products(pair.a, pair.a));
    let mut ab = sum(Source::Products(pair.a, pair.b));
    let tasks = ab.par_chunks_mut(TASK).enumerate();
    tasks.for_each(|(task, ab)| {
        let len = ab.len();
        let sums = [&a, &second.sums, &aa, &second.squares].map(|x| range(x, task, len));
        match &second.counts {
            None => pair.run(Values {
                sums,
                ab,
                n: pair.voxels(),
            }),
            Some(counts) => pair.run(Values {
                sums,
                ab,
                n: range(counts, task, len),
            }),
        }
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
    /// Voxels of each window that count, at least 1; `None` where all do.
    counts: Option<Vec<f32>>,
}

impl Kept {
    /// Of `x`, `[items, extent]`.
    pub fn new(x: &[f32], items: usize, extent: Extent, window: [usize; 3]) -> Self {
        Self {
            sums: sum_of(Source::Values(x), items, extent, window),
            squares: sum_of(Source::Products(x, x), items, extent, window),
            counts: None,
        }
    }

    /// Of one image, of which only the voxels count where `mask` is 1; elsewhere it is 0, and so has to be the image that
    /// is compared with this one.
    pub fn masked(x: &[f32], mask: &[f32], extent: Extent, window: [usize; 3]) -> Self {
        let x: Vec<f32> = x.par_iter().zip(mask).map(|(x, m)| x * m).collect();
        let mut counts = sum_of(Source::Values(mask), 1, extent, window);
        counts.par_iter_mut().for_each(|n| *n = n.max(1.0));
        Self {
            counts: Some(counts),
            ..Self::new(&x, 1, extent, window)
        }
    }

    /// Of each window of `voxels`: the variance of the voxels that count, and their share.
    pub fn variances(&self, voxels: usize) -> impl IndexedParallelIterator<Item = [f32; 2]> {
        let all = voxels as f32;
        let sums = self.squares.par_iter().zip(&self.sums).enumerate();
        sums.map(move |(at, (square, sum))| {
            let n = self.counts.as_ref().map_or(all, |counts| counts[at]);
            let mean = sum / n;
            [(square / n - mean * mean).max(0.0), n / all]
        })
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
        let len = a.len();
        let [b, bb, grad] = [&second.sums, &second.squares, grad].map(|x| range(x, task, len));
        let (first, counts, second) = ([a, aa, ab], &second.counts, [b, bb]);
        match counts {
            None => pair.run(GradientsOfFirst {
                first,
                second,
                grad,
                n: pair.voxels(),
            }),
            Some(counts) => pair.run(GradientsOfFirst {
                first,
                second,
                grad,
                n: range(counts, task, len),
            }),
        }
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

    fn run(&self, pass: impl Pass) {
        vector::run(By {
            pass,
            form: self.form,
            epsilon: self.epsilon,
        });
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
            let sums = [a, b, aa, bb, ab];
            pair.run(Gradients { sums, grad, n });
        });
    }
}

/// How many voxels of each window count.
trait Counts: Copy {
    fn at(self, window: usize) -> f32;
}

impl Counts for f32 {
    #[inline(always)]
    fn at(self, _: usize) -> f32 {
        self
    }
}

impl Counts for &[f32] {
    #[inline(always)]
    fn at(self, window: usize) -> f32 {
        self[window]
    }
}

/// Turns sums into correlations, in the place of `ab`.
struct Values<'a, N> {
    sums: [&'a [f32]; 4],
    ab: &'a mut [f32],
    n: N,
}

impl<N: Counts> Pass for Values<'_, N> {
    #[inline(always)]
    fn run(self, rule: impl Rule) {
        let [a, b, aa, bb] = self.sums.map(|x| &x[..self.ab.len()]);
        for (i, ab) in self.ab.iter_mut().enumerate() {
            let sums = [a[i], b[i], aa[i], bb[i], *ab];
            *ab = rule.value(Moments::new(sums, self.n.at(i)));
        }
    }
}

/// Turns sums into gradients, in their places.
struct Gradients<'a> {
    /// Of `a`, `b`, `aa`, `bb`, `ab`.
    sums: [&'a mut [f32]; 5],
    grad: &'a [f32],
    n: f32,
}

impl Pass for Gradients<'_> {
    #[inline(always)]
    fn run(self, rule: impl Rule) {
        let (n, len) = (self.n, self.grad.len());
        let [a, b, aa, bb, ab] = self.sums.map(|x| &mut x[..len]);
        for i in 0..len {
            let (sum_a, sum_b) = (a[i], b[i]);
            let moments = Moments::new([sum_a, sum_b, aa[i], bb[i], ab[i]], n);
            let [cov, var_a, var_b] = rule.slopes(moments).map(|slope| slope * self.grad[i]);
            (ab[i], aa[i], bb[i]) = (cov, var_a, var_b);
            a[i] = -(cov * sum_b + 2.0 * var_a * sum_a) / n;
            b[i] = -(cov * sum_a + 2.0 * var_b * sum_b) / n;
        }
    }
}

/// [`Gradients`] for the first image alone: the sums of the second stay.
struct GradientsOfFirst<'a, N> {
    /// Of `a`, `aa`, `ab`.
    first: [&'a mut [f32]; 3],
    /// Of `b`, `bb`.
    second: [&'a [f32]; 2],
    grad: &'a [f32],
    n: N,
}

impl<N: Counts> Pass for GradientsOfFirst<'_, N> {
    #[inline(always)]
    fn run(self, rule: impl Rule) {
        let len = self.grad.len();
        let [a, aa, ab] = self.first.map(|x| &mut x[..len]);
        let [b, bb] = self.second.map(|x| &x[..len]);
        for i in 0..len {
            let n = self.n.at(i);
            let moments = Moments::new([a[i], b[i], aa[i], bb[i], ab[i]], n);
            let [cov, var, _] = rule.slopes(moments).map(|slope| slope * self.grad[i]);
            a[i] = -(cov * b[i] + 2.0 * var * a[i]) / n;
            (ab[i], aa[i]) = (cov, var);
        }
    }
}
