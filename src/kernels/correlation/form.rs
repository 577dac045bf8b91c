//! The forms of the local correlation, and their slopes.

use serde::{Deserialize, Serialize};

use crate::kernels::vector::Work;

/// Which local correlation is meant; covariance and variances are sums over the window, not means, and `eps` is the
/// smallest that counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
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

/// Covariance and variances of a window.
#[derive(Clone, Copy)]
pub(super) struct Moments {
    pub cov: f32,
    pub var_a: f32,
    pub var_b: f32,
}

impl Moments {
    /// From the sums over a window of `n` voxels.
    #[inline(always)]
    pub fn new([a, b, aa, bb, ab]: [f32; 5], n: f32) -> Self {
        Self {
            cov: ab - a * b / n,
            var_a: aa - a * a / n,
            var_b: bb - b * b / n,
        }
    }
}

/// One form, with its smallest covariance and variance.
pub(super) trait Rule {
    fn value(&self, moments: Moments) -> f32;
    /// Derivatives of the value with respect to covariance and variances.
    fn slopes(&self, moments: Moments) -> [f32; 3];
}

/// What is done with sums by any rule.
pub(super) trait Pass {
    /// `#[inline(always)]`, as [`Work`] asks.
    fn run(self, rule: impl Rule);
}

/// A pass by the rule of a form.
pub(super) struct By<P> {
    pub pass: P,
    pub form: Form,
    pub epsilon: f32,
}

impl<P: Pass> Work for By<P> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        match self.form {
            Form::Plain => self.pass.run(Plain(self.epsilon)),
            Form::Clamped => self.pass.run(Clamped(Floor(self.epsilon))),
            Form::Signed => self.pass.run(Signed(Floor(self.epsilon))),
        }
    }
}

/// The smallest value that counts; what is not a number stays so, that a broken loss is seen.
#[derive(Clone, Copy)]
struct Floor(f32);

impl Floor {
    #[inline(always)]
    fn of(self, x: f32) -> f32 {
        if x < self.0 { self.0 } else { x }
    }

    /// 1 where [`Self::of`] passes a change on.
    #[inline(always)]
    fn passes(self, x: f32) -> f32 {
        if x < self.0 { 0.0 } else { 1.0 }
    }
}

struct Plain(f32);

impl Rule for Plain {
    #[inline(always)]
    fn value(&self, Moments { cov, var_a, var_b }: Moments) -> f32 {
        cov * cov / (var_a * var_b + self.0)
    }

    #[inline(always)]
    fn slopes(&self, Moments { cov, var_a, var_b }: Moments) -> [f32; 3] {
        let part = cov / (var_a * var_b + self.0);
        [2.0 * part, -part * part * var_b, -part * part * var_a]
    }
}

struct Clamped(Floor);

impl Rule for Clamped {
    #[inline(always)]
    fn value(&self, Moments { cov, var_a, var_b }: Moments) -> f32 {
        let cov = self.0.of(cov);
        (cov / self.0.of(var_a)) * (cov / self.0.of(var_b))
    }

    #[inline(always)]
    fn slopes(&self, Moments { cov, var_a, var_b }: Moments) -> [f32; 3] {
        let [c, a, b] = [cov, var_a, var_b].map(|x| self.0.of(x));
        let (by_a, by_b) = (c / a, c / b);
        [
            self.0.passes(cov) * 2.0 * by_a / b,
            -self.0.passes(var_a) * by_a * by_b / a,
            -self.0.passes(var_b) * by_a * by_b / b,
        ]
    }
}

struct Signed(Floor);

impl Rule for Signed {
    #[inline(always)]
    fn value(&self, Moments { cov, var_a, var_b }: Moments) -> f32 {
        cov / (self.0.of(var_a) * self.0.of(var_b)).sqrt()
    }

    #[inline(always)]
    fn slopes(&self, Moments { cov, var_a, var_b }: Moments) -> [f32; 3] {
        let [a, b] = [var_a, var_b].map(|x| self.0.of(x));
        let part = 1.0 / (a * b).sqrt();
        [
            part,
            -self.0.passes(var_a) * 0.5 * cov * part / a,
            -self.0.passes(var_b) * 0.5 * cov * part / b,
        ]
    }
}
