//! Where a search begins: both images at all resolutions, and the maps to start from.

use nalgebra::{Matrix4, Translation3, Vector3};

use super::moments::{Moments, middle};
use super::objective::{Objective, voxel};
use super::pose::Frame;
use super::pyramid::{Level, levels, sizes};
use super::search::{Candidate, Search};
use super::similarity::Similarity;
use super::starts::Sides;
use super::{Masked, Settings};
use crate::error::Result;
use crate::volume::{Geometry, Image, LabelMap};

/// Samples that starts are compared at.
pub(super) const SEARCHED: usize = 6_000;

/// Voxels of the finest level of the fixed image at most: samples need few, windows and descriptors look at all.
fn most_voxels(similarity: Similarity) -> usize {
    match similarity {
        Similarity::Ncc | Similarity::Mse | Similarity::Mi => 800_000,
        Similarity::Lncc | Similarity::Mind => 200_000,
    }
}

/// Where a search begins.
pub(super) struct Beginning<'a> {
    pub pyramids: Pyramids<'a>,
    frame: Frame,
    /// From the fixed to the moving world.
    pub starts: Vec<Matrix4<f64>>,
}

impl<'a> Beginning<'a> {
    /// `uncut` is the grid of the fixed image before anything far from its mask was left out.
    pub fn new(
        fixed: Masked<'a>,
        moving: Masked,
        uncut: &Geometry,
        settings: &Settings,
    ) -> Result<Self> {
        let pyramids = Pyramids::new(fixed, moving, uncut, settings.similarity)?;
        let afar = pyramids.afar(settings.similarity)?;
        let frame = Frame::new(uncut, afar.radius(), settings.in_plane);
        let starts = settings.start.matrices(&Sides {
            frame: &frame,
            grids: [uncut, &moving.image.geometry],
            levels: [&pyramids.fixed[0], &pyramids.moving[0]],
        })?;
        Ok(Self {
            frame,
            starts,
            pyramids,
        })
    }

    /// What the starts lead to on the coarsest level, the best first; `afar` is [`Pyramids::afar`].
    pub fn coarse(&self, afar: &Objective, settings: &Settings) -> Vec<Candidate> {
        let to_world = self.to_world();
        let plain: Vec<_> = self.starts.iter().map(|start| start * to_world).collect();
        self.search(0).coarse(afar, &plain, settings)
    }

    /// What the whole fixed image leads to: a small part of it may lie too far from its place to find it by itself.
    pub fn led_by(
        &self,
        fixed: &Image,
        moving: Masked,
        settings: &Settings,
    ) -> Result<Option<Candidate>> {
        let whole = Masked {
            image: fixed,
            mask: None,
        };
        let wide = Beginning::new(whole, moving, &fixed.geometry, settings)?;
        let afar = wide.pyramids.afar(settings.similarity)?;
        let best = wide.coarse(&afar, settings).into_iter().next();
        Ok(best.map(|(matrix, energy)| (matrix * wide.about_centre() * self.to_world(), energy)))
    }

    pub fn search(&self, level: usize) -> Search {
        Search {
            frame: self.frame,
            size: self.pyramids.sizes[level],
        }
    }

    /// From the fixed world to millimetres about the centre of the fixed image.
    pub fn about_centre(&self) -> Matrix4<f64> {
        Translation3::from(-self.pyramids.centre).to_homogeneous()
    }

    /// The way back.
    fn to_world(&self) -> Matrix4<f64> {
        Translation3::from(self.pyramids.centre).to_homogeneous()
    }
}

/// Both images at all resolutions, from coarse to fine.
pub(super) struct Pyramids<'a> {
    fixed: Vec<Level>,
    moving: Vec<Level>,
    /// Voxel sizes, mm.
    pub sizes: Vec<f64>,
    mask: Option<&'a LabelMap>,
    /// Of the fixed image, world mm: what rotations turn about.
    pub centre: Vector3<f64>,
    /// The volume of the fixed image, also of what lies far from its mask; in 2-D its area.
    whole: f64,
}

impl<'a> Pyramids<'a> {
    /// `uncut` as in [`Beginning::new`].
    pub fn new(
        fixed: Masked<'a>,
        moving: Masked,
        uncut: &Geometry,
        similarity: Similarity,
    ) -> Result<Self> {
        let grids = [fixed, moving].map(|masked| &masked.image.geometry);
        let sizes = sizes(grids[0], grids[1], most_voxels(similarity));
        let levels_of_fixed = levels(fixed, &sizes)?;
        let coarsest = &levels_of_fixed[0];
        let moments = Moments::new(coarsest);
        Ok(Self {
            centre: moments.map_or_else(|| middle(&coarsest.geometry), |moments| moments.centre),
            moving: levels(moving, &sizes)?,
            fixed: levels_of_fixed,
            sizes,
            mask: fixed.mask,
            whole: uncut.voxels() as f64 * voxel(uncut),
        })
    }

    /// What starts are compared by, on the coarsest level.
    pub fn afar(&self, similarity: Similarity) -> Result<Objective<'_>> {
        self.objective(similarity.afar(), 0, SEARCHED)
    }

    pub fn objective(
        &self,
        similarity: Similarity,
        level: usize,
        most: usize,
    ) -> Result<Objective<'_>> {
        let (fixed, moving) = (&self.fixed[level], &self.moving[level]);
        let about = (self.centre, self.whole);
        Objective::new(similarity, fixed, self.mask, moving, about, most)
    }
}
