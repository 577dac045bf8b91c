//! Where a linear registration starts.

use nalgebra::{Matrix3, Matrix4, Translation3, Vector3};

use super::moments::{Moments, between, middle};
use super::pose::Frame;
use super::pyramid::Level;
use crate::error::{Error, Result};
use crate::volume::resample::place;
use crate::volume::{Geometry, codes_to_meet, reoriented};

/// The first guess of a linear map.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Start {
    /// The headers, the centres of the grids and the centres of mass are tried; without `headers`, whose directions and
    /// positions then mean nothing, centres with voxel axis on voxel axis.
    Auto { headers: bool },
    /// Both images where their headers say.
    Header,
    /// The voxel in the centre of one grid on that of the other, voxel axis on voxel axis; a volume that this would mirror is
    /// turned as its header says first.
    Centre,
    /// Centre of mass on centre of mass.
    Mass,
    /// Centres of mass and principal axes, in the four ways that these can meet, the smallest rotation first.
    Moments,
    /// From the fixed world to the moving world.
    Given(Matrix4<f64>),
}

/// What starts are made of.
pub(super) struct Sides<'a> {
    pub frame: &'a Frame,
    /// The grids of the images as they are, whatever masks leave of them.
    pub grids: [&'a Geometry; 2],
    /// The coarsest levels of fixed and moving image.
    pub levels: [&'a Level; 2],
}

impl Start {
    /// The maps from fixed to moving world to compare; the first is what the start plainly means.
    ///
    /// # Errors
    /// Centres of mass of an image without mass where it counts, a grid whose affine has no inverse.
    pub(super) fn matrices(&self, sides: &Sides) -> Result<Vec<Matrix4<f64>>> {
        let header = Matrix4::identity();
        Ok(match self {
            Self::Auto { headers: true } => {
                let [fixed, moving] = sides.grids.map(middle);
                let centre = sides.matched(&header, fixed, moving)?;
                vec![header, centre, sides.masses(&header)?]
            }
            Self::Auto { headers: false } => {
                let centre = sides.centre()?;
                vec![centre, sides.masses(&centre)?]
            }
            Self::Header => vec![header],
            Self::Centre => vec![sides.centre()?],
            Self::Mass => vec![sides.masses(&header)?],
            Self::Moments => sides.moments()?,
            Self::Given(matrix) => vec![*matrix, sides.masses(matrix)?],
        })
    }
}

impl Sides<'_> {
    /// Voxel centres as `register` without a linear stage has them meet: both grids padded about their centre to one
    /// size, halves rounded down.
    fn centre(&self) -> Result<Matrix4<f64>> {
        let [fixed, moving] = self.grids;
        let moving = &match codes_to_meet(fixed, moving) {
            Some(codes) => reoriented(moving, &codes)?,
            None => moving.clone(),
        };
        let shift = Vector3::from_fn(|axis, _| {
            let [f, m] = [fixed, moving].map(|grid| grid.shape[axis]);
            let before = |n: usize| ((f.max(m) - n) / 2) as f64;
            before(f) - before(m)
        });
        Ok(moving.affine.0 * Translation3::from(shift).to_homogeneous() * fixed.to_voxel()?)
    }

    /// `matrix`, moved so that the centres of mass meet.
    fn masses(&self, matrix: &Matrix4<f64>) -> Result<Matrix4<f64>> {
        let [fixed, moving] = self.both_moments()?;
        self.matched(matrix, fixed.centre, moving.centre)
    }

    /// Principal axes on principal axes, the smallest rotation first.
    fn moments(&self) -> Result<Vec<Matrix4<f64>>> {
        let [fixed, moving] = self.both_moments()?;
        let mut turns: Vec<Matrix3<f64>> = between(&fixed, &moving).to_vec();
        turns.retain(|turn| self.frame.keeps_plane(turn));
        if turns.is_empty() {
            return Err(Error::invalid(
                "the principal axes of an image determine no rotation in its plane; choose another start with --init",
            ));
        }
        turns.sort_by(|a, b| b.trace().total_cmp(&a.trace()));
        let meet =
            |turn: Matrix3<f64>| self.matched(&turn.to_homogeneous(), fixed.centre, moving.centre);
        turns.into_iter().map(meet).collect()
    }

    fn both_moments(&self) -> Result<[Moments; 2]> {
        let [fixed, moving] = self.levels.map(Moments::new);
        fixed.zip(moving).map(|(f, m)| [f, m]).ok_or_else(|| {
            Error::invalid("an image has no intensities above its minimum where its mask holds; check image and mask")
        })
    }

    /// `matrix` after a shift of the fixed world: `from` goes to `to`, or as near as it comes within the plane.
    ///
    /// # Errors
    /// A matrix without inverse.
    fn matched(
        &self,
        matrix: &Matrix4<f64>,
        from: Vector3<f64>,
        to: Vector3<f64>,
    ) -> Result<Matrix4<f64>> {
        let back = matrix.try_inverse();
        let back = back.ok_or_else(|| Error::invalid("the start's matrix is singular"))?;
        let shift = self.frame.within(place(&back, to) - from);
        Ok(matrix * Translation3::from(shift).to_homogeneous())
    }
}
