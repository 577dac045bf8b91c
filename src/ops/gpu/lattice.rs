//! Smooth noise: sums of lattices of nodes, interpolated with aligned corners.

use cubecl::prelude::*;

use super::resize::{Steps, between, line, neighbours, steps};
use super::{Buffer, Grid, argument, elements, empty, grid, units};
use crate::kernels::Extent;

/// The sum of `lattices` on `to` voxels, `[n, components, to]`; see [`crate::ops::sum_lattices()`].
pub fn sum(nodes: Buffer, lattices: &[Extent], n: usize, factors: &[f32], to: Extent) -> Buffer {
    let components = factors.len();
    let out = empty(&nodes, [n, components, to[0], to[1], to[2]]);
    let items = elements(&out);
    let (count, dim) = units(&nodes, items);
    let mut list = SequenceArg::new();
    let mut first = 0;
    for &extent in lattices {
        list.push(LatticeLaunch::new(first, grid(extent), steps(extent, to)));
        first += n * components * extent.iter().product::<usize>();
    }
    let factor = |component: usize| factors.get(component).copied().unwrap_or(1.0);
    unsafe {
        forward::launch_unchecked(
            &nodes.client,
            count,
            dim,
            argument(&nodes),
            argument(&out),
            items,
            grid(to),
            list,
            components,
            factor(0),
            factor(1),
            factor(2),
        );
    }
    out
}

/// Where the nodes of a lattice lie.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
#[expand(derive(Clone, Copy))]
struct Lattice {
    /// Its first value among all.
    first: usize,
    extent: Grid,
    steps: Steps,
}

#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)] // What a launch passes one by one.
fn forward(
    nodes: &[f32],
    out: &mut [f32],
    items: usize,
    to: Grid,
    lattices: Sequence<Lattice>,
    components: usize,
    factor_0: f32,
    factor_1: f32,
    factor_2: f32,
) {
    if ABSOLUTE_POS >= items {
        terminate!();
    }
    let (volume, i, j, k) = to.place(ABSOLUTE_POS);
    let mut sum = 0.0f32;
    #[unroll]
    for n in 0..lattices.len() {
        let lattice = lattices.index(n);
        let (i0, i1, fi) = neighbours(i, lattice.steps.d, lattice.extent.d);
        let (j0, j1, fj) = neighbours(j, lattice.steps.h, lattice.extent.h);
        let (k0, k1, fk) = neighbours(k, lattice.steps.w, lattice.extent.w);
        let base = lattice.first + volume * lattice.extent.voxels();
        let (h, w) = (lattice.extent.h, lattice.extent.w);
        let near = between(nodes, base + i0 * h * w, w, j0, j1, fj, k0, k1, fk);
        let far = between(nodes, base + i1 * h * w, w, j0, j1, fj, k0, k1, fk);
        sum += line(near, far, fi);
    }
    let component = volume % components;
    let factor = select(component == 0, factor_0, factor_1);
    out[ABSOLUTE_POS] = sum * select(component == 2, factor_2, factor);
}
