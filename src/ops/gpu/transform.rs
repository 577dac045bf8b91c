//! Displacements followed by an affine map.

use cubecl::prelude::*;

use super::{Buffer, Grid, argument, channels, empty, extent, grid, units};
use crate::kernels::affine::Map;

/// Displacement of `x -> map(x + flow(x))`; see [`crate::ops::transform_flow()`].
pub fn flow(flow: Buffer, map: &Map) -> Buffer {
    let [d, h, w] = extent(&flow);
    let components = channels(&flow);
    let out = empty(&flow, [1, components, d, h, w]);
    let voxels = d * h * w;
    let (count, dim) = units(&flow, voxels);
    unsafe {
        mapped::launch_unchecked(
            &flow.client,
            count,
            dim,
            argument(&flow),
            argument(&out),
            grid([d, h, w]),
            row(map, 0),
            row(map, 1),
            row(map, 2),
            components,
        );
    }
    out
}

/// The displacement along one axis: `by_d d + by_h h + by_w w + shift` of the position, and the same of the flow with
/// one more along the axis itself. So nothing large is taken from something large.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
#[expand(derive(Clone, Copy))]
struct Row {
    by_d: f32,
    by_h: f32,
    by_w: f32,
    shift: f32,
}

fn row(map: &Map, axis: usize) -> RowLaunch {
    let entry = |n: usize| (map[axis][n] - f64::from(u8::from(n == axis))) as f32;
    RowLaunch::new(entry(0), entry(1), entry(2), map[axis][3] as f32)
}

#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)] // What a launch passes one by one.
fn mapped(
    flow: &[f32],
    out: &mut [f32],
    extent: Grid,
    row_d: Row,
    row_h: Row,
    row_w: Row,
    #[comptime] components: usize,
) {
    let site = ABSOLUTE_POS;
    let voxels = extent.voxels();
    if site >= voxels {
        terminate!();
    }
    let (_, i, j, k) = extent.place(site);
    let at_h = comptime!(components - 2) * voxels + site;
    let at_w = comptime!(components - 1) * voxels + site;
    let mut u = 0.0f32;
    if comptime!(components == 3) {
        u = flow[site];
    }
    let v = flow[at_h];
    let w = flow[at_w];
    let (p, q, r) = (i as f32 + u, j as f32 + v, k as f32 + w);
    if comptime!(components == 3) {
        out[site] = u + along(&row_d, p, q, r);
    }
    out[at_h] = v + along(&row_h, p, q, r);
    out[at_w] = w + along(&row_w, p, q, r);
}

#[cube]
fn along(row: &Row, p: f32, q: f32, r: f32) -> f32 {
    row.by_d * p + row.by_h * q + row.by_w * r + row.shift
}
