//! The registration U-Net in its two published arrangements.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::ConvBlock;
use crate::ops::{ConvOptions, max_pool2, upsample_concat};
use crate::volume::Dimension;

/// How the encoder halves the resolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encoder {
    /// Convolution, then max-pooling: VoxelMorph since 2020 (Dalca et al.), and its PyTorch code.
    MaxPool,
    /// Convolutions of stride 2: VoxelMorph at CVPR 2018 (Balakrishnan et al.), and HybridMorph.
    Strided,
}

/// The shape of a [`UNet`].
#[derive(Debug, Clone, PartialEq)]
pub struct UNetConfig {
    pub dimension: Dimension,
    pub encoder: Encoder,
    pub in_channels: usize,
    /// Features of each level, from fine to coarse.
    pub encoder_features: Vec<usize>,
    /// Features of the decoder, from coarse to fine, then of the convolutions at full resolution.
    pub decoder_features: Vec<usize>,
    /// Upsamplings that the max-pool arrangement leaves out at its end, with their skip connections.
    pub skipped: usize,
    /// Slope of the LeakyReLU.
    pub slope: f32,
}

/// Encoder and decoder with skip connections and nearest-neighbour upsampling.
///
/// *Max-pool*: each level convolves, keeps the result as skip and pools; the decoder convolves, upsamples
/// and joins the skip, up to full resolution or short of it. *Strided*: each level convolves with stride 2 and its output is
/// the skip; the decoder has one more convolution at half resolution, and the full-resolution skip is the
/// input itself.
#[derive(Module, Debug)]
pub struct UNet {
    pub encoder: Vec<ConvBlock>,
    pub decoder: Vec<ConvBlock>,
    pub last: Vec<ConvBlock>,
    #[module(skip)]
    kind: Encoder,
    #[module(skip)]
    factor: [usize; 3],
    #[module(skip)]
    skipped: usize,
}

impl UNetConfig {
    /// Decoder convolutions below full resolution; the other features belong to full resolution.
    pub fn decoder_depth(&self) -> usize {
        let levels = self.encoder_features.len();
        match self.encoder {
            Encoder::MaxPool => levels,
            Encoder::Strided => levels + 1,
        }
    }

    /// Most channels of a tensor that is stored at full resolution. What an upsampling joins to a skip connection is not
    /// (`ops::joined_conv`).
    pub fn full_resolution_channels(&self) -> usize {
        let decoder = self.decoder_features.iter().skip(self.decoder_depth());
        let encoder = match self.encoder {
            Encoder::MaxPool => self.encoder_features.first(),
            Encoder::Strided => None,
        };
        let all = decoder.chain(encoder).copied();
        all.fold(self.in_channels, usize::max)
    }

    /// Channels that leave the network.
    pub fn out_channels(&self) -> usize {
        let levels = self.encoder_features.len();
        match self.decoder_features.get(self.decoder_depth()..) {
            Some([.., last]) => *last,
            _ if self.skipped > 0 => self.decoder_features[self.decoder_depth() - 1],
            // Without a convolution at full resolution the last joined tensor is the output.
            _ => self.decoder_features[self.decoder_depth() - 1] + self.skip_channels(levels - 1),
        }
    }

    /// Channels of the skip joined after the `n`-th upsampling, counted from the coarsest.
    fn skip_channels(&self, n: usize) -> usize {
        let levels = self.encoder_features.len();
        match self.encoder {
            Encoder::MaxPool => self.encoder_features[levels - 1 - n],
            Encoder::Strided if n + 1 < levels => self.encoder_features[levels - 2 - n],
            Encoder::Strided => self.in_channels,
        }
    }

    /// Random weights drawn from `rng`, on `device`.
    pub fn init(&self, rng: &mut ChaCha8Rng, device: &Device) -> UNet {
        let mut blocks = Blocks {
            config: self,
            channels: self.in_channels,
            rng,
            device,
        };
        // Along the data flow, which is also the order of the random numbers.
        UNet {
            encoder: blocks.encoder(),
            decoder: blocks.decoder(),
            last: blocks.last(),
            kind: self.encoder,
            factor: self.halving(),
            skipped: self.skipped,
        }
    }

    /// Along each axis, by how much a level is coarser than the one before.
    fn halving(&self) -> [usize; 3] {
        match self.dimension {
            Dimension::Two => [1, 2, 2],
            Dimension::Three => [2, 2, 2],
        }
    }
}

/// Makes the blocks of a network one after another.
struct Blocks<'a> {
    config: &'a UNetConfig,
    /// That the next block takes.
    channels: usize,
    rng: &'a mut ChaCha8Rng,
    device: &'a Device,
}

impl Blocks<'_> {
    fn encoder(&mut self) -> Vec<ConvBlock> {
        let config = self.config;
        let stride = match config.encoder {
            Encoder::MaxPool => [1, 1, 1],
            Encoder::Strided => config.halving(),
        };
        let features = config.encoder_features.iter();
        features.map(|&n| self.block(n, stride)).collect()
    }

    fn decoder(&mut self) -> Vec<ConvBlock> {
        let config = self.config;
        let levels = config.encoder_features.len();
        let low = &config.decoder_features[..config.decoder_depth()];
        let mut decoder = Vec::new();
        for (n, &features) in low.iter().enumerate() {
            decoder.push(self.block(features, [1, 1, 1]));
            if joins_after(config.encoder, n, levels, config.skipped) {
                let skip = if n == levels { n - 1 } else { n };
                self.channels += config.skip_channels(skip);
            }
        }
        decoder
    }

    /// Those at full resolution.
    fn last(&mut self) -> Vec<ConvBlock> {
        let config = self.config;
        let full = config.decoder_features[config.decoder_depth()..].iter();
        full.map(|&features| self.block(features, [1, 1, 1]))
            .collect()
    }

    fn block(&mut self, features: usize, stride: [usize; 3]) -> ConvBlock {
        let kernel_depth = match self.config.dimension {
            Dimension::Two => 1,
            Dimension::Three => 3,
        };
        let channels = [self.channels, features];
        self.channels = features;
        let slope = Some(self.config.slope);
        let options = ConvOptions { stride, slope };
        ConvBlock::new(channels, kernel_depth, options, self.rng, self.device)
    }
}

/// Whether the `n`-th decoder convolution is followed by an upsampling: all are, but those left out at the end, and the
/// one before the extra convolution at half resolution of the strided arrangement.
fn joins_after(kind: Encoder, n: usize, levels: usize, skipped: usize) -> bool {
    match kind {
        Encoder::MaxPool => n + skipped < levels,
        Encoder::Strided => n + 1 != levels,
    }
}

/// Features before they are joined: those of the decoder, and the skip that waits for them once they are upsampled.
#[derive(Debug, Clone)]
pub struct Joint {
    pub low: Tensor<5>,
    /// `None` where nothing is to be joined.
    pub skip: Option<Tensor<5>>,
}

impl Joint {
    fn through(self, block: &ConvBlock) -> Self {
        let low = match self.skip {
            Some(skip) => block.forward_joined(self.low, skip),
            None => block.forward(self.low),
        };
        Self { low, skip: None }
    }
}

impl UNet {
    /// The first part of the network, up to its last skip connection.
    ///
    /// # Shapes
    /// - `x`: `[n, in_channels, d, h, w]`
    pub fn body(&self, x: Tensor<5>) -> Joint {
        let (low, mut skips) = match self.kind {
            Encoder::MaxPool => self.encode_pooled(x),
            Encoder::Strided => self.encode_strided(x),
        };
        let mut joint = Joint { low, skip: None };
        for (n, block) in self.decoder[..self.body_depth()].iter().enumerate() {
            joint = joint.through(block);
            if self.joins_after(n) {
                joint.skip = skips.pop();
            }
        }
        joint
    }

    /// The second part, which is on one grid: convolutions of stride 1.
    ///
    /// # Shapes
    /// - result: `[n, out_channels, d, h, w]`, halved once for each upsampling left out
    pub fn head(&self, joint: Joint) -> Tensor<5> {
        let joint = self.head_blocks().fold(joint, Joint::through);
        match joint.skip {
            Some(skip) => upsample_concat(joint.low, skip),
            None => joint.low,
        }
    }

    /// The convolutions of [`Self::head`].
    pub fn head_blocks(&self) -> impl Iterator<Item = &ConvBlock> {
        self.decoder[self.body_depth()..].iter().chain(&self.last)
    }

    /// Decoder convolutions up to the last that a skip is joined after.
    fn body_depth(&self) -> usize {
        let last = (0..self.decoder.len()).rfind(|&n| self.joins_after(n));
        last.map_or(0, |n| n + 1)
    }

    fn joins_after(&self, n: usize) -> bool {
        joins_after(self.kind, n, self.encoder.len(), self.skipped)
    }

    /// Every block with its path, in the order of the data flow.
    pub fn blocks(&self) -> impl Iterator<Item = (String, &ConvBlock)> {
        [
            ("encoder", &self.encoder),
            ("decoder", &self.decoder),
            ("last", &self.last),
        ]
        .into_iter()
        .flat_map(|(part, blocks)| {
            blocks
                .iter()
                .enumerate()
                .map(move |(n, block)| (format!("{part}.{n}"), block))
        })
    }

    /// [`Self::blocks`], to change them.
    pub fn blocks_mut(&mut self) -> impl Iterator<Item = (String, &mut ConvBlock)> {
        [
            ("encoder", &mut self.encoder),
            ("decoder", &mut self.decoder),
            ("last", &mut self.last),
        ]
        .into_iter()
        .flat_map(|(part, blocks)| {
            blocks
                .iter_mut()
                .enumerate()
                .map(move |(n, block)| (format!("{part}.{n}"), block))
        })
    }

    fn encode_pooled(&self, x: Tensor<5>) -> (Tensor<5>, Vec<Tensor<5>>) {
        let mut skips = Vec::new();
        let mut x = x;
        for block in &self.encoder {
            x = block.forward(x);
            skips.push(x.clone());
            x = max_pool2(x, self.factor);
        }
        (x, skips)
    }

    fn encode_strided(&self, x: Tensor<5>) -> (Tensor<5>, Vec<Tensor<5>>) {
        let mut skips = vec![x.clone()];
        let mut x = x;
        for block in &self.encoder {
            x = block.forward(x);
            skips.push(x.clone());
        }
        // The coarsest output is not a skip, it is what the decoder starts from.
        skips.pop();
        (x, skips)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layers_after_the_last_upsampling_are_at_full_resolution() {
        let unet = |encoder| UNetConfig {
            dimension: Dimension::Three,
            encoder,
            in_channels: 2,
            encoder_features: vec![16, 32, 32, 32],
            decoder_features: vec![32, 32, 32, 32, 32, 16, 16],
            skipped: 0,
            slope: 0.2,
        };
        assert_eq!(unet(Encoder::MaxPool).full_resolution_channels(), 32);
        // One layer more is needed to come from half the resolution.
        assert_eq!(unet(Encoder::Strided).full_resolution_channels(), 16);
    }
}
