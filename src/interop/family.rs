//! Which networks are read, and which are known but not.

use regex::Regex;

/// The families of networks that are read, for help texts and messages.
pub const SUPPORTED: &str = "\
  Keras .h5 (weights or whole model): VxmDense of VoxelMorph, 2-D and 3-D, as HybridMorph and
    SynthMorph save it too
  PyTorch .pt: VxmDense of voxelmorph 0.2 (VxmDense.save, or a state dict); the strided network of
    CVPR 2018 (vm1, vm2)
  one channel an image, one convolution a level";

/// Networks that are known by the names of their layers but not read: a pattern, and what it is.
const KERAS: &[(&str, &str)] = &[
    (
        "hyp_dense|hypernet|hyper",
        "HyperMorph, whose weights depend on a hyperparameter",
    ),
    ("^resfix_", "a U-Net with residual blocks"),
    (
        r"(enc|dec)_conv_\d+_[1-9]\d*$",
        "a U-Net with several convolutions a level",
    ),
    (
        r"^(conv[123]d|leaky_re_lu)(_\d+)?$",
        "VoxelMorph of CVPR 2018 in Keras, whose strided convolutions pad on one side only",
    ),
    (
        "atlas|mean_stream|pheno",
        "VoxelMorph's network of templates",
    ),
    (
        r"^dense(_\d+)?$|affine|det_",
        "a network of affine registration",
    ),
    (
        "mu_vol|logsigmasq",
        "VoxelMorph's probabilistic atlas segmentation",
    ),
    (
        "^(vars|_layer_checkpoint_dependencies)$",
        "a Keras 3 .weights.h5 file, which lacks the names of layers; save the whole model as .h5",
    ),
];

const TORCH: &[(&str, &str)] = &[
    (
        r"^transformer\.(patch_embed|layers|pos_drop)|^reg_head\.",
        "TransMorph",
    ),
    (
        r"^unet_model\.(downarm|uparm|extras)\.",
        "VoxelMorph's PyTorch code before 0.2, whose encoder is strided with one decoder convolution a level",
    ),
    (
        r"^unet_model\.(encoder|decoder)\.\d+\.[1-9]\d*\.",
        "a U-Net with several convolutions a level",
    ),
    (
        "hyp",
        "HyperMorph, whose weights depend on a hyperparameter",
    ),
    (r"^regis_net\.|^phi_", "ICON or GradICON"),
    (
        r"^disp_optimizer|^(model\.)?unet\.(down|up)",
        "the rewritten VoxelMorph (VxmPairwise)",
    ),
];

/// What a Keras file with this layer is, if it is known and not supported.
pub fn keras(layer: &str) -> Option<&'static str> {
    named(layer, KERAS)
}

/// What a PyTorch file with this parameter is, if it is known and not supported.
pub fn torch(parameter: &str) -> Option<&'static str> {
    named(parameter, TORCH)
}

fn named(name: &str, families: &[(&str, &'static str)]) -> Option<&'static str> {
    let matches = |pattern: &str| Regex::new(pattern).is_ok_and(|regex| regex.is_match(name));
    let found = families.iter().find(|(pattern, _)| matches(pattern));
    found.map(|(_, family)| *family)
}

/// The one line for a layer that is not understood.
pub fn refusal(kind: &str, name: &str, family: Option<&str>) -> String {
    match family {
        Some(family) => format!(
            "{kind} {name:?} belongs to {family}; hmorph cannot use that network (hmorph import --help lists what it reads)"
        ),
        None => format!(
            "{kind} {name:?} is unknown; hmorph reads the networks that hmorph import --help lists"
        ),
    }
}
