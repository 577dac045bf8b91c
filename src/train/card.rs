//! What the weights of a run say about themselves.

use super::Session;
use crate::config::{LabelOrigin, RunConfig};
use crate::dataset::{Align, Dataset};
use crate::model::ModelCard;
use crate::volume::axis_codes;
use crate::volume::intensity::Normalisation;

/// What weights may be used under that have seen nobody's images: the program's own terms.
const OWN: &str = "MIT OR Apache-2.0";

impl Session {
    /// What weights made in this run say about themselves after `step` steps.
    pub fn card(&self, step: u64) -> ModelCard {
        let data = self.config.data.as_ref();
        let (spacing, orientation) = self.placement();
        let prepared = self.dataset.as_deref().map(Dataset::preprocessing);
        let sources = Sources::of(&self.config, step);
        let started = match &self.start {
            Some(weights) => format!("; started from: {}", weights.card.provenance),
            None => String::new(),
        };
        ModelCard {
            config: self.config.model.clone(),
            shape: Some(self.shape),
            spacing,
            orientation,
            align: data.map_or(Align::Header, |d| d.align),
            normalize: data.map_or_else(Normalisation::default, |d| d.normalize.clone()),
            reference_quantiles: prepared
                .map(|p| p.normaliser.reference_quantiles.clone())
                .unwrap_or_default(),
            licence: licence(
                sources.licence(),
                self.start.as_ref().map(|start| start.card.licence.as_str()),
            ),
            provenance: format!(
                "hmorph {}, {step} steps on {}, seed {}{started}",
                env!("CARGO_PKG_VERSION"),
                sources.names(),
                self.config.seed
            ),
        }
    }

    /// Voxel size and axis directions that every training image was brought to, where they mean anything.
    fn placement(&self) -> (Option<[f64; 3]>, Option<String>) {
        let (Some(data), Some(dataset)) = (&self.config.data, &self.dataset) else {
            return (None, None);
        };
        let Some(geometry) = dataset.items().first().map(|item| &item.geometry) else {
            return (None, None);
        };
        let prepared = dataset.preprocessing();
        // Directions out of headers that mean nothing are not asked of other scans.
        let trusted = data.align != Align::Centre || data.orientation.is_some();
        let directed = trusted && prepared.orientation.is_some();
        (
            prepared.spacing.is_some().then(|| geometry.spacing()),
            directed.then(|| axis_codes(&geometry.affine)),
        )
    }
}

/// What a run has trained on, whatever else its settings describe: real images may only validate, or come later.
struct Sources {
    real: bool,
    /// Origin of the label maps of synthetic images, where any are made.
    synthetic: Option<LabelOrigin>,
}

impl Sources {
    /// After `steps` steps.
    fn of(config: &RunConfig, steps: u64) -> Self {
        let (low, high) = config.mixture.alpha.range_over(steps);
        Self {
            real: high > 0.0,
            synthetic: (low < 1.0).then(|| config.synth_labels.source.clone()),
        }
    }

    fn names(&self) -> String {
        let kinds = match (self.real, &self.synthetic) {
            (true, Some(_)) => "real and synthetic images",
            (true, None) => "real images",
            (false, _) => "synthetic images",
        };
        let origin = match &self.synthetic {
            Some(LabelOrigin::Data) => " (from label maps of the training subjects)",
            Some(LabelOrigin::Files(_)) => " (from given label maps)",
            Some(LabelOrigin::Shapes) | None => "",
        };
        format!("{kinds}{origin}")
    }

    fn licence(&self) -> &'static str {
        let maps = match &self.synthetic {
            // Drawn by somebody, on somebody's scans.
            Some(LabelOrigin::Data | LabelOrigin::Files(_)) => true,
            Some(LabelOrigin::Shapes) | None => false,
        };
        match (self.real, maps) {
            (true, true) => "that of the training images and label maps",
            (true, false) => "that of the training images",
            (false, true) => "that of the label maps",
            (false, false) => OWN,
        }
    }
}

/// What a run's own images allow, and what the weights do that it started from.
fn licence(own: &str, start: Option<&str>) -> String {
    match start {
        Some(theirs) if own == OWN => theirs.into(),
        Some(theirs) if theirs != own && theirs != OWN => {
            format!("{own}; of the weights it started from: {theirs}")
        }
        _ => own.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(text: &str, steps: u64) -> Sources {
        Sources::of(&toml::from_str(text).unwrap(), steps)
    }

    #[test]
    fn what_trains_is_named_not_what_is_described() {
        // Sections for both kinds; alpha decides.
        let both = "[data]\n[synth]\n[mixture]\nalpha = ";
        for (rest, names, licence) in [
            ("1.0", "real images", "that of the training images"),
            ("0.0", "synthetic images", OWN),
            (
                "[[0, 0.0], [10, 1.0]]",
                "real and synthetic images",
                "that of the training images",
            ),
            (
                "0.0\n[synth_labels]\nsource = 'data'",
                "synthetic images (from label maps of the training subjects)",
                "that of the label maps",
            ),
            (
                "0.9\n[synth_labels]\nsource = 'maps/*.nii'",
                "real and synthetic images (from given label maps)",
                "that of the training images and label maps",
            ),
            // No synthetic image is made of the maps.
            (
                "1.0\n[synth_labels]\nsource = 'maps/*.nii'",
                "real images",
                "that of the training images",
            ),
        ] {
            let found = sources(&format!("{both}{rest}"), 11);
            assert_eq!((found.names().as_str(), found.licence()), (names, licence));
        }
    }

    #[test]
    fn what_comes_after_the_last_step_is_not_claimed() {
        let later = "[data]\n[synth]\n[mixture]\nalpha = [[0, 0.0], [10, 0.9]]";
        let said = |steps| {
            let found = sources(later, steps);
            (found.names(), found.licence())
        };
        assert_eq!(said(10), ("synthetic images".into(), OWN));
        let both = (
            "real and synthetic images".into(),
            "that of the training images",
        );
        assert_eq!(said(11), both);
    }

    #[test]
    fn the_licence_of_starting_weights_stays() {
        let images = "that of the training images";
        assert_eq!(licence(OWN, None), OWN);
        assert_eq!(licence(OWN, Some(images)), images);
        assert_eq!(licence(images, Some(OWN)), images);
        assert_eq!(licence(images, Some(images)), images);
        assert_eq!(
            licence(images, Some("CC BY 4.0")),
            "that of the training images; of the weights it started from: CC BY 4.0"
        );
    }
}
