//! Gradients of the weights and the bias: `G^T [(B^T x) . (A g)]`, summed over all positions.
//!
//! As in the direct form, groups of positions that depend on the shapes only have their own sums, which are added in
//! order.

use rayon::prelude::*;

use super::super::JoinSpec;
use super::super::buffer::Buffers;
use super::super::grad_weights::{add_in_order, groups};
use super::super::plan::{Job, jobs};
use super::super::simd::Level;
use super::Axes;
use super::engine::{parts, rows_together};
use super::input::{Coarse, Fine, Gradient};
use super::kernel::{PLANE, PRODUCTS, has_coarse, vanishes};
use super::outer::{BLOCK, Bias, Narrow, Outer, Wide};
use super::products::Products;
use super::slab::Source;

/// As [`super::forward`]; overwrites `grad_w`, and `grad_bias` where there is one.
pub(in super::super) fn run(
    level: Level,
    spec: &JoinSpec,
    [low, skip]: [&[f32]; 2],
    grad_out: &[f32],
    grad_w: &mut [f32],
    grad_bias: Option<&mut [f32]>,
) {
    assert_eq!(grad_w.len(), spec.weights_len(), "weights of another shape");
    let axes = Axes::new(spec);
    let [fine, coarse] = axes.sources(spec.inputs(), [skip, low]);
    let [gradient, _] = axes.sources(spec.outputs(), [grad_out, &[]]);
    for source in [&fine, &coarse, &gradient] {
        assert_eq!(
            source.values.len(),
            spec.batch * source.item(),
            "tensor of another shape"
        );
    }
    let sums = Sums::new(spec);
    let channels = spec.inputs().all() + spec.out_channels;
    let count = groups(sums.len());
    let jobs = jobs(&axes.fine, spec.batch, channels, count);
    let together = jobs.len().div_ceil(count).max(1);
    let all: Vec<Vec<f32>> = jobs
        .par_chunks(together)
        .with_max_len(1)
        .map(|group| {
            let mut group_sums = vec![0.0; sums.len()];
            let mut work = Work {
                level,
                sources: [fine, coarse, gradient],
                shape: sums,
                sums: &mut group_sums,
            };
            Buffers::with(|buffers| group.iter().for_each(|job| work.job(job, buffers)));
            group_sums
        })
        .collect();
    let total = add_in_order(&all, sums.len());
    sums.unpack(&total, spec, grad_w);
    if let Some(grad_bias) = grad_bias {
        grad_bias.copy_from_slice(&total[sums.bias()..][..spec.out_channels]);
    }
}

/// Where the sums are: `[product along d][product over rows and columns][block of inputs][block of outputs][input]
/// [output]`, then those of the bias.
#[derive(Debug, Clone, Copy)]
struct Sums {
    depth: usize,
    inputs: usize,
    outputs: usize,
}

impl Sums {
    fn new(spec: &JoinSpec) -> Self {
        Self {
            depth: if spec.kernel_depth == 3 { PRODUCTS } else { 1 },
            inputs: spec.inputs().all().next_multiple_of(BLOCK),
            outputs: spec.out_channels.next_multiple_of(BLOCK),
        }
    }

    fn product(&self) -> usize {
        self.inputs * self.outputs
    }

    fn bias(&self) -> usize {
        self.depth * PLANE * self.product()
    }

    fn len(&self) -> usize {
        self.bias() + self.outputs
    }

    /// `G^T` of every pair of channels, in the order of the weights.
    fn unpack(&self, sums: &[f32], spec: &JoinSpec, grad_w: &mut [f32]) {
        let inputs = spec.inputs();
        let kernels = grad_w.par_chunks_exact_mut(spec.kernel_depth * 9);
        kernels.enumerate().for_each(|(at, taps)| {
            let (out, n) = (at / inputs.all(), at % inputs.all());
            // Weights have the low channels first.
            let coarse = n < inputs.coarse;
            let n = if coarse {
                inputs.fine + n
            } else {
                n - inputs.coarse
            };
            let block = (n / BLOCK * (self.outputs / BLOCK) + out / BLOCK) * BLOCK * BLOCK;
            let from = block + n % BLOCK * BLOCK + out % BLOCK;
            let value =
                |z: usize, product: usize| sums[(z * PLANE + product) * self.product() + from];
            transform_back(self.depth, coarse, value, taps);
        });
    }
}

/// `G^T` along each axis: taps, `[kernel depth][3][3]`, from the sums of one pair of channels.
fn transform_back(
    depth: usize,
    coarse: bool,
    value: impl Fn(usize, usize) -> f32,
    taps: &mut [f32],
) {
    // The third sum of a coarse channel does not exist: nobody has written it.
    let line = |[a0, a1, a2, a3]: [f32; PRODUCTS]| {
        let (a1, a2) = if coarse { (2.0 * a1, 0.0) } else { (a1, a2) };
        [a0 + 0.5 * (a1 + a2), 0.5 * (a1 - a2), 0.5 * (a1 + a2) - a3]
    };
    let mut planes = [[0.0; 9]; PRODUCTS];
    for (z, plane) in planes.iter_mut().enumerate().take(depth) {
        let rows: [[f32; 3]; PRODUCTS] =
            std::array::from_fn(|y| line(std::array::from_fn(|x| value(z, PRODUCTS * y + x))));
        for x in 0..3 {
            let column = line(rows.map(|row| row[x]));
            (plane[x], plane[3 + x], plane[6 + x]) = (column[0], column[1], column[2]);
        }
    }
    if depth == 1 {
        taps.copy_from_slice(&planes[0]);
        return;
    }
    for at in 0..9 {
        let column = line(planes.map(|plane| plane[at]));
        (taps[at], taps[9 + at], taps[18 + at]) = (column[0], column[1], column[2]);
    }
}

/// Sums over the jobs of one group.
struct Work<'a> {
    level: Level,
    /// Fine and coarse inputs, and the gradient of the output.
    sources: [Source<'a>; 3],
    shape: Sums,
    sums: &'a mut [f32],
}

impl Work<'_> {
    fn job(&mut self, job: &Job, buffers: &mut Buffers) {
        let Sums {
            depth,
            inputs,
            outputs,
        } = self.shape;
        let [fine, coarse, gradient] = self.sources;
        let layout = fine.layout(job);
        // More than forward, for each part ends in sums over lanes; the products still fit the second-level cache.
        let positions = (24576 / (inputs + outputs)).clamp(64, 512);
        let together = rows_together(&layout, positions, job);
        let positions = layout.positions(together);
        let [memory_fine, memory_coarse, memory_gradient, left, right] = buffers.get([
            fine.slab_len(job),
            coarse.slab_len(job),
            gradient.slab_len(job),
            Products::len(inputs, positions),
            Products::len(outputs, positions),
        ]);
        let mut slabs = [
            fine.slab(self.level, job, memory_fine),
            coarse.slab(self.level, job, memory_coarse),
            gradient.slab(self.level, job, memory_gradient),
        ];
        let mut left = Products::new(left, inputs, positions);
        let mut right = Products::new(right, outputs, positions);
        for plane in job.planes.clone() {
            slabs.iter_mut().for_each(|slab| slab.fill(plane));
            for rows in parts(&job.rows, together) {
                let positions = layout.positions(rows.len());
                for z in 0..depth {
                    let at = [plane, z];
                    slabs[0].enter::<Fine, 4, 4>(at, rows.clone(), 0, &mut left);
                    slabs[1].enter::<Coarse, 3, 3>(at, rows.clone(), fine.channels, &mut left);
                    slabs[2].enter::<Gradient, 2, 4>(at, rows.clone(), 0, &mut right);
                    // Nor may the number after the last row count: its window begins in other rows.
                    right.clear(rows.len() * layout.pitch - 1..positions);
                    self.multiply(z, &left, &right, positions);
                }
            }
        }
    }

    /// Adds the products of some positions.
    fn multiply(&mut self, z: usize, left: &Products, right: &Products, positions: usize) {
        let [fine, coarse, _] = self.sources;
        let size = self.shape.product();
        let (products, bias) = self.sums.split_at_mut(self.shape.bias());
        let sums = products[z * PLANE * size..]
            .chunks_exact_mut(size)
            .take(PLANE);
        for (product, sums) in sums.enumerate() {
            let has_coarse = has_coarse(product) && !vanishes(self.shape.depth, z);
            let channels = fine.channels + if has_coarse { coarse.channels } else { 0 };
            let outer = Outer {
                left,
                right,
                product,
                channels,
                positions,
                sums,
            };
            match self.level.channels() {
                8 => self.level.run(Wide(outer)),
                _ => self.level.run(Narrow(outer)),
            }
        }
        // The product of the sums of every pair holds each gradient once.
        if z == usize::from(self.shape.depth > 1) {
            self.level.run(Bias {
                right,
                product: PRODUCTS + 1,
                positions,
                sums: bias,
            });
        }
    }
}
