//! Padding and cropping, without interpolation.

use ndarray::{Array3, ArrayView3, Axis, s};

use super::{Affine, Geometry, Volume, VoxelPoint};
use nalgebra::Vector3;

/// Pads with `fill` or crops each axis to `shape`, about the centre; voxels keep their world positions.
///
/// From size `a` to size `b` the first voxel lies at `(b - a) / 2` (padding) or is taken from
/// `(a - b) / 2` (cropping), both rounded down, so that fitting to another shape and back restores the
/// image when the first step padded. 2-D images take `shape[2] = 1`.
pub fn centre_fit<T: Copy>(volume: &Volume<T>, shape: [usize; 3], fill: T) -> Volume<T> {
    Volume {
        data: fit_array(volume.data.view(), shape, fill),
        geometry: fit_geometry(&volume.geometry, shape),
    }
}

fn fit_array<T: Copy>(data: ArrayView3<T>, shape: [usize; 3], fill: T) -> Array3<T> {
    let mut out = Array3::from_elem(shape, fill);
    let [a, b, c] = [0, 1, 2].map(|axis| Overlap::new(data.len_of(Axis(axis)), shape[axis]));
    out.slice_mut(s![a.to(), b.to(), c.to()])
        .assign(&data.slice(s![a.from(), b.from(), c.from()]));
    out
}

/// Where [`centre_fit`] puts a volume on this grid.
pub fn fit_geometry(geometry: &Geometry, shape: [usize; 3]) -> Geometry {
    let first = [0, 1, 2].map(|axis| {
        let overlap = Overlap::new(geometry.shape[axis], shape[axis]);
        overlap.source as f64 - overlap.target as f64
    });
    let linear = geometry.affine.linear();
    let origin = geometry.affine.translation() + linear * Vector3::from(first);
    Geometry::new(
        shape,
        geometry.dimension,
        Affine::from_parts(linear, origin),
    )
}

/// The voxels from `bounds[axis][0]` up to but not including `bounds[axis][1]`, which keep their world positions.
pub fn cut<T: Clone>(volume: &Volume<T>, bounds: [[usize; 2]; 3]) -> Volume<T> {
    let [[i, a], [j, b], [k, c]] = bounds;
    let Geometry {
        dimension, affine, ..
    } = volume.geometry;
    let first = VoxelPoint(Vector3::new(i as f64, j as f64, k as f64));
    let affine = Affine::from_parts(affine.linear(), affine.to_world(first).0);
    Volume {
        data: volume.data.slice(s![i..a, j..b, k..c]).to_owned(),
        geometry: Geometry::new([a - i, b - j, c - k], dimension, affine),
    }
}

/// The common part of an axis before and after.
struct Overlap {
    source: usize,
    target: usize,
    length: usize,
}

impl Overlap {
    fn new(before: usize, after: usize) -> Self {
        if before <= after {
            Self {
                source: 0,
                target: (after - before) / 2,
                length: before,
            }
        } else {
            Self {
                source: (before - after) / 2,
                target: 0,
                length: after,
            }
        }
    }

    fn from(&self) -> std::ops::Range<usize> {
        self.source..self.source + self.length
    }

    fn to(&self) -> std::ops::Range<usize> {
        self.target..self.target + self.length
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::Dimension;

    fn numbered(shape: [usize; 3]) -> Volume<i32> {
        let data = Array3::from_shape_fn(shape, |(i, j, k)| (100 * i + 10 * j + k + 1) as i32);
        let linear = nalgebra::Matrix3::new(0.0, -2.0, 0.0, 1.5, 0.0, 0.3, 0.0, 0.0, 3.0);
        let affine = Affine::from_parts(linear, Vector3::new(5.0, -7.0, 11.0));
        Volume {
            data,
            geometry: Geometry::new(shape, Dimension::Three, affine),
        }
    }

    #[test]
    fn offsets_are_rounded_down_and_world_positions_stay() {
        let volume = numbered([3, 6, 4]);
        let fitted = centre_fit(&volume, [6, 3, 4], -1);
        // 3 -> 6 pads one voxel before, 6 -> 3 drops one before.
        assert_eq!(fitted.data[[1, 0, 0]], volume.data[[0, 1, 0]]);
        assert_eq!(fitted.data[[3, 2, 3]], volume.data[[2, 3, 3]]);
        assert_eq!(fitted.data.iter().filter(|&&v| v == -1).count(), 3 * 3 * 4);
        let before = volume
            .geometry
            .affine
            .to_world(VoxelPoint(Vector3::new(2.0, 3.0, 3.0)));
        let after = fitted
            .geometry
            .affine
            .to_world(VoxelPoint(Vector3::new(3.0, 2.0, 3.0)));
        approx::assert_relative_eq!(before.0, after.0, epsilon = 1e-12);
    }

    #[test]
    fn padding_is_undone_by_cropping() {
        for shape in [[5, 8, 4], [6, 9, 5]] {
            let volume = numbered([5, 8, 4]);
            let back = centre_fit(&centre_fit(&volume, shape, 0), [5, 8, 4], 0);
            assert_eq!(back, volume);
        }
    }
}
