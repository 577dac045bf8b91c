//! Distances between the surfaces of a structure: HD95 and mean surface distance.
//!
//! As in DeepMind's `surface-distance` (Nikolov et al. 2018), which Learn2Reg and LUMIR use: surface
//! elements sit at the corners between voxels that are neither all inside nor all outside (outside the
//! grid is outside the structure), each weighted by its area; the distance of an element is to the
//! nearest element of the other surface.

use super::edt::squared_distance;
use super::labels::{Tally, tally, wanted};
use super::surfel;
use crate::error::Result;
use crate::volume::Dimension;
use ndarray::Array3;
use rayon::prelude::*;

/// Distances between the surfaces of one structure, in the units of the spacing given.
#[derive(Debug, Clone, PartialEq)]
pub struct SurfaceDistances {
    pub label: i32,
    /// `(distance, area)` of each element of the fixed surface, ascending; distances are infinite
    /// where the moved map lacks the structure.
    pub fixed_to_moved: Vec<(f64, f64)>,
    /// The same from the moved surface to the fixed one.
    pub moved_to_fixed: Vec<(f64, f64)>,
}

impl SurfaceDistances {
    /// Robust Hausdorff distance: the larger of the two directed percentiles, weighted by area.
    ///
    /// `percent` is 0..100 (95 for HD95). Infinite where only one map has the structure, `NaN` where
    /// neither has.
    pub fn hausdorff(&self, percent: f64) -> f64 {
        if self.fixed_to_moved.is_empty() && self.moved_to_fixed.is_empty() {
            return f64::NAN;
        }
        percentile(&self.fixed_to_moved, percent).max(percentile(&self.moved_to_fixed, percent))
    }

    /// Symmetric mean: all elements of both surfaces, weighted by area. Infinite where only one map
    /// has the structure, `NaN` where neither has.
    pub fn mean(&self) -> f64 {
        let both = || self.fixed_to_moved.iter().chain(&self.moved_to_fixed);
        let area: f64 = both().map(|(_, area)| area).sum();
        both().map(|(distance, area)| distance * area).sum::<f64>() / area
    }
}

/// Surface distances of each of `labels`; without a list, of every label of `fixed` but 0, ascending.
///
/// `spacing` is the voxel size along `(i, j, k)`: millimetres give millimetres, ones give voxels. In
/// 2-D the surface is the contour.
///
/// # Errors
/// The two maps differ in shape.
pub fn surface_distances(
    fixed: &Array3<i32>,
    moved: &Array3<i32>,
    labels: Option<&[i32]>,
    spacing: [f64; 3],
    dimension: Dimension,
) -> Result<Vec<SurfaceDistances>> {
    let found = tally(fixed, moved)?;
    let areas = surfel::areas(dimension, spacing);
    Ok(wanted(&found, labels)
        .into_par_iter()
        .map(|label| match found.get(&label) {
            Some(tally) => {
                let corners = Corners::around(tally, dimension);
                let elements = [fixed, moved].map(|map| corners.codes(map, label));
                distances(label, &elements, &corners, &areas, spacing)
            }
            None => SurfaceDistances {
                label,
                fixed_to_moved: Vec::new(),
                moved_to_fixed: Vec::new(),
            },
        })
        .collect())
}

/// The corners between and around the voxels of a box.
struct Corners {
    low: [usize; 3],
    voxels: [usize; 3],
    shape: [usize; 3],
    dimension: Dimension,
}

impl Corners {
    fn around(tally: &Tally, dimension: Dimension) -> Self {
        let voxels = [0, 1, 2].map(|axis| tally.high[axis] - tally.low[axis] + 1);
        let [n0, n1, n2] = voxels;
        let shape = match dimension {
            Dimension::Two => [n0 + 1, n1 + 1, 1],
            Dimension::Three => [n0 + 1, n1 + 1, n2 + 1],
        };
        Self {
            low: tally.low,
            voxels,
            shape,
            dimension,
        }
    }

    /// For each corner, which of the voxels around it carry the label (see [`surfel::areas`]).
    fn codes(&self, map: &Array3<i32>, label: i32) -> Vec<u8> {
        let mut codes = vec![0_u8; self.shape.iter().product()];
        let [_, n1, n2] = self.shape;
        let [l0, l1, l2] = self.low;
        for i in 0..self.voxels[0] {
            for j in 0..self.voxels[1] {
                for k in 0..self.voxels[2] {
                    if map[[l0 + i, l1 + j, l2 + k]] == label {
                        self.mark(&mut codes, (i * n1 + j) * n2 + k);
                    }
                }
            }
        }
        codes
    }

    /// Sets the bit of a voxel at each of its corners; `first` is its corner nearest the origin.
    fn mark(&self, codes: &mut [u8], first: usize) {
        let [_, n1, n2] = self.shape;
        match self.dimension {
            Dimension::Two => {
                for (corner, bit) in [
                    (first, 3),
                    (first + 1, 2),
                    (first + n1, 1),
                    (first + n1 + 1, 0),
                ] {
                    codes[corner] |= 1 << bit;
                }
            }
            Dimension::Three => {
                for corner in 0..8 {
                    let (x, y, z) = (corner >> 2, corner >> 1 & 1, corner & 1);
                    // A corner further along an axis sees the voxel before it: the bit is mirrored.
                    codes[first + (x * n1 + y) * n2 + z] |= 1 << (7 - corner);
                }
            }
        }
    }
}

fn distances(
    label: i32,
    codes: &[Vec<u8>; 2],
    corners: &Corners,
    areas: &[f64],
    spacing: [f64; 3],
) -> SurfaceDistances {
    let full = (areas.len() - 1) as u8;
    let surfaces = codes.each_ref().map(|codes| {
        codes
            .iter()
            .map(|&code| code != 0 && code != full)
            .collect::<Vec<_>>()
    });
    let directed = |from: usize, to: usize| {
        let reach = squared_distance(&surfaces[to], corners.shape, spacing);
        let mut elements: Vec<_> = (0..reach.len())
            .filter(|&corner| surfaces[from][corner])
            .map(|corner| (reach[corner].sqrt(), areas[codes[from][corner] as usize]))
            .collect();
        elements.par_sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        elements
    };
    SurfaceDistances {
        label,
        fixed_to_moved: directed(0, 1),
        moved_to_fixed: directed(1, 0),
    }
}

/// Distance of the first element at which the share of area reaches `percent`.
fn percentile(elements: &[(f64, f64)], percent: f64) -> f64 {
    let total: f64 = elements.iter().map(|(_, area)| area).sum();
    let mut sum = 0.0;
    for (distance, area) in elements {
        sum += area;
        if sum / total >= percent / 100.0 {
            return *distance;
        }
    }
    elements
        .last()
        .map_or(f64::INFINITY, |(distance, _)| *distance)
}
