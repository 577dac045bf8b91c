//! The spatial transformer: sampling an image at displaced positions.

use burn::tensor::{Bool, Int, Tensor};

use super::bridge::{self, Operation, Saved, View};
#[cfg(feature = "gpu")]
use super::bridge::{Buffer, SavedBuffers};
#[cfg(feature = "gpu")]
use super::gpu;
use crate::kernels::warp::{self as kernel, Border};

/// `moved(x) = image(x + flow(x))`, linear interpolation.
///
/// # Shapes
/// - `image`: `[n, c, d, h, w]`; `flow`: `[n, 3, ..]` in voxels along `(d, h, w)`, or `[n, 2, 1, h, w]` along
///   `(h, w)`, on the grid of the result
///
/// A displacement that is not a finite number gives 0.
pub fn warp(image: Tensor<5>, flow: Tensor<5>, border: Border) -> Tensor<5> {
    if bridge::serves(&image) && bridge::serves(&flow) {
        bridge::run(
            Warp { border },
            [image.into_dispatch(), flow.into_dispatch()],
        )
    } else {
        composed(image, flow, border)
    }
}

/// [`warp`] from burn's operations: the eight (in 2-D four) corners gathered and weighted.
pub fn composed(image: Tensor<5>, flow: Tensor<5>, border: Border) -> Tensor<5> {
    let [_, _, d, h, w] = image.dims();
    let extent = [d, h, w];
    let (positions, known) = finite(positions(&flow), extent, border);
    let base = positions.clone().map(|p| p.detach().floor());
    let mut sum: Option<Tensor<5>> = None;
    for bits in 0..8usize {
        let offset = [bits >> 2 & 1, bits >> 1 & 1, bits & 1];
        // A singleton axis of a 2-D image is never displaced.
        if flow.dims()[1] == 2 && offset[0] == 1 {
            continue;
        }
        let at = [0, 1, 2].map(|a| base[a].clone() + offset[a] as f32);
        let weight = (0..3)
            .map(|a| {
                let fraction = positions[a].clone() - base[a].clone();
                if offset[a] == 1 {
                    fraction
                } else {
                    fraction.neg() + 1.0
                }
            })
            .reduce(|x, y| x * y)
            .expect("three axes");
        let term = corner(&image, &at, extent, border) * weight;
        sum = Some(match sum {
            Some(s) => s + term,
            None => term,
        });
    }
    let sum = sum.expect("at least four corners");
    let unknown = known.bool_not().expand(sum.dims());
    sum.mask_fill(unknown, 0.0)
}

/// Positions no further outside the image than that every sample is the border's, and which of them were finite numbers.
fn finite(
    positions: [Tensor<5>; 3],
    extent: [usize; 3],
    border: Border,
) -> ([Tensor<5>; 3], Tensor<5, Bool>) {
    let [d, h, w] = positions.clone().map(Tensor::is_finite);
    let known = d.bool_and(h).bool_and(w);
    let mut axis = 0;
    let positions = positions.map(|p| {
        let last = (extent[axis] - 1) as f32;
        axis += 1;
        let p = p.mask_fill(known.clone().bool_not(), 0.0);
        match border {
            Border::Zeros => p.clamp(-2.0, last + 2.0),
            Border::Edge => held(p, last),
        }
    });
    (positions, known)
}

/// Positions between the edges at 0 and `last`. Unlike a clamped one, a position on an edge has no slope either.
fn held(p: Tensor<5>, last: f32) -> Tensor<5> {
    let before = p.clone().lower_equal_elem(0.0);
    let p = p.mask_fill(before, 0.0);
    let behind = p.clone().greater_equal_elem(last);
    p.mask_fill(behind, last)
}

/// Sampling positions along `(d, h, w)`, each `[n, 1, d, h, w]`.
fn positions(flow: &Tensor<5>) -> [Tensor<5>; 3] {
    let [n, components, d, h, w] = flow.dims();
    let device = flow.device().inner();
    [0, 1, 2].map(|axis| {
        let size = [d, h, w][axis];
        let mut shape = [1; 5];
        shape[axis + 2] = size;
        let ramp: Tensor<5> = Tensor::<1, Int>::arange(0..size as i64, &device)
            .float()
            .reshape(shape)
            .expand([n, 1, d, h, w]);
        match (axis + components).checked_sub(3) {
            Some(c) => ramp + flow.clone().narrow(1, c, 1),
            None => ramp,
        }
    })
}

/// The voxels of `image` at whole-numbered positions: `[n, c, ..]` on the grid of `at`.
fn corner(image: &Tensor<5>, at: &[Tensor<5>; 3], extent: [usize; 3], border: Border) -> Tensor<5> {
    let [n, c, ..] = image.dims();
    let [_, _, d, h, w] = at[0].dims();
    let mut index: Option<Tensor<5, Int>> = None;
    let mut inside: Option<Tensor<5>> = None;
    for axis in 0..3 {
        let last = (extent[axis] - 1) as f32;
        let clamped = at[axis].clone().clamp(0.0, last);
        let ok = at[axis].clone().equal(clamped.clone()).float();
        inside = Some(inside.map_or(ok.clone(), |i| i * ok));
        // Whole numbers, since 32-bit floats do not count beyond 2^24 voxels.
        index = Some(match index {
            Some(i) => i * extent[axis] as i64 + clamped.int(),
            None => clamped.int(),
        });
    }
    let voxels = d * h * w;
    let index = index
        .expect("three axes")
        .reshape([n, 1, voxels])
        .expand([n, c, voxels]);
    let flat = image.clone().reshape([n, c, extent.iter().product()]);
    let values = flat.gather(2, index).reshape([n, c, d, h, w]);
    match border {
        Border::Zeros => values * inside.expect("three axes"),
        Border::Edge => values,
    }
}

#[derive(Debug)]
struct Warp {
    border: Border,
}

impl Warp {
    fn sizes(&self, image: &View, flow: &View) -> kernel::Shape {
        let extent = |view: &View| [view.shape[2], view.shape[3], view.shape[4]];
        kernel::Shape {
            image: extent(image),
            grid: extent(flow),
            items: image.shape[0],
            channels: image.shape[1],
            components: flow.shape[1],
            border: self.border,
        }
    }
}

impl Operation<2> for Warp {
    fn saves_inputs(&self) -> bool {
        true
    }

    fn shape(&self, [image, flow]: [&[usize]; 2]) -> Vec<usize> {
        vec![image[0], image[1], flow[2], flow[3], flow[4]]
    }

    fn forward(&self, [image, flow]: [View; 2]) -> Vec<f32> {
        kernel::linear(image.data, flow.data, &self.sizes(&image, &flow))
    }

    fn backward(&self, saved: Saved<2>) -> [Option<Vec<f32>>; 2] {
        let [image, flow] = &saved.inputs;
        kernel::linear_grad(
            image.data,
            flow.data,
            &self.sizes(image, flow),
            saved.grad.data,
            saved.wanted,
        )
    }

    #[cfg(feature = "gpu")]
    fn forward_gpu(&self, [image, flow]: [Buffer; 2]) -> Buffer {
        gpu::warp::linear(image, flow, self.border)
    }

    #[cfg(feature = "gpu")]
    fn backward_gpu(&self, saved: SavedBuffers<2>) -> [Option<Buffer>; 2] {
        let inputs = saved.inputs.expect("saves_inputs");
        gpu::warp::linear_grad(inputs, saved.grad, self.border, saved.wanted)
    }
}
