//! The part of an image that its mask lets be seen.

use crate::volume::{Image, LabelMap, cut};

/// Voxels kept around what the mask holds.
const MARGIN: usize = 10;

/// First voxel and end along each axis.
pub(super) type Bounds = [[usize; 2]; 3];

/// Image and mask without what is far from the voxels that the mask holds; `None` where it holds nothing.
///
/// Resolutions are chosen by the size of an image: the coarsest of a whole scan has too few voxels of a small part of it to be
/// compared by.
pub(super) fn around(image: &Image, mask: &LabelMap) -> Option<(Image, LabelMap)> {
    let held = mask.data.indexed_iter().filter(|(_, label)| **label != 0);
    let held = bounds(held.map(|((i, j, k), _)| [i, j, k]))?;
    let shape = mask.geometry.shape;
    let wider = [0, 1, 2].map(|axis| {
        let [first, end] = held[axis];
        [
            first.saturating_sub(MARGIN),
            (end + MARGIN).min(shape[axis]),
        ]
    });
    Some((cut(image, wider), cut(mask, wider)))
}

/// The smallest box that holds these voxels.
pub(super) fn bounds(voxels: impl Iterator<Item = [usize; 3]>) -> Option<Bounds> {
    let one = |voxel: [usize; 3]| voxel.map(|at| [at, at + 1]);
    voxels.map(one).reduce(|all, voxel| {
        [0, 1, 2].map(|axis| {
            let ([first, end], [at, next]) = (all[axis], voxel[axis]);
            [first.min(at), end.max(next)]
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::{Affine, Dimension, Geometry, VoxelPoint};
    use nalgebra::Vector3;
    use ndarray::Array3;

    #[test]
    fn what_a_mask_holds_stays_with_a_margin_in_its_place() {
        let affine = Affine::from_spacing([2.0, 3.0, 5.0]);
        let geometry = Geometry::new([40, 40, 30], Dimension::Three, affine);
        let image = Image {
            data: Array3::from_shape_fn(geometry.shape, |(i, j, k)| (i + 100 * j + 7 * k) as f32),
            geometry: geometry.clone(),
        };
        let held = [[5, 20, 28], [7, 20, 27]];
        let mask = |voxels: &[[usize; 3]]| {
            let mut data = Array3::zeros(geometry.shape);
            voxels.iter().for_each(|&voxel| data[voxel] = 3);
            LabelMap {
                data,
                geometry: geometry.clone(),
            }
        };
        let (near, inside) = around(&image, &mask(&held)).unwrap();
        // Along i 0 to 17, along j 10 to 30, along k 17 to the last.
        assert_eq!(near.geometry.shape, [18, 21, 13]);
        assert_eq!(inside.geometry, near.geometry);
        assert_eq!(inside.data[[5, 10, 11]], 3);
        assert_eq!(near.data[[5, 10, 11]], image.data[[5, 20, 28]]);
        let first = near
            .geometry
            .affine
            .to_world(VoxelPoint(Vector3::zeros()))
            .0;
        assert_eq!(first, Vector3::new(0.0, 30.0, 85.0));
        assert!(around(&image, &mask(&[])).is_none());
    }
}
