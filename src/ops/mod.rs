//! Differentiable tensor operations of the registration networks; the only module that extends burn.
//!
//! Each file holds one operation in two forms. A [`bridge::Operation`] calls kernels with hand-written gradients: on
//! the CPU (burn's `flex` backend) those of [`crate::kernels`], on a GPU those of `gpu/`. The other form is composed
//! from burn's operations, runs on any backend, and is the reference that the kernels are tested against. What nothing is
//! learnt through, the steps of making synthetic pairs, is a [`bridge::Constant`] without gradient, whose form for the CPU
//! is the reference.
//!
//! Tensors are `[batch, channel, d, h, w]`; 2-D images have `d = 1` and fields of two components `(h, w)`. What a network is
//! made of ([`conv()`], [`joined_conv`], [`max_pool2`], [`upsample_concat`]) also takes images and features of 16-bit floats, and
//! then gives such; sums are made in 32 bits, and weights are of 32.

mod bridge;
mod conv;
mod correlation;
mod diffusion;
mod gaussian;
#[cfg(feature = "gpu")]
mod gpu;
mod half;
mod integrate;
mod joined;
mod labels;
mod lattice;
mod memory;
mod noise;
mod pool;
mod resize;
mod seed;
mod squares;
mod transform;
mod unit;
mod upsample;
mod warp;

pub use bridge::use_reference;
pub use conv::{ConvOptions, conv};
pub use correlation::local_correlation;
pub use diffusion::diffusion;
pub use gaussian::smooth_along;
#[cfg(feature = "gpu")]
pub use gpu::warp::exchange_sums;
pub use integrate::integrate;
pub use joined::joined_conv;
pub use labels::{highest_channel, present_labels, pull_labels};
pub use lattice::sum_lattices;
pub use memory::{device_memory, largest_tensor};
pub use noise::{NoiseKey, add_noise, paint_labels};
pub use pool::max_pool2;
pub use resize::{resize, resize_scaled};
pub use seed::seed;
pub use squares::mean_squared_difference;
pub use transform::transform_flow;
pub use unit::stretch_to_unit;
pub use upsample::upsample_concat;
pub use warp::warp;

pub use crate::kernels::correlation::Form as CorrelationForm;
pub use crate::kernels::diffusion::Norm;
pub use crate::kernels::warp::Border;

/// The forms composed from burn's operations, for any backend and as the reference in tests.
pub mod reference {
    pub use super::conv::composed as conv;
    pub use super::correlation::composed as local_correlation;
    pub use super::diffusion::composed as diffusion;
    pub use super::integrate::composed as integrate;
    pub use super::joined::composed as joined_conv;
    pub use super::pool::composed as max_pool2;
    pub use super::resize::composed as resize;
    pub use super::squares::composed as mean_squared_difference;
    pub use super::upsample::composed as upsample_concat;
    pub use super::warp::composed as warp;
}
