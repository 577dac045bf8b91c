//! Grids made of grids: slices, other voxel sizes; and whether two are the same.

use nalgebra::{Matrix4, Vector3};
use ndarray::Axis;

use super::slice::Slice;
use crate::volume::{Affine, Dimension, Geometry, Volume, VoxelPoint, axis_codes};

/// Two grids are one when their corners are no further apart than this, in voxels.
pub(super) const SAME_GRID: f64 = 0.1;

/// Whether two grids are the same voxels in the same place.
pub(super) fn same_grid(a: &Geometry, b: &Geometry) -> bool {
    a.shape == b.shape && a.dimension == b.dimension && corner_distance(a, b) <= SAME_GRID
}

/// Largest distance between corresponding corners of two grids of one shape, in voxels of the first.
pub(super) fn corner_distance(a: &Geometry, b: &Geometry) -> f64 {
    let used = &a.spacing()[..a.dimension.axes()];
    let smallest = used.iter().copied().fold(f64::INFINITY, f64::min);
    let corners = (0..8).map(|corner| {
        let voxel = Vector3::from_fn(|axis, _| {
            if corner >> axis & 1 == 1 {
                (a.shape[axis] - 1) as f64
            } else {
                0.0
            }
        });
        let [a, b] = [a, b].map(|grid| grid.affine.to_world(VoxelPoint(voxel)).0);
        (a - b).norm()
    });
    corners.fold(0.0, f64::max) / smallest
}

/// One slice of a volume as a 2-D image.
pub(super) fn take<T: Copy>(volume: &Volume<T>, slice: Slice) -> Volume<T> {
    let grid = &volume.geometry;
    let (axis, reversed) = world_axis(&grid.affine, slice.plane.normal());
    let n = grid.shape[axis];
    let index = if reversed {
        n - 1 - slice.index(n)
    } else {
        slice.index(n)
    };
    let [a, b] = [[1, 2], [0, 2], [0, 1]][axis];
    let mut voxel = Vector3::zeros();
    voxel[axis] = index as f64;
    let linear = grid.affine.linear();
    let mut affine = Matrix4::identity();
    for (to, from) in [a, b, axis].into_iter().enumerate() {
        affine
            .fixed_view_mut::<3, 1>(0, to)
            .copy_from(&linear.column(from));
    }
    let affine = with_origin(&Affine(affine), grid.affine.to_world(VoxelPoint(voxel)).0);
    let data = volume
        .data
        .index_axis(Axis(axis), index)
        .insert_axis(Axis(2));
    Volume {
        data: data.as_standard_layout().into_owned(),
        geometry: Geometry::new([grid.shape[a], grid.shape[b], 1], Dimension::Two, affine),
    }
}

/// The array axis that follows a world axis, and whether it runs against it.
fn world_axis(affine: &Affine, world: usize) -> (usize, bool) {
    const LETTERS: [&str; 3] = ["RL", "AP", "SI"];
    let codes = axis_codes(affine);
    let found = codes
        .char_indices()
        .find(|(_, letter)| LETTERS[world].contains(*letter));
    // Every world axis is followed by one array axis.
    let (axis, letter) = found.unwrap_or((world, 'R'));
    (axis, "LPI".contains(letter))
}

fn with_origin(affine: &Affine, origin: Vector3<f64>) -> Affine {
    let mut moved = *affine;
    moved.0.fixed_view_mut::<3, 1>(0, 3).copy_from(&origin);
    moved
}

/// `[4, 5, 6]` as `4x5x6`.
pub(super) fn by(shape: &[usize]) -> String {
    shape
        .iter()
        .map(usize::to_string)
        .collect::<Vec<_>>()
        .join("x")
}
