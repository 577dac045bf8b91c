//! Host images: geometry, files, intensities, resampling. Knows nothing of burn.

mod affine_file;
mod colour;
mod dtype;
mod field_file;
mod fields;
mod fit;
mod format;
mod geometry;
mod header_only;
mod info;
pub mod intensity;
pub mod io;
mod itk;
mod labels;
mod metaimage;
mod mgh;
mod nifti;
mod nrrd;
mod numpy;
mod orientation;
mod overlap;
mod placement;
mod png;
mod raw;
mod read;
pub mod resample;
mod series;
mod source;
mod spline;
mod transform_file;
mod write;

pub use affine_file::{WorldAffine, read_affine, write_affine};
pub use dtype::{DType, Encoding, Endian};
pub use field_file::{read_field, read_voxel_field, write_field, write_voxel_field};
pub use fit::{centre_fit, cut, fit_geometry};
pub use format::{Format, voxel_file};
pub use geometry::{Affine, Dimension, Geometry, VoxelPoint, World, WorldPoint};
pub use header_only::move_header;
pub use info::{FileInfo, Kind, probe};
pub use io::{
    TEMPORARY, check_writable, folder_of, temporary, write_atomically, write_table, write_text,
};
pub use labels::distinct_labels;
pub use nifti::geometry_note;
pub use orientation::{axis_codes, codes_to_meet, reorient, reoriented};
pub use overlap::overlap;
pub use read::{image_files, read_geometry, read_image, read_image_frame, read_labels};
pub use series::{
    FrameStep, Series, SeriesFile, SeriesKind, read_series, write_series, write_volumes,
};
pub use spline::Spline;
pub use transform_file::{Step, common_dimension, read_transform, write_composite};
pub use write::{write_image, write_labels};

use ndarray::{Array3, Array4};

/// A scalar image or label map on a grid; `data` is row-major with axes `(i, j, k)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Volume<T> {
    pub data: Array3<T>,
    pub geometry: Geometry,
}

impl<T> Volume<T> {
    /// The same grid with other values.
    pub fn map<U>(&self, convert: impl FnMut(&T) -> U) -> Volume<U> {
        Volume {
            data: self.data.map(convert),
            geometry: self.geometry.clone(),
        }
    }
}

impl<T: Copy> Volume<T> {
    /// The voxels with the last axis fastest, however they lie in memory.
    pub fn to_vec(&self) -> Vec<T> {
        self.data.iter().copied().collect()
    }
}

/// Intensities, in the units of the file after scl_slope and scl_inter.
pub type Image = Volume<f32>;

/// Integer labels; 0 is background.
pub type LabelMap = Volume<i32>;

/// Displacement in voxels on the grid it belongs to: component `c` moves along axis `c`.
///
/// A pull: `moved(x) = moving(x + u(x))`. `data` is `[component, i, j, k]`, with 2 components in 2-D.
#[derive(Debug, Clone, PartialEq)]
pub struct DisplacementField {
    pub data: Array4<f32>,
    pub geometry: Geometry,
}

impl DisplacementField {
    /// A field whose values lie with the last axis fastest.
    ///
    /// # Panics
    /// Another number of values than the grid has, times its axes.
    pub fn from_values(values: Vec<f32>, geometry: Geometry) -> Self {
        let [i, j, k] = geometry.shape;
        let shape = (geometry.dimension.axes(), i, j, k);
        Self {
            data: Array4::from_shape_vec(shape, values).expect("a vector per voxel of the grid"),
            geometry,
        }
    }

    /// The field that moves nothing.
    pub fn zeros(geometry: Geometry) -> Self {
        let [i, j, k] = geometry.shape;
        Self {
            data: Array4::zeros((geometry.dimension.axes(), i, j, k)),
            geometry,
        }
    }

    /// The values with the last axis fastest, however they lie in memory.
    pub fn to_vec(&self) -> Vec<f32> {
        self.data.iter().copied().collect()
    }
}
