//! Random changes of real image pairs, by the parts that also make synthetic ones.

use ndarray::{Array3, Axis};
use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::affine::AffineConfig;
use super::artefact::{Artefact, GammaConfig, NoiseConfig, Site};
use super::config::SynthConfig;
use super::deform::{Deformation, DeformationConfig};
use super::grid::Grid;
use super::host::Host;
use super::range::{Range, check_probability};
use super::seeds::{Seeds, Side, Step};
use crate::error::{Error, Result};
use crate::kernels::warp::{self, Border, Shape};
use crate::volume::Dimension;

/// Augmentation of real pairs. Lengths are in voxels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AugmentConfig {
    /// Probability that both images are mirrored along their first axis (default 0).
    pub flip: f64,
    /// Small deformation, drawn for each image. Default: velocities up to 1 voxel SD at 16 and 32
    /// voxels; affine always, 2 voxels, 5 degrees, 1 +- 0.05, shear 0.02.
    pub deformation: DeformationConfig,
    /// Power of the intensities, one for both images (default SD of its logarithm 0.1).
    pub gamma: GammaConfig,
    /// Noise, each image its own (default SD up to 0.02, probability 0.5).
    pub noise: NoiseConfig,
}

impl Default for AugmentConfig {
    fn default() -> Self {
        Self {
            flip: 0.0,
            deformation: DeformationConfig {
                velocity_scales: vec![16.0, 32.0],
                velocity_sd: Range::new(0.0, 1.0),
                affine: AffineConfig {
                    prob: 1.0,
                    translation: Range::new(-2.0, 2.0),
                    rotation: Range::new(-5.0, 5.0),
                    scale: Range::new(0.95, 1.05),
                    shear: Range::new(-0.02, 0.02),
                },
                ..DeformationConfig::default()
            },
            gamma: GammaConfig {
                prob: 1.0,
                log_sd: 0.1,
            },
            noise: NoiseConfig {
                prob: 0.5,
                sd: Range::new(0.0, 0.02),
            },
        }
    }
}

/// One image of a pair with its labels, `(i, j, k)`.
#[derive(Debug, Clone, PartialEq)]
pub struct AugmentImage {
    pub image: Array3<f32>,
    pub labels: Option<Array3<i32>>,
}

impl AugmentConfig {
    /// The first setting that cannot be used, named with what was expected and found.
    pub fn check(&self) -> Result<()> {
        let named =
            |error: Error| Error::invalid(error.to_string().replacen("synth.", "augment.", 1));
        check_probability("flip", self.flip).map_err(named)?;
        self.settings().check().map_err(named)
    }

    /// These settings in their places among those of the synthesis.
    fn settings(&self) -> SynthConfig {
        SynthConfig {
            // Lengths are taken as they are.
            reference_size: 0.0,
            deformation: self.deformation.clone(),
            gamma: self.gamma.clone(),
            noise: self.noise.clone(),
            ..SynthConfig::default()
        }
    }

    /// The pair `[fixed, moving]`, changed as number `index` of `seed` says; images lie in [0, 1].
    ///
    /// # Errors
    /// A shape that does not suit the dimension.
    pub fn apply(
        &self,
        pair: [AugmentImage; 2],
        dimension: Dimension,
        seed: u64,
        index: u64,
    ) -> Result<[AugmentImage; 2]> {
        let settings = self.settings();
        let (i, j, k) = pair[0].image.dim();
        let grid = Grid::new(dimension, [i, j, k], settings.reference_size)?;
        let seeds = Seeds::new(seed, index);
        let flip = seeds.rng(Step::Flip, Side::Fixed, 0).random_bool(self.flip);
        let change = |image: AugmentImage, own: Side| {
            let image = if flip { image.flipped() } else { image };
            let image = image.deformed(&self.deformation, &grid, &seeds, own);
            image.with_artefacts(
                &settings,
                &Site {
                    engine: &Host,
                    grid: &grid,
                    seeds: &seeds,
                    own,
                    common: Side::Fixed,
                },
            )
        };
        let [fixed, moving] = pair;
        Ok([change(fixed, Side::Fixed), change(moving, Side::Moving)])
    }
}

impl AugmentImage {
    fn flipped(mut self) -> Self {
        self.image.invert_axis(Axis(0));
        if let Some(labels) = &mut self.labels {
            labels.invert_axis(Axis(0));
        }
        self
    }

    fn deformed(self, config: &DeformationConfig, grid: &Grid, seeds: &Seeds, own: Side) -> Self {
        if config.velocity_sd.high == 0.0 && config.affine.prob == 0.0 {
            return self;
        }
        let phi = Deformation::draw(&Host, config, grid, seeds, own);
        let forward = phi.forward();
        let u = phi.with_affine(&forward);
        let shape = grid.array_shape();
        let warp = Shape::one(grid.extent, grid.axes(), Border::Zeros);
        let image = warp::linear(&in_order(&self.image), &u, &warp);
        let labels = self
            .labels
            .map(|labels| shaped(shape, warp::nearest(&in_order(&labels), &u, &warp)));
        Self {
            image: shaped(shape, image),
            labels,
        }
    }

    fn with_artefacts(self, settings: &SynthConfig, site: &Site<'_, Host>) -> Self {
        let image = Artefact::Gamma.maybe_apply(settings, site, in_order(&self.image));
        let image = Artefact::Noise.maybe_apply(settings, site, image);
        Self {
            image: shaped(site.grid.array_shape(), image),
            ..self
        }
    }
}

/// The voxels, k fastest.
fn in_order<T: Copy>(array: &Array3<T>) -> Vec<T> {
    array.iter().copied().collect()
}

fn shaped<T>(shape: [usize; 3], values: Vec<T>) -> Array3<T> {
    Array3::from_shape_vec(shape, values).expect("one value per voxel of the grid")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bright block with its labels, in [0, 1].
    fn block() -> AugmentImage {
        let inside = |x: usize, low, high| (low..high).contains(&x);
        let labels = Array3::from_shape_fn([24, 20, 1], |(i, j, _)| {
            i32::from(inside(i, 4, 14) && inside(j, 6, 15))
        });
        AugmentImage {
            image: labels.mapv(|l| 0.8 * l as f32),
            labels: Some(labels),
        }
    }

    fn apply(config: &AugmentConfig, seed: u64) -> [AugmentImage; 2] {
        config.check().unwrap();
        config
            .apply([block(), block()], Dimension::Two, seed, 0)
            .unwrap()
    }

    /// Nothing happens by these settings.
    fn still() -> AugmentConfig {
        let mut config = AugmentConfig::default();
        config.deformation.velocity_sd = Range::new(0.0, 0.0);
        config.deformation.affine.prob = 0.0;
        config.gamma.prob = 0.0;
        config.noise.prob = 0.0;
        config
    }

    #[test]
    fn switched_off_it_changes_nothing() {
        assert_eq!(apply(&still(), 1), [block(), block()]);
    }

    #[test]
    fn a_flip_mirrors_both_images_and_their_labels() {
        let [fixed, moving] = apply(
            &AugmentConfig {
                flip: 1.0,
                ..still()
            },
            1,
        );
        assert_eq!(fixed, moving);
        for ((i, j, k), &label) in block().labels.unwrap().indexed_iter() {
            assert_eq!(fixed.labels.as_ref().unwrap()[[23 - i, j, k]], label);
            assert_eq!(fixed.image[[23 - i, j, k]], 0.8 * label as f32);
        }
    }

    #[test]
    fn labels_follow_their_image_and_the_images_differ() {
        let deformation = AugmentConfig::default().deformation;
        let [fixed, moving] = apply(
            &AugmentConfig {
                deformation,
                ..still()
            },
            3,
        );
        assert_ne!(fixed, moving);
        assert_ne!(fixed, block());
        for side in [fixed, moving] {
            // Linear and nearest sampling of one block at one place: the voxel's own label weighs most
            // unless the place lies between voxels, where each axis gives it half or more.
            for (value, label) in side.image.iter().zip(side.labels.unwrap()) {
                assert!(if label == 1 {
                    *value >= 0.2 - 1e-6
                } else {
                    *value <= 0.6 + 1e-6
                });
            }
        }
    }

    #[test]
    fn gamma_is_shared_and_noise_is_not() {
        let gamma = GammaConfig {
            prob: 1.0,
            log_sd: 0.5,
        };
        let [fixed, moving] = apply(&AugmentConfig { gamma, ..still() }, 5);
        assert_eq!(fixed, moving);
        assert_ne!(fixed, block());
        let noise = NoiseConfig {
            prob: 1.0,
            sd: Range::new(0.1, 0.1),
        };
        let [fixed, moving] = apply(&AugmentConfig { noise, ..still() }, 5);
        let difference = &fixed.image - &moving.image;
        // 480 differences of SD 0.1 * sqrt(2): the SD of their SD is 3.2 %; 5 of those.
        let sd = (difference.mapv(|d| f64::from(d * d)).mean().unwrap()).sqrt();
        assert!(
            (sd - 0.1 * 2_f64.sqrt()).abs() < 0.16 * 0.1 * 2_f64.sqrt(),
            "{sd}"
        );
    }

    #[test]
    fn the_number_alone_decides() {
        let config = AugmentConfig::default();
        assert_eq!(apply(&config, 7), apply(&config, 7));
        assert_ne!(apply(&config, 7), apply(&config, 8));
    }

    #[test]
    fn settings_out_of_range_are_named_as_augmentation() {
        let config = AugmentConfig {
            flip: 2.0,
            ..AugmentConfig::default()
        };
        assert!(
            config
                .check()
                .unwrap_err()
                .to_string()
                .starts_with("augment.flip")
        );
        let mut config = AugmentConfig::default();
        config.gamma.prob = -1.0;
        assert!(
            config
                .check()
                .unwrap_err()
                .to_string()
                .starts_with("augment.gamma.prob")
        );
    }
}
