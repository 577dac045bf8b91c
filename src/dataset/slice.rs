//! Which slice of a volume a 2-D study uses, in anatomical terms.

use std::fmt;
use std::str::FromStr;

/// Anatomical plane of a slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plane {
    /// Across the inferior-superior axis.
    Axial,
    /// Across the posterior-anterior axis.
    Coronal,
    /// Across the left-right axis.
    Sagittal,
}

impl Plane {
    const NAMES: [(&str, Plane); 3] = [
        ("axial", Self::Axial),
        ("coronal", Self::Coronal),
        ("sagittal", Self::Sagittal),
    ];

    /// The RAS axis that the plane is perpendicular to: 0 right, 1 anterior, 2 superior.
    pub fn normal(self) -> usize {
        match self {
            Self::Sagittal => 0,
            Self::Coronal => 1,
            Self::Axial => 2,
        }
    }

    fn name(self) -> &'static str {
        Self::NAMES[2 - self.normal()].0
    }
}

/// A slice at a fraction of the volume's extent, written `axial:0.5`.
///
/// The fraction runs from left to right, posterior to anterior or inferior to superior, whatever
/// order the file stores its voxels in.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Slice {
    pub plane: Plane,
    /// 0 (first slice) to 1 (last slice).
    pub position: f64,
}

impl Slice {
    /// Index of the slice among `n`, counted in the direction of the fraction.
    pub fn index(&self, n: usize) -> usize {
        ((self.position * n as f64) as usize).min(n.saturating_sub(1))
    }
}

impl FromStr for Slice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("slice: expected PLANE:FRACTION such as axial:0.5, found `{text}`");
        let (plane, position) = text.split_once(':').ok_or_else(wrong)?;
        let (_, plane) = Plane::NAMES
            .into_iter()
            .find(|(name, _)| *name == plane.trim())
            .ok_or_else(|| {
                format!(
                    "slice: expected axial, coronal or sagittal before the colon, found `{plane}`"
                )
            })?;
        let position: f64 = position.trim().parse().map_err(|_| wrong())?;
        if !(0.0..=1.0).contains(&position) {
            return Err(format!(
                "slice: expected a fraction from 0 to 1 after the colon, found {position}"
            ));
        }
        Ok(Self { plane, position })
    }
}

impl TryFrom<String> for Slice {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for Slice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.plane.name(), self.position)
    }
}

impl From<Slice> for String {
    fn from(slice: Slice) -> Self {
        slice.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_survives_a_round_trip() {
        for text in ["axial:0.5", "coronal:0", "sagittal:1"] {
            assert_eq!(text.parse::<Slice>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn nonsense_is_refused_with_the_reason() {
        for (text, reason) in [
            ("axial", "PLANE:FRACTION"),
            ("oblique:0.5", "coronal or sagittal"),
            ("axial:1.5", "0 to 1"),
            ("axial:NaN", "0 to 1"),
            ("axial:half", "PLANE:FRACTION"),
        ] {
            let problem = text.parse::<Slice>().unwrap_err();
            assert!(problem.contains(reason), "{text}: {problem}");
        }
    }

    #[test]
    fn the_fraction_covers_all_slices() {
        let at = |position| {
            Slice {
                plane: Plane::Axial,
                position,
            }
            .index(160)
        };
        // Slice 80 of 160 is how the public 2-D LPBA40 study states its middle slice.
        assert_eq!((at(0.0), at(0.5), at(1.0)), (0, 80, 159));
    }
}
