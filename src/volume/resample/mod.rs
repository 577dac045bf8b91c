//! Resampling between grids through their affines: linear or by splines for images, by label for label maps.
//!
//! A target voxel takes the value at its own world position. Positions up to half a voxel beyond the centres of
//! the outermost voxels belong to the image and take its edge values, as in ITK; further out is outside. Between
//! two 2-D images the position along the slice normal is ignored, since neither has a thickness; their planes
//! must be parallel. A 2-D and a 3-D image are compared as the slab of one voxel that the slice is.

mod between;

use nalgebra::{Matrix4, Vector3};
use ndarray::{Array3, Array4, Axis};
use rayon::prelude::*;

pub(crate) use between::{corners, vote};
use between::{linear, nearest};

use super::spline::Spline;
use super::{Dimension, DisplacementField, Geometry, Image, LabelMap, Volume};
use crate::error::{Error, Result};

/// How values between voxel centres are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interpolation {
    Linear,
    /// Cubic B-splines through the voxels (Unser, Aldroubi & Eden, IEEE TSP 1993), mirrored at the edges as in ITK.
    Cubic,
    Nearest,
}

/// Which label a place between voxels takes; never one that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LabelInterpolation {
    /// That of the nearest voxel.
    Nearest,
    /// That with the largest sum of linear weights among the surrounding voxels.
    #[default]
    Vote,
}

/// What lies outside the image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Outside {
    Value(f32),
    /// The nearest voxel.
    Edge,
}

/// Brings an image onto another grid.
///
/// # Errors
/// Two 2-D grids whose planes are not parallel.
pub fn image_to(
    image: &Image,
    target: &Geometry,
    interpolation: Interpolation,
    outside: Outside,
) -> Result<Image> {
    let map = voxel_map(&image.geometry, target)?;
    let position = |voxel| place(&map, voxel);
    image_at(image, target, position, interpolation, outside)
}

/// The image whose voxel `x` on the grid `target` takes the value at `position(x)`, in voxels of `image`.
///
/// # Errors
/// Splines through voxels that are not finite, which would spread over the whole image.
pub fn image_at(
    image: &Image,
    target: &Geometry,
    position: impl Fn(Vector3<f64>) -> Vector3<f64> + Sync,
    interpolation: Interpolation,
    outside: Outside,
) -> Result<Image> {
    let fill = match outside {
        Outside::Value(value) => Some(value),
        Outside::Edge => None,
    };
    let view = image.data.view();
    Ok(match interpolation {
        Interpolation::Linear => on_grid(image, target, fill, position, |p| linear(&view, p)),
        Interpolation::Nearest => on_grid(image, target, fill, position, |p| nearest(&view, p)),
        Interpolation::Cubic => {
            let unknown = image.data.iter().filter(|v| !v.is_finite()).count();
            if unknown > 0 {
                return Err(Error::invalid(format!(
                    "{unknown} voxels of the image are not finite numbers, which cubic interpolation spreads; use linear"
                )));
            }
            let spline = Spline::new(view);
            on_grid(image, target, fill, position, |p| {
                spline.at(p.into()) as f32
            })
        }
    })
}

/// Brings labels onto another grid by nearest neighbour, so that no label appears that was not there; outside is 0.
///
/// # Errors
/// As [`image_to`].
pub fn labels_to(labels: &LabelMap, target: &Geometry) -> Result<LabelMap> {
    let map = voxel_map(&labels.geometry, target)?;
    let position = |voxel| place(&map, voxel);
    Ok(labels_at(
        labels,
        target,
        position,
        LabelInterpolation::Nearest,
    ))
}

/// As [`image_at`] for labels; 0 outside.
pub fn labels_at(
    labels: &LabelMap,
    target: &Geometry,
    position: impl Fn(Vector3<f64>) -> Vector3<f64> + Sync,
    interpolation: LabelInterpolation,
) -> LabelMap {
    let view = labels.data.view();
    match interpolation {
        LabelInterpolation::Nearest => {
            on_grid(labels, target, Some(0), position, |p| nearest(&view, p))
        }
        LabelInterpolation::Vote => on_grid(labels, target, Some(0), position, |p| vote(&view, p)),
    }
}

/// Brings a field onto another grid: linear between voxels, edge values outside, vectors turned into voxels of
/// the target so that they stay the same displacements in the world.
///
/// # Errors
/// As [`image_to`].
pub fn field_to(field: &DisplacementField, target: &Geometry) -> Result<DisplacementField> {
    let mut components = Vec::new();
    for component in field.data.axis_iter(Axis(0)) {
        let geometry = field.geometry.clone();
        let component = Volume {
            data: component.to_owned(),
            geometry,
        };
        components.push(image_to(&component, target, Interpolation::Linear, Outside::Edge)?.data);
    }
    let turn = voxel_map(target, &field.geometry)?
        .fixed_view::<3, 3>(0, 0)
        .into_owned();
    let axes = target.dimension.axes();
    let [i, j, k] = target.shape;
    let mut data = Array4::zeros((axes, i, j, k));
    for (axis, mut out) in data.axis_iter_mut(Axis(0)).enumerate() {
        for (from, component) in components.iter().enumerate() {
            let factor = turn[(axis, from)];
            out.zip_mut_with(component, |sum, &u| *sum += (factor * f64::from(u)) as f32);
        }
    }
    Ok(DisplacementField {
        data,
        geometry: target.clone(),
    })
}

/// Maps voxel positions of `from` to voxel positions of `to`; between 2-D grids to `k = 0`.
///
/// # Errors
/// As [`image_to`].
pub fn voxel_map(to: &Geometry, from: &Geometry) -> Result<Matrix4<f64>> {
    let mut map = to.to_voxel()? * from.affine.0;
    if to.dimension == Dimension::Two && from.dimension == Dimension::Two {
        check_parallel(&map, to)?;
        for column in 0..4 {
            map[(2, column)] = 0.0;
        }
    }
    Ok(map)
}

/// Whether `map` leaves the axes of a 2-D grid in the plane of the grid `to`.
fn check_parallel(map: &Matrix4<f64>, to: &Geometry) -> Result<()> {
    let axis = |axis: usize| map.fixed_view::<3, 1>(0, axis).into_owned();
    if to.keeps_to_plane(axis(0)) && to.keeps_to_plane(axis(1)) {
        return Ok(());
    }
    Err(Error::invalid(
        "the two 2-D images lie in planes that are not parallel; check their headers or align them by centre",
    ))
}

/// `map` applied to a position.
pub(crate) fn place(map: &Matrix4<f64>, position: Vector3<f64>) -> Vector3<f64> {
    (map * position.push(1.0)).xyz()
}

/// Evaluates `value` at the source position of every target voxel; `fill` is for positions outside.
fn on_grid<T: Copy + Default + Send + Sync>(
    source: &Volume<T>,
    target: &Geometry,
    fill: Option<T>,
    position: impl Fn(Vector3<f64>) -> Vector3<f64> + Sync,
    value: impl Fn(Vector3<f64>) -> T + Sync,
) -> Volume<T> {
    let highest = Vector3::from(source.geometry.shape.map(|n| n as f64 - 1.0));
    let [_, nj, nk] = target.shape;
    let mut data = vec![T::default(); target.voxels()];
    data.par_chunks_mut(nk).enumerate().for_each(|(row, out)| {
        let (i, j) = ((row / nj) as f64, (row % nj) as f64);
        for (k, out) in out.iter_mut().enumerate() {
            let position = position(Vector3::new(i, j, k as f64)).map(snapped);
            let inside = (0..3).all(|a| position[a] >= -0.5 && position[a] <= highest[a] + 0.5);
            *out = match fill {
                Some(fill) if !inside => fill,
                _ => value(position.zip_map(&highest, |p, high| p.clamp(0.0, high))),
            };
        }
    });
    let data = Array3::from_shape_vec(target.shape, data).expect("one value per voxel");
    Volume {
        data,
        geometry: target.clone(),
    }
}

/// Rounding, in affines and in fields of float32, must not make a voxel centre a mixture of voxels.
pub(crate) fn snapped(position: f64) -> f64 {
    let whole = position.round();
    if (position - whole).abs() < 1e-5 {
        whole
    } else {
        position
    }
}
