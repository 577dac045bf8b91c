//! Synthetic training pairs: label maps to images, after SynthMorph (Hoffmann et al., TMI 2022) and
//! HybridMorph (Roy et al., NCVPRIPG 2025).
//!
//! A label map (random shapes, or a given one) is deformed twice; each deformed map becomes an image
//! by random intensities and acquisition artefacts; the true field between the two is known.
//! [`make_pair`] is a function of (seed, index): worker threads may make pairs in any order. A [`Recipe`] makes the same
//! pair by the array operations of any [`Engine`]; only the noise of single voxels may be another sample there.

mod affine;
mod artefact;
mod augment;
mod config;
mod contrast;
mod deform;
mod engine;
mod grid;
mod host;
mod labels;
mod noise;
mod paint;
mod pair;
mod preview;
mod range;
mod seeds;
mod shapes;
#[cfg(test)]
mod tests;
mod write;

pub use affine::AffineConfig;
pub use artefact::{
    Artefact, BiasConfig, BlurConfig, CropConfig, GammaConfig, NoiseConfig, ThicknessConfig,
};
pub use augment::{AugmentConfig, AugmentImage};
pub use config::SynthConfig;
pub use contrast::{ContrastConfig, Sharing, Tissue};
pub use deform::DeformationConfig;
pub use engine::{Channel, Engine, Lattice, VoxelNoise};
pub use grid::Grid;
pub use host::Host;
pub use labels::{GivenMap, LabelSource};
pub use pair::{Made, Recipe, SynthPair, make_pair};
pub use preview::{PreviewRow, preview_sheet};
pub use range::Range;
pub use shapes::ShapesConfig;
pub use write::SynthSet;
