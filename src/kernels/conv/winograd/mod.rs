//! Convolution of stride 1 with fewer products: Winograd's F(2,3) along every axis.
//!
//! Two neighbouring outputs of a kernel of 3 need 4 products instead of 6 (Winograd, 1980; for networks Lavin and
//! Gray, CVPR 2016): `y = A^T [(G g) . (B^T x)]` with, for the outputs 2m and 2m + 1 and the inputs x0..x3 from
//! 2m - 1 on,
//!
//! ```text
//! B^T x = (x0 - x2, x1 + x2, x2 - x1, x1 - x3)      G g = (g0, (g0 + g1 + g2) / 2, (g0 - g1 + g2) / 2, g2)
//! A^T m = (m0 + m1 + m2, m1 - m2 - m3)
//! ```
//!
//! In 3-D that is 64 products for 8 outputs, 8 for each instead of 27; in 2-D 16 for 4. Transforms are sums and
//! halves only, so rounding errors stay near those of the direct sum.
//!
//! The source may have *coarse* channels, which stand for a nearest-neighbour upsampling by two, joined with its
//! *fine* ones: there x1 = x2, the third product along each axis vanishes, and 27 products serve 8 outputs. The upsampled
//! tensor exists nowhere. In the gradient of coarse channels the two outputs are added, and the third product cancels
//! again: `m0 + 2 m1 - m3`.

mod engine;
mod grad_weights;
mod input;
mod kernel;
mod multiply;
mod outer;
mod output;
mod products;
mod slab;
#[cfg(test)]
mod tests;

use super::axis::{Axis, Tap};
use super::simd::Level;
use super::{ConvSpec, JoinSpec};
use engine::Plan;
use kernel::{Direction, Kernels};
use slab::Source;

pub(super) use grad_weights::run as grad_weights;

/// Channels on the fine grid, and on the one half as fine.
#[derive(Debug, Clone, Copy)]
struct Channels {
    fine: usize,
    coarse: usize,
}

impl Channels {
    fn all(self) -> usize {
        self.fine + self.coarse
    }
}

/// Positions from which on it pays to transform the kernels.
const VOXELS: usize = 4096;

/// Whether values and the gradient of the input are faster this way than directly: with few channels the transforms cost
/// more than the products they save.
pub(super) fn pays(spec: &ConvSpec) -> bool {
    let voxels = spec.batch * spec.input.iter().product::<usize>();
    spec.stride == [1; 3] && spec.in_channels.min(spec.out_channels) >= 16 && voxels >= VOXELS
}

/// [`pays`] for the gradient of the weights, which is not bound by its products as early.
pub(super) fn pays_for_weights(spec: &ConvSpec) -> bool {
    pays(spec) && spec.in_channels.min(spec.out_channels) >= 32
}

/// A convolution of the upsampled `low` joined with `skip`, plus bias, then LeakyReLU where a `slope` is given.
pub(super) fn forward(
    level: Level,
    spec: &JoinSpec,
    [low, skip]: [&[f32]; 2],
    w: &[f32],
    bias: Option<&[f32]>,
    slope: Option<f32>,
    out: &mut [f32],
) {
    assert!(bias.is_none_or(|bias| bias.len() == spec.out_channels));
    let axes = Axes::new(spec);
    let [fine, coarse] = axes.sources(spec.inputs(), [skip, low]);
    let plan = Plan {
        level,
        batch: spec.batch,
        fine,
        coarse,
        targets: spec.outputs(),
        kernels: Kernels::new(level, spec, w, Direction::Forward),
        bias,
        slope,
    };
    plan.run([out, &mut []]);
}

/// Gradients of the same convolution (before its LeakyReLU) with respect to `low` and `skip`.
pub(super) fn grad_input(
    level: Level,
    spec: &JoinSpec,
    grad_out: &[f32],
    w: &[f32],
    [grad_low, grad_skip]: [&mut [f32]; 2],
) {
    let axes = Axes::new(spec);
    let [fine, coarse] = axes.sources(spec.outputs(), [grad_out, &[]]);
    let plan = Plan {
        level,
        batch: spec.batch,
        fine,
        coarse,
        targets: spec.inputs(),
        kernels: Kernels::new(level, spec, w, Direction::Transposed),
        bias: None,
        slope: None,
    };
    plan.run([grad_skip, grad_low]);
}

/// The axes of fine and of coarse tensors.
struct Axes {
    fine: [Axis; 3],
    coarse: [Axis; 3],
}

impl Axes {
    fn new(spec: &JoinSpec) -> Self {
        let low = spec.low();
        assert!(
            spec.low_channels == 0 || spec.joins(low),
            "upsampling by two does not give {spec:?}"
        );
        let flat = |axis: usize| axis == 0 && spec.kernel_depth == 1;
        Self {
            fine: std::array::from_fn(|a| match spec.input[a] {
                n if flat(a) => Axis::convolution(n, 1, 1),
                n => pairs(n, n, 2),
            }),
            coarse: std::array::from_fn(|a| match spec.input[a] {
                n if flat(a) => Axis::convolution(n, 1, 1),
                n => pairs(low[a], n, 1),
            }),
        }
    }

    /// Tensors on the fine and on the coarse grid.
    fn sources<'a>(
        &'a self,
        channels: Channels,
        [fine, coarse]: [&'a [f32]; 2],
    ) -> [Source<'a>; 2] {
        let [fine, coarse] = [
            (fine, channels.fine, &self.fine),
            (coarse, channels.coarse, &self.coarse),
        ]
        .map(|(values, channels, axes)| Source {
            values,
            channels,
            axes,
        });
        [fine, coarse]
    }
}

/// An axis of `target` voxels taken in pairs: of a kernel of 3 over as many source voxels (`step` 2), or over half as
/// many (`step` 1).
fn pairs(source: usize, target: usize, step: usize) -> Axis {
    let phase = |phase: usize| {
        (0..3)
            .map(|weight| Tap {
                weight,
                // Upsampled voxel i is voxel i / 2.
                offset: if step == 2 {
                    phase + weight
                } else {
                    (phase + weight).div_ceil(2)
                },
            })
            .collect()
    };
    Axis {
        source,
        target,
        padding: 1,
        step,
        phases: vec![phase(0), phase(1)],
    }
}

impl JoinSpec {
    fn inputs(&self) -> Channels {
        Channels {
            fine: self.skip_channels,
            coarse: self.low_channels,
        }
    }

    fn outputs(&self) -> Channels {
        Channels {
            fine: self.out_channels,
            coarse: 0,
        }
    }
}

impl From<&ConvSpec> for JoinSpec {
    fn from(spec: &ConvSpec) -> Self {
        Self {
            batch: spec.batch,
            low_channels: 0,
            skip_channels: spec.in_channels,
            out_channels: spec.out_channels,
            input: spec.input,
            kernel_depth: spec.kernel_depth,
        }
    }
}
