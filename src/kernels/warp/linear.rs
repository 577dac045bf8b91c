//! Linear warp, forward.

use rayon::prelude::*;

use super::Border;
use super::sampler::{LANES, Sampler, Taps};
use crate::kernels::blocks::{Block, blocks, rows_step};
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
    let sources = (image, image_extent, flow);
    if nf == 3 {
        warp(
            Sampler::<true>::new(image_extent, extent, border),
            sources,
            n,
            c,
        )
    } else {
        warp(
            Sampler::<false>::new(image_extent, extent, border),
            sources,
            n,
            c,
        )
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

fn warp<const VOLUME: bool>(
    sampler: Sampler<VOLUME>,
    (image, image_extent, flow): (&[f32], Extent, &[f32]),
    n: usize,
    c: usize,
) -> Vec<f32> {
    let (voxels, width) = (sampler.voxels(), sampler.width());
    let volume: usize = image_extent.iter().product();
    let fields = Sampler::<VOLUME>::COMPONENTS * voxels;
    let mut out = vec![0.0; n * c * voxels];
    blocks(&mut out, c, voxels, rows_step(width))
        .into_par_iter()
        .for_each(|block| {
            let image = &image[block.item * c * volume..][..c * volume];
            let flow = &flow[block.item * fields..][..fields];
            vector::run(LinearBlock {
                sampler,
                image,
                volume,
                flow,
                block,
            });
        });
    out
}

/// One task: some rows of all channels of one item.
struct LinearBlock<'a, const VOLUME: bool> {
    sampler: Sampler<VOLUME>,
    image: &'a [f32],
    volume: usize,
    flow: &'a [f32],
    block: Block<'a, f32>,
}

impl<const VOLUME: bool> vector::Work for LinearBlock<'_, VOLUME> {
    type Output = ();

    #[inline(always)]
    fn run(mut self) {
        let mut taps = Taps::new();
        for (at, len) in self
            .sampler
            .runs(self.block.start, self.block.channels[0].len())
        {
            self.sampler.taps::<false>(self.flow, at, len, &mut taps);
            let local = at - self.block.start;
            for (out, image) in self
                .block
                .channels
                .iter_mut()
                .zip(self.image.chunks_exact(self.volume))
            {
                for (i, out) in out[local..local + len].iter_mut().enumerate() {
                    *out = sample(&self.sampler, image, &taps, i);
                }
            }
        }
    }
}

/// Value of `image` (one channel) at sample `i < LANES` of `taps`.
#[inline(always)]
fn sample<const VOLUME: bool>(
    sampler: &Sampler<VOLUME>,
    image: &[f32],
    taps: &Taps,
    i: usize,
) -> f32 {
    debug_assert!(i < LANES);
    let [sd, sh, sw] = sampler.steps;
    let [[d0, d1], [h0, h1], [w0, w1]] = &taps.weight;
    // SAFETY: the base of every axis is clamped so that base + step stays inside the image.
    let read = |at: usize| unsafe { *image.get_unchecked(at) };
    let row = |at: usize| w0[i] * read(at) + w1[i] * read(at + sw);
    let plane = |at: usize| h0[i] * row(at) + h1[i] * row(at + sh);
    let at = taps.offset[i] as usize;
    if VOLUME {
        d0[i] * plane(at) + d1[i] * plane(at + sd)
    } else {
        plane(at)
    }
}
