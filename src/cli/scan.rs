//! Images and labels that a command line names.

use std::path::{Path, PathBuf};
use std::slice;

use ndarray::Zip;

use super::reading::Reading;
use super::spacing::PixelSpacing;
use crate::dataset::check_labels;
use crate::error::{Error, Result};
use crate::register::Scan;
use crate::volume::{
    Encoding, Geometry, Image, LabelMap, Series, SeriesFile, SeriesKind, axis_codes, geometry_note,
    read_labels,
};

/// An image with the name it was given.
pub struct ScanFile {
    pub path: PathBuf,
    pub name: String,
    /// What is compared: of colours the luminance, intensities within the window.
    pub image: Image,
    /// On the image's grid, not 0 where a voxel counts.
    pub mask: Option<LabelMap>,
    /// How the file stores its values.
    pub encoding: Encoding,
    /// What is moved, where that is not `image`: all colours, intensities as they are in the file.
    original: Option<Series>,
    /// Of files that have none.
    spacing: Option<PixelSpacing>,
    /// The grid of the file, where the image was laid on another: then the headers of its labels mean nothing either.
    own_grid: Option<Geometry>,
}

impl ScanFile {
    /// Reads an image to compare; of a file with several volumes the `frame`.
    ///
    /// # Errors
    /// An unreadable file, or one of several volumes without a `frame`; a window without contrast.
    pub fn read(path: &Path, frame: Option<usize>, reading: Reading) -> Result<Self> {
        Self::of(&SeriesFile::read(path)?, frame, reading)
    }

    /// As [`Self::of`] for an image that is moved afterwards: see [`Self::content`].
    ///
    /// # Errors
    /// As [`Self::of`].
    pub fn to_move(file: &SeriesFile, frame: Option<usize>, reading: Reading) -> Result<Self> {
        let scan = Self::of(file, frame, reading)?;
        let mut original = match (file.kind(), reading.window) {
            (SeriesKind::Colour, _) => Some(file.all()?),
            (SeriesKind::Frames { .. }, Some(_)) => Some(file.image(frame)?.into()),
            (SeriesKind::Frames { .. }, None) => None,
        };
        for volume in original.iter_mut().flat_map(|series| &mut series.volumes) {
            volume.geometry = scan.image.geometry.clone();
        }
        Ok(Self { original, ..scan })
    }

    /// As [`Self::read`] of a file that is decoded already.
    ///
    /// # Errors
    /// A file of several volumes without a `frame`; a window without contrast.
    pub fn of(file: &SeriesFile, frame: Option<usize>, reading: Reading) -> Result<Self> {
        let path = file.path();
        let mut image = file.image(frame)?;
        let name = path.display().to_string();
        if let Some(spacing) = reading.spacing {
            spacing.place(path, &mut image.geometry)?;
        }
        if let Some(window) = reading.window {
            window.clip(&name, &mut image)?;
        }
        Ok(Self {
            path: path.to_path_buf(),
            name,
            image,
            mask: None,
            encoding: file.encoding(),
            original: None,
            spacing: reading.spacing,
            own_grid: None,
        })
    }

    /// The image as challenges take it: voxel by voxel on the grid of another, whatever the headers say.
    ///
    /// # Errors
    /// Another number of voxels along an axis.
    pub fn laid_on(mut self, grid: &Geometry) -> Result<Self> {
        let [found, expected] = [self.geometry(), grid].map(|grid| grid.shape);
        if found != expected {
            let problem = format!(
                "{found:?} voxels, but the fixed image has {expected:?}; challenges compare arrays of one shape: resample the \
                 moving image to the fixed grid"
            );
            return Err(Error::file(&self.path, problem));
        }
        for volume in self
            .original
            .iter_mut()
            .flat_map(|series| &mut series.volumes)
        {
            volume.geometry = grid.clone();
        }
        self.own_grid = Some(std::mem::replace(&mut self.image.geometry, grid.clone()));
        Ok(self)
    }

    /// What is moved: every channel of colours, with the intensities of the file.
    pub fn content(&self) -> (&[Image], SeriesKind) {
        match &self.original {
            Some(series) => (&series.volumes, series.kind.clone()),
            None => (slice::from_ref(&self.image), SeriesKind::SINGLE),
        }
    }

    /// With the mask of a file, where one is named; voxels that are not finite do not count in any case.
    ///
    /// # Errors
    /// As [`Self::labels`].
    pub fn masked(mut self, path: Option<&Path>) -> Result<Self> {
        let mut mask = path.map(|path| self.labels(path)).transpose()?;
        if self.image.data.iter().any(|value| !value.is_finite()) {
            let all = || self.image.map(|_| 1);
            let known = mask.get_or_insert_with(all);
            Zip::from(&mut known.data)
                .and(&self.image.data)
                .for_each(|counts, value| *counts *= i32::from(value.is_finite()));
        }
        self.mask = mask;
        Ok(self)
    }

    pub fn geometry(&self) -> &Geometry {
        &self.image.geometry
    }

    /// The grid that the file's header states, also of an image that was laid on another.
    pub fn own_grid(&self) -> &Geometry {
        self.own_grid.as_ref().unwrap_or(&self.image.geometry)
    }

    /// As the library wants it.
    pub fn scan(&self) -> Scan<'_> {
        Scan {
            name: &self.name,
            image: &self.image,
            mask: self.mask.as_ref(),
        }
    }

    /// Labels that belong to this image.
    ///
    /// # Errors
    /// An unreadable file, or labels on another grid.
    pub fn labels(&self, path: &Path) -> Result<LabelMap> {
        let mut labels = read_labels(path)?;
        if let Some(spacing) = self.spacing {
            spacing.place(path, &mut labels.geometry)?;
        }
        if self.own_grid.is_some() {
            labels.geometry.affine = self.geometry().affine;
        }
        check_labels(path, &labels.geometry, self.geometry())?;
        Ok(labels)
    }

    /// File, size, voxel size and orientation in one line, how many voxels hold no number, and where other programs may place
    /// the grid otherwise.
    pub fn describe(&self) -> String {
        let unknown = self.image.data.iter().filter(|value| !value.is_finite());
        let note = match unknown.count() {
            0 => String::new(),
            count => format!(", {count} of them not a number, which do not count"),
        };
        let place =
            geometry_note(&self.path).map_or(String::new(), |note| format!("; note: {note}"));
        format!("{}  {}{note}{place}", self.name, grid_text(self.geometry()))
    }
}

/// `181x217x181 voxels of 1x1x1 mm, RAS`.
fn grid_text(grid: &Geometry) -> String {
    let axes = grid.dimension.axes();
    let shape: Vec<String> = grid.shape[..axes].iter().map(usize::to_string).collect();
    let codes = axis_codes(&grid.affine);
    format!(
        "{} voxels of {} mm, {codes}",
        shape.join("x"),
        spacing_text(grid)
    )
}

/// The size of a voxel in mm, `1x1x1`.
pub fn spacing_text(grid: &Geometry) -> String {
    let spacing: Vec<String> = grid.spacing()[..grid.dimension.axes()]
        .iter()
        .map(|size| format!("{}", (size * 1000.0).round() / 1000.0))
        .collect();
    spacing.join("x")
}
