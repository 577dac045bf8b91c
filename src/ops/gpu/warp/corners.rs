//! The voxels about a sample, and their shares in it.

use cubecl::prelude::*;

use super::super::Grid;

/// Where images and samples lie.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
#[expand(derive(Clone, Copy))]
pub(super) struct Places {
    /// Of the image.
    pub from: Grid,
    /// Of the samples.
    pub to: Grid,
    pub channels: usize,
    /// Samples of all items of the batch.
    pub sites: usize,
}

/// The eight voxels about a sample, one bit an axis; the third axis is the fastest.
#[derive(CubeType)]
pub(super) struct Corners {
    /// Index in one channel of the image.
    pub index: Array<usize>,
    /// 1 where the voxel counts, 0 outside of an image with zeros about it.
    pub counts: Array<f32>,
    /// Distance past the first corner along each axis.
    pub d: f32,
    pub h: f32,
    pub w: f32,
    /// 1 where the sample moves with its displacement along an axis, 0 where an edge holds it.
    pub moves_d: f32,
    pub moves_h: f32,
    pub moves_w: f32,
}

#[cube]
impl Corners {
    pub fn new(
        flow: &[f32],
        site: usize,
        places: &Places,
        #[comptime] components: usize,
        #[comptime] edge: bool,
    ) -> Corners {
        let from = places.from;
        let (p, q, r) = position(flow, site, places.to, components);
        let known = finite(p) && finite(q) && finite(r);
        // Before they are compared with anything: what comes of that is open where they are not numbers.
        let p = select(known, p, 0.0f32);
        let q = select(known, q, 0.0f32);
        let r = select(known, r, 0.0f32);
        let (i0, d) = cell(p, from.d);
        let (j0, h) = cell(q, from.h);
        let (k0, w) = cell(r, from.w);
        let mut index = Array::<usize>::new(8usize);
        let mut counts = Array::<f32>::new(8usize);
        #[unroll]
        for corner in 0..8usize {
            let i = i0 + comptime!((corner / 4) as i32);
            let j = j0 + comptime!((corner / 2 % 2) as i32);
            let k = k0 + comptime!((corner % 2) as i32);
            let (i, inside_d) = clamped(i, from.d);
            let (j, inside_h) = clamped(j, from.h);
            let (k, inside_w) = clamped(k, from.w);
            index[corner] = (i * from.h + j) * from.w + k;
            let mut counted = known;
            if comptime!(!edge) {
                counted = known && inside_d && inside_h && inside_w;
            }
            counts[corner] = select(counted, 1.0f32, 0.0f32);
        }
        Corners {
            index,
            counts,
            d,
            h,
            w,
            moves_d: moves(p, from.d, edge),
            moves_h: moves(q, from.h, edge),
            moves_w: moves(r, from.w, edge),
        }
    }

    /// Share of a corner in the sample.
    pub fn weight(&self, #[comptime] corner: usize) -> f32 {
        share(self.d, comptime!(corner / 4))
            * share(self.h, comptime!(corner / 2 % 2))
            * share(self.w, comptime!(corner % 2))
            * self.counts[corner]
    }
}

/// Where the sample of a site is taken, in voxels of the image.
#[cube]
pub(in crate::ops::gpu) fn position(
    flow: &[f32],
    site: usize,
    to: Grid,
    #[comptime] components: usize,
) -> (f32, f32, f32) {
    let (item, i, j, k) = to.place(site);
    let voxels = to.voxels();
    let first = item * components * voxels + site % voxels;
    // A singleton axis of a 2-D image is never displaced.
    let mut p = i as f32;
    if comptime!(components == 3) {
        p += flow[first];
    }
    let q = j as f32 + flow[first + comptime!(components - 2) * voxels];
    let r = k as f32 + flow[first + comptime!(components - 1) * voxels];
    (p, q, r)
}

/// The voxel below a position, and how far the position is past it; far outside, where nothing changes, two voxels
/// off at most.
#[cube]
fn cell(position: f32, length: usize) -> (i32, f32) {
    let position = clamp(position, -2.0f32, length as f32 + 1.0);
    let below = position.floor();
    (below as i32, position - below)
}

/// On the edge itself a sample does not move either, as on the CPU.
#[cube]
fn moves(position: f32, length: usize, #[comptime] edge: bool) -> f32 {
    let mut factor = 1.0f32;
    if comptime!(edge) {
        let inside = position > 0.0 && position < length as f32 - 1.0;
        factor = select(inside, 1.0f32, 0.0f32);
    }
    factor
}

#[cube]
fn clamped(at: i32, length: usize) -> (usize, bool) {
    let last = length as i32 - 1;
    let inside = at >= 0 && at <= last;
    (clamp(at, 0i32, last) as usize, inside)
}

#[cube]
pub(super) fn share(fraction: f32, #[comptime] upper: usize) -> f32 {
    let mut share = fraction;
    if comptime!(upper == 0) {
        share = 1.0 - fraction;
    }
    share
}

/// By its exponent: compilers of shaders may assume that no comparison meets what is not a number.
#[cube]
pub(in crate::ops::gpu) fn finite(x: f32) -> bool {
    (x.to_bits() & 0x7f80_0000u32) != 0x7f80_0000u32
}

/// Derivative of [`share`].
#[cube]
pub(super) fn sign(#[comptime] upper: usize) -> f32 {
    comptime!(if upper == 0 { -1.0f32 } else { 1.0f32 }).runtime()
}
