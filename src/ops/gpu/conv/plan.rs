//! How the convolution's work is cut into cubes and units.

use super::source::Window;
use crate::kernels::Extent;

/// Voxels along `w` that one unit computes, each for [`LANE`](super::LANE) channels.
pub const RUN: usize = 4;
/// Cubes that keep a large device busy; with fewer of them, smaller ones serve better.
const BUSY: usize = 256;

/// What a kernel is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Plan {
    pub kernel_depth: usize,
    pub stride: [usize; 3],
    /// Units of a cube.
    pub units: usize,
    /// Input channels in fast memory at a time.
    pub depth: usize,
    /// Output voxels of a cube.
    pub tile: Extent,
    /// Lots of [`LANE`](super::LANE) output channels of a cube.
    pub lanes: usize,
    /// Whether the first channels come from an input of half the resolution.
    pub joined: bool,
    pub biased: bool,
    /// Whether LeakyReLU follows.
    pub activated: bool,
}

impl Plan {
    /// Units and tile for an output of `to` voxels. A strided tile reads twice as far along each axis, and a narrow one
    /// is high.
    pub fn new(
        kernel_depth: usize,
        stride: [usize; 3],
        to: Extent,
        batch: usize,
        lanes: usize,
    ) -> Self {
        let cubes = to.iter().product::<usize>() * batch * lanes / (256 * RUN);
        let large = stride == [1; 3] && cubes >= BUSY && to[2] > RUN;
        let units = if large { 256 } else { 64 };
        Self {
            kernel_depth,
            stride,
            units,
            depth: if stride == [1; 3] { 2 } else { 1 },
            tile: tile(to, units / lanes),
            lanes,
            joined: false,
            biased: false,
            activated: false,
        }
    }

    /// The part of the input that a tile reads.
    pub fn window(&self) -> Window {
        let [planes, rows, columns] = [0, 1, 2].map(|axis| {
            let kernel = if axis == 0 { self.kernel_depth } else { 3 };
            (self.tile[axis] - 1) * self.stride[axis] + kernel
        });
        Window {
            depth: self.depth,
            planes,
            rows,
            // Five more than a multiple of eight, so that rows lie in different banks.
            pitch: (columns + 2) / 8 * 8 + 5,
            units: self.units,
            joined: self.joined,
            kernel_depth: self.kernel_depth,
        }
    }

    /// Fours of weights that each unit brings.
    pub fn weight_rounds(&self) -> usize {
        (self.depth * self.taps() * self.lanes * 2).div_ceil(self.units)
    }

    pub fn taps(&self) -> usize {
        9 * self.kernel_depth
    }

    /// Units along `w`.
    pub fn across(&self) -> usize {
        self.tile[2] / RUN
    }
}

/// Cubes along each axis of a launch: tiles of a plane, lots of output channels, and planes of tiles of all items, so that
/// none of them is many.
pub fn cubes(tiles: Extent, lots: usize, batch: usize) -> [u32; 3] {
    [tiles[1] * tiles[2], lots, batch * tiles[0]].map(|n| n as u32)
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
    use super::super::FAST;
    use super::*;

    #[test]
    fn tiles_fit_into_fast_memory() {
        let sizes = [1, 2, 3, 5, 8, 13, 40, 96, 300];
        for lanes in [1, 2, 4] {
            for (d, h, w) in sizes.iter().flat_map(|&d| {
                let plane = sizes.iter().flat_map(|&h| sizes.map(|w| (h, w)));
                plane.map(move |(h, w)| (d, h, w))
            }) {
                let depths = if d == 1 { vec![1, 3] } else { vec![3] };
                for (kernel_depth, stride) in depths.iter().flat_map(|&k| [(k, 1), (k, 2)]) {
                    let stride = [if kernel_depth == 3 { stride } else { 1 }, stride, stride];
                    let plan = Plan::new(kernel_depth, stride, [d, h, w], 1, lanes);
                    let weights = plan.weight_rounds() * plan.units;
                    let bytes = 4 * plan.window().memory() + 16 * weights;
                    assert!(bytes <= FAST, "{bytes} bytes for {plan:?}");
                    let sites = plan.tile.iter().product::<usize>() / RUN;
                    assert_eq!(sites * lanes, plan.units, "{plan:?}");
                }
            }
        }
    }

    /// wgpu, and so every driver behind it, takes this many cubes along each axis.
    const MOST_CUBES: u32 = 65535;

    #[test]
    fn large_volumes_stay_within_what_devices_launch() {
        for (to, batch) in [([256; 3], 1), ([256, 256, 320], 2), ([160, 192, 224], 64)] {
            for lanes in [1, 2, 4] {
                let plan = Plan::new(3, [1; 3], to, batch, lanes);
                let tiles = [0, 1, 2].map(|axis| to[axis].div_ceil(plan.tile[axis]));
                let count = cubes(tiles, 64, batch);
                assert!(count.iter().all(|&n| n <= MOST_CUBES), "{to:?}: {count:?}");
            }
        }
    }
}
