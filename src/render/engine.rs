//! The engine of tensors.

use std::ops::Range;

use burn::tensor::{Device, Tensor, TensorData};

use crate::kernels::Extent;
use crate::kernels::affine::Map;
use crate::ops::{self, Border};
use crate::synth::{Channel, Engine, Grid, Lattice, Tissue, VoxelNoise};

/// Makes pairs on a device. Images and fields are tensors `[1, channels, d, h, w]`, labels their places in the list of
/// labels, likewise.
///
/// Nothing is read back, so that the host is ahead of a GPU. Some fifty launches make a pair.
#[derive(Debug, Clone)]
pub struct DeviceEngine {
    device: Device,
}

/// Values of the coarse channels of shapes that are held at a time, at least one channel: 256 MB.
const MOST_VALUES: usize = 1 << 26;

impl DeviceEngine {
    pub fn new(device: &Device) -> Self {
        Self {
            device: device.clone().inner(),
        }
    }

    fn tensor(&self, values: Vec<f32>, shape: [usize; 5]) -> Tensor<5> {
        Tensor::from_data(TensorData::new(values, shape), &self.device)
    }

    /// Smooth noise on `to` voxels of several items, `[items, factors.len(), to]`, from the lattices of each.
    fn noise(&self, items: &[&[Lattice]], factors: &[f32], to: Extent) -> Tensor<5> {
        let extents: Vec<Extent> = items[0].iter().map(|lattice| lattice.extent).collect();
        let octaves = (0..extents.len()).flat_map(|octave| items.iter().map(move |of| &of[octave]));
        let nodes: Vec<f32> = octaves
            .flat_map(|lattice| lattice.values.iter().copied())
            .collect();
        let shape = [1, 1, 1, 1, nodes.len()];
        let nodes = self.tensor(nodes, shape);
        ops::sum_lattices(nodes, &extents, items.len(), factors, to)
    }

    /// The channels of shapes on their coarse grid, bent, `[channel, 1, d, h, w]`.
    fn bent(&self, channels: &[Channel], coarse: &Grid) -> Tensor<5> {
        let parts = |part: fn(&Channel) -> &Vec<Lattice>| -> Vec<&[Lattice]> {
            channels.iter().map(|channel| &part(channel)[..]).collect()
        };
        let height = self.noise(&parts(|channel| &channel.height), &[1.0], coarse.extent);
        let straight = &[1.0; 3][..coarse.axes()];
        let bend = self.noise(&parts(|channel| &channel.bend), straight, coarse.extent);
        ops::warp(height, bend, Border::Edge)
    }
}

impl Engine for DeviceEngine {
    type Array = Tensor<5>;
    type Labels = Tensor<5>;

    fn labels(&self, places: &[u16], grid: &Grid) -> Tensor<5> {
        let [d, h, w] = grid.extent;
        let places = places.iter().map(|&place| f32::from(place)).collect();
        self.tensor(places, [1, 1, d, h, w])
    }

    fn highest(
        &self,
        mut channels: impl Iterator<Item = Channel>,
        coarse: &Grid,
        grid: &Grid,
    ) -> Tensor<5> {
        // Height, displacement and the bent height.
        let each = (coarse.axes() + 2) * coarse.voxels();
        let at_a_time = (MOST_VALUES / each).max(1);
        let mut found = None;
        let mut first = 0;
        loop {
            let some: Vec<Channel> = channels.by_ref().take(at_a_time).collect();
            if some.is_empty() {
                let found: Tensor<5> = found.expect("there are at least two labels");
                return found.slice_dim(1, 1..2);
            }
            let bent = self.bent(&some, coarse);
            found = Some(ops::highest_channel(found, bent, first, grid.extent));
            first += some.len();
        }
    }

    fn smooth(&self, lattices: &[Lattice], factors: &[f32], grid: &Grid) -> Tensor<5> {
        self.noise(&[lattices], factors, grid.extent)
    }

    fn exponential(
        &self,
        velocity: &Tensor<5>,
        sign: f32,
        squarings: usize,
        coarse: &Grid,
        grid: &Grid,
    ) -> Tensor<5> {
        let velocity = match sign {
            1.0 => velocity.clone(),
            _ => velocity.clone() * sign,
        };
        let u = ops::integrate(velocity, squarings, Border::Edge);
        let axes = grid.axes();
        let ratios: Vec<f32> = (0..axes).map(|c| grid.step_ratio(coarse, c)).collect();
        ops::sum_lattices(u, &[coarse.extent], 1, &ratios, grid.extent)
    }

    fn affine(&self, field: &Tensor<5>, map: &Map, _: &Grid) -> Tensor<5> {
        ops::transform_flow(field.clone(), *map)
    }

    fn compose(&self, a: &Tensor<5>, b: &Tensor<5>, _: &Grid) -> Tensor<5> {
        b.clone() + ops::warp(a.clone(), b.clone(), Border::Edge)
    }

    fn pull(&self, labels: &Tensor<5>, field: &Tensor<5>, _: &Grid) -> Tensor<5> {
        ops::pull_labels(labels.clone(), field.clone())
    }

    fn paint(&self, labels: &Tensor<5>, tissues: &[Tissue], noise: VoxelNoise) -> Tensor<5> {
        let table = tissues.iter().flat_map(|t| [t.mean, t.sd]).collect();
        let tissues = self.tensor(table, [1, 1, 1, tissues.len(), 2]);
        ops::paint_labels(labels.clone(), tissues, noise.key())
    }

    fn add_noise(&self, image: Tensor<5>, sd: f32, noise: VoxelNoise) -> Tensor<5> {
        ops::add_noise(image, sd, noise.key())
    }

    fn gaussian(&self, image: Tensor<5>, axis: usize, sd: f64, _: &Grid) -> Tensor<5> {
        ops::smooth_along(image, axis, sd)
    }

    fn resampled(&self, image: Tensor<5>, through: Extent, grid: &Grid) -> Tensor<5> {
        ops::resize(ops::resize(image, through), grid.extent)
    }

    fn times_exp(&self, image: Tensor<5>, logarithm: Tensor<5>) -> Tensor<5> {
        image * logarithm.exp()
    }

    fn to_unit(&self, images: [Tensor<5>; 2], together: bool) -> [Tensor<5>; 2] {
        ops::stretch_to_unit(images, together)
    }

    fn power(&self, image: Tensor<5>, exponent: f32) -> Tensor<5> {
        image.powf_scalar(exponent)
    }

    fn darken(&self, image: Tensor<5>, axis: usize, planes: Range<usize>, _: &Grid) -> Tensor<5> {
        if planes.is_empty() {
            return image;
        }
        let mut dark = image.dims().map(|n| 0..n);
        dark[axis + 2] = planes;
        image.slice_fill(dark, 0.0)
    }
}
