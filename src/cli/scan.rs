//! Images and labels that a command line names.

use std::path::{Path, PathBuf};

use crate::dataset::check_labels;
use crate::error::Result;
use crate::register::Scan;
use crate::volume::{Geometry, Image, LabelMap, axis_codes, read_image_frame, read_labels};

/// An image with the name it was given.
pub struct ScanFile {
    pub path: PathBuf,
    pub name: String,
    pub image: Image,
    /// On the image's grid, not 0 where a voxel counts.
    pub mask: Option<LabelMap>,
}

impl ScanFile {
    /// Reads an image; of a file with several volumes the `frame`, which the option `flag` chooses.
    ///
    /// # Errors
    /// An unreadable file, or one of several volumes without a `frame`.
    pub fn read(path: &Path, frame: Option<usize>) -> Result<Self> {
        Ok(Self {
            path: path.to_path_buf(),
            name: path.display().to_string(),
            image: read_image_frame(path, frame)?,
            mask: None,
        })
    }

    /// With the mask of a file, where one is named.
    ///
    /// # Errors
    /// As [`Self::labels`].
    pub fn masked(mut self, path: Option<&Path>) -> Result<Self> {
        self.mask = path.map(|path| self.labels(path)).transpose()?;
        Ok(self)
    }

    pub fn geometry(&self) -> &Geometry {
        &self.image.geometry
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
        let labels = read_labels(path)?;
        check_labels(path, &labels.geometry, self.geometry())?;
        Ok(labels)
    }

    /// File, size, voxel size and orientation in one line.
    pub fn describe(&self) -> String {
        format!("{}  {}", self.name, grid_text(self.geometry()))
    }
}

/// `181x217x181 voxels of 1x1x1 mm, RAS`.
fn grid_text(grid: &Geometry) -> String {
    let axes = grid.dimension.axes();
    let shape: Vec<String> = grid.shape[..axes].iter().map(usize::to_string).collect();
    let spacing: Vec<String> = grid.spacing()[..axes]
        .iter()
        .map(|size| format!("{}", (size * 1000.0).round() / 1000.0))
        .collect();
    let codes = axis_codes(&grid.affine);
    format!(
        "{} voxels of {} mm, {codes}",
        shape.join("x"),
        spacing.join("x")
    )
}
