//! Synthetic pairs on the device that trains: the steps of [`crate::synth`] on tensors, so that the CPU does not set the pace.
//!
//! Seeds mean the same as on the CPU: all small random numbers (nodes of smooth noise, affine maps, intensities of labels,
//! settings of artefacts) come from the same streams, so shapes, deformations and true fields agree but for rounding.
//! The noise of single voxels is another sample of the same distribution.

mod engine;

pub use engine::DeviceEngine;
