//! Convolution of a coarse tensor's upsampling with a second tensor behind it along the channels; see [`children`](super::children).

use super::children::{self, Children, by_child, folded};
use super::forward::Convolution;
use super::pack::Weights;
use super::weights;
use super::{Buffer, channels, extent, linear};

pub fn forward(
    low: &Buffer,
    skip: &Buffer,
    weight: &Buffer,
    bias: &Buffer,
    slope: Option<f32>,
) -> Buffer {
    let coarse = Weights::folded(weight, channels(low));
    let coarse = linear(low, &coarse, Children::Output);
    let weights = Weights::as_stored(weight, channels(low));
    Convolution {
        x: skip,
        weights: &weights,
        children: Children::Nowhere,
        stride: [1; 3],
        bias: Some(bias),
        onto: Some(&coarse),
        slope,
    }
    .run()
}

/// Gradients with respect to the coarse tensor, the second one, and the weights.
pub fn backward(
    [low, skip, weight]: [&Buffer; 3],
    grad: &Buffer,
    [want_low, want_skip, want_weight]: [bool; 3],
) -> [Option<Buffer>; 3] {
    let a = channels(low);
    let coarse = (want_low || want_weight).then(|| by_child(grad, extent(weight)));
    let coarse = coarse.as_ref();
    let of_low = coarse.filter(|_| want_low);
    let of_weight = coarse.filter(|_| want_weight);
    [
        of_low.map(|grad| linear(grad, &Weights::folded_turned(weight, a), Children::Input)),
        want_skip.then(|| linear(grad, &Weights::turned(weight, a), Children::Nowhere)),
        of_weight.map(|by_child| {
            let low = weights::grad_folded(low, by_child, folded(extent(weight)));
            let skip_part = weights::grad_weights(skip, grad, extent(weight), [1; 3]);
            children::unfold(&low, &skip_part, weight)
        }),
    ]
}
