//! What is written where the moving image says nothing.

use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::volume::Image;
use crate::volume::intensity::finite_range;
use crate::volume::resample::Outside;

/// The value outside the moving image.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Fill {
    Value(f32),
    /// The image's smallest finite value: its background, for MR and CT alike.
    #[default]
    Minimum,
    /// The nearest voxel.
    Edge,
}

impl Fill {
    /// What lies outside `image`.
    pub fn outside(self, image: &Image) -> Outside {
        match self {
            Self::Value(value) => Outside::Value(value),
            Self::Edge => Outside::Edge,
            Self::Minimum => Outside::Value(finite_range(&image.data).map_or(0.0, |(low, _)| low)),
        }
    }
}

impl FromStr for Fill {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "min" => Ok(Self::Minimum),
            "edge" => Ok(Self::Edge),
            _ => match text.parse::<f32>() {
                Ok(value) if value.is_finite() => Ok(Self::Value(value)),
                _ => Err(format!("'{text}': expected a number, min or edge")),
            },
        }
    }
}

impl std::fmt::Display for Fill {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Value(value) => write!(f, "{value}"),
            Self::Minimum => f.write_str("min"),
            Self::Edge => f.write_str("edge"),
        }
    }
}

impl Serialize for Fill {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
