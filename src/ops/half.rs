//! Activations in 16-bit floats on devices without kernels for them.

use burn::tensor::{DType, Tensor};

pub(super) fn is_half(x: &Tensor<5>) -> bool {
    x.dtype() == DType::F16
}

/// `operation` in 32-bit floats on inputs of 16 bits, its value rounded to those once: what the GPU kernels compute.
pub(super) fn widened<const N: usize>(
    inputs: [Tensor<5>; N],
    operation: impl FnOnce([Tensor<5>; N]) -> Tensor<5>,
) -> Tensor<5> {
    operation(inputs.map(|x| x.cast(DType::F32))).cast(DType::F16)
}
