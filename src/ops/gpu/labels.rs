//! Labels: the highest of several channels, and label maps that are deformed.

use cubecl::prelude::*;

use super::resize::{Steps, between, line, neighbours, steps};
use super::warp::{finite, position};
use super::{Buffer, Grid, argument, batch, channels, elements, empty, extent, grid, units, zeros};
use crate::kernels::Extent;

/// The highest of `channels` and of what was found `so_far`; see [`crate::ops::highest_channel()`].
pub fn highest(channels: Buffer, so_far: Option<Buffer>, first: usize, to: Extent) -> Buffer {
    let from = extent(&channels);
    let out = empty(&channels, [1, 2, to[0], to[1], to[2]]);
    let voxels = to.iter().product();
    let (count, dim) = units(&channels, voxels);
    let fresh = so_far.is_none();
    // What is fresh does not read it.
    let so_far = so_far.unwrap_or_else(|| channels.clone());
    unsafe {
        raise::launch_unchecked(
            &channels.client,
            count,
            dim,
            argument(&so_far),
            argument(&channels),
            argument(&out),
            voxels,
            grid(from),
            grid(to),
            steps(from, to),
            batch(&channels),
            first,
            fresh,
        );
    }
    out
}

#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)] // What a launch passes one by one.
fn raise(
    so_far: &[f32],
    channels: &[f32],
    out: &mut [f32],
    voxels: usize,
    from: Grid,
    to: Grid,
    steps: Steps,
    count: usize,
    first: usize,
    #[comptime] fresh: bool,
) {
    let site = ABSOLUTE_POS;
    if site >= voxels {
        terminate!();
    }
    let (_, i, j, k) = to.place(site);
    let (i0, i1, fi) = neighbours(i, steps.d, from.d);
    let (j0, j1, fj) = neighbours(j, steps.h, from.h);
    let (k0, k1, fk) = neighbours(k, steps.w, from.w);
    let mut best = f32::MIN.runtime();
    let mut label = first as f32;
    if comptime!(!fresh) {
        best = so_far[site];
        label = so_far[voxels + site];
    }
    for channel in 0..count {
        let base = channel * from.voxels();
        let near = base + i0 * from.h * from.w;
        let near = between(channels, near, from.w, j0, j1, fj, k0, k1, fk);
        let far = base + i1 * from.h * from.w;
        let far = between(channels, far, from.w, j0, j1, fj, k0, k1, fk);
        let height = line(near, far, fi);
        let higher = height > best;
        label = select(higher, (first + channel) as f32, label);
        best = select(higher, height, best);
    }
    out[site] = best;
    out[voxels + site] = label;
}

/// Whether each of the labels `0..count` occurs, 1 or 0.
pub fn present(labels: Buffer, count: usize) -> Buffer {
    let out = zeros(&labels, [1, 1, 1, 1, count]);
    let items = elements(&labels);
    let (cubes, dim) = units(&labels, items);
    unsafe {
        mark::launch_unchecked(
            &labels.client,
            cubes,
            dim,
            argument(&labels),
            argument(&out),
            items,
            count,
        );
    }
    out
}

/// Many units write the same bits, so it does not matter who comes last.
#[cube(launch_unchecked)]
fn mark(labels: &[f32], out: &mut [Atomic<u32>], items: usize, count: usize) {
    if ABSOLUTE_POS >= items {
        terminate!();
    }
    let label = min(labels[ABSOLUTE_POS] as usize, count - 1);
    out[label].store(1.0f32.runtime().to_bits());
}

/// Labels pulled along a flow; see [`crate::ops::pull_labels()`].
pub fn pull(labels: Buffer, flow: Buffer) -> Buffer {
    let (from, to) = (extent(&labels), extent(&flow));
    let out = empty(
        &labels,
        [batch(&labels), channels(&labels), to[0], to[1], to[2]],
    );
    let sites = batch(&flow) * to.iter().product::<usize>();
    let (count, dim) = units(&labels, sites);
    unsafe {
        nearest::launch_unchecked(
            &labels.client,
            count,
            dim,
            argument(&labels),
            argument(&flow),
            argument(&out),
            sites,
            grid(from),
            grid(to),
            channels(&labels),
            channels(&flow),
        );
    }
    out
}

#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)] // What a launch passes one by one.
fn nearest(
    labels: &[f32],
    flow: &[f32],
    out: &mut [f32],
    sites: usize,
    from: Grid,
    to: Grid,
    channels: usize,
    #[comptime] components: usize,
) {
    let site = ABSOLUTE_POS;
    if site >= sites {
        terminate!();
    }
    let voxels = to.voxels();
    let (item, here) = (site / voxels, site % voxels);
    let (p, q, r) = position(flow, site, to, components);
    let (i, inside_d) = rounded(p, from.d);
    let (j, inside_h) = rounded(q, from.h);
    let (k, inside_w) = rounded(r, from.w);
    let inside = inside_d && inside_h && inside_w;
    let source = (i * from.h + j) * from.w + k;
    for c in 0..channels {
        let channel = item * channels + c;
        let label = labels[channel * from.voxels() + source];
        out[channel * voxels + here] = select(inside, label, 0.0f32);
    }
}

/// The nearest whole number in `0..length`, ties to even, and whether the position is nearest to a voxel at all; of a
/// position that is not a number, some voxel and no.
#[cube]
fn rounded(position: f32, length: usize) -> (usize, bool) {
    let bounded = clamp(position, -2.0f32, length as f32 + 1.0);
    let below = bounded.floor();
    let fraction = bounded - below;
    let odd = (below as i32) & 1i32;
    let up = fraction > 0.5 || (fraction == 0.5 && odd == 1i32);
    let nearest = below as i32 + select(up, 1i32, 0i32);
    let last = length as i32 - 1;
    let inside = nearest >= 0 && nearest <= last && finite(position);
    (clamp(nearest, 0i32, last) as usize, inside)
}
