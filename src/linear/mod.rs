//! Linear registration: the rigid, similarity or affine map between the worlds of two images.
//!
//! ```text
//! starts (headers, centres, moments) x rotations --coarsest level--> the best few --refined, level by level--> one
//! ```
//!
//! Both images, the fixed one as far as its mask lets it be seen ([`crop`]), are smoothed and sampled at a few resolutions
//! ([`pyramid`]). On the coarsest, many starts are compared and the best refined ([`search`]); finer levels refine what is
//! left. A refinement ([`bfgs`]) moves the parameters of a [`pose`] up the gradient of a similarity over samples of the
//! fixed image ([`objective`]). Sums are float64 (box sums of the local correlation float32) and made in tasks of fixed
//! size, so the result is the same for any number of threads.

mod beginning;
mod bfgs;
mod crop;
mod lncc;
mod measures;
mod moments;
mod objective;
#[cfg(test)]
mod phantom;
mod pose;
mod pyramid;
mod samples;
mod search;
mod similarity;
mod smooth;
mod starts;
#[cfg(test)]
mod tests;

pub use search::register;
pub use similarity::Similarity;
pub use smooth::smoothed;
pub use starts::Start;

use std::str::FromStr;

use nalgebra::Matrix4;

use crate::volume::{Image, LabelMap};

/// What a linear map may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Freedom {
    /// Nothing: the plain start is taken as it is.
    None,
    /// Rotation and translation.
    Rigid,
    /// And one zoom for all axes.
    Similarity,
    /// And zooms and shears.
    Affine,
}

impl FromStr for Freedom {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "none" => Self::None,
            "rigid" => Self::Rigid,
            "similarity" => Self::Similarity,
            "affine" => Self::Affine,
            _ => return Err("expected none, rigid, similarity or affine".into()),
        })
    }
}

/// An image, and the voxels that count: those where the mask, on the grid of the image, is not 0.
#[derive(Debug, Clone, Copy)]
pub struct Masked<'a> {
    pub image: &'a Image,
    pub mask: Option<&'a LabelMap>,
}

/// How to register.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    pub freedom: Freedom,
    pub similarity: Similarity,
    pub start: Start,
    /// Rotations up to this many degrees from each start are tried.
    pub search: f64,
    /// Whether mirrored starts are tried too, for 2-D images that may lie upside down.
    pub flip: bool,
    /// Whether a volume moves from its start within the slices of the fixed image only.
    pub in_plane: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            freedom: Freedom::Affine,
            similarity: Similarity::Mi,
            start: Start::Auto { headers: true },
            search: 60.0,
            flip: false,
            in_plane: false,
        }
    }
}

/// A linear map found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Found {
    /// From the fixed world to the moving world, RAS mm.
    pub matrix: Matrix4<f64>,
    /// What it started from: the plain start that the settings name, the headers or centres where they leave it open.
    pub initial: Matrix4<f64>,
}
