//! Nearest-neighbour warp.

use rayon::prelude::*;

use super::Shape;
use super::sampler::Sampler;
use crate::kernels::blocks::{blocks, rows_step, unwritten};
use crate::kernels::{Extent, vector};

/// Samples `image` at the voxel nearest to `x + flow(x)`, half-way positions going to the even voxel.
///
/// Shapes and units as [`super::linear`]; any element type, zero being `T::default()`.
pub fn nearest<T: Copy + Default + Send + Sync>(
    image: &[T],
    flow: &[f32],
    shape: &Shape,
) -> Vec<T> {
    shape.check(image.len(), flow.len());
    match shape.components {
        3 => sample(Sampler::<true>::new(shape), image, flow, shape),
        _ => sample(Sampler::<false>::new(shape), image, flow, shape),
    }
}

fn sample<T: Copy + Default + Send + Sync, const VOLUME: bool>(
    sampler: Sampler<VOLUME>,
    image: &[T],
    flow: &[f32],
    shape: &Shape,
) -> Vec<T> {
    let c = shape.channels;
    let voxels = sampler.voxels();
    let volume: usize = shape.image.iter().product();
    let fields = Sampler::<VOLUME>::COMPONENTS * voxels;
    // SAFETY: the blocks cover it and write every voxel.
    let mut out = unsafe { unwritten(shape.output_len()) };
    let step = rows_step(sampler.width());
    blocks(&mut out, c, voxels, step)
        .into_par_iter()
        .for_each(|block| {
            let flow = &flow[block.item * fields..][..fields];
            let (start, len) = (block.start, block.channels[0].len());
            let sources = vector::run(Sources {
                sampler,
                image_extent: shape.image,
                flow,
                start,
                len,
            });
            let image = &image[block.item * c * volume..][..c * volume];
            for (out, image) in block.channels.into_iter().zip(image.chunks_exact(volume)) {
                for (out, &source) in out.iter_mut().zip(&sources) {
                    // Outside is past the end of every image.
                    *out = image.get(source as usize).copied().unwrap_or_default();
                }
            }
        });
    out
}

/// Finds the image voxel that each output voxel of a block copies; `u32::MAX` outside.
struct Sources<'a, const VOLUME: bool> {
    sampler: Sampler<VOLUME>,
    image_extent: Extent,
    flow: &'a [f32],
    start: usize,
    len: usize,
}

impl<const VOLUME: bool> vector::Work for Sources<'_, VOLUME> {
    type Output = Vec<u32>;

    #[inline(always)]
    fn run(self) -> Vec<u32> {
        let mut sources = vec![0_u32; self.len];
        let skipped = 3 - Sampler::<VOLUME>::COMPONENTS;
        for (at, len) in self.sampler.runs(self.start, self.len) {
            let sources = &mut sources[at - self.start..][..len];
            for a in skipped..3 {
                let u = &self.flow[(a - skipped) * self.sampler.voxels() + at..][..len];
                let axis = self.sampler.axes[a];
                let (size, step) = (self.image_extent[a] as f32, self.sampler.steps[a] as i32);
                let origin = self.sampler.coordinate(a, at);
                let ramp = if a == 2 { 1.0 } else { 0.0 };
                for (i, (source, &u)) in sources.iter_mut().zip(u).enumerate() {
                    let p = axis.clamp(origin + ramp * i as f32 + u);
                    let (index, inside) = round_even(p, size);
                    let moved = source.wrapping_add((index * step) as u32);
                    *source = if inside && *source != u32::MAX {
                        moved
                    } else {
                        u32::MAX
                    };
                }
            }
        }
        sources
    }
}

/// Nearest whole number, ties to even, and whether it lies in `0..size`; false for NaN.
#[inline(always)]
fn round_even(p: f32, size: f32) -> (i32, bool) {
    // Adding 1.5 * 2^23 leaves no bits below one: the addition itself rounds, ties to even.
    const ROUND: f32 = 12_582_912.0;
    let near = p > -1.0 && p < size;
    let bounded = if near { p } else { 0.0 };
    let rounded = (bounded + ROUND) - ROUND;
    // SAFETY: a number between -1 and the size of an axis.
    (
        unsafe { rounded.to_int_unchecked() },
        near && rounded >= 0.0 && rounded < size,
    )
}
