//! What a command line says of the images of a pair that their files do not.

use std::str::FromStr;

use serde::Serialize;

use super::options::{INPUTS, given};
use super::spacing::PixelSpacing;
use crate::error::{Error, Result};
use crate::volume::Image;
use crate::volume::intensity::finite_range;

/// How the images of a pair are read.
#[derive(Debug, Clone, Copy, Default, Serialize, clap::Args)]
#[command(next_help_heading = INPUTS)]
pub struct ReadArgs {
    /// Pixel size in mm of PNG and numpy images, which have none: one number or one per axis [default: 1]
    #[arg(long, value_name = "MM", visible_alias = "pixel-spacing")]
    pub spacing: Option<PixelSpacing>,
    /// Clip intensities to this range, in the unit of the files, before the images are compared: -150,250 shows soft
    /// tissue of CT (HU). Moved images keep their intensities [default: none; outliers are clipped by percentiles]
    #[arg(long, value_name = "LO,HI", allow_hyphen_values = true)]
    pub window: Option<Window>,
    /// The window of FIXED, where MOVING has another or none
    #[arg(long, value_name = "LO,HI", allow_hyphen_values = true)]
    #[arg(conflicts_with = "window")]
    pub fixed_window: Option<Window>,
    /// The window of MOVING, where FIXED has another or none
    #[arg(long, value_name = "LO,HI", allow_hyphen_values = true)]
    #[arg(conflicts_with = "window")]
    pub moving_window: Option<Window>,
}

/// How one image is read.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reading {
    pub spacing: Option<PixelSpacing>,
    pub window: Option<Window>,
}

impl ReadArgs {
    /// The names of the options that were given.
    pub fn given(&self) -> Vec<&'static str> {
        given([
            ("--spacing", self.spacing.is_some()),
            ("--window", self.window.is_some()),
            ("--fixed-window", self.fixed_window.is_some()),
            ("--moving-window", self.moving_window.is_some()),
        ])
    }

    pub fn fixed(&self) -> Reading {
        Reading {
            spacing: self.spacing,
            window: self.fixed_window.or(self.window),
        }
    }

    pub fn moving(&self) -> Reading {
        Reading {
            spacing: self.spacing,
            window: self.moving_window.or(self.window),
        }
    }
}

/// A range of intensities.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Window([f32; 2]);

impl Window {
    /// Clips the image, which messages call `name`; what is not finite stays so.
    ///
    /// # Errors
    /// An image that has no contrast within the window.
    pub fn clip(self, name: &str, image: &mut Image) -> Result<()> {
        let Self([low, high]) = self;
        let before = finite_range(&image.data);
        let clipped = |value: f32| match value.is_finite() {
            true => value.clamp(low, high),
            false => value,
        };
        image.data.mapv_inplace(clipped);
        let after = finite_range(&image.data);
        let contrast = |range: Option<(f32, f32)>| range.filter(|(least, most)| least < most);
        if let (Some((least, most)), None) = (contrast(before), contrast(after)) {
            let problem = format!(
                "nothing is left between the ends of the window {low},{high}: values go from {least} to {most}; \
                 choose another"
            );
            return Err(Error::file(name, problem));
        }
        Ok(())
    }
}

impl FromStr for Window {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let ends: Result<Vec<f32>, _> = text.split(',').map(|end| end.trim().parse()).collect();
        match ends.as_deref() {
            Ok(&[low, high]) if low < high && low.is_finite() && high.is_finite() => {
                Ok(Self([low, high]))
            }
            _ => Err("expected two numbers, the lower one first, as -150,250".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::{Affine, Dimension, Geometry};
    use ndarray::Array3;

    #[test]
    fn a_window_is_two_numbers_in_order() {
        assert_eq!(
            "-150, 250".parse::<Window>().unwrap(),
            Window([-150.0, 250.0])
        );
        for text in [
            "1", "2,1", "1,1", "a,2", "1,2,3", "1,a,2", "1,,2", "1,inf", "NaN,2", "",
        ] {
            assert!(text.parse::<Window>().is_err(), "{text}");
        }
    }

    #[test]
    fn only_what_lies_outside_changes() {
        let geometry = Geometry::new([4, 1, 1], Dimension::Three, Affine::identity());
        let values = [-1000.0, 3.5, 400.0, f32::NAN];
        let mut image = Image {
            data: Array3::from_shape_fn((4, 1, 1), |(i, ..)| values[i]),
            geometry,
        };
        let blank = Window([500.0, 600.0])
            .clip("ct.nii", &mut image.clone())
            .unwrap_err();
        assert!(blank.to_string().contains("-1000 to 400"), "{blank}");
        Window([-150.0, 250.0]).clip("ct.nii", &mut image).unwrap();
        let found = image.to_vec();
        assert_eq!(found[..3], [-150.0, 3.5, 250.0]);
        assert!(found[3].is_nan());
    }
}
