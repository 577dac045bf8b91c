//! The stage of instance optimisation: a pair of scans on the fixed scan's own grid.

use nalgebra::Matrix4;
use ndarray::Array3;

use super::check;
use super::prepare::{Alignment, NetworkPair, Scan, beside_fixed, meet, prepare, views};
use super::refine::{Channel, RefineSettings, Refined, refine};
use super::{InitialField, NetworkFields};
use crate::dataset::Preprocessing;
use crate::error::{Error, Result};
use crate::kernels::gaussian::LEAST_SD;
use crate::linear::smoothed;
use crate::volume::intensity::{Normalisation, Normaliser};
use crate::volume::resample::{Interpolation, Outside, image_to, voxel_map};
use crate::volume::{Affine, DisplacementField, Geometry, Image, LabelMap};

/// Another kind of scan of the same subjects, each in the world of the first.
#[derive(Debug, Clone, Copy)]
pub struct OtherScans<'a> {
    pub fixed: Scan<'a>,
    pub moving: Scan<'a>,
    /// What they count beside the first scans, which count 1; positive.
    pub weight: f64,
}

/// Optimises the transform of two scans that `alignment` brings together, by them and by `others` of the same subjects;
/// the first pair as it was optimised, and what came of it.
///
/// # Errors
/// Those of [`prepare`] and of [`refine`].
pub fn optimise(
    scans: [Scan; 2],
    others: &[OtherScans],
    alignment: Alignment,
    start: Option<&InitialField>,
    settings: &RefineSettings,
    done: &mut dyn FnMut(usize, usize),
) -> Result<(NetworkPair, Refined)> {
    let first = on_fixed_grid(scans, alignment)?;
    let seen = masks(scans, &first)?;
    let others = others.iter().map(|other| {
        check_channel(other, scans)?;
        let [images, masks] = [beside(other, &first)?, shared_masks(other, &first, &seen)?];
        Ok((images, masks, other.weight))
    });
    let others: Vec<_> = others.collect::<Result<_>>()?;
    let mut channels = vec![channel([&first.fixed, &first.moving], seen.each_ref(), 1.0)];
    channels.extend(
        others
            .iter()
            .map(|(images, masks, weight)| channel(images.each_ref(), masks.each_ref(), *weight)),
    );
    let refined = refine(&channels, start, settings, done)?;
    Ok((first, refined))
}

fn channel<'a>(images: [&'a Image; 2], masks: [&'a Image; 2], weight: f64) -> Channel<'a> {
    Channel {
        fixed: images[0],
        moving: images[1],
        masks,
        weight,
    }
}

/// Refuses scans that show nothing, or nothing of what the first pair shows.
fn check_channel(other: &OtherScans, [fixed, moving]: [Scan; 2]) -> Result<()> {
    check::contents(other.fixed, other.moving)?;
    check::overlap(fixed, other.fixed)?;
    check::overlap(moving, other.moving)
}

/// Where other scans and the first pair both show something that counts.
fn shared_masks(other: &OtherScans, first: &NetworkPair, seen: &[Image; 2]) -> Result<[Image; 2]> {
    let mut own = masks([other.fixed, other.moving], first)?;
    for (own, seen) in own.iter_mut().zip(seen) {
        own.data.zip_mut_with(&seen.data, |own, seen| *own *= seen);
    }
    Ok(own)
}

/// Both scans on the grid of the first pair, the moving one through its linear map.
fn beside(other: &OtherScans, first: &NetworkPair) -> Result<[Image; 2]> {
    let bring = |scan: Scan, linear: &Matrix4<f64>| {
        let mut image = scan.image.clone();
        let normalised = normaliser()?.apply_within(&mut image, scan.mask);
        normalised.map_err(|error| Error::file(scan.name, error.to_string()))?;
        image.geometry.affine = beside_fixed(linear, &image.geometry)?;
        image_to(
            &anti_aliased(image, scan.mask, first.grid())?,
            first.grid(),
            Interpolation::Linear,
            Outside::Value(0.0),
        )
    };
    Ok([
        bring(other.fixed, &Matrix4::identity())?,
        bring(other.moving, &first.linear)?,
    ])
}

/// All measures of likeness but the correlations ask for intensities from 0 to 1.
fn normaliser() -> Result<Normaliser> {
    Normalisation::default().prepare()
}

/// The transform that is nothing but `alignment`, on the fixed scan's grid.
///
/// # Errors
/// Those of [`prepare`].
pub fn unmoved(scans: [Scan; 2], alignment: Alignment) -> Result<(NetworkPair, NetworkFields)> {
    let [fixed, moving] = scans;
    let pair = prepare(fixed, moving, &as_stored()?, alignment, [1; 3])?;
    let zero = DisplacementField::zeros(pair.grid().clone());
    let fields = NetworkFields {
        forward: zero.clone(),
        inverse: zero,
    };
    Ok((pair, fields))
}

fn as_stored() -> Result<Preprocessing> {
    Ok(Preprocessing {
        slice: None,
        orientation: None,
        spacing: None,
        crop_foreground: None,
        normaliser: normaliser()?,
    })
}

/// Both scans as they are stored, the moving one brought to the fixed one's grid.
fn on_fixed_grid([fixed, moving]: [Scan; 2], alignment: Alignment) -> Result<NetworkPair> {
    let [fixed_view, mut moving_view] = views(fixed, moving, &as_stored()?, alignment)?;
    // Centres meet voxel by voxel, whatever the headers say of their sizes.
    if alignment != Alignment::Centre {
        moving_view = anti_aliased(moving_view, moving.mask, &fixed_view.geometry)?;
    }
    meet(&fixed_view, &moving_view, alignment, [1; 3])
}

/// The image as voxels of the grid `onto` would show it, where those are wider than its own: taken at their centres alone,
/// its finer detail would be noise there. `mask`, on the image's grid, says which of its voxels count.
fn anti_aliased(image: Image, mask: Option<&LabelMap>, onto: &Geometry) -> Result<Image> {
    let map = voxel_map(&image.geometry, onto)?;
    // What a Gaussian of half a voxel of the image lacks to one of half a voxel of the grid.
    let sd = [0, 1, 2].map(|axis| {
        let width = map.fixed_view::<1, 3>(axis, 0).norm();
        0.5 * (width * width - 1.0).max(0.0).sqrt()
    });
    if sd.iter().all(|&sd| sd < LEAST_SD) {
        return Ok(image);
    }
    let counts = mask.map(|mask| mask.map(|&label| f32::from(label != 0)));
    Ok(smoothed(&image, counts.as_ref(), sd))
}

/// 1 for the voxels of the pair's grid where the fixed, and where the moving scan and its mask show something, else 0.
fn masks([fixed, moving]: [Scan; 2], pair: &NetworkPair) -> Result<[Image; 2]> {
    let on_grid = |scan: Scan, affine: Affine| -> Result<Image> {
        let image = &scan.image.geometry;
        let geometry = Geometry::new(image.shape, image.dimension, affine);
        let bring = |data: Array3<f32>| {
            let geometry = geometry.clone();
            let outside = Outside::Value(0.0);
            let source = Image { data, geometry };
            image_to(&source, pair.grid(), Interpolation::Linear, outside)
        };
        // What is interpolated with the outside is not the scan's.
        let mut shown = bring(Array3::ones(image.shape))?;
        shown.data.mapv_inplace(|share| f32::from(share > 0.99));
        if let Some(mask) = scan.mask {
            let counted = bring(mask.data.mapv(|label| f32::from(label != 0)))?;
            let counts = |shown: &mut f32, share: &f32| *shown *= f32::from(*share >= 0.5);
            shown.data.zip_mut_with(&counted.data, counts);
        }
        Ok(shown)
    };
    Ok([
        on_grid(fixed, fixed.image.geometry.affine)?,
        on_grid(moving, beside_fixed(&pair.linear, &moving.image.geometry)?)?,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::Dimension;
    use nalgebra::{Rotation3, Vector3};

    fn grid(shape: [usize; 3], spacing: [f64; 3]) -> Geometry {
        Geometry::new(shape, Dimension::Three, Affine::from_spacing(spacing))
    }

    fn painted(geometry: &Geometry, value: impl Fn(usize) -> usize) -> Image {
        Image {
            data: Array3::from_shape_fn(geometry.shape, |(i, ..)| value(i) as f32),
            geometry: geometry.clone(),
        }
    }

    #[test]
    fn detail_that_the_fixed_grid_cannot_show_is_no_noise_on_it() {
        let fixed = painted(&grid([16, 8, 8], [2.0; 3]), |i| i);
        // Stripes of one voxel, dark at every fourth: where the fixed voxels have their centres.
        let moving = painted(&grid([64, 8, 8], [0.5, 2.0, 2.0]), |i| i % 2);
        let scan = |image| Scan {
            name: "a scan",
            image,
            mask: None,
        };
        let pair = on_fixed_grid([scan(&fixed), scan(&moving)], Alignment::Header).unwrap();
        for ((i, ..), &value) in pair.moving.data.indexed_iter() {
            // At the edges the outermost stripe goes on.
            if (2..14).contains(&i) {
                assert!((value - 0.5).abs() < 0.02, "{i}: {value}");
            }
        }
    }

    #[test]
    fn voxels_of_one_size_are_left_alone_however_they_are_turned() {
        let moving = painted(&grid([12, 9, 8], [1.0; 3]), |i| i % 2);
        let turn = Rotation3::from_euler_angles(0.4, -0.7, 0.2).into_inner();
        let affine = Affine::from_parts(turn, Vector3::new(3.0, 1.0, -2.0));
        let turned = Geometry::new([12, 9, 8], Dimension::Three, affine);
        let found = anti_aliased(moving.clone(), None, &turned).unwrap();
        assert_eq!(found, moving);
    }
}
