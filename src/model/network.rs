//! From a pair of images to a transform.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::config::{ModelConfig, TransformKind};
use crate::error::Result;
use crate::nn::{ConvBlock, Joint, UNet};
use crate::ops::{integrate, warp};
use crate::spatial::{coarsen, refine};

/// The learnable part of a registration model, with what it needs to turn its output into a transform.
#[derive(Module, Debug)]
pub struct Model {
    pub unet: UNet,
    pub flow: ConvBlock,
    #[module(skip)]
    config: ModelConfig,
}

/// What a model says about a batch of pairs.
#[derive(Debug, Clone)]
pub struct Prediction {
    /// Pull on the fixed grid, voxels: `moved(x) = moving(x + u(x))`.
    pub displacement: Tensor<5>,
    /// Pull on the moving grid that brings the fixed image to it; only of a bidirectional model.
    pub inverse: Option<Tensor<5>>,
    /// What the smoothness penalty acts on: the velocity before integration (voxels of its own grid), or the
    /// displacement where there is none.
    pub regularised: Tensor<5>,
    /// The moving image on the fixed grid.
    pub moved: Tensor<5>,
    /// The fixed image on the moving grid; only of a bidirectional model.
    pub moved_fixed: Option<Tensor<5>>,
}

impl Model {
    /// A model with random weights drawn from `seed`.
    ///
    /// # Errors
    /// Settings that describe no network.
    pub fn new(config: &ModelConfig, seed: u64, device: &Device) -> Result<Self> {
        config.validate()?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let unet_config = config.unet();
        let unet = unet_config.init(&mut rng, device);
        let channels = [unet_config.out_channels(), config.dimension.axes()];
        let depth = if config.dimension.axes() == 2 { 1 } else { 3 };
        let flow = ConvBlock::flow(channels, depth, config.flow_std, &mut rng, device);
        Ok(Self {
            unet,
            flow,
            config: config.clone(),
        })
    }

    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Registers each moving image of a batch to its fixed image.
    ///
    /// # Shapes
    /// - `moving`, `fixed`: `[n, 1, d, h, w]`, each axis a multiple of [`ModelConfig::size_factor`]
    pub fn forward(&self, moving: Tensor<5>, fixed: Tensor<5>) -> Prediction {
        let joint = self.body(moving.clone(), fixed.clone());
        self.predict(self.head(joint), moving, fixed)
    }

    /// The first part of [`Self::forward`]: the network up to its last skip connection.
    pub fn body(&self, moving: Tensor<5>, fixed: Tensor<5>) -> Joint {
        self.unet.body(Tensor::cat(vec![moving, fixed], 1))
    }

    /// The second part: convolutions on one grid, up to the predicted field.
    pub fn head(&self, joint: Joint) -> Tensor<5> {
        self.flow.forward(self.unet.head(joint))
    }

    /// Voxels that an output of [`Self::head`] depends on to each side, on its own grid.
    pub fn head_reach(&self) -> usize {
        self.unet.head_blocks().count() + 1
    }

    /// The third part: from the predicted field to the transforms and moved images.
    pub fn predict(&self, field: Tensor<5>, moving: Tensor<5>, fixed: Tensor<5>) -> Prediction {
        let [_, _, d, h, w] = fixed.dims();
        let regularised = coarsen(field, self.config.coarsening());
        let displacement = self.transform(regularised.clone(), [d, h, w]);
        let inverse = self
            .config
            .bidirectional
            .then(|| self.transform(regularised.clone().neg(), [d, h, w]));
        let border = self.config.border;
        Prediction {
            moved: warp(moving, displacement.clone(), border),
            moved_fixed: inverse.clone().map(|inverse| warp(fixed, inverse, border)),
            displacement,
            inverse,
            regularised,
        }
    }

    /// The displacement on the grid `to` that belongs to a predicted field.
    ///
    /// A negated velocity gives the inverse transform.
    pub fn transform(&self, predicted: Tensor<5>, to: [usize; 3]) -> Tensor<5> {
        match self.config.transform {
            TransformKind::Displacement => predicted,
            TransformKind::Velocity => {
                let coarse = integrate(predicted, self.config.int_steps, self.config.border);
                refine(coarse, self.config.velocity_factor(), to)
            }
        }
    }

    /// Every convolution with its path in weights files.
    pub fn blocks(&self) -> impl Iterator<Item = (String, &ConvBlock)> {
        self.unet
            .blocks()
            .chain(std::iter::once(("flow".to_string(), &self.flow)))
    }

    /// [`Self::blocks`], to change them.
    pub fn blocks_mut(&mut self) -> impl Iterator<Item = (String, &mut ConvBlock)> {
        self.unet
            .blocks_mut()
            .chain(std::iter::once(("flow".to_string(), &mut self.flow)))
    }
}
