//! Linear warp, forward.

use rayon::prelude::*;

use super::Border;
use super::corners::Corners;
use super::sampler::{Sampler, Taps};
use crate::kernels::blocks::{Block, blocks, rows_step, unwritten};
use crate::kernels::{Extent, vector};

/// Samples `image` at `x + flow(x)` with linear interpolation.
///
/// `image` is `[n, c, image_extent]`, `flow` `[n, nf, extent]` in voxels, `nf` 2 (displaces h and w;
/// `d` must be 1) or 3 (d, h, w). Returns `[n, c, extent]`.
#[expect(clippy::too_many_arguments)]
pub fn linear(
    image: &[f32],
    image_extent: Extent,
    flow: &[f32],
    extent: Extent,
    n: usize,
    c: usize,
    nf: usize,
    border: Border,
) -> Vec<f32> {
    check(image.len(), image_extent, flow.len(), extent, [n, c, nf]);
    let job = Job {
        image,
        image_extent,
        flow,
        n,
        c,
        plus_flow: false,
    };
    match nf {
        3 => job.run(Sampler::<true>::new(image_extent, extent, border)),
        _ => job.run(Sampler::<false>::new(image_extent, extent, border)),
    }
}

/// `flow(x) + field(x + flow(x))`, all `[n, nf, extent]`: [`linear`] in one pass with the sum.
pub(in crate::kernels) fn compose(
    field: &[f32],
    flow: &[f32],
    extent: Extent,
    n: usize,
    nf: usize,
    border: Border,
) -> Vec<f32> {
    check(field.len(), extent, flow.len(), extent, [n, nf, nf]);
    let job = Job {
        image: field,
        image_extent: extent,
        flow,
        n,
        c: nf,
        plus_flow: true,
    };
    match nf {
        3 => job.run(Sampler::<true>::new(extent, extent, border)),
        _ => job.run(Sampler::<false>::new(extent, extent, border)),
    }
}

/// Panics unless the slices have the sizes that the extents say: a caller's mistake, not a user's.
pub(super) fn check(
    image: usize,
    image_extent: Extent,
    flow: usize,
    extent: Extent,
    [n, c, nf]: [usize; 3],
) {
    let (from, to) = (
        image_extent.iter().product::<usize>(),
        extent.iter().product::<usize>(),
    );
    assert!(
        from < 1 << 31,
        "warp: image {image_extent:?} has too many voxels"
    );
    assert_eq!(
        image,
        n * c * from,
        "warp: image does not fill [{n}, {c}, {image_extent:?}]"
    );
    assert_eq!(
        flow,
        n * nf * to,
        "warp: flow does not fill [{n}, {nf}, {extent:?}]"
    );
    assert!(
        nf == 3 || (nf == 2 && image_extent[0] == 1 && extent[0] == 1),
        "warp: {nf} components do not fit {image_extent:?} to {extent:?}"
    );
    assert!(
        from > 0 || image == 0 && to == 0,
        "warp: image {image_extent:?} is empty"
    );
}

/// One call of [`linear`] or [`compose`].
struct Job<'a> {
    image: &'a [f32],
    image_extent: Extent,
    flow: &'a [f32],
    n: usize,
    c: usize,
    plus_flow: bool,
}

impl Job<'_> {
    fn run<const VOLUME: bool>(self, sampler: Sampler<VOLUME>) -> Vec<f32> {
        let (c, voxels) = (self.c, sampler.voxels());
        let volume: usize = self.image_extent.iter().product();
        let fields = Sampler::<VOLUME>::COMPONENTS * voxels;
        // SAFETY: the blocks cover it and write every voxel.
        let mut out = unsafe { unwritten(self.n * c * voxels) };
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
