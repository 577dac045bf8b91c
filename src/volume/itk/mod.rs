//! ITK's transform files: text (`.tfm`, `.txt`), MATLAB 4 (`.mat`) and HDF5 (`.h5`).
//!
//! Each holds transforms by class, parameters and fixed parameters, between LPS points of 2 or 3 coordinates. A
//! composite transform is a first entry without parameters; of its members, which follow, the last one is applied
//! first.

mod displacement;
mod hdf5;
mod linear;
mod matlab;
mod text;

pub(super) use hdf5::{read as read_hdf5, write as write_hdf5};
pub(super) use text::START as TEXT_START;

use super::Dimension;
use super::affine_file::WorldAffine;
use super::format::quoted;
use super::transform_file::Step;
use matlab::Variable;

const COMPOSITE: &str = "CompositeTransform";

/// One transform as a file holds it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stored {
    /// Such as `AffineTransform_double_3_3`: name, precision, and the dimensions of both spaces.
    pub class: String,
    pub parameters: Vec<f64>,
    pub fixed: Vec<f64>,
}

impl Stored {
    /// The class without precision and dimensions.
    fn name(&self) -> &str {
        self.class.split('_').next().unwrap_or_default()
    }

    fn step(&self) -> Result<Step, String> {
        let dimension = match self.class.rsplit('_').next() {
            Some("2") => Dimension::Two,
            Some("3") => Dimension::Three,
            _ => {
                return Err(format!(
                    "transform {} is neither 2-D nor 3-D",
                    quoted(&self.class)
                ));
            }
        };
        let axes = dimension.axes();
        if self.name() == displacement::CLASS {
            return displacement::field(self, axes).map(Step::Field);
        }
        let affine = linear::affine(self, axes)?;
        Ok(Step::Affine { affine, dimension })
    }
}

/// The transforms of a file in the order in which a point goes through them.
pub(super) fn steps(stored: &[Stored]) -> Result<Vec<Step>, String> {
    match stored {
        [] => Err("no transform in it".into()),
        [composite, members @ ..] if composite.name() == COMPOSITE => {
            members.iter().rev().map(Stored::step).collect()
        }
        [single] => Ok(vec![single.step()?]),
        _ => Err(
            "several transforms that are not members of a composite; give them one by one".into(),
        ),
    }
}

pub(super) fn from_text(text: &str) -> Result<Vec<Step>, String> {
    steps(&text::read(text)?)
}

pub(super) fn from_matlab(bytes: &[u8]) -> Result<Vec<Step>, String> {
    let wrong = || "not an ITK transform: expected its parameters and then 'fixed'".to_string();
    let mut stored = Vec::new();
    let mut variables = matlab::read(bytes)?.into_iter();
    while let Some(Variable {
        name: class,
        values: parameters,
    }) = variables.next()
    {
        if class.starts_with("CompositeTransform") {
            return Err("the name of a composite without its parts, which ITK does not write to .mat; write .h5 or .tfm".into());
        }
        let fixed = variables
            .next()
            .filter(|v| v.name == "fixed")
            .ok_or_else(wrong)?;
        stored.push(Stored {
            class,
            parameters,
            fixed: fixed.values,
        });
    }
    steps(&stored)
}

/// An affine as text; that of a 2-D image stays 2-D where it keeps to the plane.
pub(super) fn affine_text(affine: &WorldAffine, dimension: Dimension) -> String {
    text::write(&linear::stored(affine, dimension))
}

/// The same in MATLAB's format.
pub(super) fn affine_matlab(affine: &WorldAffine, dimension: Dimension) -> Vec<u8> {
    let Stored {
        class,
        parameters,
        fixed,
    } = linear::stored(affine, dimension);
    let fixed = Variable {
        name: "fixed".into(),
        values: fixed,
    };
    matlab::write(&[
        Variable {
            name: class,
            values: parameters,
        },
        fixed,
    ])
}
