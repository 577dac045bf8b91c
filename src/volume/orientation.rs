//! Anatomical orientation of voxel axes, and turning arrays to another one without interpolation.

use nalgebra::Vector3;
use ndarray::{Array3, ArrayView3, Axis};

use super::{Affine, Dimension, Geometry, Volume};
use crate::error::{Error, Result};

/// Letters of the world axes x, y, z in the negative and in the positive direction.
const LETTERS: [[char; 2]; 3] = [['L', 'R'], ['P', 'A'], ['I', 'S']];

/// Which world axis a voxel axis follows most closely, and whether in its positive direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Heading {
    world: usize,
    positive: bool,
}

impl Heading {
    fn letter(self) -> char {
        LETTERS[self.world][usize::from(self.positive)]
    }

    fn of_letter(letter: char) -> Option<Self> {
        let find = |world: usize| LETTERS[world].iter().position(|&l| l == letter);
        (0..3).find_map(|world| {
            find(world).map(|sign| Self {
                world,
                positive: sign == 1,
            })
        })
    }
}

/// Axis codes such as `RAS` or `LIA`: the world direction in which each voxel index grows.
///
/// Oblique axes get the nearest code, decided on the shear-free part of the affine (its polar decomposition)
/// from the best aligned axis to the worst, as nibabel's `aff2axcodes`.
pub fn axis_codes(affine: &Affine) -> String {
    headings(affine)
        .iter()
        .map(|heading| heading.letter())
        .collect()
}

fn headings(affine: &Affine) -> [Heading; 3] {
    let mut directions = affine.linear();
    for (mut column, size) in directions.column_iter_mut().zip(affine.spacing()) {
        column /= size;
    }
    let svd = directions.svd(true, true);
    // Both factors are asked for one line above.
    let (Some(u), Some(v)) = (svd.u, svd.v_t) else {
        unreachable!()
    };
    // Rounded, so that a tie of 45 degrees is decided by the order of the axes and not by the last bit.
    let mut rotation = (u * v).map(|x| (x * 1e9).round());
    let mut order = [0, 1, 2];
    order.sort_by(|&a, &b| {
        rotation
            .column(b)
            .amax()
            .total_cmp(&rotation.column(a).amax())
    });
    let mut found = [Heading {
        world: 0,
        positive: true,
    }; 3];
    for axis in order {
        let world = rotation.column(axis).iamax();
        found[axis] = Heading {
            world,
            positive: rotation[(world, axis)] > 0.0,
        };
        rotation.row_mut(world).fill(0.0);
    }
    found
}

/// Turns and flips the array so that its axes follow `codes` (such as `RAS`); voxels stay where they are in the
/// world, and no value changes. Turning back to the codes of the original restores it exactly.
///
/// A 2-D image keeps its slice axis last; its two axes take the order and directions that `codes` gives them.
///
/// # Errors
/// `codes` that are not three letters, one of each of R/L, A/P and S/I.
pub fn reorient<T: Clone>(volume: &Volume<T>, codes: &str) -> Result<Volume<T>> {
    let turn = Turn::new(&volume.geometry, codes)?;
    Ok(Volume {
        data: turn.array(volume.data.view()),
        geometry: turn.geometry(&volume.geometry),
    })
}

/// The directions that `moving` is to be turned to before its voxel axes are laid on those of `fixed`: those of `fixed` where
/// volumes would be mirrored as they are stored, since no volume is mirrored in its scanner; `None` where it can stay.
pub fn codes_to_meet(fixed: &Geometry, moving: &Geometry) -> Option<String> {
    let volumes = [fixed, moving].map(|grid| grid.dimension == Dimension::Three);
    let [f, m] = [fixed, moving].map(|grid| grid.affine.linear().determinant() > 0.0);
    (volumes == [true; 2] && f != m).then(|| axis_codes(&fixed.affine))
}

/// The grid of [`reorient`]'s result.
///
/// # Errors
/// Those of [`reorient`].
pub fn reoriented(geometry: &Geometry, codes: &str) -> Result<Geometry> {
    Ok(Turn::new(geometry, codes)?.geometry(geometry))
}

/// For each new axis: the old axis it takes, and whether it runs the other way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Turn {
    from: [usize; 3],
    flipped: [bool; 3],
}

impl Turn {
    fn new(geometry: &Geometry, codes: &str) -> Result<Self> {
        let mut wanted = parse(codes)?.to_vec();
        let present = headings(&geometry.affine).to_vec();
        if geometry.dimension == Dimension::Two {
            // The slice axis stays last and as it is, whatever its direction.
            let slice = present[2];
            wanted.retain(|heading| heading.world != slice.world);
            wanted.push(slice);
        }
        let mut turn = Self {
            from: [0; 3],
            flipped: [false; 3],
        };
        for (axis, target) in wanted.iter().enumerate() {
            let from = present.iter().position(|h| h.world == target.world);
            let from = from.expect("headings use every world axis once");
            turn.from[axis] = from;
            turn.flipped[axis] = present[from].positive != target.positive;
        }
        Ok(turn)
    }

    fn array<T: Clone>(&self, data: ArrayView3<T>) -> Array3<T> {
        let mut view = data.permuted_axes(self.from);
        for (axis, _) in self
            .flipped
            .iter()
            .enumerate()
            .filter(|(_, flipped)| **flipped)
        {
            view.invert_axis(Axis(axis));
        }
        view.as_standard_layout().into_owned()
    }

    fn geometry(&self, geometry: &Geometry) -> Geometry {
        let mut linear = geometry.affine.linear();
        let mut origin = geometry.affine.translation();
        for (axis, &from) in self.from.iter().enumerate() {
            let mut step: Vector3<f64> = geometry.affine.linear().column(from).into_owned();
            if self.flipped[axis] {
                origin += step * (geometry.shape[from] - 1) as f64;
                step = -step;
            }
            linear.set_column(axis, &step);
        }
        let shape = self.from.map(|from| geometry.shape[from]);
        Geometry::new(
            shape,
            geometry.dimension,
            Affine::from_parts(linear, origin),
        )
    }
}

fn parse(codes: &str) -> Result<[Heading; 3]> {
    let wrong = || {
        Error::invalid(format!(
            "'{codes}' is not an orientation; expected three letters, one each of R/L, A/P and S/I, as RAS"
        ))
    };
    let headings: Option<Vec<Heading>> = codes.chars().map(Heading::of_letter).collect();
    let headings: [Heading; 3] = headings
        .ok_or_else(wrong)?
        .try_into()
        .map_err(|_| wrong())?;
    let all_axes = (0..3).all(|world| headings.iter().any(|h| h.world == world));
    if all_axes { Ok(headings) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::VoxelPoint;

    fn geometry(codes: [[f64; 3]; 3], shape: [usize; 3], dimension: Dimension) -> Geometry {
        let columns = codes.map(Vector3::from);
        let linear = nalgebra::Matrix3::from_columns(&columns);
        Geometry::new(
            shape,
            dimension,
            Affine::from_parts(linear, Vector3::new(3.0, -4.0, 5.0)),
        )
    }

    /// Slightly oblique, i to posterior, j to the right, k downwards.
    fn pri() -> Geometry {
        geometry(
            [[0.1, -2.0, 0.0], [1.0, 0.1, 0.1], [0.0, 0.2, -3.0]],
            [2, 3, 4],
            Dimension::Three,
        )
    }

    #[test]
    fn codes_name_the_nearest_directions() {
        // nibabel.aff2axcodes of the same matrices.
        assert_eq!(axis_codes(&pri().affine), "PRI");
        assert_eq!(axis_codes(&Affine::from_spacing([2.0, 1.0, 6.0])), "RAS");
        // Two axes of 45 degrees: the tie is broken once, never by using an axis twice.
        let tied = geometry(
            [[1., 1., 0.], [-1., 1., 0.], [0., 0., 1.]],
            [1, 1, 1],
            Dimension::Three,
        );
        assert_eq!(axis_codes(&tied.affine), "RAS");
    }

    #[test]
    fn turning_moves_no_voxel_in_the_world_and_is_undone_exactly() {
        let geometry = pri();
        let data = Array3::from_shape_fn((2, 3, 4), |(i, j, k)| 100 * i + 10 * j + k);
        let volume = Volume { data, geometry };
        for codes in ["RAS", "LPS", "SAL", "PRI"] {
            let turned = reorient(&volume, codes).unwrap();
            assert_eq!(axis_codes(&turned.geometry.affine), codes);
            for ((i, j, k), &value) in turned.data.indexed_iter() {
                let world = |g: &Geometry, v: [usize; 3]| {
                    g.affine
                        .to_world(VoxelPoint(Vector3::from(v.map(|x| x as f64))))
                        .0
                };
                let original = [value / 100, value / 10 % 10, value % 10];
                let expected = world(&volume.geometry, original);
                approx::assert_relative_eq!(
                    world(&turned.geometry, [i, j, k]),
                    expected,
                    epsilon = 1e-12
                );
            }
            let back = reorient(&turned, "PRI").unwrap();
            assert_eq!(back.data, volume.data);
            let difference = (back.geometry.affine.0 - volume.geometry.affine.0).amax();
            assert!(difference < 1e-12);
        }
    }

    #[test]
    fn a_slice_stays_a_slice() {
        // Sagittal: i to posterior, j upwards, slice axis to the left.
        let slice = geometry(
            [[0., -1., 0.], [0., 0., 1.], [-1., 0., 0.]],
            [3, 2, 1],
            Dimension::Two,
        );
        let data = Array3::from_shape_fn((3, 2, 1), |(i, j, _)| 10 * i + j);
        let turned = reorient(
            &Volume {
                data,
                geometry: slice,
            },
            "SAR",
        )
        .unwrap();
        assert_eq!(
            (turned.geometry.shape, turned.geometry.dimension),
            ([2, 3, 1], Dimension::Two)
        );
        assert_eq!(turned.data[[1, 0, 0]], 21);
        assert_eq!(axis_codes(&turned.geometry.affine), "SAL");
    }

    #[test]
    fn wrong_codes_are_refused() {
        for wrong in ["RA", "RAR", "ras", "XYZ", ""] {
            let volume = Volume {
                data: Array3::<u8>::zeros((2, 3, 4)),
                geometry: pri(),
            };
            assert!(
                reorient(&volume, wrong)
                    .unwrap_err()
                    .to_string()
                    .contains("as RAS"),
                "{wrong}"
            );
        }
    }
}
