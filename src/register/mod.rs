//! Registers a pair of scans: the network's view of them ([`prepare`]), its transform ([`predict`]), and the way back to
//! the scans' own grids ([`back_to_scans`]); before it, the linear stage ([`align`]); after it, the optimisation of the
//! pair itself ([`optimise`]), on the fixed scan's grid in place of the network's.
//!
//! ```text
//! fixed grid --A_F--> fixed world --linear--> moving world --A_M^-1--> moving grid
//!                        |  A_N^-1                ^ A_N
//!                        v                        |
//!                     network grid: x -> x + u(x)
//! ```
//!
//! The complete forward transform takes a fixed voxel to the network grid, adds the network's displacement, and goes
//! on through `linear` to the moving scan; the inverse runs back. Both are kept as displacements on the scans' own
//! grids, so that one interpolation makes the moved image.

mod align;
mod check;
mod field;
mod fill;
mod instance;
mod memory;
mod network;
mod prepare;
mod quality;
mod refine;
mod result_folder;
mod transform;

pub use align::align;
pub use fill::Fill;
pub use instance::{OtherScans, optimise, unmoved};
pub use memory::{largest_tensor_bytes, network_bytes};
pub use network::{NetworkFields, Predicted, predict};
pub use prepare::{Alignment, NetworkPair, Scan, prepare};
pub use quality::{Assessed, Assessment, Measures, Quality, assess, counted};
pub use refine::{InitialField, RefineSettings, Refined};
pub use result_folder::{RECORD, ResultFolder};
pub use transform::{
    Mover, Residual, Transform, check_inverses, compose, inverted, map_point, matrix_of,
    pull_image, pull_labels,
};

use std::sync::Arc;

use nalgebra::{Matrix4, Vector3};

use crate::dataset::Preprocessing;
use crate::error::Result;
use crate::kernels;
use crate::metric::{InverseConsistency, inverse_consistency};
use crate::model::ModelCard;
use crate::volume::intensity::Normalisation;
use crate::volume::resample::{
    Interpolation, LabelInterpolation, image_at, labels_at, place, voxel_map,
};
use crate::volume::{Affine, DisplacementField, Geometry, Image, LabelMap};

/// The transform between two scans.
#[derive(Debug, Clone)]
pub struct Registration {
    /// Fixed world to moving world (RAS mm), before the network and the optimisation.
    pub linear: Matrix4<f64>,
    /// What `linear` was found from; the same where it was not searched for.
    pub initial: Matrix4<f64>,
    /// Complete pull on the fixed scan's grid, its voxels: places in the fixed world to the moving world.
    pub forward: Arc<DisplacementField>,
    /// What network and optimisation add to `linear`: `forward` without it, on the same grid.
    pub deformation: DisplacementField,
    /// Complete pull on the moving scan's grid, its voxels: it brings the fixed scan there.
    pub inverse: DisplacementField,
    /// How far the forward and inverse transforms undo each other on the grid that they were found on.
    pub inverse_error: InverseConsistency,
}

/// How scans are brought to the images a model was trained on; `normalize` replaces the model's own normalisation.
///
/// # Errors
/// Normalisation settings out of order, an unreadable reference image.
pub fn preprocessing(card: &ModelCard, normalize: Option<&Normalisation>) -> Result<Preprocessing> {
    let axes = card.config.dimension.axes();
    Ok(Preprocessing {
        slice: None,
        orientation: card.orientation.clone(),
        spacing: card.spacing.map(|spacing| spacing[..axes].to_vec()),
        crop_foreground: None,
        normaliser: match normalize {
            Some(other) => other.prepare()?,
            None => card.normaliser()?,
        },
    })
}

/// The transform on the scans' own grids.
///
/// # Errors
/// 2-D scans whose planes are not parallel.
pub fn back_to_scans(
    pair: &NetworkPair,
    fields: &NetworkFields,
    fixed: &Geometry,
    moving: &Geometry,
) -> Result<Registration> {
    let grid = pair.grid();
    let inverse = polished(fields);
    // The grid of the transforms as the moving world sees it.
    let beside_moving = Geometry::new(
        grid.shape,
        grid.dimension,
        Affine(pair.linear * grid.affine.0),
    );
    let to_grid = voxel_map(grid, fixed)?;
    let lift = |field, onto, before, after: &Geometry| -> Result<DisplacementField> {
        Ok(field::lift(field, onto, before, &voxel_map(onto, after)?))
    };
    let (forward, deformation) = match grid == fixed {
        // After an optimisation.
        true => {
            let mut forward = field::followed(&fields.forward, &voxel_map(fixed, &beside_moving)?);
            // Equal grids may differ in what their world is called.
            forward.geometry.world = fixed.world;
            (forward, fields.forward.clone())
        }
        false => (
            lift(&fields.forward, fixed, &to_grid, &beside_moving)?,
            lift(&fields.forward, fixed, &to_grid, grid)?,
        ),
    };
    Ok(Registration {
        linear: pair.linear,
        initial: pair.initial,
        forward: Arc::new(forward),
        deformation,
        inverse: lift(&inverse, moving, &voxel_map(&beside_moving, moving)?, grid)?,
        inverse_error: inverse_consistency(&fields.forward, &inverse)?,
    })
}

/// Updates that take the inverse to about a hundredth of a voxel nearly everywhere.
const POLISH: usize = 8;

/// The inverse field, after the rounding of its own integration and resampling is taken out.
fn polished(fields: &NetworkFields) -> DisplacementField {
    let [forward, inverse] = [&fields.forward, &fields.inverse].map(DisplacementField::to_vec);
    let geometry = &fields.inverse.geometry;
    let (axes, extent) = (geometry.dimension.axes(), geometry.tensor_shape());
    let polished = kernels::field::polish_inverse(&forward, inverse, axes, extent, POLISH);
    DisplacementField::from_values(polished, geometry.clone())
}

impl Registration {
    /// The moving scan, or one of its colours, on the fixed grid, in one interpolation.
    ///
    /// # Errors
    /// Those of [`pull_image`].
    pub fn moved(&self, moving: &Image, fill: Fill) -> Result<Image> {
        image_at(
            moving,
            &self.forward.geometry,
            self.places(&moving.geometry)?,
            Interpolation::Linear,
            fill.outside(moving),
        )
    }

    /// Labels of the moving scan on the fixed grid.
    ///
    /// # Errors
    /// Those of [`pull_labels`].
    pub fn moved_labels(&self, labels: &LabelMap, between: LabelInterpolation) -> Result<LabelMap> {
        let places = self.places(&labels.geometry)?;
        Ok(labels_at(labels, &self.forward.geometry, places, between))
    }

    /// Where the voxels of the fixed grid lie among those of a moving one, as [`Self::transform`] maps them: on its own grid the
    /// field is read, not interpolated.
    fn places(&self, moving: &Geometry) -> Result<impl Fn(Vector3<f64>) -> Vector3<f64> + Sync> {
        let DisplacementField { data, geometry } = &*self.forward;
        let map = voxel_map(moving, geometry)?;
        let axes = geometry.dimension.axes();
        Ok(move |voxel: Vector3<f64>| {
            let [i, j, k] = voxel.map(|at| at as usize).into();
            let mut there = voxel;
            for axis in 0..axes {
                there[axis] += f64::from(data[[axis, i, j, k]]);
            }
            place(&map, there)
        })
    }

    /// Where the scans were before they were registered.
    pub fn initial_transform(&self) -> [Transform; 1] {
        [Transform::Affine(self.initial)]
    }

    /// The transform without what network and optimisation add.
    pub fn linear_transform(&self) -> [Transform; 1] {
        [Transform::Affine(self.linear)]
    }

    /// The complete transform.
    ///
    /// # Errors
    /// A grid whose affine has no inverse.
    pub fn transform(&self) -> Result<[Transform; 1]> {
        Ok([Transform::field(self.forward.clone())?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::Dimension;
    use crate::volume::resample::Outside;
    use ndarray::Array3;

    /// A registration of a fixed grid that is all waves, and a moving grid.
    fn case(dimension: Dimension) -> (Registration, Geometry) {
        let depth = |n: usize| if dimension == Dimension::Two { 1 } else { n };
        let fixed = Affine::from_spacing([1.0, 2.0, 1.5]);
        let fixed = Geometry::new([12, 10, depth(8)], dimension, fixed);
        let mut moving = Affine::from_spacing([-1.5, 1.0, 2.0]).0;
        // No place half way between voxels, where rounding would choose.
        moving
            .fixed_view_mut::<3, 1>(0, 3)
            .copy_from(&Vector3::new(12.0, 0.3, 0.1));
        let moving = Geometry::new([9, 21, depth(7)], dimension, Affine(moving));
        let waves = field::from_function(&fixed, |x| {
            Vector3::new((0.5 * x.y).sin(), (0.4 * x.x).cos(), 0.3 * x.x.sin())
        });
        let none = InverseConsistency {
            mean_voxels: 0.0,
            max_voxels: 0.0,
            mean_mm: 0.0,
            max_mm: 0.0,
            voxels: 0,
        };
        let registration = Registration {
            linear: Matrix4::identity(),
            initial: Matrix4::identity(),
            deformation: waves.clone(),
            forward: Arc::new(waves),
            inverse: DisplacementField::zeros(moving.clone()),
            inverse_error: none,
        };
        (registration, moving)
    }

    #[test]
    fn what_is_moved_is_what_the_transform_pulls() {
        for dimension in [Dimension::Two, Dimension::Three] {
            let (registration, grid) = case(dimension);
            let transform = registration.transform().unwrap();
            let onto = &registration.forward.geometry;
            let value = |(i, j, k)| ((7 * i + 3 * j + 5 * k) % 17) as f32;
            let image = Image {
                data: Array3::from_shape_fn(grid.shape, value),
                geometry: grid,
            };
            let moved = registration.moved(&image, Fill::Value(-1.0)).unwrap();
            let (how, outside) = (Interpolation::Linear, Outside::Value(-1.0));
            let expected = pull_image(&image, onto, &transform, how, outside).unwrap();
            for (moved, expected) in moved.data.iter().zip(&expected.data) {
                assert!((moved - expected).abs() < 1e-4, "{moved} {expected}");
            }
            let labels = image.map(|&v| v as i32);
            let between = LabelInterpolation::Nearest;
            let moved = registration.moved_labels(&labels, between).unwrap();
            let expected = pull_labels(&labels, onto, &transform, between).unwrap();
            assert_eq!(moved, expected, "{dimension:?}");
        }
    }
}
