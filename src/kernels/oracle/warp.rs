//! Warp from its definition.

use super::{coordinates, index};
use crate::kernels::warp::{Border, Shape};

impl Shape {
    /// Calls `visit(output index, first image index of the channel, position)` for every output.
    fn visit(&self, flow: &[f64], mut visit: impl FnMut(usize, usize, [f64; 3])) {
        let (from, to) = (
            self.image.iter().product::<usize>(),
            self.grid.iter().product::<usize>(),
        );
        for item in 0..self.items {
            for at in 0..to {
                let mut position = coordinates(at, self.grid).map(|v| v as f64);
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
pub fn linear(shape: &Shape, image: &[f64], flow: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; shape.output_len()];
    shape.visit(flow, |at, channel, position| {
        for corner in 0..8_i64 {
            let bits = [corner >> 2 & 1, corner >> 1 & 1, corner & 1];
            let voxel = [0, 1, 2].map(|a| position[a].floor() as i64 + bits[a]);
            if let Some(from) = index(voxel, shape.image) {
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
pub fn nearest(shape: &Shape, image: &[f64], flow: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; shape.output_len()];
    shape.visit(flow, |at, channel, position| {
        let voxel = position.map(|p| p.round_ties_even() as i64);
        if let Some(from) = index(voxel, shape.image) {
            out[at] = image[channel + from];
        }
    });
    out
}
