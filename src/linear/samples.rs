//! The places of the fixed image that are compared.

use nalgebra::Vector3;

use super::crop::{self, Bounds};
use super::pyramid::Level;
use crate::error::Result;
use crate::kernels::Extent;
use crate::kernels::affine::{Map, Source, sample};
use crate::volume::resample::{place, voxel_map};
use crate::volume::{Dimension, Geometry, LabelMap, VoxelPoint};

/// Places of the fixed image, with its values there.
#[derive(Debug)]
pub(super) struct Samples {
    /// Millimetres from the centre of the fixed image.
    pub positions: Vec<[f32; 3]>,
    pub values: Vec<f32>,
    /// False where the fixed mask excludes the place; all count where absent.
    pub inside: Option<Vec<bool>>,
    /// The grid that the places fill, if they do.
    pub grid: Option<Geometry>,
    /// Voxels that the places lie in: several in one say little more than one.
    pub voxels: usize,
}

/// Intensity (of 0..1) above which a voxel belongs to what is shown.
const SHOWN: f32 = 0.05;

/// What is around it belongs to the comparison too: this share of its size on either side.
const MARGIN: f64 = 0.1;

impl Samples {
    /// At most `most` places, scattered within the voxels of the level, the same ones every time.
    ///
    /// Off the grid, so that grids that coincide by chance do not look more alike than others. Where voxels are few, several
    /// places lie in each, two along every axis at most: what lies between voxels smooths the histogram of a few hundred.
    pub fn scattered(
        level: &Level,
        centre: Vector3<f64>,
        mask: Option<&LabelMap>,
        most: usize,
    ) -> Result<Self> {
        let bounds = bounds(level, mask.is_some());
        let inside = inside(level, mask)?;
        let chosen: Vec<[usize; 3]> = voxels(bounds)
            .filter(|&voxel| {
                inside
                    .as_ref()
                    .is_none_or(|inside| inside[offset(&level.geometry, voxel)])
            })
            .collect();
        let axes = level.geometry.dimension.axes();
        let count = most.min(chosen.len() << axes);
        let places: Vec<[f32; 3]> = (0..count)
            .map(|n| {
                let noise = |stream: u64| uniform(4 * n as u64 + stream);
                let at = if count == chosen.len() {
                    n
                } else {
                    ((n as f64 + noise(3)) * chosen.len() as f64 / count as f64) as usize
                };
                let voxel = chosen[at];
                [0, 1, 2].map(|axis| {
                    let last = (level.geometry.shape[axis] - 1) as f64;
                    let jitter = if axis < axes {
                        noise(axis as u64) - 0.5
                    } else {
                        0.0
                    };
                    (voxel[axis] as f64 + jitter).clamp(0.0, last) as f32
                })
            })
            .collect();
        let identity: Map = [
            [1.0, 0.0, 0.0, 0.0],
            [0.0, 1.0, 0.0, 0.0],
            [0.0, 0.0, 1.0, 0.0],
        ];
        let values = sample(level.source(), &places, &identity);
        Ok(Self {
            positions: places
                .iter()
                .map(|p| from_centre(level, p.map(f64::from), centre))
                .collect(),
            values: values.iter().map(|sample| sample.value as f32).collect(),
            inside: None,
            grid: None,
            voxels: chosen.len().min(count),
        })
    }

    /// Every voxel of the part of the level that shows something.
    pub fn dense(level: &Level, centre: Vector3<f64>, mask: Option<&LabelMap>) -> Result<Self> {
        let bounds = bounds(level, mask.is_some());
        let inside = inside(level, mask)?;
        let chosen = || voxels(bounds).map(|voxel| offset(&level.geometry, voxel));
        let origin = bounds.map(|[first, _]| first as f64);
        let corner = level
            .geometry
            .affine
            .to_world(VoxelPoint(Vector3::from(origin)))
            .0;
        let mut affine = level.geometry.affine;
        affine.0.fixed_view_mut::<3, 1>(0, 3).copy_from(&corner);
        let shape = bounds.map(|[first, end]| end - first);
        let positions: Vec<[f32; 3]> = voxels(bounds)
            .map(|voxel| from_centre(level, voxel.map(|v| v as f64), centre))
            .collect();
        Ok(Self {
            voxels: positions.len(),
            positions,
            values: chosen().map(|at| level.data[at]).collect(),
            inside: inside.map(|inside| chosen().map(|at| inside[at]).collect()),
            grid: Some(Geometry::new(shape, level.geometry.dimension, affine)),
        })
    }

    /// Numbers of at most `most` places that count, evenly spread over them.
    pub fn some(&self, most: usize) -> Vec<usize> {
        let counts = |&at: &usize| self.inside.as_ref().is_none_or(|inside| inside[at]);
        let all: Vec<usize> = (0..self.positions.len()).filter(counts).collect();
        let count = all.len().min(most);
        (0..count).map(|n| all[n * all.len() / count]).collect()
    }

    /// The places of these numbers alone.
    pub fn at(&self, numbers: &[usize]) -> Self {
        Self {
            positions: numbers.iter().map(|&n| self.positions[n]).collect(),
            values: numbers.iter().map(|&n| self.values[n]).collect(),
            inside: None,
            grid: None,
            voxels: numbers.len(),
        }
    }

    /// Root mean square distance from the centre, mm.
    pub fn radius(&self) -> f64 {
        let squares = self
            .positions
            .iter()
            .flatten()
            .map(|&x| f64::from(x).powi(2));
        (squares.sum::<f64>() / self.positions.len().max(1) as f64).sqrt()
    }
}

impl Level {
    pub fn source(&self) -> Source<'_, 1> {
        Source {
            values: self.data.as_chunks().0,
            weights: self.weights.as_deref(),
            extent: self.extent(),
        }
    }

    pub fn extent(&self) -> Extent {
        self.geometry.shape
    }
}

fn voxels([i, j, k]: Bounds) -> impl Iterator<Item = [usize; 3]> {
    (i[0]..i[1])
        .flat_map(move |i| (j[0]..j[1]).flat_map(move |j| (k[0]..k[1]).map(move |k| [i, j, k])))
}

fn offset(grid: &Geometry, [i, j, k]: [usize; 3]) -> usize {
    (i * grid.shape[1] + j) * grid.shape[2] + k
}

fn from_centre(level: &Level, voxel: [f64; 3], centre: Vector3<f64>) -> [f32; 3] {
    let world = level
        .geometry
        .affine
        .to_world(VoxelPoint(Vector3::from(voxel)))
        .0;
    (world - centre).map(|x| x as f32).into()
}

/// First voxel and end along each axis of what the level shows, with a margin; all of it where a mask chooses.
fn bounds(level: &Level, masked: bool) -> Bounds {
    let shape = level.geometry.shape;
    let whole = shape.map(|n| [0, n]);
    let shown = |voxel: &[usize; 3]| level.data[offset(&level.geometry, *voxel)] > SHOWN;
    let shown = match masked {
        true => None,
        false => crop::bounds(voxels(whole).filter(shown)),
    };
    let shown = shown.unwrap_or(whole);
    let axes = level.geometry.dimension.axes();
    [0, 1, 2].map(|axis| {
        let [first, end] = shown[axis];
        let margin = match level.geometry.dimension {
            Dimension::Two if axis >= axes => 0,
            _ => 1 + ((end - first) as f64 * MARGIN).ceil() as usize,
        };
        [
            first.saturating_sub(margin),
            (end + margin).min(shape[axis]),
        ]
    })
}

/// Which voxels of the level the mask holds.
fn inside(level: &Level, mask: Option<&LabelMap>) -> Result<Option<Vec<bool>>> {
    let Some(mask) = mask else { return Ok(None) };
    let map = voxel_map(&mask.geometry, &level.geometry)?;
    let holds = |voxel: [usize; 3]| {
        let at = place(&map, Vector3::from(voxel.map(|v| v as f64)));
        let at = [0, 1, 2]
            .map(|axis| (at[axis].round().max(0.0) as usize).min(mask.geometry.shape[axis] - 1));
        mask.data[at] != 0
    };
    Ok(Some(
        voxels(level.geometry.shape.map(|n| [0, n]))
            .map(holds)
            .collect(),
    ))
}

/// A number from 0 to 1 that looks random (SplitMix64 of Steele et al., OOPSLA 2014).
fn uniform(number: u64) -> f64 {
    let mut z = number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linear::Masked;
    use crate::linear::pyramid::levels;
    use crate::volume::{Affine, Image};
    use ndarray::Array3;

    #[test]
    fn a_few_voxels_have_several_places_each() {
        let geometry = Geometry::new([12, 12, 12], Dimension::Three, Affine::identity());
        let image = Image {
            data: Array3::from_shape_fn(geometry.shape, |(i, j, k)| (i + 2 * j + 3 * k) as f32),
            geometry: geometry.clone(),
        };
        // Five voxels along i.
        let mask = LabelMap {
            data: Array3::from_shape_fn(geometry.shape, |(i, j, k)| {
                i32::from((3..8).contains(&i) && j == 6 && k == 6)
            }),
            geometry,
        };
        let masked = Masked {
            image: &image,
            mask: Some(&mask),
        };
        let level = &levels(masked, &[1.0]).unwrap()[0];
        let samples = |most| Samples::scattered(level, Vector3::zeros(), Some(&mask), most);
        // Eight in each at most.
        for (most, expected) in [(3, 3), (20, 20), (1000, 40)] {
            let samples = samples(most).unwrap();
            assert_eq!(samples.positions.len(), expected);
            assert_eq!(samples.voxels, expected.min(5));
            let mut found = [0; 5];
            for [x, y, z] in &samples.positions {
                assert!((y - 6.0).abs() <= 0.5 && (z - 6.0).abs() <= 0.5);
                found[(x.round() as usize).clamp(3, 7) - 3] += 1;
            }
            if expected >= 5 {
                assert_eq!(found, [expected / 5; 5], "{most}");
            }
        }
    }
}
