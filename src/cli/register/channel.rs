//! Further scans of the two subjects that a pair is registered by.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde_json::{Value, json};

use super::file_records::FileRecords;
use crate::cli::reading::Reading;
use crate::cli::scan::ScanFile;
use crate::cli::spacing::PixelSpacing;
use crate::error::Result;
use crate::register::OtherScans;

/// The files of a channel, as `FIXED,MOVING[,WEIGHT]`.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelFiles {
    fixed: PathBuf,
    moving: PathBuf,
    weight: f64,
}

impl FromStr for ChannelFiles {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(',').collect();
        let (fixed, moving, weight) = match parts[..] {
            [fixed, moving] => (fixed, moving, "1"),
            [fixed, moving, weight] => (fixed, moving, weight),
            _ => return Err("expected FIXED,MOVING or FIXED,MOVING,WEIGHT".into()),
        };
        match weight.parse::<f64>() {
            Ok(weight) if weight > 0.0 && weight.is_finite() => Ok(Self {
                fixed: fixed.into(),
                moving: moving.into(),
                weight,
            }),
            _ => Err(format!("weight '{weight}': expected a number above 0")),
        }
    }
}

impl ChannelFiles {
    /// Both files.
    pub fn paths(&self) -> [&Path; 2] {
        [&self.fixed, &self.moving]
    }

    /// For `run.json`.
    pub fn record(&self, files: &FileRecords) -> Value {
        json!({
            "fixed": files.of(&self.fixed), "moving": files.of(&self.moving), "weight": self.weight,
        })
    }

    /// `spacing` is that of pictures, which must lie in the world of the first scans.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn read(&self, spacing: Option<PixelSpacing>) -> Result<ChannelScans> {
        let reading = Reading {
            spacing,
            // It is meant for the intensities of the scans that it was given with.
            window: None,
        };
        let scan = |path: &Path| ScanFile::read(path, None, reading)?.masked(None);
        Ok(ChannelScans {
            fixed: scan(&self.fixed)?,
            moving: scan(&self.moving)?,
            weight: self.weight,
        })
    }
}

impl fmt::Display for ChannelFiles {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let [fixed, moving] = [&self.fixed, &self.moving].map(|path| path.display());
        write!(f, "{fixed}, {moving}, weight {}", self.weight)
    }
}

/// The content of the files of a channel.
pub struct ChannelScans {
    fixed: ScanFile,
    moving: ScanFile,
    weight: f64,
}

impl ChannelScans {
    /// As the library wants it.
    pub fn scans(&self) -> OtherScans<'_> {
        OtherScans {
            fixed: self.fixed.scan(),
            moving: self.moving.scan(),
            weight: self.weight,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_two_files_and_a_weight() {
        let expected = ChannelFiles {
            fixed: "a.nii".into(),
            moving: "b.nii".into(),
            weight: 0.5,
        };
        assert_eq!("a.nii,b.nii,0.5".parse(), Ok(expected));
        for wrong in ["a.nii", "a,b,0", "a,b,-1", "a,b,nan", "a,b,1,2"] {
            assert!(wrong.parse::<ChannelFiles>().is_err(), "{wrong}");
        }
    }
}
