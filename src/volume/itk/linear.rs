//! Transforms that are affine: `y = M (x - c) + c + t`, with `c` the centre among the fixed parameters.
//!
//! Parameters of each class: ITK's class documentation (`itkEuler3DTransform.h` and its neighbours).

use nalgebra::{Matrix2, Matrix3, Quaternion, Rotation2, Rotation3, UnitQuaternion, Vector3};

use super::super::Dimension;
use super::super::affine_file::WorldAffine;
use super::super::format::quoted;
use super::Stored;

/// With the centre at the origin. A 2-D pull stays 2-D where it keeps to the plane.
pub(super) fn stored(affine: &WorldAffine, dimension: Dimension) -> Stored {
    let lps = affine.flipped().0;
    let axes = match dimension {
        Dimension::Two if affine.is_planar() => 2,
        _ => 3,
    };
    let rows = (0..axes).flat_map(|r| (0..axes).map(move |c| lps[(r, c)]));
    let offset = (0..axes).map(|r| lps[(r, 3)]);
    Stored {
        class: format!("AffineTransform_double_{axes}_{axes}"),
        parameters: rows.chain(offset).collect(),
        fixed: vec![0.0; axes],
    }
}

/// The pull between RAS worlds.
pub(super) fn affine(stored: &Stored, axes: usize) -> Result<WorldAffine, String> {
    let parameters = &stored.parameters[..];
    let (linear, translation) = match (axes, stored.name(), parameters.len()) {
        (_, "IdentityTransform", _) => (Matrix3::identity(), &[0.0; 3][..axes]),
        (_, "TranslationTransform", n) if n == axes => (Matrix3::identity(), parameters),
        (_, "AffineTransform" | "MatrixOffsetTransformBase", n) if n == axes * (axes + 1) => {
            let (matrix, translation) = parameters.split_at(axes * axes);
            (square(matrix, axes), translation)
        }
        (3, "Euler3DTransform", 6) => (euler(stored), &parameters[3..]),
        (3, "VersorTransform", 3) => (versor(parameters)?, &[0.0; 3][..]),
        (3, "VersorRigid3DTransform", 6) => (versor(parameters)?, &parameters[3..]),
        (3, "Similarity3DTransform", 7) => (versor(parameters)? * parameters[6], &parameters[3..6]),
        (2, "Euler2DTransform" | "Rigid2DTransform", 3) => {
            (plane(parameters[0], 1.0), &parameters[1..])
        }
        (2, "Similarity2DTransform", 4) => (plane(parameters[1], parameters[0]), &parameters[2..]),
        (_, _, n) => {
            return Err(format!(
                "transform {} of {n} parameters is none that hmorph reads; save it as AffineTransform or \
                 DisplacementFieldTransform",
                quoted(&stored.class)
            ));
        }
    };
    // Translations have no centre; Euler angles have a flag after it.
    let centre = match stored.fixed.get(..axes) {
        Some(centre) => vector(centre),
        None if linear == Matrix3::identity() => Vector3::zeros(),
        None => {
            return Err(format!(
                "a centre of {} numbers; expected {axes}",
                stored.fixed.len()
            ));
        }
    };
    let offset = vector(translation) + centre - linear * centre;
    Ok(WorldAffine::from_parts(&linear, offset).flipped())
}

fn vector(values: &[f64]) -> Vector3<f64> {
    let mut vector = Vector3::zeros();
    vector.rows_mut(0, values.len()).copy_from_slice(values);
    vector
}

/// A matrix given by rows; in 2-D the third coordinate stays as it is.
fn square(rows: &[f64], axes: usize) -> Matrix3<f64> {
    match axes {
        2 => Matrix2::from_row_slice(rows).to_homogeneous(),
        _ => Matrix3::from_row_slice(rows),
    }
}

fn plane(angle: f64, scale: f64) -> Matrix3<f64> {
    (Rotation2::new(angle).into_inner() * scale).to_homogeneous()
}

/// Angles about x, y and z, applied in the order y, x, z unless the flag after the centre asks for x, y, z.
fn euler(stored: &Stored) -> Matrix3<f64> {
    let axes = [Vector3::x_axis(), Vector3::y_axis(), Vector3::z_axis()];
    let [x, y, z] = [0, 1, 2].map(|n| Rotation3::from_axis_angle(&axes[n], stored.parameters[n]));
    let rotation = match stored.fixed.get(3) {
        Some(&flag) if flag != 0.0 => z * y * x,
        _ => z * x * y,
    };
    rotation.into_inner()
}

/// The rotation whose unit quaternion has this vector part and a real part that is not negative.
fn versor(parameters: &[f64]) -> Result<Matrix3<f64>, String> {
    let part = vector(&parameters[..3]);
    let real = 1.0 - part.norm_squared();
    // The tolerance allows for rounding of a half turn.
    if real < -1e-9 || real.is_nan() {
        return Err("a versor longer than 1; the file is damaged".into());
    }
    let quaternion = Quaternion::from_parts(real.max(0.0).sqrt(), part);
    Ok(UnitQuaternion::from_quaternion(quaternion)
        .to_rotation_matrix()
        .into_inner())
}
