//! Settings of the synthesis, as they stand under `[synth]` in a TOML file.

use serde::{Deserialize, Serialize};

use super::artefact::{
    Artefact, BiasConfig, BlurConfig, CropConfig, GammaConfig, NoiseConfig, ThicknessConfig,
};
use super::contrast::ContrastConfig;
use super::deform::DeformationConfig;
use super::range::{NOT_NEGATIVE, check_number};
use super::shapes::ShapesConfig;
use crate::error::Result;

/// Everything random about a synthetic pair, with its ranges.
///
/// Ranges are `[low, high]`, drawn from uniformly. Lengths "at `reference_size`" belong to the shape of
/// objects and deformations and follow the size of the image; lengths in plain voxels belong to the
/// acquisition and do not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SynthConfig {
    /// Side (voxels; geometric mean over the axes) of the image that lengths are given for. On an image
    /// of another side they are multiplied by the square root of the ratio: kept in voxels, they would
    /// fill a small image with one object; kept in proportion, they would shred it. Default 256, the
    /// size of the SynthMorph shapes demo. 0 takes lengths as they are.
    pub reference_size: f64,
    pub shapes: ShapesConfig,
    pub deformation: DeformationConfig,
    pub contrast: ContrastConfig,
    pub blur: BlurConfig,
    pub bias: BiasConfig,
    pub thickness: ThicknessConfig,
    pub noise: NoiseConfig,
    pub gamma: GammaConfig,
    pub crop: CropConfig,
}

impl Default for SynthConfig {
    fn default() -> Self {
        Self {
            reference_size: 256.0,
            shapes: ShapesConfig::default(),
            deformation: DeformationConfig::default(),
            contrast: ContrastConfig::default(),
            blur: BlurConfig::default(),
            bias: BiasConfig::default(),
            thickness: ThicknessConfig::default(),
            noise: NoiseConfig::default(),
            gamma: GammaConfig::default(),
            crop: CropConfig::default(),
        }
    }
}

impl SynthConfig {
    /// The first setting that cannot be used, named with what was expected and found.
    pub fn check(&self) -> Result<()> {
        check_number("reference_size", self.reference_size, NOT_NEGATIVE)?;
        self.shapes.check()?;
        self.deformation.check()?;
        self.contrast.check()?;
        Artefact::check_all(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::contrast::Sharing;
    use crate::synth::range::Range;

    #[test]
    fn toml_round_trip_keeps_every_setting() {
        let mut config = SynthConfig::default();
        config.contrast.pair = Sharing::Independent;
        config.deformation.affine.rotation = Range::new(-12.5, 0.1);
        config.crop.prob = 0.3;
        let text = toml::to_string(&config).unwrap();
        assert_eq!(toml::from_str::<SynthConfig>(&text).unwrap(), config);
    }

    #[test]
    fn an_empty_table_is_the_default() {
        assert_eq!(
            toml::from_str::<SynthConfig>("").unwrap(),
            SynthConfig::default()
        );
        SynthConfig::default().check().unwrap();
    }

    #[test]
    fn unknown_keys_are_refused_in_every_section() {
        let whole = toml::Table::try_from(SynthConfig::default()).unwrap();
        let mut places = vec!["".to_string(), "deformation.affine".to_string()];
        places.extend(
            whole
                .iter()
                .filter(|(_, v)| v.is_table())
                .map(|(k, _)| k.clone()),
        );
        assert_eq!(
            places.len(),
            11,
            "a section is missing from the test: {places:?}"
        );
        for place in places {
            let header = if place.is_empty() {
                String::new()
            } else {
                format!("[{place}]\n")
            };
            let text = format!("{header}nonsense = 1\n");
            let error = toml::from_str::<SynthConfig>(&text)
                .unwrap_err()
                .to_string();
            assert!(error.contains("nonsense"), "[{place}]: {error}");
        }
    }

    #[test]
    fn settings_out_of_range_are_named() {
        for (text, name) in [
            ("reference_size = -1.0", "reference_size"),
            ("[shapes]\nlabels = 1", "shapes.labels"),
            ("[shapes]\nscales = []", "shapes.scales"),
            ("[shapes]\nwarp_sd = [3.0, 1.0]", "shapes.warp_sd"),
            ("[deformation]\nvelocity_scales = [0.0]", "velocity_scales"),
            ("[deformation]\nintegration_steps = 99", "integration_steps"),
            ("[deformation.affine]\nscale = [0.0, 1.0]", "affine.scale"),
            ("[contrast]\nmean = [0.0, 255.0]", "contrast.mean"),
            ("[blur]\nprob = 1.5", "blur.prob"),
            ("[gamma]\nlog_sd = nan", "gamma.log_sd"),
            ("[gamma]\nlog_sd = 5.0", "gamma.log_sd"),
            (
                "[deformation.affine]\ntranslation = [3.0, 1.0]",
                "affine.translation",
            ),
            ("[thickness]\nvoxels = [0.0, 2.0]", "thickness.voxels"),
            // More than 32-bit floats hold.
            (
                "[deformation]\nvelocity_sd = [1e39, 1e39]",
                "deformation.velocity_sd",
            ),
            ("[shapes]\nnoise_sd = [0.0, 1e39]", "shapes.noise_sd"),
            ("[shapes]\nwarp_sd = [0.0, 1e39]", "shapes.warp_sd"),
            (
                "[deformation.affine]\ntranslation = [-1e39, 0.0]",
                "affine.translation",
            ),
        ] {
            let config: SynthConfig = toml::from_str(text).unwrap();
            let error = config.check().unwrap_err().to_string();
            assert!(
                error.contains(name) && error.contains("expected") && error.len() < 150,
                "{text}: {error}"
            );
            // Only what is a range is told to be one.
            let range = text.contains(", ");
            assert_eq!(error.contains("[low, high]"), range, "{text}: {error}");
        }
    }
}
