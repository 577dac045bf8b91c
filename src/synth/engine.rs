//! The array operations that a synthetic pair is made of, and who carries them out.
//!
//! The order of the steps and all small random numbers are the same everywhere (see [`super::Recipe`]); an [`Engine`]
//! does what has to be done for every voxel: [`super::Host`] on the CPU, others where the arrays are to be.

use std::ops::Range;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::contrast::Tissue;
use super::grid::Grid;
use super::seeds::{Seeds, Side, Step};
use crate::kernels::affine::Map;
use crate::kernels::normal::Key;

/// Works on the voxels of pairs. Axes and components are those of tensors: `[component, d, h, w]`, in 2-D without the
/// first component and with `d = 1`.
pub trait Engine {
    /// Values on a grid, channels behind each other: one for an image, for a field one an axis, in voxels.
    type Array: Clone;
    /// For each voxel of a grid the place of its label in the list of labels; place 0 is background.
    type Labels;

    /// Given labels on `grid`.
    fn labels(&self, places: &[u16], grid: &Grid) -> Self::Labels;

    /// For each voxel of `grid` the number of the channel that is highest there, the first of equals. Channels are
    /// made and bent on `coarse`, beyond whose edges they go on as they are there, and interpolated.
    fn highest(
        &self,
        channels: impl Iterator<Item = Channel>,
        coarse: &Grid,
        grid: &Grid,
    ) -> Self::Labels;

    /// Smooth noise on `grid`: the sum of the lattices, interpolated with aligned corners. Channel `c` is then
    /// multiplied by `factors[c]`; each lattice has as many channels.
    fn smooth(&self, lattices: &[Lattice], factors: &[f32], grid: &Grid) -> Self::Array;

    /// Displacement of `exp(sign v)` on `grid`, for a velocity on `coarse` in its voxels, by so many squarings. Beyond
    /// the edges the displacement is that of the nearest voxel: zeros would make a jump there, and folds.
    fn exponential(
        &self,
        velocity: &Self::Array,
        sign: f32,
        squarings: usize,
        coarse: &Grid,
        grid: &Grid,
    ) -> Self::Array;

    /// Displacement of `x -> map(x + field(x))`.
    fn affine(&self, field: &Self::Array, map: &Map, grid: &Grid) -> Self::Array;

    /// `b(x) + a(x + b(x))`; beyond its edges `a` is as it is there.
    fn compose(&self, a: &Self::Array, b: &Self::Array, grid: &Grid) -> Self::Array;

    /// The label nearest to `x + field(x)`; background comes in from outside.
    fn pull(&self, labels: &Self::Labels, field: &Self::Array, grid: &Grid) -> Self::Labels;

    /// Normal samples of the intensities of each voxel's label.
    fn paint(&self, labels: &Self::Labels, tissues: &[Tissue], noise: VoxelNoise) -> Self::Array;

    /// The image plus normal noise of standard deviation `sd`.
    fn add_noise(&self, image: Self::Array, sd: f32, noise: VoxelNoise) -> Self::Array;

    /// The image convolved along a tensor axis with a Gaussian of `sd` voxels, which ends at 3 SD; an SD below 0.001
    /// changes nothing. Beyond the border the edge value repeats.
    fn gaussian(&self, image: Self::Array, axis: usize, sd: f64, grid: &Grid) -> Self::Array;

    /// The image seen through a grid of `through` voxels: linear interpolation with aligned corners, there and back.
    fn resampled(&self, image: Self::Array, through: [usize; 3], grid: &Grid) -> Self::Array;

    /// The image times the exponential of `logarithm`, voxel by voxel.
    fn times_exp(&self, image: Self::Array, logarithm: Self::Array) -> Self::Array;

    /// Images clipped to [0, 1], then stretched to the whole of it; `together` by one factor. An image of one
    /// intensity becomes dark.
    fn to_unit(&self, images: [Self::Array; 2], together: bool) -> [Self::Array; 2];

    /// The image to a power, voxel by voxel.
    fn power(&self, image: Self::Array, exponent: f32) -> Self::Array;

    /// The image with zeros in some planes across a tensor axis.
    fn darken(
        &self,
        image: Self::Array,
        axis: usize,
        planes: Range<usize>,
        grid: &Grid,
    ) -> Self::Array;
}

/// Normal samples at the nodes of a coarse grid, `[channel, extent]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Lattice {
    pub extent: [usize; 3],
    pub values: Vec<f32>,
}

/// What a label's channel is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Channel {
    /// Smooth noise of one channel.
    pub height: Vec<Lattice>,
    /// The displacement that bends it, smooth noise in voxels of the grid it is made on.
    pub bend: Vec<Lattice>,
}

/// Where the normal noise of an image's voxels comes from: independent of all other random numbers.
#[derive(Debug, Clone, Copy)]
pub struct VoxelNoise<'a> {
    seeds: &'a Seeds,
    step: Step,
    side: Side,
}

/// The stream behind those of all chunks of voxels.
const KEY_STREAM: u64 = (1 << 40) - 1;

impl<'a> VoxelNoise<'a> {
    pub(super) fn new(seeds: &'a Seeds, step: Step, side: Side) -> Self {
        Self { seeds, step, side }
    }

    /// The stream of one chunk of voxels, for an engine that draws the samples one after another.
    pub(super) fn chunk(&self, chunk: usize) -> ChaCha8Rng {
        self.seeds.rng(self.step, self.side, chunk as u64)
    }

    /// A key for a generator that makes the sample of each voxel out of the voxel's number.
    pub fn key(&self) -> Key {
        self.seeds.rng(self.step, self.side, KEY_STREAM).random()
    }
}
