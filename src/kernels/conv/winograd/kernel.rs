//! Kernels in the transformed domain, packed as the tiles read them.

use std::ops::Range;

use super::super::JoinSpec;
use super::super::plan::blocks;
use super::super::simd::Level;
use super::Channels;

/// Products along one axis.
pub(super) const PRODUCTS: usize = 4;
/// Products over the rows and columns of a tile, `PRODUCTS * (along h) + (along w)`.
pub(super) const PLANE: usize = PRODUCTS * PRODUCTS;

/// The product along an axis that vanishes for coarse channels.
pub(super) const VANISHING: usize = 2;

/// Whether coarse channels lack the product `z` of `depth` products along d.
pub(super) fn vanishes(depth: usize, z: usize) -> bool {
    depth > 1 && z == VANISHING
}

/// Whether a product over rows and columns has coarse channels.
pub(super) fn has_coarse(product: usize) -> bool {
    product / PRODUCTS != VANISHING && product % PRODUCTS != VANISHING
}

/// Products over rows and columns that coarse channels have.
pub(super) fn coarse_products() -> impl Iterator<Item = usize> {
    (0..PLANE).filter(|&product| has_coarse(product))
}

/// From what to what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// From the inputs to the output.
    Forward,
    /// From the gradient of the output to those of the inputs.
    Transposed,
}

/// Transformed kernels of one block of target channels.
pub(super) struct Block {
    pub(super) targets: Range<usize>,
    /// For each product along d, `[product over rows and columns][source channel][target]` of fine targets, or
    /// `[source channel][product][target]` of coarse ones.
    pub(super) weights: Vec<Vec<f32>>,
}

/// The kernels of a convolution or its transpose.
pub(super) struct Kernels {
    /// Products along d: 4, or 1 for a kernel of depth 1.
    pub(super) depth: usize,
    pub(super) fine: Vec<Block>,
    pub(super) coarse: Vec<Block>,
}

impl Kernels {
    /// Transforms the weights `w`, `[out_channels, low_channels + skip_channels, kernel depth, 3, 3]`.
    pub(super) fn new(level: Level, spec: &JoinSpec, w: &[f32], direction: Direction) -> Self {
        assert_eq!(w.len(), spec.weights_len(), "weights of another shape");
        let transformed = Transformed::new(spec, w, direction);
        let (sources, targets) = match direction {
            Direction::Forward => (spec.inputs(), spec.outputs()),
            Direction::Transposed => (spec.outputs(), spec.inputs()),
        };
        let all = |channels: usize, pack: &dyn Fn(usize, Range<usize>) -> Vec<f32>| {
            let blocks = blocks(channels, level.channels()).into_iter();
            blocks
                .map(|targets| Block {
                    weights: (0..transformed.depth)
                        .map(|z| pack(z, targets.clone()))
                        .collect(),
                    targets,
                })
                .collect()
        };
        Self {
            depth: transformed.depth,
            fine: all(targets.fine, &|z, block| {
                transformed.for_fine(z, block, sources)
            }),
            coarse: all(targets.coarse, &|z, block| {
                let first = targets.fine;
                transformed.for_coarse(z, first + block.start..first + block.end, sources.fine)
            }),
        }
    }
}

/// `G g` for every pair of channels, `[target][source][product]`, fine channels first.
struct Transformed {
    values: Vec<f32>,
    sources: usize,
    depth: usize,
}

impl Transformed {
    fn new(spec: &JoinSpec, w: &[f32], direction: Direction) -> Self {
        let (low, skip) = (spec.low_channels, spec.skip_channels);
        let inputs = low + skip;
        let depth = if spec.kernel_depth == 3 { PRODUCTS } else { 1 };
        // Weights have the low channels first.
        let input = |n: usize| if n < skip { low + n } else { n - skip };
        let (targets, sources) = match direction {
            Direction::Forward => (spec.out_channels, inputs),
            Direction::Transposed => (inputs, spec.out_channels),
        };
        let factors = |n: usize| match (n < skip, direction) {
            (true, _) => [1.0; PRODUCTS],
            (false, Direction::Forward) => [1.0, 2.0, 0.0, 1.0],
            (false, Direction::Transposed) => [1.0, 2.0, 0.0, -1.0],
        };
        let taps = spec.kernel_depth * 9;
        let mut values = vec![0.0; targets * sources * depth * PLANE];
        for (pair, products) in values.chunks_exact_mut(depth * PLANE).enumerate() {
            let (target, source) = (pair / sources, pair % sources);
            let (out, n) = match direction {
                Direction::Forward => (target, source),
                Direction::Transposed => (source, target),
            };
            let mut kernel = [0.0; 27];
            let kernel = &mut kernel[..taps];
            kernel.copy_from_slice(&w[(out * inputs + input(n)) * taps..][..taps]);
            if direction == Direction::Transposed {
                kernel.reverse();
            }
            transform(kernel, factors(n), products);
        }
        Self {
            values,
            sources,
            depth,
        }
    }

    fn at(&self, target: usize, source: usize, z: usize, product: usize) -> f32 {
        self.values[((target * self.sources + source) * self.depth + z) * PLANE + product]
    }

    /// `[product][source][target]`; coarse sources, the last ones, only where they have the product.
    fn for_fine(&self, z: usize, block: Range<usize>, sources: Channels) -> Vec<f32> {
        let mut packed = Vec::new();
        for product in 0..PLANE {
            let coarse = has_coarse(product) && !vanishes(self.depth, z);
            let sources = if coarse { sources.all() } else { sources.fine };
            for source in 0..sources {
                packed.extend(
                    block
                        .clone()
                        .map(|target| self.at(target, source, z, product)),
                );
            }
        }
        packed
    }

    /// `[source][product that coarse targets have][target]`, empty where they have none.
    fn for_coarse(&self, z: usize, block: Range<usize>, sources: usize) -> Vec<f32> {
        let mut packed = Vec::new();
        for source in (0..sources).filter(|_| !vanishes(self.depth, z)) {
            for product in coarse_products() {
                packed.extend(
                    block
                        .clone()
                        .map(|target| self.at(target, source, z, product)),
                );
            }
        }
        packed
    }
}

/// `G g` along each axis, times the factors of each product; `taps` has one plane or three, `products` 1 or 4.
fn transform(taps: &[f32], factors: [f32; PRODUCTS], products: &mut [f32]) {
    let line = |[g0, g1, g2]: [f32; 3]| {
        let all = [g0, 0.5 * (g0 + g1 + g2), 0.5 * (g0 - g1 + g2), g2];
        std::array::from_fn::<f32, PRODUCTS, _>(|n| factors[n] * all[n])
    };
    let mut planes = [[0.0; PLANE]; 3];
    for (plane, taps) in planes.iter_mut().zip(taps.chunks_exact(9)) {
        let rows = [0, 3, 6].map(|at| line([taps[at], taps[at + 1], taps[at + 2]]));
        for x in 0..PRODUCTS {
            for (y, value) in line(rows.map(|row| row[x])).into_iter().enumerate() {
                plane[PRODUCTS * y + x] = value;
            }
        }
    }
    if taps.len() == 9 {
        products.copy_from_slice(&planes[0]);
        return;
    }
    for at in 0..PLANE {
        for (z, value) in line(planes.map(|plane| plane[at])).into_iter().enumerate() {
            products[z * PLANE + at] = value;
        }
    }
}
