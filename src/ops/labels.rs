//! Labels: which of several channels is highest, and label maps that are deformed.

use burn::tensor::Tensor;

#[cfg(feature = "gpu")]
use super::bridge::Buffer;
use super::bridge::{self, Constant, View};
#[cfg(feature = "gpu")]
use super::gpu;

use crate::kernels::warp::{Border, Shape, nearest};
use crate::kernels::{Extent, labels, resize};

/// Which of several channels is highest, and how high: where a channel, resized to `to` voxels with aligned corners,
/// exceeds what has been found so far, its value and its number take the place of that. Numbers count from `first`; the
/// first of equals wins.
///
/// # Shapes
/// - `so_far` and the result: `[1, 2, to[0], to[1], to[2]]`, the value and the number
/// - `channels`: `[n, 1, d, h, w]`
pub fn highest_channel(
    so_far: Option<Tensor<5>>,
    channels: Tensor<5>,
    first: usize,
    to: Extent,
) -> Tensor<5> {
    let operation = Highest { first, to };
    match so_far {
        None => bridge::run_constant::<1>(operation, [channels]),
        Some(so_far) => bridge::run_constant::<2>(operation, [channels, so_far]),
    }
}

/// Whether each of the labels `0..count` occurs: 1 or 0, `[1, 1, 1, 1, count]`.
pub fn present_labels(labels: Tensor<5>, count: usize) -> Tensor<5> {
    bridge::run_constant(Present { count }, [labels])
}

/// The label nearest to `x + flow(x)`, 0 outside; half-way positions go to the even voxel.
///
/// # Shapes
/// - `labels`: `[n, c, d, h, w]`, whole numbers; `flow`: as that of [`super::warp()`]
pub fn pull_labels(labels: Tensor<5>, flow: Tensor<5>) -> Tensor<5> {
    bridge::run_constant(Pull, [labels, flow])
}

#[derive(Debug)]
struct Highest {
    first: usize,
    to: Extent,
}

impl Highest {
    fn shape(&self) -> [usize; 5] {
        let [d, h, w] = self.to;
        [1, 2, d, h, w]
    }

    /// Raises what has been found so far, values and numbers behind each other.
    fn raise(&self, so_far: &mut [f32], channels: &View) {
        let from = extent(channels);
        let (best, highest) = so_far.split_at_mut(self.to.iter().product());
        let each = channels.data.chunks_exact(from.iter().product());
        for (n, channel) in each.enumerate() {
            let height = resize::linear(channel, 1, from, self.to, 1.0);
            labels::raise(best, highest, &height, (self.first + n) as f32);
        }
    }
}

impl Constant<1> for Highest {
    fn shape(&self, _: [&[usize]; 1]) -> [usize; 5] {
        self.shape()
    }

    fn forward(&self, [channels]: [View; 1]) -> Vec<f32> {
        let voxels: usize = self.to.iter().product();
        let mut out = vec![f32::MIN; 2 * voxels];
        out[voxels..].fill(self.first as f32);
        self.raise(&mut out, &channels);
        out
    }

    #[cfg(feature = "gpu")]
    fn forward_gpu(&self, [channels]: [Buffer; 1]) -> Buffer {
        gpu::labels::highest(channels, None, self.first, self.to)
    }
}

impl Constant<2> for Highest {
    fn shape(&self, _: [&[usize]; 2]) -> [usize; 5] {
        self.shape()
    }

    fn forward(&self, [channels, so_far]: [View; 2]) -> Vec<f32> {
        let mut out = so_far.data.to_vec();
        self.raise(&mut out, &channels);
        out
    }

    #[cfg(feature = "gpu")]
    fn forward_gpu(&self, [channels, so_far]: [Buffer; 2]) -> Buffer {
        gpu::labels::highest(channels, Some(so_far), self.first, self.to)
    }
}

#[derive(Debug)]
struct Present {
    count: usize,
}

impl Constant<1> for Present {
    fn shape(&self, _: [&[usize]; 1]) -> [usize; 5] {
        [1, 1, 1, 1, self.count]
    }

    fn forward(&self, [labels]: [View; 1]) -> Vec<f32> {
        let mut present = vec![0.0; self.count];
        for &label in labels.data {
            present[label as usize] = 1.0;
        }
        present
    }

    #[cfg(feature = "gpu")]
    fn forward_gpu(&self, [labels]: [Buffer; 1]) -> Buffer {
        gpu::labels::present(labels, self.count)
    }
}

#[derive(Debug)]
struct Pull;

impl Constant<2> for Pull {
    fn shape(&self, [labels, flow]: [&[usize]; 2]) -> [usize; 5] {
        [labels[0], labels[1], flow[2], flow[3], flow[4]]
    }

    fn forward(&self, [labels, flow]: [View; 2]) -> Vec<f32> {
        let shape = Shape {
            image: extent(&labels),
            grid: extent(&flow),
            items: labels.shape[0],
            channels: labels.shape[1],
            components: flow.shape[1],
            border: Border::Zeros,
        };
        nearest(labels.data, flow.data, &shape)
    }

    #[cfg(feature = "gpu")]
    fn forward_gpu(&self, [labels, flow]: [Buffer; 2]) -> Buffer {
        gpu::labels::pull(labels, flow)
    }
}

fn extent(view: &View) -> Extent {
    [view.shape[2], view.shape[3], view.shape[4]]
}
