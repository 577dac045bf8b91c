//! The one grid that all images of a study are brought to.

use super::config::{Align, DataConfig, per_axis};
use super::preprocess::{Prepared, Preprocessing, STORED};
use super::problems::Problems;
use super::regrid::{by, same_grid};
use crate::volume::{Dimension, Geometry, Volume, axis_codes, centre_fit, fit_geometry};

/// Size of the network's input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Grid {
    pub dimension: Dimension,
    /// What the images are padded or cropped to.
    pub content: [usize; 3],
    /// `content`, padded about its centre to a multiple of the network's factor.
    pub shape: [usize; 3],
}

impl Grid {
    /// A volume padded and cropped about its centre.
    pub fn fit<T: Copy>(&self, volume: &Volume<T>, fill: T) -> Volume<T> {
        centre_fit(&centre_fit(volume, self.content, fill), self.shape, fill)
    }

    /// Whether [`Self::fit`] puts all images onto the same voxels in the same place.
    pub fn is_one_of_all(&self, images: &[(&str, &Prepared)]) -> bool {
        let place = |(_, p): &(&str, &Prepared)| {
            fit_geometry(&fit_geometry(&p.image.geometry, self.content), self.shape)
        };
        let mut places = images.iter().map(place);
        let first = places.next();
        first.is_none_or(|first| places.all(|place| same_grid(&first, &place)))
    }
}

/// The grid for these images; `None` (and problems) if they do not fit together.
pub(super) fn decide(
    images: &[(&str, &Prepared)],
    config: &DataConfig,
    factor: usize,
    problems: &mut Problems,
) -> Option<Grid> {
    let (first, dimension) = images
        .first()
        .map(|(id, p)| (id, p.image.geometry.dimension))?;
    let other = images
        .iter()
        .find(|(_, p)| p.image.geometry.dimension != dimension);
    if let Some((id, _)) = other {
        let axes = dimension.axes();
        problems.push(format!(
            "{first} is {axes}-D, {id} is {}-D; a study has one of them (slice makes 2-D images of volumes)",
            5 - axes
        ));
        return None;
    }
    check_orientation(images, config, problems);
    let largest = [0, 1, 2].map(|axis| {
        images
            .iter()
            .map(|(_, p)| p.image.geometry.shape[axis])
            .max()
            .unwrap_or(1)
    });
    let content = match &config.shape {
        None => largest,
        Some(shape) => match per_axis("shape", shape, dimension, 1) {
            Ok(shape) => shape,
            Err(problem) => {
                problems.push(problem);
                return None;
            }
        },
    };
    let mut shape = content;
    for size in &mut shape[..dimension.axes()] {
        *size = size.next_multiple_of(factor);
    }
    Some(Grid {
        dimension,
        content,
        shape,
    })
}

/// Mixed axis directions would show the network mirrored or turned anatomy.
fn check_orientation(images: &[(&str, &Prepared)], config: &DataConfig, problems: &mut Problems) {
    if config.orientation.is_some() || config.slice.is_some() {
        return;
    }
    let code = |p: &Prepared| axis_codes(&p.image.geometry.affine);
    let Some((first, reference)) = images.first().map(|(id, p)| (id, code(p))) else {
        return;
    };
    if let Some((id, p)) = images.iter().find(|(_, p)| code(p) != reference) {
        problems.push(format!(
            "{first} is stored {reference}, {id} is stored {}; set orientation = \"{reference}\" to turn all alike, or \"stored\" if the headers mean nothing",
            code(p)
        ));
    }
}

/// Completes what the settings leave open by what the images have in common.
pub(super) fn complete(
    preprocessing: &mut Preprocessing,
    images: &[(&str, &Prepared)],
    config: &DataConfig,
) {
    let Some(first) = images.first().map(|(_, p)| &p.image.geometry) else {
        return;
    };
    if config.orientation.as_deref() != Some(STORED) && preprocessing.orientation.is_none() {
        preprocessing.orientation = Some(axis_codes(&first.affine));
    }
    let axes = first.dimension.axes();
    let meaningful = config.align != Align::Centre && spacing_range(images, axes).is_none();
    if preprocessing.spacing.is_none() && meaningful {
        preprocessing.spacing = Some(first.spacing()[..axes].to_vec());
    }
}

/// What the user should know about how the images come to the grid.
pub(super) fn notes(
    images: &[(&str, &Prepared)],
    grid: &Grid,
    config: &DataConfig,
    factor: usize,
) -> Vec<String> {
    let mut notes = Vec::new();
    let axes = grid.dimension.axes();
    if grid.shape != grid.content && config.shape.is_some() {
        notes.push(format!(
            "shape {} is padded to {}: the network needs multiples of {factor}",
            by(&grid.content[..axes]),
            by(&grid.shape[..axes])
        ));
    }
    let larger = |g: &Geometry| (0..axes).any(|axis| g.shape[axis] > grid.content[axis]);
    let cropped = images
        .iter()
        .filter(|(_, p)| larger(&p.image.geometry))
        .count();
    if cropped > 0 {
        notes.push(format!(
            "{cropped} of {} images are larger than shape {} and are cropped about their centre",
            images.len(),
            by(&grid.content[..axes])
        ));
    }
    let labelled = images.iter().filter(|(_, p)| p.labels.is_some()).count();
    if labelled > 0 && labelled < images.len() {
        notes.push(format!("{labelled} of {} images have labels", images.len()));
    }
    if let Some((low, high)) = spacing_range(images, axes) {
        notes.push(format!(
            "voxel sizes range from {low:.2} to {high:.2} mm along one axis; spacing = [...] resamples all images to one size"
        ));
    }
    notes
}

/// The axis with the widest range of voxel sizes, if it exceeds 2 %.
fn spacing_range(images: &[(&str, &Prepared)], axes: usize) -> Option<(f64, f64)> {
    let along = |axis: usize| {
        let sizes = images
            .iter()
            .map(move |(_, p)| p.image.geometry.spacing()[axis]);
        sizes.fold((f64::INFINITY, 0.0), |(low, high): (f64, f64), s| {
            (low.min(s), high.max(s))
        })
    };
    (0..axes)
        .map(along)
        .filter(|(low, high)| high / low > 1.02)
        .max_by(|a, b| (a.1 / a.0).total_cmp(&(b.1 / b.0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::Affine;
    use nalgebra::{Matrix3, Vector3};
    use ndarray::Array3;

    /// `size` pixels along each axis, the first of which lies at `origin` mm.
    fn prepared(size: usize, origin: f64) -> Prepared {
        let origin = Vector3::new(origin, origin, 0.0);
        let affine = Affine::from_parts(Matrix3::identity(), origin);
        let geometry = Geometry::new([size, size, 1], Dimension::Two, affine);
        let data = Array3::zeros(geometry.shape);
        Prepared {
            image: Volume { data, geometry },
            labels: None,
        }
    }

    #[test]
    fn grids_are_one_where_padding_brings_them_together() {
        let grid = Grid {
            dimension: Dimension::Two,
            content: [6, 6, 1],
            shape: [8, 8, 1],
        };
        let is_one = |size, origin| {
            let (first, second) = (prepared(6, 0.0), prepared(size, origin));
            grid.is_one_of_all(&[("a", &first), ("b", &second)])
        };
        assert!(is_one(6, 0.0));
        // A pixel less on either side.
        assert!(is_one(4, 1.0));
        assert!(!is_one(4, 0.0));
        assert!(!is_one(6, 0.5));
    }
}
