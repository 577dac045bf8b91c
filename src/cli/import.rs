//! `hmorph import` and `hmorph export`: weights from other programs and for them.

use std::path::{Path, PathBuf};

use anyhow::ensure;

use super::Common;
use super::output::check_file;
use crate::interop::{self, ImportOptions, SUPPORTED};
use crate::model::{ModelConfig, TransformKind};

/// Make a weights file of hmorph from weights of another program
#[derive(Debug, clap::Args)]
#[command(after_help = format!("\
Examples:
  hmorph import vxm_dense_brain_T1_3D_mse.h5 -o brain.safetensors
  hmorph import state_dict.pt -o mine.safetensors --int-steps 7 --int-downsize 2
  hmorph register a.nii.gz b.nii.gz --model 0200.pt        the same without a file between
  hmorph import runs/mine/best.safetensors -o small.safetensors --half

Networks that are read:
{SUPPORTED}

The architecture comes from the shapes of the layers; integration from the names of layers (.h5) and
the stored configuration, where there is one. Intensities are scaled to [0, 1] (min-max), as
VoxelMorph expects them; register with --normalize none --init none --refine 0 runs the bare
network. Weights of Keras take the nearest voxel outside an image, those of PyTorch zeros, as these
programs do."))]
pub struct ImportArgs {
    /// Weights: .h5 of Keras, .pt of PyTorch, .safetensors of hmorph
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Weights file to write
    #[arg(short, long, value_name = "FILE")]
    pub out: PathBuf,
    /// Squarings of the velocity, where the file does not say it; 0: the network predicts the displacement
    #[arg(long, value_name = "N")]
    pub int_steps: Option<usize>,
    /// How many times coarser than the image the integrated velocity is, where the file does not say it
    #[arg(long, value_name = "N")]
    pub int_downsize: Option<usize>,
    /// Store the weights in half precision: half the size
    #[arg(long)]
    pub half: bool,
}

/// Write a model for VoxelMorph's PyTorch code
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hmorph export runs/brains/best.safetensors -o brains.pt
    in Python: voxelmorph.torch.networks.VxmDense.load('brains.pt', 'cpu')
  hmorph export runs/brains/best.safetensors -o state.safetensors
    in Python: model.load_state_dict(safetensors.torch.load_file('state.safetensors'), strict=False)

The names are those of VxmDense in voxelmorph 0.2; weights of 2-D networks have rank 4. VxmDense
works on images of one size, which --shape gives; that of the training images is the default. Each
axis is a multiple of 2 to the number of levels: pad images to it. What hmorph does to images before
its network is left to you, and told when the file is written.")]
pub struct ExportArgs {
    /// Weights file of hmorph, or one that it imports
    #[arg(value_name = "MODEL")]
    pub model: PathBuf,
    /// File to write: .pt, or the state dict alone as .safetensors
    #[arg(short, long, value_name = "FILE")]
    pub out: PathBuf,
    /// Size of the images in voxels, two or three numbers
    #[arg(long, value_name = "I,J,K", value_delimiter = ',')]
    pub shape: Option<Vec<usize>>,
}

/// Runs `hmorph import`.
///
/// # Errors
/// A file that cannot be read, or an unsupported network.
pub fn run(args: &ImportArgs, common: &Common) -> anyhow::Result<()> {
    check_target(&args.out, &["safetensors"], common)?;
    let options = ImportOptions {
        int_steps: args.int_steps,
        int_downsize: args.int_downsize,
    };
    let imported = interop::read(&args.file, options)?;
    for note in &imported.notes {
        common.say(format!("note: {note}"));
    }
    let config = &imported.weights.card.config;
    match args.half {
        true => imported.weights.write_half(&args.out)?,
        false => imported.weights.write(&args.out)?,
    }
    common.say(format!("network  {}", describe(config)));
    common.say(format!("written  {}", args.out.display()));
    Ok(())
}

/// Runs `hmorph export`.
///
/// # Errors
/// A network that VoxelMorph's PyTorch code cannot hold.
pub fn run_export(args: &ExportArgs, common: &Common) -> anyhow::Result<()> {
    check_target(&args.out, &["pt", "pth", "safetensors"], common)?;
    let weights = interop::read_weights(&args.model)?;
    let axes = weights.card.config.dimension.axes();
    let shape = args.shape.as_deref().map(|shape| match *shape {
        [i, j] if axes == 2 => Ok([i, j, 1]),
        [i, j, k] if axes == 3 => Ok([i, j, k]),
        _ => Err(anyhow::anyhow!(
            "--shape: {} numbers for a {axes}-D network; expected {axes}",
            shape.len()
        )),
    });
    let exported = interop::export(&weights, shape.transpose()?)?;
    for note in &exported.notes {
        common.say(format!("note: {note}"));
    }
    exported.write(&args.out)?;
    common.say(format!("written  {}", args.out.display()));
    Ok(())
}

fn check_target(path: &Path, suffixes: &[&str], common: &Common) -> anyhow::Result<()> {
    let suffix = path.extension().and_then(|s| s.to_str());
    ensure!(
        suffix.is_some_and(|suffix| suffixes.contains(&suffix)),
        "{}: expected a name that ends in .{}",
        path.display(),
        suffixes.join(", .")
    );
    Ok(check_file(path, common.force)?)
}

fn describe(config: &ModelConfig) -> String {
    let output = match config.transform {
        TransformKind::Displacement => "displacement".to_string(),
        TransformKind::Velocity => format!(
            "velocity, {} squarings on a grid {} times coarser",
            config.int_steps, config.int_downsize
        ),
    };
    format!(
        "{}-D, {} encoder {:?}, decoder {:?}, {output}",
        config.dimension.axes(),
        serde_json::json!(config.encoder)
            .as_str()
            .unwrap_or_default(),
        config.encoder_features,
        config.decoder_features,
    )
}
