//! Intensities brought to the unit interval.

use burn::tensor::Tensor;

#[cfg(feature = "gpu")]
use super::bridge::Buffer;
use super::bridge::{self, Constant, View};
#[cfg(feature = "gpu")]
use super::gpu;

use crate::kernels::unit;

/// Images clipped to [0, 1], then stretched to the whole of it; `together` by one factor. An image of one intensity
/// becomes dark.
pub fn stretch_to_unit([a, b]: [Tensor<5>; 2], together: bool) -> [Tensor<5>; 2] {
    let ranges = [&a, &b].map(|x| bridge::run_constant(Ranges, [x.clone()]));
    let [of_a, of_b] = match together {
        true => {
            let both = Tensor::cat(Vec::from(ranges), 3);
            [both.clone(), both]
        }
        false => ranges,
    };
    [
        bridge::run_constant(Stretch, [a, of_a]),
        bridge::run_constant(Stretch, [b, of_b]),
    ]
}

/// Lowest and highest values, clipped to [0, 1], of parts of an image: `[1, 1, 1, parts, 2]`.
#[derive(Debug)]
struct Ranges;

impl Constant<1> for Ranges {
    fn shape(&self, [x]: [&[usize]; 1]) -> [usize; 5] {
        [1, 1, 1, unit::parts(x.iter().product()), 2]
    }

    fn forward(&self, [x]: [View; 1]) -> Vec<f32> {
        unit::ranges(x.data)
    }

    #[cfg(feature = "gpu")]
    fn forward_gpu(&self, [x]: [Buffer; 1]) -> Buffer {
        gpu::unit::ranges(x)
    }
}

/// Stretches from the widest of some ranges.
#[derive(Debug)]
struct Stretch;

impl Constant<2> for Stretch {
    fn shape(&self, [x, _]: [&[usize]; 2]) -> [usize; 5] {
        std::array::from_fn(|axis| x[axis])
    }

    fn forward(&self, [x, ranges]: [View; 2]) -> Vec<f32> {
        let mut out = x.data.to_vec();
        unit::stretch(&mut out, ranges.data);
        out
    }

    #[cfg(feature = "gpu")]
    fn forward_gpu(&self, [x, ranges]: [Buffer; 2]) -> Buffer {
        gpu::unit::stretch(x, ranges)
    }
}
