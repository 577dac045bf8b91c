//! ITK's affine transforms: `y = M (x - c) + c + t` between LPS points, as text and as a MATLAB 4 file.

use std::fmt::Write as _;

use nalgebra::{Matrix3, Vector3};

use super::super::Dimension;
use super::super::format::{numbers, quoted};
use super::WorldAffine;
use super::matlab::{self, Variable};

pub(super) const TEXT_START: &str = "#Insight Transform File";
/// Transforms whose parameters are a matrix and a translation.
const AFFINE_CLASSES: [&str; 2] = ["AffineTransform", "MatrixOffsetTransformBase"];

/// What ITK stores: parameters (matrix by rows, then translation) and fixed parameters (the centre).
struct Stored {
    class: String,
    parameters: Vec<f64>,
    centre: Vec<f64>,
}

impl Stored {
    /// With the centre at the origin. A 2-D pull stays 2-D where it keeps to the plane.
    fn of(affine: &WorldAffine, dimension: Dimension) -> Self {
        let lps = affine.flipped().0;
        let flat =
            dimension == Dimension::Two && (0..2).all(|n| lps[(2, n)] == 0.0 && lps[(n, 2)] == 0.0);
        let axes = if flat { 2 } else { 3 };
        let rows = (0..axes).flat_map(|r| (0..axes).map(move |c| lps[(r, c)]));
        let offset = (0..axes).map(|r| lps[(r, 3)]);
        Self {
            class: format!("AffineTransform_double_{axes}_{axes}"),
            parameters: rows.chain(offset).collect(),
            centre: vec![0.0; axes],
        }
    }

    fn affine(&self) -> Result<WorldAffine, String> {
        let name = self.class.split('_').next().unwrap_or_default();
        if !AFFINE_CLASSES.contains(&name) {
            let class = quoted(&self.class);
            return Err(format!(
                "transform {class} is not an affine; save it as AffineTransform"
            ));
        }
        let axes = match (self.parameters.len(), self.centre.len()) {
            (12, 3) => 3,
            (6, 2) => 2,
            (p, c) => {
                return Err(format!(
                    "{p} parameters and a centre of {c} numbers; expected 12 and 3"
                ));
            }
        };
        let (mut linear, mut offset, mut centre) =
            (Matrix3::identity(), Vector3::zeros(), Vector3::zeros());
        for r in 0..axes {
            for c in 0..axes {
                linear[(r, c)] = self.parameters[r * axes + c];
            }
            offset[r] = self.parameters[axes * axes + r];
            centre[r] = self.centre[r];
        }
        let lps = WorldAffine::from_parts(&linear, offset + centre - linear * centre);
        Ok(lps.flipped())
    }
}

pub(super) fn text(affine: &WorldAffine, dimension: Dimension) -> String {
    let stored = Stored::of(affine, dimension);
    let mut text = format!(
        "{TEXT_START} V1.0\n#Transform 0\nTransform: {}\n",
        stored.class
    );
    for (name, values) in [
        ("Parameters", &stored.parameters),
        ("FixedParameters", &stored.centre),
    ] {
        let values: Vec<String> = values.iter().map(f64::to_string).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name}: {}", values.join(" "));
    }
    text
}

pub(super) fn from_text(text: &str) -> Result<WorldAffine, String> {
    if !text.starts_with(TEXT_START) {
        return Err(format!("not an ITK transform: '{TEXT_START}' is missing"));
    }
    let values = |key: &str| -> Result<&str, String> {
        let mut found = text
            .lines()
            .filter_map(|line| line.strip_prefix(key)?.strip_prefix(": "));
        match (found.next(), found.next()) {
            (Some(value), None) => Ok(value.trim()),
            (None, _) => Err(format!("no '{key}' in it; the file is cut off")),
            (Some(_), Some(_)) => {
                Err("several transforms; hmorph reads one affine per file".into())
            }
        }
    };
    let class = values("Transform")?.to_string();
    let stored = Stored {
        class,
        parameters: numbers(values("Parameters")?)?,
        centre: numbers(values("FixedParameters")?)?,
    };
    stored.affine()
}

pub(super) fn binary(affine: &WorldAffine, dimension: Dimension) -> Vec<u8> {
    let Stored {
        class,
        parameters,
        centre,
    } = Stored::of(affine, dimension);
    let fixed = Variable {
        name: "fixed".into(),
        values: centre,
    };
    matlab::write(&[
        Variable {
            name: class,
            values: parameters,
        },
        fixed,
    ])
}

pub(super) fn from_binary(bytes: &[u8]) -> Result<WorldAffine, String> {
    let variables = matlab::read(bytes)?;
    match <[Variable; 2]>::try_from(variables) {
        Ok([transform, fixed]) if fixed.name == "fixed" => {
            let Variable {
                name: class,
                values: parameters,
            } = transform;
            Stored {
                class,
                parameters,
                centre: fixed.values,
            }
            .affine()
        }
        _ => Err("not one ITK affine: expected its parameters and then 'fixed'".into()),
    }
}
