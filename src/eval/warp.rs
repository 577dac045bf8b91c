//! Moving labels and images by a field.

use crate::eval::Protocol;
use crate::kernels::warp::{self, Border, Shape};
use crate::volume::{DisplacementField, Image, LabelMap, Volume};
use ndarray::Array3;

/// Labels pulled to the fixed grid by the nearest voxel, in the way of the protocol; 0 outside.
///
/// The map must have the field's shape.
pub fn moved_labels(labels: &LabelMap, field: &DisplacementField, protocol: Protocol) -> LabelMap {
    let data = if protocol.challenge() {
        nearest_as_scipy(&labels.data, field)
    } else {
        warped(&labels.data, field, warp::nearest)
    };
    on_grid(data, field)
}

/// An image pulled to the fixed grid by linear interpolation; 0 outside.
///
/// The image must have the field's shape.
pub fn moved_image(image: &Image, field: &DisplacementField) -> Image {
    on_grid(warped(&image.data, field, warp::linear), field)
}

fn on_grid<T>(data: Array3<T>, field: &DisplacementField) -> Volume<T> {
    Volume {
        data,
        geometry: field.geometry.clone(),
    }
}

/// Calls a kernel with contiguous slices in tensor order.
fn warped<T: Copy>(
    image: &Array3<T>,
    field: &DisplacementField,
    kernel: impl FnOnce(&[T], &[f32], &Shape) -> Vec<T>,
) -> Array3<T> {
    let (image, flow) = (image.as_standard_layout(), field.data.as_standard_layout());
    let grid = &field.geometry;
    let contiguous = "standard layout is contiguous";
    let moved = kernel(
        image.as_slice().expect(contiguous),
        flow.as_slice().expect(contiguous),
        &Shape::one(grid.tensor_shape(), grid.dimension.axes(), Border::Zeros),
    );
    Array3::from_shape_vec(grid.shape, moved).expect("a warp keeps the field's shape")
}

/// `scipy.ndimage.map_coordinates(labels, identity + u, order=0)`: the voxel at `floor(x + 0.5)`, 0 for
/// a position outside `0..=n-1` by however little.
fn nearest_as_scipy(labels: &Array3<i32>, field: &DisplacementField) -> Array3<i32> {
    let axes = field.geometry.dimension.axes();
    Array3::from_shape_fn(field.geometry.shape, |(i, j, k)| {
        let mut voxel = [i, j, k];
        for (axis, index) in voxel.iter_mut().enumerate().take(axes) {
            let place = *index as f64 + f64::from(field.data[[axis, i, j, k]]);
            let last = labels.shape()[axis] as f64 - 1.0;
            // Not `place < 0.0 || place > last`: a position that is no number is outside too.
            if !(0.0..=last).contains(&place) {
                return 0;
            }
            *index = (place + 0.5) as usize;
        }
        labels[voxel]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::{Affine, Dimension, Geometry};
    use ndarray::Array4;

    #[test]
    fn challenges_round_and_clip_as_scipy() {
        // a = numpy.arange(1., 7)
        // x = [-.4, -1e-9, 0, .49, .5, 1.5, 2.5, 4.5, 4.999, 5, 5.0001, 5.5, float('nan')]
        // scipy.ndimage.map_coordinates(a, [x], order=0)
        let places = [
            -0.4,
            -1e-9,
            0.0,
            0.49,
            0.5,
            1.5,
            2.5,
            4.5,
            4.999,
            5.0,
            5.0001,
            5.5,
            f32::NAN,
        ];
        let expected = [0, 0, 1, 1, 2, 3, 4, 6, 6, 6, 0, 0, 0];
        for (place, label) in places.into_iter().zip(expected) {
            // Voxel (0, 0, 0) looks `place` along axis i.
            let geometry = Geometry::new([6, 1, 1], Dimension::Three, Affine::identity());
            let mut data = Array4::zeros((3, 6, 1, 1));
            data[[0, 0, 0, 0]] = place;
            let labels = Volume {
                data: Array3::from_shape_fn((6, 1, 1), |(i, _, _)| i as i32 + 1),
                geometry: geometry.clone(),
            };
            let field = DisplacementField { data, geometry };
            let moved = moved_labels(&labels, &field, Protocol::Learn2reg);
            assert_eq!(moved.data[[0, 0, 0]], label, "{place}");
            assert_eq!(moved.data[[3, 0, 0]], 4);
        }
    }

    #[test]
    fn a_two_dimensional_shift_is_a_pull() {
        let geometry = Geometry::new([3, 4, 1], Dimension::Two, Affine::identity());
        let value = |i: usize, j: usize| (10 * i + j) as i32 + 1;
        let labels = Volume {
            data: Array3::from_shape_fn((3, 4, 1), |(i, j, _)| value(i, j)),
            geometry: geometry.clone(),
        };
        let data = Array4::from_shape_fn((2, 3, 4, 1), |(c, ..)| [1.0, -2.0][c]);
        let field = DisplacementField { data, geometry };
        for protocol in Protocol::ALL {
            let moved = moved_labels(&labels, &field, protocol).data;
            assert_eq!(moved[[0, 2, 0]], value(1, 0), "{}", protocol.name());
            assert_eq!(moved[[2, 2, 0]], 0);
            assert_eq!(moved[[0, 1, 0]], 0);
        }
        let image = labels.map(|&label| label as f32);
        assert_eq!(
            moved_image(&image, &field).data[[1, 3, 0]],
            value(2, 1) as f32
        );
    }
}
