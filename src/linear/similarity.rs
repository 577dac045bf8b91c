//! The closed list of similarities that a registration can maximise.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What makes two images alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Similarity {
    /// Correlation over the image: one contrast, up to brightness and scale.
    Ncc,
    /// Squared correlation in small windows: also uneven brightness.
    Lncc,
    /// Mean squared difference of normalised intensities: the same scanner and protocol.
    Mse,
    /// Mutual information (Mattes et al. 2003): any contrast.
    Mi,
    /// Self-similarity context (Heinrich et al. 2013): any contrast.
    Mind,
}

impl Similarity {
    /// Every one.
    pub const ALL: [Self; 5] = [Self::Ncc, Self::Lncc, Self::Mse, Self::Mi, Self::Mind];

    /// What it is called on the command line and in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ncc => "ncc",
            Self::Lncc => "lncc",
            Self::Mse => "mse",
            Self::Mi => "mi",
            Self::Mind => "mind",
        }
    }

    /// The one that compares starts far from each other: windows and descriptors see only what is near.
    pub(super) fn afar(self) -> Self {
        match self {
            Self::Ncc | Self::Lncc | Self::Mse => Self::Ncc,
            Self::Mi | Self::Mind => Self::Mi,
        }
    }
}

impl FromStr for Similarity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = Self::ALL.into_iter().find(|one| one.name() == text);
        named.ok_or_else(|| "expected ncc, lncc, mse, mi or mind".into())
    }
}
