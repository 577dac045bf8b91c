//! Random streams: one for every purpose of every pair, none shared within a pair.
//!
//! A pair is a function of (seed, index) alone. Each step draws from its own ChaCha stream, and work
//! that runs in parallel gives each chunk of voxels its own stream, so neither the number of threads,
//! nor the order in which pairs are made, nor a step that is switched off changes what the others draw.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What a random stream is for. New steps go to the end: the number is part of what a seed means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Source,
    Shapes,
    ShapeChannel,
    Velocity,
    Affine,
    Intensity,
    Texture,
    Blur,
    Bias,
    Thickness,
    NoiseLevel,
    Noise,
    Gamma,
    Crop,
    Flip,
}

/// Which image of the pair a stream belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Fixed,
    Moving,
}

/// Source of all random streams of one pair.
#[derive(Debug, Clone, Copy)]
pub struct Seeds {
    key: [u8; 32],
}

impl Seeds {
    /// Streams of pair `index` of the set that `seed` stands for.
    pub fn new(seed: u64, index: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(index);
        let mut key = [0; 32];
        rng.fill_bytes(&mut key);
        Self { key }
    }

    /// The stream of `step`; `item` tells apart channels, images or chunks (below 2^40).
    pub fn rng(&self, step: Step, side: Side, item: u64) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::from_seed(self.key);
        rng.set_stream((step as u64) << 48 | (side as u64) << 40 | item);
        rng
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngExt;
    use std::collections::HashSet;

    fn first(seed: u64, index: u64, step: Step, side: Side, item: u64) -> u64 {
        Seeds::new(seed, index).rng(step, side, item).random()
    }

    #[test]
    fn every_purpose_has_its_own_stream() {
        let mut seen = HashSet::new();
        for seed in 0..3 {
            for index in 0..3 {
                for step in [Step::Source, Step::Shapes, Step::Crop] {
                    for side in [Side::Fixed, Side::Moving] {
                        for item in 0..3 {
                            // 64-bit values: a chance collision among 162 has odds below 1e-15.
                            assert!(seen.insert(first(seed, index, step, side, item)));
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_stream_depends_on_nothing_but_its_name() {
        let seeds = Seeds::new(7, 11);
        let _: [u64; 9] = seeds.rng(Step::Blur, Side::Fixed, 0).random();
        let later: u64 = seeds.rng(Step::Bias, Side::Moving, 5).random();
        assert_eq!(later, first(7, 11, Step::Bias, Side::Moving, 5));
    }
}
