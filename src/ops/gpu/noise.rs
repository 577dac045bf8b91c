//! Normal noise by a counter-based generator: the same bits as [`crate::kernels::normal`].

use cubecl::prelude::*;

use super::{Buffer, argument, elements, empty, units};
use crate::kernels::normal::{BLOCK, FACTORS, Key, ROUNDS, STEPS};

/// `image + sd * noise`.
pub fn add(image: Buffer, sd: f32, key: Key) -> Buffer {
    let shape: [usize; 5] = image.meta.shape().dims();
    let out = empty(&image, shape);
    let items = elements(&image);
    let (count, dim) = units(&image, items.div_ceil(BLOCK));
    unsafe {
        added::launch_unchecked(
            &image.client,
            count,
            dim,
            argument(&image),
            argument(&out),
            items,
            sd,
            streams(key),
        );
    }
    out
}

/// A sample of the intensities of each voxel's label.
pub fn paint(labels: Buffer, tissues: Buffer, key: Key) -> Buffer {
    let shape: [usize; 5] = labels.meta.shape().dims();
    let out = empty(&labels, shape);
    let items = elements(&labels);
    let (count, dim) = units(&labels, items.div_ceil(BLOCK));
    unsafe {
        painted::launch_unchecked(
            &labels.client,
            count,
            dim,
            argument(&labels),
            argument(&tissues),
            argument(&out),
            items,
            elements(&tissues) / 2,
            streams(key),
        );
    }
    out
}

/// A [`Key`] on the GPU.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
#[expand(derive(Clone, Copy))]
struct Streams {
    key_0: u32,
    key_1: u32,
    upper_0: u32,
    upper_1: u32,
}

fn streams([key_0, key_1, upper_0, upper_1]: Key) -> StreamsLaunch {
    StreamsLaunch::new(key_0, key_1, upper_0, upper_1)
}

#[cube(launch_unchecked)]
fn added(image: &[f32], out: &mut [f32], items: usize, sd: f32, streams: Streams) {
    let first = ABSOLUTE_POS * BLOCK;
    if first >= items {
        terminate!();
    }
    let noise = samples(ABSOLUTE_POS as u32, &streams);
    #[unroll]
    for n in 0..BLOCK {
        let at = first + n;
        if at < items {
            out[at] = image[at] + sd * noise[n];
        }
    }
}

#[cube(launch_unchecked)]
fn painted(
    labels: &[f32],
    tissues: &[f32],
    out: &mut [f32],
    items: usize,
    count: usize,
    streams: Streams,
) {
    let first = ABSOLUTE_POS * BLOCK;
    if first >= items {
        terminate!();
    }
    let noise = samples(ABSOLUTE_POS as u32, &streams);
    #[unroll]
    for n in 0..BLOCK {
        let at = first + n;
        if at < items {
            let label = min(labels[at] as usize, count - 1);
            out[at] = tissues[2 * label] + tissues[2 * label + 1] * noise[n];
        }
    }
}

/// The four standard normal samples of a block.
#[cube]
fn samples(block: u32, streams: &Streams) -> Array<f32> {
    let mut x0 = block;
    let mut x1 = 0u32.runtime();
    let mut x2 = streams.upper_0;
    let mut x3 = streams.upper_1;
    let mut key_0 = streams.key_0;
    let mut key_1 = streams.key_1;
    #[unroll]
    for _ in 0..ROUNDS {
        let factor_0 = comptime!(FACTORS[0]).runtime();
        let factor_1 = comptime!(FACTORS[1]).runtime();
        let y0 = factor_1.mul_hi(x2) ^ x1 ^ key_0;
        let y1 = factor_1 * x2;
        let y2 = factor_0.mul_hi(x0) ^ x3 ^ key_1;
        let y3 = factor_0 * x0;
        x0 = y0;
        x1 = y1;
        x2 = y2;
        x3 = y3;
        key_0 += comptime!(STEPS[0]);
        key_1 += comptime!(STEPS[1]);
    }
    let mut out = Array::<f32>::new(4usize);
    let (a, b) = box_muller(x0, x1);
    let (c, d) = box_muller(x2, x3);
    out[0] = a;
    out[1] = b;
    out[2] = c;
    out[3] = d;
    out
}

#[cube]
fn box_muller(radius: u32, angle: u32) -> (f32, f32) {
    // Next to 1, shaders may take a logarithm 2^-21 too high, which is above 0.
    let radius = max(unit(radius).ln() * -2.0f32, 0.0f32).sqrt();
    let angle = (unit(angle) - 0.5f32) * comptime!(std::f32::consts::TAU);
    (radius * angle.cos(), radius * angle.sin())
}

#[cube]
fn unit(bits: u32) -> f32 {
    ((bits >> 9u32) as f32 + 0.5f32) * comptime!(1.0f32 / (1 << 23) as f32)
}
