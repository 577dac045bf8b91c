//! Displacement fields between grids: from the network's grid to the grids of the scans.

use nalgebra::{Matrix4, Vector3};
use ndarray::{Array4, ArrayView4, s};
use rayon::prelude::*;

use crate::kernels::affine::Map;
use crate::kernels::field::mapped;
use crate::volume::resample::{corners, place, snapped};
use crate::volume::{Dimension, DisplacementField, Geometry};

/// A field at positions between voxels: linear inside its grid, the edge's vector outside.
pub(super) struct Sampler<'a> {
    data: ArrayView4<'a, f32>,
    highest: Vector3<f64>,
}

impl<'a> Sampler<'a> {
    pub fn new(field: &'a DisplacementField) -> Self {
        Self {
            data: field.data.view(),
            highest: Vector3::from(field.geometry.shape.map(|n| n as f64 - 1.0)),
        }
    }

    /// The displacement at a voxel position, in voxels; its third component is 0 in 2-D.
    pub fn at(&self, position: Vector3<f64>) -> Vector3<f64> {
        let position = position.map(snapped);
        let position = position.zip_map(&self.highest, |p, high| p.clamp(0.0, high));
        let mut sum = Vector3::zeros();
        for ([i, j, k], weight) in corners(position) {
            for component in 0..self.data.dim().0 {
                sum[component] += weight * f64::from(self.data[[component, i, j, k]]);
            }
        }
        sum
    }
}

/// The transform `x -> after(y + field(y))`, `y = before(x)`, as a field on the grid `onto`.
///
/// `before` maps voxels of `onto` to voxels of the field's grid, `after` maps back to voxels of `onto`; what they
/// do beyond each other becomes part of the displacement.
pub(super) fn lift(
    field: &DisplacementField,
    onto: &Geometry,
    before: &Matrix4<f64>,
    after: &Matrix4<f64>,
) -> DisplacementField {
    let sampler = Sampler::new(field);
    let turn = after.fixed_view::<3, 3>(0, 0).into_owned();
    // The linear part on its own, so that the identity gives zeros and not differences of positions.
    let mut linear = after * before - Matrix4::identity();
    linear[(3, 3)] = 1.0;
    from_function(onto, |voxel| {
        place(&linear, voxel) + turn * sampler.at(place(before, voxel))
    })
}

/// [`lift`] onto the field's own grid, where nothing is between voxels: the transform `x -> after(x + field(x))`.
pub(super) fn followed(field: &DisplacementField, after: &Matrix4<f64>) -> DisplacementField {
    let grid = &field.geometry;
    // As tensors have the axes: the third of a 2-D grid comes first.
    let order = match grid.dimension {
        Dimension::Two => [2, 0, 1],
        Dimension::Three => [0, 1, 2],
    };
    let map: Map = order.map(|row| {
        let [d, h, w] = order.map(|column| after[(row, column)]);
        [d, h, w, after[(row, 3)]]
    });
    let axes = grid.dimension.axes();
    let values = mapped(&field.to_vec(), &map, axes, grid.tensor_shape());
    DisplacementField::from_values(values, grid.clone())
}

/// The field with the given displacement at every voxel.
pub(super) fn from_function(
    geometry: &Geometry,
    displacement: impl Fn(Vector3<f64>) -> Vector3<f64> + Sync,
) -> DisplacementField {
    let [ni, nj, nk] = geometry.shape;
    let axes = geometry.dimension.axes();
    let slab = |i: usize| {
        let mut slab = Array4::zeros((axes, 1, nj, nk));
        for (j, k) in (0..nj).flat_map(|j| (0..nk).map(move |k| (j, k))) {
            let u = displacement(Vector3::new(i as f64, j as f64, k as f64));
            for axis in 0..axes {
                slab[[axis, 0, j, k]] = u[axis] as f32;
            }
        }
        slab
    };
    let slabs: Vec<Array4<f32>> = (0..ni).into_par_iter().map(slab).collect();
    let mut data = Array4::zeros((axes, ni, nj, nk));
    for (i, slab) in slabs.iter().enumerate() {
        data.slice_mut(s![.., i..=i, .., ..]).assign(slab);
    }
    DisplacementField {
        data,
        geometry: geometry.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::Affine;
    use crate::volume::resample::voxel_map;
    use nalgebra::Matrix3;

    /// Turned, sheared and anisotropic: `i` runs to posterior, `k` is thick.
    fn oblique(shape: [usize; 3]) -> Geometry {
        let linear = Matrix3::new(0.2, -1.4, 0.1, -0.9, 0.1, 0.3, 0.1, 0.2, 2.5);
        let origin = Vector3::new(3.0, -5.0, 7.0);
        Geometry::new(shape, Dimension::Three, Affine::from_parts(linear, origin))
    }

    #[test]
    fn samples_are_linear_inside_and_constant_outside() {
        let geometry = Geometry::new([3, 4, 2], Dimension::Three, Affine::identity());
        // u = (i + 10 j + 100 k, 2 j, -i): linear, so that interpolation is exact.
        let field = from_function(&geometry, |x| {
            Vector3::new(x[0] + 10.0 * x[1] + 100.0 * x[2], 2.0 * x[1], -x[0])
        });
        let sampler = Sampler::new(&field);
        let inside = sampler.at(Vector3::new(1.25, 2.5, 0.75));
        approx::assert_relative_eq!(inside, Vector3::new(101.25, 5.0, -1.25), epsilon = 1e-12);
        let outside = sampler.at(Vector3::new(-4.0, 9.0, 0.0));
        approx::assert_relative_eq!(outside, Vector3::new(30.0, 6.0, 0.0), epsilon = 1e-12);
    }

    #[test]
    fn the_same_millimetres_on_another_grid() {
        // A displacement of (1, -2, 3) mm everywhere, given on an axis-aligned grid of 2 mm.
        let world = Vector3::new(1.0, -2.0, 3.0);
        let coarse = Geometry::new([9, 9, 9], Dimension::Three, Affine::from_spacing([2.0; 3]));
        let field = from_function(&coarse, |_| world / 2.0);
        let onto = oblique([4, 5, 3]);
        let [before, after] =
            [(&coarse, &onto), (&onto, &coarse)].map(|(to, from)| voxel_map(to, from).unwrap());
        let lifted = lift(&field, &onto, &before, &after);
        for ((i, j), k) in (0..4).flat_map(|i| (0..5).map(move |j| (i, j))).zip(0..3) {
            let u = Vector3::from([0, 1, 2].map(|c| f64::from(lifted.data[[c, i, j, k]])));
            // Vectors are stored as float32: 2 voxels with 2^-24 relative precision.
            approx::assert_relative_eq!(onto.affine.linear() * u, world, epsilon = 1e-5);
        }
    }

    #[test]
    fn on_its_own_grid_a_field_is_followed_as_it_is_lifted() {
        for (dimension, shape) in [(Dimension::Two, [7, 6, 1]), (Dimension::Three, [5, 6, 4])] {
            let grid = Geometry::new(shape, dimension, Affine::identity());
            let field = from_function(&grid, |x| {
                Vector3::new((x.y + x.z).sin(), 0.5 * x.x.cos(), x.x.sin())
            });
            let turn = Matrix3::new(0.9, 0.2, -0.1, -0.3, 1.1, 0.05, 0.1, -0.2, 1.2);
            let mut after = Affine::from_parts(turn, Vector3::new(1.5, -2.0, 0.5)).0;
            if dimension == Dimension::Two {
                after.row_mut(2).fill(0.0);
            }
            let expected = lift(&field, &grid, &Matrix4::identity(), &after);
            let found = followed(&field, &after);
            for (found, expected) in found.data.iter().zip(&expected.data) {
                assert!((found - expected).abs() < 1e-5, "{found} {expected}");
            }
        }
    }

    #[test]
    fn what_the_maps_do_beyond_each_other_is_displacement() {
        // Zero field, but the way back lands 2 mm further along x: -u in voxels of the oblique grid.
        let grid = oblique([4, 4, 4]);
        let zero = from_function(&grid, |_| Vector3::zeros());
        let shift = Matrix4::new_translation(&Vector3::new(2.0, 0.0, 0.0));
        let shifted = Geometry::new(grid.shape, grid.dimension, Affine(shift * grid.affine.0));
        let after = voxel_map(&grid, &shifted).unwrap();
        let lifted = lift(&zero, &grid, &Matrix4::identity(), &after);
        let u = Vector3::from([0, 1, 2].map(|c| f64::from(lifted.data[[c, 3, 1, 2]])));
        let world = grid.affine.linear() * u;
        approx::assert_relative_eq!(world, Vector3::new(2.0, 0.0, 0.0), epsilon = 1e-5);
        let none = lift(&zero, &grid, &Matrix4::identity(), &Matrix4::identity());
        assert!(none.data.iter().all(|&u| u == 0.0));
    }
}
