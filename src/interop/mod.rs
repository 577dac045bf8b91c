//! Registration networks of other programs: VoxelMorph's Keras and PyTorch files, and networks written for it.
//!
//! A reader turns a file into a [`network::ForeignNetwork`]: its convolutions by their place in the U-Net and what the
//! file says about integration. From that the architecture is recovered and our weights are made.

mod family;
mod keras;
mod network;
mod pickle;
mod torch;
mod torch_file;

pub use family::SUPPORTED;
pub use torch_file::{Exported, export};

use std::path::Path;

use crate::error::{Error, Result};
use crate::model::WeightsFile;

/// What a file of weights alone may not say; what it says cannot be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ImportOptions {
    /// Squarings of the velocity; 0 for a network that predicts the displacement itself.
    pub int_steps: Option<usize>,
    /// How many times coarser than the image the integrated velocity is.
    pub int_downsize: Option<usize>,
}

/// Weights with remarks on what was assumed about them.
#[derive(Debug, Clone)]
pub struct Imported {
    pub weights: WeightsFile,
    pub notes: Vec<String>,
}

/// The formats of weights files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Container {
    Ours,
    Keras,
    Torch,
}

/// Reads weights of hmorph, of Keras (`.h5`) or of PyTorch (`.pt`).
///
/// # Errors
/// A file that cannot be read, or a network of an unsupported family, which is named (see [`SUPPORTED`]); options that
/// contradict the file.
pub fn read(path: &Path, options: ImportOptions) -> Result<Imported> {
    let foreign = match container(path)? {
        Container::Ours if options != ImportOptions::default() => {
            return Err(Error::file(
                path,
                "a file of hmorph says itself how its output is integrated; leave --int-steps and --int-downsize out",
            ));
        }
        Container::Ours => {
            let weights = WeightsFile::read(path)?;
            return Ok(Imported {
                weights,
                notes: Vec::new(),
            });
        }
        Container::Keras => keras::read(path),
        Container::Torch => torch::read(path),
    };
    foreign
        .and_then(|network| network.into_weights(options))
        .map_err(|problem| Error::file(path, problem))
}

/// Reads weights as [`read`] does, taking what their file leaves open as VoxelMorph has it.
pub fn read_weights(path: &Path) -> Result<WeightsFile> {
    Ok(read(path, ImportOptions::default())?.weights)
}

/// Whether the file holds weights of another program; HDF5 holds other things as well, such as transforms.
///
/// # Errors
/// A file that cannot be opened.
pub fn is_foreign(path: &Path) -> Result<bool> {
    Ok(match container(path)? {
        Container::Keras => keras::holds_layers(path),
        Container::Torch => true,
        Container::Ours => false,
    })
}

/// By the first bytes of the file, and by its name where these say little.
fn container(path: &Path) -> Result<Container> {
    let mut start = [0; 8];
    let length = read_start(path, &mut start).map_err(|e| Error::io(path, e))?;
    let suffix = path.extension().and_then(|s| s.to_str());
    let suffix = suffix.unwrap_or_default().to_lowercase();
    Ok(match (&start[..length], suffix.as_str()) {
        (b"\x89HDF\r\n\x1a\n", _) | (_, "h5" | "hdf5" | "keras") => Container::Keras,
        ([b'P', b'K', 3, 4, ..], _) | (_, "pt" | "pth" | "ckpt" | "tar") => Container::Torch,
        _ => Container::Ours,
    })
}

fn read_start(path: &Path, start: &mut [u8]) -> std::io::Result<usize> {
    use std::io::Read;
    let mut file = std::fs::File::open(path)?;
    let mut length = 0;
    while length < start.len() {
        match file.read(&mut start[length..])? {
            0 => break,
            read => length += read,
        }
    }
    Ok(length)
}
