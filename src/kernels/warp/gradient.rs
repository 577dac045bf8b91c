//! Linear warp, gradients.

use rayon::prelude::*;

use super::Shape;
use super::corners::Corners;
use super::sampler::{LANES, Sampler, Taps};
use crate::kernels::blocks::{Block, blocks, rows_step, unwritten};
use crate::kernels::vector;

/// Gradients of [`super::linear`] for its image and its flow, each only if `wanted`; `grad` is that of the result.
///
/// At whole positions the derivative from the right is taken; where [`Border::Edge`](super::Border::Edge) holds a
/// sample back, and on the edge itself, the flow has no gradient (both as PyTorch). The same bits for any number of
/// threads.
pub fn linear_grad(
    image: &[f32],
    flow: &[f32],
    shape: &Shape,
    grad: &[f32],
    wanted: [bool; 2],
) -> [Option<Vec<f32>>; 2] {
    shape.check(image.len(), flow.len());
    assert_eq!(
        grad.len(),
        shape.output_len(),
        "warp: gradient does not fill {shape:?}"
    );
    match shape.components {
        3 => Job::<true>::new(image, flow, shape, grad).grads(wanted),
        _ => Job::<false>::new(image, flow, shape, grad).grads(wanted),
    }
}

/// Gradient for `u` of `u + u o (id + u)`, of [`Shape::fields`]: the sum of the three in one buffer.
pub(in crate::kernels) fn squaring_grad(u: &[f32], shape: &Shape, grad: &[f32]) -> Vec<f32> {
    shape.check(u.len(), u.len());
    assert_eq!(
        grad.len(),
        u.len(),
        "warp: gradient does not fill {shape:?}"
    );
    match shape.components {
        3 => Job::<true>::new(u, u, shape, grad).squaring(),
        _ => Job::<false>::new(u, u, shape, grad).squaring(),
    }
}

/// One call of [`linear_grad`] or [`squaring_grad`].
struct Job<'a, const VOLUME: bool> {
    sampler: Sampler<VOLUME>,
    image: &'a [f32],
    flow: &'a [f32],
    shape: &'a Shape,
    grad_out: &'a [f32],
}

impl<'a, const VOLUME: bool> Job<'a, VOLUME> {
    fn new(image: &'a [f32], flow: &'a [f32], shape: &'a Shape, grad_out: &'a [f32]) -> Self {
        Self {
            sampler: Sampler::new(shape),
            image,
            flow,
            shape,
            grad_out,
        }
    }

    fn grads(&self, [image, flow]: [bool; 2]) -> [Option<Vec<f32>>; 2] {
        [
            image.then(|| self.add_grad_image(vec![0.0; self.shape.image_len()])),
            flow.then(|| self.grad_flow(false)),
        ]
    }

    fn squaring(&self) -> Vec<f32> {
        self.add_grad_image(self.grad_flow(true))
    }

    /// Flow and output gradient of one item.
    fn item(&self, item: usize) -> (&'a [f32], &'a [f32]) {
        let fields = Sampler::<VOLUME>::COMPONENTS * self.sampler.voxels();
        let outputs = self.shape.channels * self.sampler.voxels();
        (
            &self.flow[item * fields..][..fields],
            &self.grad_out[item * outputs..][..outputs],
        )
    }

    /// `plus_grad` adds the gradient of the result, whose channels are the components then.
    fn grad_flow(&self, plus_grad: bool) -> Vec<f32> {
        let components = Sampler::<VOLUME>::COMPONENTS;
        let voxels = self.sampler.voxels();
        let volume: usize = self.shape.image.iter().product();
        // SAFETY: the blocks cover it and write every voxel.
        let mut out = unsafe { unwritten(self.shape.flow_len()) };
        let step = rows_step(self.sampler.width());
        blocks(&mut out, components, voxels, step)
            .into_par_iter()
            .for_each(|block| {
                let image = &self.image[block.item * self.shape.channels * volume..]
                    [..self.shape.channels * volume];
                let (flow, grad_out) = self.item(block.item);
                let sampler = self.sampler;
                vector::run(FlowBlock {
                    sampler,
                    image,
                    volume,
                    flow,
                    grad_out,
                    plus_grad,
                    block,
                });
            });
        out
    }

    /// Every task owns some planes of the image and adds to them, in the order of the output voxels,
    /// all that falls there: no two tasks write to one place, and the sums do not depend on the cut.
    fn add_grad_image(&self, mut out: Vec<f32>) -> Vec<f32> {
        let split = if self.shape.image[0] > 1 { 0 } else { 1 };
        let volume: usize = self.shape.image.iter().product();
        let plane: usize = self.shape.image[split + 1..].iter().product();
        let planes = self.shape.image[split]
            .div_ceil(2 * rayon::current_num_threads())
            .max(4);
        let reach: Vec<_> = (0..self.shape.items)
            .map(|item| self.reach(item, split))
            .collect();
        blocks(&mut out, self.shape.channels, volume, planes * plane)
            .into_par_iter()
            .for_each(|block| {
                let (start, len) = (block.start / plane, block.channels[0].len() / plane);
                let mut sampler = self.sampler;
                sampler.axes[split] = sampler.axes[split].part(start, len);
                sampler.steps[split] = if len > 1 { plane } else { 0 };
                let (flow, grad_out) = self.item(block.item);
                let (reach, owned) = (&reach[block.item], start as f32..(start + len) as f32);
                vector::run(ImageBlock {
                    sampler,
                    flow,
                    grad_out,
                    reach,
                    owned,
                    block,
                });
            });
        out
    }

    /// Least and greatest sampled position along axis `split` of each output row of `item`.
    fn reach(&self, item: usize, split: usize) -> Vec<(f32, f32)> {
        let (sampler, width, voxels) = (&self.sampler, self.sampler.width(), self.sampler.voxels());
        let component = split + Sampler::<VOLUME>::COMPONENTS - 3;
        let u = &self.item(item).0[component * voxels..][..voxels];
        u.par_chunks_exact(width.max(1))
            .with_min_len(64)
            .enumerate()
            .map(|(row, u)| {
                let x = sampler.coordinate(split, row * width);
                let p = u.iter().map(|u| sampler.axes[split].clamp(x + u));
                p.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), p| {
                    (low.min(p), high.max(p))
                })
            })
            .collect()
    }
}

/// Gradient of the flow over some rows of one item.
struct FlowBlock<'a, const VOLUME: bool> {
    sampler: Sampler<VOLUME>,
    image: &'a [f32],
    volume: usize,
    flow: &'a [f32],
    grad_out: &'a [f32],
    plus_grad: bool,
    block: Block<'a, f32>,
}

impl<const VOLUME: bool> vector::Work for FlowBlock<'_, VOLUME> {
    type Output = ();

    #[inline(always)]
    fn run(mut self) {
        let (mut taps, mut corners) = (Taps::new(), Corners::new());
        let mut sums;
        let skipped = 3 - Sampler::<VOLUME>::COMPONENTS;
        let voxels = self.sampler.voxels();
        for (at, len) in self
            .sampler
            .runs(self.block.start, self.block.channels[0].len())
        {
            self.sampler.taps::<true>(self.flow, at, len, &mut taps);
            sums = [[0.0; LANES]; 3];
            for (channel, image) in self.image.chunks_exact(self.volume).enumerate() {
                let grad = &self.grad_out[channel * voxels + at..][..len];
                corners.read(&self.sampler, image, &taps.offset[..len]);
                for (i, &g) in grad.iter().enumerate() {
                    let along = taps.slopes::<VOLUME>(&corners, i);
                    for (sum, slope) in sums.iter_mut().zip(along) {
                        sum[i] += g * slope;
                    }
                }
            }
            let local = at - self.block.start;
            let components = self.block.channels.iter_mut().zip(&sums[skipped..]);
            for (component, (out, sum)) in components.enumerate() {
                let out = &mut out[local..local + len];
                out.copy_from_slice(&sum[..len]);
                if self.plus_grad {
                    let grad = &self.grad_out[component * voxels + at..];
                    out.iter_mut().zip(grad).for_each(|(out, g)| *out += g);
                }
            }
        }
    }
}

/// Gradient of the image over the planes that one task owns.
struct ImageBlock<'a, const VOLUME: bool> {
    /// Sees only the owned planes.
    sampler: Sampler<VOLUME>,
    flow: &'a [f32],
    grad_out: &'a [f32],
    /// Sampled positions of each output row along the axis that is cut.
    reach: &'a [(f32, f32)],
    owned: std::ops::Range<f32>,
    block: Block<'a, f32>,
}

impl<const VOLUME: bool> vector::Work for ImageBlock<'_, VOLUME> {
    type Output = ();

    #[inline(always)]
    fn run(mut self) {
        let (mut taps, mut corners) = (Taps::new(), Corners::new());
        let (voxels, width) = (self.sampler.voxels(), self.sampler.width());
        for (row, &(low, high)) in self.reach.iter().enumerate() {
            if !(high > self.owned.start - 1.0 && low < self.owned.end) {
                continue;
            }
            for (at, len) in self.sampler.runs(row * width, width) {
                self.sampler.taps::<false>(self.flow, at, len, &mut taps);
                for (channel, image) in self.block.channels.iter_mut().enumerate() {
                    let grad = &self.grad_out[channel * voxels + at..][..len];
                    taps.spread::<VOLUME>(grad, &mut corners);
                    corners.add_to(&self.sampler, image, &taps.offset[..len]);
                }
            }
        }
    }
}
