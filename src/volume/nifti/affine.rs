//! Voxel-to-world affine of a NIfTI header, and the quaternion form of an affine.
//!
//! Quaternion conventions: nifti1.h, "method 2"; the choice between forms is nibabel's.

use nalgebra::{Matrix3, Matrix4, Quaternion, Rotation3, UnitQuaternion, Vector3};

use super::super::resample::place;
use super::super::{Affine, World};
use super::header::Header;

/// Forms that place a corner of the grid further apart than this, in voxels, are not the same. Quaternions of float32 are
/// off by several hundredths at the far corner of a large grid where they are close to a half turn.
const SAME_PLACE: f64 = 0.1;

/// sform, else qform, else voxel sizes with x flipped and the centre at the origin; with the world of that form.
pub(super) fn place_of(header: &Header, shape: &[usize]) -> Result<(Affine, World), String> {
    let [of_sform, of_qform] = [header.sform_code, header.qform_code].map(world);
    let (affine, world) = match (sform(header, shape), qform(header, shape)) {
        (Some(Err(_)), Some(Ok(qform))) => (qform, of_qform),
        (Some(sform), _) => (sform?, of_sform),
        (None, Some(qform)) => (qform?, of_qform),
        (None, None) => (base(shape, spacing(header, shape)?), World::ASSUMED),
    };
    Ok((affine, world))
}

/// By the code of a form; one that is too large for NIfTI-1 is none of those known.
fn world(code: i32) -> World {
    i16::try_from(code).map_or(World::ALIGNED, World)
}

/// What is to be said where there is no form, or where there are two and they do not agree.
pub(super) fn note(header: &Header, shape: &[usize]) -> Option<String> {
    let forms = (sform(header, shape), qform(header, shape));
    let (sform, qform) = match forms {
        (None, None) => {
            return Some(
                "states no orientation; LAS is assumed, centred, as nibabel does (ANTs assumes LPS): left and right may be \
                 swapped"
                    .into(),
            );
        }
        (sform, qform) => (sform?, qform?.ok()?),
    };
    match sform {
        Err(problem) => Some(format!("{problem}; the qform is used")),
        Ok(sform) => {
            let apart = apart(&sform, &qform, shape)?;
            (apart > SAME_PLACE).then(|| {
                format!(
                    "sform and qform place its corners up to {apart:.1} voxels apart: the sform is used, as by nibabel, FSL \
                     and FreeSurfer; ITK and ANTs may use the qform"
                )
            })
        }
    }
}

/// How far two affines place the same corner of a grid from each other at most, in voxels.
fn apart(one: &Affine, other: &Affine, shape: &[usize]) -> Option<f64> {
    let change = one.inverse()? * other.0;
    let corner = |n: usize| {
        Vector3::from_fn(|axis, _| match n >> axis & 1 {
            1 => shape.get(axis).map_or(0.0, |&size| size as f64 - 1.0),
            _ => 0.0,
        })
    };
    let distances = (0..8).map(|n| (place(&change, corner(n)) - corner(n)).norm());
    Some(distances.fold(0.0, f64::max))
}

/// `None` where its code says that there is none.
fn sform(header: &Header, shape: &[usize]) -> Option<Result<Affine, String>> {
    (header.sform_code > 0).then(|| from_sform(header, shape))
}

/// As [`sform`].
fn qform(header: &Header, shape: &[usize]) -> Option<Result<Affine, String>> {
    let spaced = || spacing(header, shape).and_then(|spacing| from_qform(header, spacing));
    (header.qform_code > 0).then(spaced)
}

fn from_sform(header: &Header, shape: &[usize]) -> Result<Affine, String> {
    let mut matrix = Matrix4::identity();
    for (r, row) in header.srow.iter().enumerate() {
        for (c, &value) in row.iter().enumerate() {
            matrix[(r, c)] = value;
        }
    }
    complete_slice(&mut matrix, shape);
    Affine::checked(matrix).map_err(|problem| format!("sform {problem}"))
}

/// Some writers leave the third column of a 2-D image empty: the slice normal stands in for it.
fn complete_slice(matrix: &mut Matrix4<f64>, shape: &[usize]) {
    let column = |c| matrix.fixed_view::<3, 1>(0, c).into_owned();
    let missing = shape.get(2).is_none_or(|&n| n == 1) && column(2) == Vector3::zeros();
    if missing && let Some(normal) = column(0).cross(&column(1)).try_normalize(0.0) {
        matrix.fixed_view_mut::<3, 1>(0, 2).copy_from(&normal);
    }
}

/// Voxel sizes; the sign is dropped, and an axis of one voxel may leave its size at 0, which becomes 1.
pub(super) fn spacing(header: &Header, shape: &[usize]) -> Result<[f64; 3], String> {
    let mut spacing = [1.0; 3];
    for (axis, size) in spacing.iter_mut().enumerate() {
        let stored = header.pixdim[axis + 1].abs();
        let single = shape.get(axis).is_none_or(|&n| n == 1);
        *size = match stored {
            s if s > 0.0 && s.is_finite() => s,
            _ if single => 1.0,
            s => {
                return Err(format!(
                    "voxel size pixdim[{}] = {s} and no sform; expected a size in mm above 0",
                    axis + 1
                ));
            }
        };
    }
    Ok(spacing)
}

fn from_qform(header: &Header, spacing: [f64; 3]) -> Result<Affine, String> {
    let rotation = rotation(header.quaternion)?;
    // pixdim[0] is -1 for a left-handed grid; 0 and anything else count as 1.
    let handedness = if header.pixdim[0] == -1.0 { -1.0 } else { 1.0 };
    let scale = Vector3::new(spacing[0], spacing[1], spacing[2] * handedness);
    let linear = rotation * Matrix3::from_diagonal(&scale);
    let affine = Affine::from_parts(linear, Vector3::from(header.offset));
    Affine::checked(affine.0).map_err(|problem| format!("qform {problem}"))
}

/// The rotation of `(b, c, d)`, the vector part of a unit quaternion whose real part is not negative.
fn rotation([b, c, d]: [f64; 3]) -> Result<Matrix3<f64>, String> {
    let real_squared = 1.0 - (b * b + c * c + d * d);
    // The tolerance allows for float32 rounding of a half turn.
    if real_squared < -1e-5 || real_squared.is_nan() {
        return Err(format!(
            "qform quaternion ({b}, {c}, {d}) is longer than 1; the header is damaged"
        ));
    }
    let real = real_squared.max(0.0).sqrt();
    let unit = UnitQuaternion::from_quaternion(Quaternion::new(real, b, c, d));
    Ok(unit.to_rotation_matrix().into_inner())
}

/// nibabel's affine for a header without orientation: x runs right to left, the grid's centre is at 0.
pub(super) fn base(shape: &[usize], spacing: [f64; 3]) -> Affine {
    let steps = [-spacing[0], spacing[1], spacing[2]];
    let origin = [0, 1, 2].map(|axis| {
        let size = shape.get(axis).copied().unwrap_or(1);
        -(size as f64 - 1.0) / 2.0 * steps[axis]
    });
    Affine::from_parts(
        Matrix3::from_diagonal(&Vector3::from(steps)),
        Vector3::from(origin),
    )
}

/// The qform of an affine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Qform {
    pub quaternion: [f64; 3],
    /// 1, or -1 for a left-handed grid.
    pub handedness: f64,
}

impl Qform {
    /// `None` when the axes are not orthogonal: a quaternion cannot express shear.
    pub fn of(affine: &Affine) -> Option<Self> {
        if affine.is_sheared() {
            return None;
        }
        let mut axes = affine.directions();
        let handedness = axes.determinant().signum();
        axes.column_mut(2).scale_mut(handedness);
        let rotation = Rotation3::from_matrix_unchecked(axes);
        let mut unit = UnitQuaternion::from_rotation_matrix(&rotation).into_inner();
        // q and -q are the same rotation; the header can only hold a real part that is not negative.
        if unit.w < 0.0 {
            unit = -unit;
        }
        Some(Self {
            quaternion: [unit.i, unit.j, unit.k],
            handedness,
        })
    }
}
