//! How the convolution's work is cut into cubes and units.

use super::children::Children;
use super::source::Window;
use crate::kernels::Extent;

/// Voxels along `w` that one unit computes, each for [`LANE`](super::LANE) channels.
pub const RUN: usize = 4;
/// Cubes that keep a large device busy; with fewer of them, smaller ones serve better.
const BUSY: usize = 256;
/// Cubes along an axis of a launch, at most: wgpu, and so every driver behind it, takes as many.
const MOST_CUBES: usize = 65535;
/// Units of a cube, and input channels in fast memory at a time, from the fastest on.
const SIZES: [(usize, usize); 5] = [(256, 2), (256, 1), (64, 2), (64, 1), (32, 1)];

/// What a kernel is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Plan {
    /// Taps along each axis.
    pub kernel: Extent,
    pub stride: [usize; 3],
    /// Units of a cube.
    pub units: usize,
    /// Input channels in fast memory at a time.
    pub depth: usize,
    /// Output voxels of a cube.
    pub tile: Extent,
    /// Lots of [`LANE`](super::LANE) output channels of a cube.
    pub lanes: usize,
    /// Which side of the convolution holds children.
    pub children: Children,
    pub biased: bool,
    /// Whether sums begin with what the coarse tensor of a pair gives.
    pub continued: bool,
    /// Whether LeakyReLU follows.
    pub activated: bool,
}

impl Plan {
    /// Units and tile for an output of `to` voxels, in `fast` bytes of fast memory. A strided tile reads twice as far along
    /// each axis, and a narrow one is high.
    pub fn new(
        kernel: Extent,
        stride: [usize; 3],
        to: Extent,
        batch: usize,
        lanes: usize,
        fast: usize,
    ) -> Self {
        let cubes = to.iter().product::<usize>() * batch * lanes / (256 * RUN);
        let dense = stride == [1; 3];
        let large = dense && cubes >= BUSY && to[2] > RUN;
        let most_units = if large { 256 } else { 64 };
        let most_depth = if dense { 2 } else { 1 };
        let with = |(units, depth): (usize, usize)| Self {
            kernel,
            stride,
            units,
            depth,
            tile: tile(to, units / lanes),
            lanes,
            children: Children::Nowhere,
            biased: false,
            continued: false,
            activated: false,
        };
        SIZES
            .into_iter()
            .filter(|&(units, depth)| units <= most_units && depth <= most_depth)
            .map(with)
            .find(|plan| plan.memory() <= fast)
            .unwrap_or(with((32, 1)))
    }

    /// Fast memory of a cube, in bytes.
    fn memory(&self) -> usize {
        4 * self.window().memory() + 16 * self.weight_rounds() * self.units
    }

    /// The part of the input that a tile reads.
    pub fn window(&self) -> Window {
        let [planes, rows, columns] =
            [0, 1, 2].map(|axis| (self.tile[axis] - 1) * self.stride[axis] + self.kernel[axis]);
        Window {
            depth: self.depth,
            planes,
            rows,
            // Five more than a multiple of eight, so that rows lie in different banks.
            pitch: (columns + 2) / 8 * 8 + 5,
            units: self.units,
        }
    }

    /// Fours of weights that each unit brings.
    pub fn weight_rounds(&self) -> usize {
        (self.depth * self.taps() * self.lanes * 2).div_ceil(self.units)
    }

    pub fn taps(&self) -> usize {
        self.kernel.iter().product()
    }

    /// Input voxels of a row that the run of a unit reads.
    pub fn line(&self) -> usize {
        (RUN - 1) * self.stride[2] + self.kernel[2]
    }

    /// Units along `w`.
    pub fn across(&self) -> usize {
        self.tile[2] / RUN
    }
}

/// The most input channels in fast memory, up to `most`, that never belong to two children.
pub fn depth(child_channels: usize, most: usize, children: Children) -> usize {
    let apart = |n: &usize| children != Children::Input || child_channels.is_multiple_of(*n);
    (1..=most).rev().find(apart).unwrap_or(1)
}

/// Cubes along each axis of a launch: tiles of a plane, lots of output channels, and planes of tiles of all items; where a
/// plane is large, tiles of a row, and rows of all items. The first and the last axis together count tiles row-major.
pub fn cubes([d, h, w]: Extent, lots: usize, batch: usize) -> [u32; 3] {
    let (near, far) = if h * w <= MOST_CUBES {
        (h * w, batch * d)
    } else {
        (w, batch * d * h)
    };
    [near, lots, far].map(|n| n as u32)
}

/// Output voxels of a cube whose units number `units` for each lot of channels: no wider than the image needs.
fn tile(to: Extent, units: usize) -> Extent {
    let across = to[2].div_ceil(RUN).next_power_of_two().min(8).min(units);
    let rest = units / across;
    let deep = to[0].next_power_of_two().min(4).min(rest);
    [deep, rest / deep, across * RUN]
}

#[cfg(test)]
mod tests {
    use super::super::{FAST, PROMISED};
    use super::*;

    #[test]
    fn tiles_fit_into_fast_memory() {
        let sizes = [1, 2, 3, 5, 8, 13, 40, 96, 300, 1200];
        let volumes = sizes.iter().flat_map(|&d| {
            let plane = sizes.iter().flat_map(|&h| sizes.map(|w| (h, w)));
            plane.map(move |(h, w)| [d, h, w])
        });
        for to in volumes {
            let flat = [
                ([1, 3, 3], [1; 3]),
                ([1, 3, 3], [1, 2, 2]),
                ([1, 2, 2], [1; 3]),
            ];
            let deep = [([3; 3], [1; 3]), ([3; 3], [2; 3]), ([2; 3], [1; 3])];
            let kernels = flat.iter().filter(|_| to[0] == 1).chain(&deep);
            for &(kernel, stride) in kernels {
                for (lanes, fast) in [1, 2, 4].iter().flat_map(|&n| [(n, PROMISED), (n, FAST)]) {
                    let plan = Plan::new(kernel, stride, to, 1, lanes, fast);
                    let bytes = plan.memory();
                    assert!(bytes <= fast, "{bytes} bytes of {fast} for {plan:?}");
                    let sites = plan.tile.iter().product::<usize>() / RUN;
                    assert_eq!(sites * lanes, plan.units, "{plan:?}");
                }
            }
        }
    }

    #[test]
    fn large_volumes_stay_within_what_devices_launch() {
        for (kernel, stride, to, batch) in [
            ([3; 3], [1; 3], [256; 3], 1),
            ([3; 3], [1; 3], [256, 256, 320], 2),
            ([3; 3], [1; 3], [160, 192, 224], 64),
            ([2; 3], [1; 3], [160, 192, 224], 64),
            ([3; 3], [2; 3], [256; 3], 2),
            ([3; 3], [1; 3], [5, 4096, 4096], 1),
            ([1, 3, 3], [1; 3], [1, 2048, 2048], 16),
            ([1, 3, 3], [1; 3], [1, 4096, 4096], 1),
            ([1, 3, 3], [1, 2, 2], [1, 2048, 2048], 4),
        ] {
            for (lanes, fast) in [1, 2, 4].iter().flat_map(|&n| [(n, PROMISED), (n, FAST)]) {
                let plan = Plan::new(kernel, stride, to, batch, lanes, fast);
                let tiles = [0, 1, 2].map(|axis| to[axis].div_ceil(plan.tile[axis]));
                let count = cubes(tiles, 64, batch).map(|n| n as usize);
                assert!(count.iter().all(|&n| n <= MOST_CUBES), "{to:?}: {count:?}");
                let all = tiles.iter().product::<usize>() * batch;
                assert_eq!(count[0] * count[2], all, "{to:?}: {count:?}");
            }
        }
    }
}
