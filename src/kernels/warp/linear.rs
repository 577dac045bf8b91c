//! Linear warp, forward.

use rayon::prelude::*;

use super::Shape;
use super::corners::Corners;
use super::sampler::{Sampler, Taps};
use crate::kernels::blocks::{Block, blocks, rows_step, unwritten};
use crate::kernels::vector;

/// Samples `image`, `[items, channels, image]`, at `x + flow(x)` with linear interpolation.
///
/// `flow` is `[items, components, grid]` in voxels; returns `[items, channels, grid]`.
pub fn linear(image: &[f32], flow: &[f32], shape: &Shape) -> Vec<f32> {
    Job {
        image,
        flow,
        shape,
        plus_flow: false,
    }
    .run()
}

/// `flow(x) + field(x + flow(x))`, of [`Shape::fields`]: [`linear`] in one pass with the sum.
pub(in crate::kernels) fn compose(field: &[f32], flow: &[f32], shape: &Shape) -> Vec<f32> {
    Job {
        image: field,
        flow,
        shape,
        plus_flow: true,
    }
    .run()
}

/// One call of [`linear`] or [`compose`].
struct Job<'a> {
    image: &'a [f32],
    flow: &'a [f32],
    shape: &'a Shape,
    plus_flow: bool,
}

impl Job<'_> {
    fn run(&self) -> Vec<f32> {
        self.shape.check(self.image.len(), self.flow.len());
        match self.shape.components {
            3 => self.sample(Sampler::<true>::new(self.shape)),
            _ => self.sample(Sampler::<false>::new(self.shape)),
        }
    }

    fn sample<const VOLUME: bool>(&self, sampler: Sampler<VOLUME>) -> Vec<f32> {
        let (c, voxels) = (self.shape.channels, sampler.voxels());
        let volume: usize = self.shape.image.iter().product();
        let fields = Sampler::<VOLUME>::COMPONENTS * voxels;
        // SAFETY: the blocks cover it and write every voxel.
        let mut out = unsafe { unwritten(self.shape.output_len()) };
        let step = rows_step(sampler.width());
        blocks(&mut out, c, voxels, step)
            .into_par_iter()
            .for_each(|block| {
                let image = &self.image[block.item * c * volume..][..c * volume];
                let flow = &self.flow[block.item * fields..][..fields];
                let plus_flow = self.plus_flow;
                vector::run(LinearBlock {
                    sampler,
                    image,
                    volume,
                    flow,
                    plus_flow,
                    block,
                });
            });
        out
    }
}

/// One task: some rows of all channels of one item.
struct LinearBlock<'a, const VOLUME: bool> {
    sampler: Sampler<VOLUME>,
    image: &'a [f32],
    volume: usize,
    flow: &'a [f32],
    plus_flow: bool,
    block: Block<'a, f32>,
}

impl<const VOLUME: bool> vector::Work for LinearBlock<'_, VOLUME> {
    type Output = ();

    #[inline(always)]
    fn run(mut self) {
        let (mut taps, mut corners) = (Taps::new(), Corners::new());
        let Block {
            start, channels, ..
        } = &mut self.block;
        let voxels = self.sampler.voxels();
        for (at, len) in self.sampler.runs(*start, channels[0].len()) {
            self.sampler.taps::<false>(self.flow, at, len, &mut taps);
            let images = self.image.chunks_exact(self.volume);
            for (channel, (out, image)) in channels.iter_mut().zip(images).enumerate() {
                corners.read(&self.sampler, image, &taps.offset[..len]);
                let out = &mut out[at - *start..][..len];
                for (i, out) in out.iter_mut().enumerate() {
                    *out = taps.blend::<VOLUME>(&corners, i);
                }
                if self.plus_flow {
                    let flow = &self.flow[channel * voxels + at..];
                    out.iter_mut().zip(flow).for_each(|(out, u)| *out += u);
                }
            }
        }
    }
}
