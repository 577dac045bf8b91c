//! Smooth noise out of its nodes.

use burn::tensor::Tensor;

#[cfg(feature = "gpu")]
use super::bridge::Buffer;
use super::bridge::{self, Constant, View};
#[cfg(feature = "gpu")]
use super::gpu;

use crate::kernels::{Extent, resize};

/// The sum of several lattices of nodes, each resized to `to` voxels with aligned corners; component `c` of it is
/// multiplied by `factors[c]`.
///
/// # Shapes
/// - `nodes`: the lattices behind each other, of extents `lattices`, each `[n, c, d, h, w]`; as a tensor of any shape
/// - result: `[n, factors.len(), to[0], to[1], to[2]]`, up to three components
pub fn sum_lattices(
    nodes: Tensor<5>,
    lattices: &[Extent],
    n: usize,
    factors: &[f32],
    to: Extent,
) -> Tensor<5> {
    let each: usize = lattices.iter().map(|e| e.iter().product::<usize>()).sum();
    let expected = n * factors.len() * each;
    let found = nodes.shape().num_elements();
    assert_eq!(found, expected, "nodes do not fill {n} x {lattices:?}");
    assert!(
        (1..=3).contains(&factors.len()),
        "a field has one to three components"
    );
    let operation = SumLattices {
        lattices: lattices.to_vec(),
        n,
        factors: factors.to_vec(),
        to,
    };
    bridge::run_constant(operation, [nodes])
}

#[derive(Debug)]
struct SumLattices {
    lattices: Vec<Extent>,
    n: usize,
    factors: Vec<f32>,
    to: Extent,
}

impl Constant<1> for SumLattices {
    fn shape(&self, _: [&[usize]; 1]) -> [usize; 5] {
        let [d, h, w] = self.to;
        [self.n, self.factors.len(), d, h, w]
    }

    fn forward(&self, [nodes]: [View; 1]) -> Vec<f32> {
        let factors = self.factors.repeat(self.n);
        let mut first = 0;
        let stacks = self.lattices.iter().map(|&extent| {
            let start = first;
            first += factors.len() * extent.iter().product::<usize>();
            (&nodes.data[start..first], extent)
        });
        resize::sum(stacks, &factors, self.to)
    }

    #[cfg(feature = "gpu")]
    fn forward_gpu(&self, [nodes]: [Buffer; 1]) -> Buffer {
        gpu::lattice::sum(nodes, &self.lattices, self.n, &self.factors, self.to)
    }
}
