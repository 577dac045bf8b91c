//! From a file to an image ready for the network grid: oriented, sliced, resampled, cropped, normalised.

use std::path::Path;

use nalgebra::{Matrix4, Vector3};
use ndarray::{Axis, s};

use super::config::{DataConfig, per_axis};
use super::manifest::Entry;
use super::pending::{self as resample, reorient};
use super::slice::Slice;
use crate::error::{Error, Result};
use crate::volume::intensity::Normaliser;
use crate::volume::{
    Affine, Dimension, Geometry, Image, LabelMap, Volume, VoxelPoint, read_image, read_labels,
};

/// Two grids are one when their corners are no further apart than this, in voxels.
const SAME_GRID: f64 = 0.1;

/// An image with its labels on a grid of its own size.
#[derive(Debug, Clone)]
pub(super) struct Prepared {
    pub image: Image,
    pub labels: Option<LabelMap>,
}

/// Reads and prepares one image of the study.
pub(super) fn prepare(
    entry: &Entry,
    config: &DataConfig,
    normaliser: &Normaliser,
) -> Result<Prepared> {
    let image = read_image(&entry.image)?;
    let labels = entry.label.as_ref().map(read_labels).transpose()?;
    if let (Some(labels), Some(path)) = (&labels, &entry.label) {
        check_labels(path, &labels.geometry, &image.geometry)?;
    }
    let prepared = Prepared { image, labels };
    prepared
        .orient(config)
        .and_then(|prepared| prepared.sample(config))
        .map(|prepared| prepared.crop(config))
        .and_then(|prepared| prepared.normalise(normaliser))
        .map_err(|error| Error::file(&entry.image, error.to_string()))
}

fn check_labels(path: &Path, labels: &Geometry, image: &Geometry) -> Result<()> {
    if labels.shape != image.shape {
        return Err(Error::file(
            path,
            format!(
                "label map of {} voxels for an image of {}; labels must lie on their image's grid",
                by(&labels.shape),
                by(&image.shape)
            ),
        ));
    }
    let apart = corner_distance(labels, image);
    if apart > SAME_GRID {
        return Err(Error::file(
            path,
            format!(
                "label map and image have the same shape, but their headers place them {apart:.1} voxels apart; resample the labels to the image or repair the header"
            ),
        ));
    }
    Ok(())
}

/// Whether two grids are the same voxels in the same place.
pub(super) fn same_grid(a: &Geometry, b: &Geometry) -> bool {
    a.shape == b.shape && a.dimension == b.dimension && corner_distance(a, b) <= SAME_GRID
}

/// Largest distance between corresponding corners of two grids of one shape, in voxels of the first.
fn corner_distance(a: &Geometry, b: &Geometry) -> f64 {
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

impl Prepared {
    fn each(
        self,
        image: impl FnOnce(&Image) -> Result<Image>,
        labels: impl FnOnce(&LabelMap) -> Result<LabelMap>,
    ) -> Result<Self> {
        Ok(Self {
            image: image(&self.image)?,
            labels: self.labels.as_ref().map(labels).transpose()?,
        })
    }

    fn orient(self, config: &DataConfig) -> Result<Self> {
        let code = config
            .orientation
            .as_deref()
            .filter(|code| *code != "stored");
        match (config.slice, code, self.image.geometry.dimension) {
            (Some(_), _, Dimension::Two) => Err(Error::invalid(
                "slice is set, but this is a 2-D image; remove slice or use volumes",
            )),
            (Some(slice), _, Dimension::Three) => {
                let code = match config.orientation.as_deref() {
                    Some("stored") => None,
                    given => Some(given.unwrap_or("RAS")),
                };
                self.each(
                    |image| take(image, slice, code),
                    |labels| take(labels, slice, code),
                )
            }
            (None, Some(code), Dimension::Three) => self.each(
                |image| reorient(image, code),
                |labels| reorient(labels, code),
            ),
            _ => Ok(self),
        }
    }

    fn sample(self, config: &DataConfig) -> Result<Self> {
        let Some(spacing) = &config.spacing else {
            return Ok(self);
        };
        let grid = &self.image.geometry;
        let spacing = per_axis("spacing", spacing, grid.dimension, grid.spacing()[2])
            .map_err(Error::invalid)?;
        let target = respaced(grid, spacing);
        if same_grid(grid, &target) {
            return Ok(self);
        }
        self.each(
            |image| resample::image_to(image, &target),
            |labels| resample::labels_to(labels, &target),
        )
    }

    /// To the box of voxels above the image's minimum, the labels' voxels included.
    fn crop(self, config: &DataConfig) -> Self {
        let Some(margin) = config.crop_foreground else {
            return self;
        };
        let finite = || self.image.data.iter().filter(|v| v.is_finite());
        let low = finite().copied().fold(f32::INFINITY, f32::min);
        let mut bounds: Option<[[usize; 2]; 3]> = None;
        for ((i, j, k), &value) in self.image.data.indexed_iter() {
            let labelled = self
                .labels
                .as_ref()
                .is_some_and(|labels| labels.data[[i, j, k]] != 0);
            if labelled || value > low {
                let bounds = bounds.get_or_insert([[i, i], [j, j], [k, k]]);
                for (bound, at) in bounds.iter_mut().zip([i, j, k]) {
                    *bound = [bound[0].min(at), bound[1].max(at)];
                }
            }
        }
        let Some(bounds) = bounds else { return self };
        let shape = self.image.geometry.shape;
        let bounds = [0, 1, 2].map(|axis| {
            let [first, last] = bounds[axis];
            [
                first.saturating_sub(margin),
                (last + 1 + margin).min(shape[axis]),
            ]
        });
        Self {
            image: cut(&self.image, bounds),
            labels: self.labels.as_ref().map(|labels| cut(labels, bounds)),
        }
    }

    fn normalise(mut self, normaliser: &Normaliser) -> Result<Self> {
        normaliser.apply(&mut self.image)?;
        Ok(self)
    }
}

/// The voxels from `bounds[axis][0]` up to but not including `bounds[axis][1]`.
fn cut<T: Clone>(volume: &Volume<T>, bounds: [[usize; 2]; 3]) -> Volume<T> {
    let [[i, a], [j, b], [k, c]] = bounds;
    let data = volume.data.slice(s![i..a, j..b, k..c]).to_owned();
    let origin = VoxelPoint(Vector3::new(i as f64, j as f64, k as f64));
    let grid = &volume.geometry;
    let affine = with_origin(&grid.affine, grid.affine.to_world(origin).0);
    Volume {
        data,
        geometry: Geometry::new([a - i, b - j, c - k], grid.dimension, affine),
    }
}

/// One slice as a 2-D image; with `code`, of the volume turned to those axes.
fn take<T: Copy + Default>(
    volume: &Volume<T>,
    slice: Slice,
    code: Option<&str>,
) -> Result<Volume<T>> {
    let turned = match code {
        Some(code) => &reorient(volume, code)?,
        None => volume,
    };
    let grid = &turned.geometry;
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
    let data = turned
        .data
        .index_axis(Axis(axis), index)
        .insert_axis(Axis(2));
    Ok(Volume {
        data: data.as_standard_layout().into_owned(),
        geometry: Geometry::new([grid.shape[a], grid.shape[b], 1], Dimension::Two, affine),
    })
}

/// The array axis closest to a world axis, and whether it runs against it.
fn world_axis(affine: &Affine, world: usize) -> (usize, bool) {
    let linear = affine.linear();
    let share = |axis: usize| linear[(world, axis)] / linear.column(axis).norm();
    let axis = (0..3)
        .max_by(|&a, &b| share(a).abs().total_cmp(&share(b).abs()))
        .unwrap_or(world);
    (axis, share(axis) < 0.0)
}

/// The grid of another voxel size that covers the same box about the same centre.
fn respaced(grid: &Geometry, spacing: [f64; 3]) -> Geometry {
    let old = grid.spacing();
    let mut shape = grid.shape;
    let mut affine = grid.affine;
    for axis in 0..grid.dimension.axes() {
        let ratio = spacing[axis] / old[axis];
        shape[axis] = ((grid.shape[axis] as f64 / ratio).round() as usize).max(1);
        let mut column = affine.0.fixed_view_mut::<3, 1>(0, axis);
        column *= ratio;
    }
    let centre = |shape: [usize; 3]| {
        VoxelPoint(Vector3::from_fn(|axis, _| (shape[axis] as f64 - 1.0) / 2.0))
    };
    let shift = grid.affine.to_world(centre(grid.shape)).0 - affine.to_world(centre(shape)).0;
    let origin = affine.translation() + shift;
    Geometry::new(shape, grid.dimension, with_origin(&affine, origin))
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
