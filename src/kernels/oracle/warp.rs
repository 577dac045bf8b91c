//! Warp from its definition.

use super::{coordinates, index};
use crate::kernels::Extent;
use crate::kernels::warp::Border;

/// Sizes of a warp, as the kernel takes them.
#[derive(Debug, Clone, Copy)]
pub struct Problem {
    pub image: Extent,
    pub output: Extent,
    pub batch: usize,
    pub channels: usize,
    /// 2 or 3.
    pub components: usize,
    pub border: Border,
}

impl Problem {
    pub fn image_len(&self) -> usize {
        self.batch * self.channels * self.image.iter().product::<usize>()
    }

    pub fn output_len(&self) -> usize {
        self.batch * self.channels * self.output.iter().product::<usize>()
    }

    pub fn flow_len(&self) -> usize {
        self.batch * self.components * self.output.iter().product::<usize>()
    }

    /// Calls `visit(output index, first image index of the channel, position)` for every output.
    fn visit(&self, flow: &[f64], mut visit: impl FnMut(usize, usize, [f64; 3])) {
        let (from, to) = (
            self.image.iter().product::<usize>(),
            self.output.iter().product::<usize>(),
        );
        for item in 0..self.batch {
            for at in 0..to {
                let mut position = coordinates(at, self.output).map(|v| v as f64);
                for component in 0..self.components {
                    let axis = component + 3 - self.components;
                    position[axis] += flow[(item * self.components + component) * to + at];
                    if self.border == Border::Edge {
                        position[axis] = position[axis].clamp(0.0, self.image[axis] as f64 - 1.0);
                    }
                }
                for channel in item * self.channels..(item + 1) * self.channels {
                    visit(channel * to + at, channel * from, position);
                }
            }
        }
    }
}

/// Linear interpolation: the eight voxels around each position that lie in the image.
pub fn linear(problem: &Problem, image: &[f64], flow: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; problem.output_len()];
    problem.visit(flow, |at, channel, position| {
        for corner in 0..8_i64 {
            let bits = [corner >> 2 & 1, corner >> 1 & 1, corner & 1];
            let voxel = [0, 1, 2].map(|a| position[a].floor() as i64 + bits[a]);
            if let Some(from) = index(voxel, problem.image) {
                let weight: f64 = (0..3)
                    .map(|a| 1.0 - (position[a] - voxel[a] as f64).abs())
                    .product();
                out[at] += weight * image[channel + from];
            }
        }
    });
    out
}

/// Nearest neighbour, ties to even.
pub fn nearest(problem: &Problem, image: &[f64], flow: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; problem.output_len()];
    problem.visit(flow, |at, channel, position| {
        let voxel = position.map(|p| p.round_ties_even() as i64);
        if let Some(from) = index(voxel, problem.image) {
            out[at] = image[channel + from];
        }
    });
    out
}
