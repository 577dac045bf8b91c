//! Operations that nothing is learnt through: a value by kernels, no gradients.

use std::fmt::Debug;

use burn::tensor::{Tensor, TensorData};

#[cfg(feature = "gpu")]
use super::{Buffer, SavedBuffers};
use super::{Operation, Saved, View, run, serves};

/// An operation of `N` tensors whose value is a constant for automatic differentiation.
pub trait Constant<const N: usize>: Debug + Send + Sync + 'static {
    /// Shape of the value.
    fn shape(&self, inputs: [&[usize]; N]) -> [usize; 5];
    /// The value, on the CPU.
    fn forward(&self, inputs: [View; N]) -> Vec<f32>;
    /// The value, on a GPU.
    #[cfg(feature = "gpu")]
    fn forward_gpu(&self, inputs: [Buffer; N]) -> Buffer;
}

/// Runs an operation on the device that holds its inputs, which must not be part of a graph.
///
/// Where no kernel serves, its form for the CPU works on copies of the inputs.
pub fn run_constant<const N: usize>(
    operation: impl Constant<N>,
    inputs: [Tensor<5>; N],
) -> Tensor<5> {
    if inputs.iter().all(serves) {
        return run(Ungraded(operation), inputs.map(Tensor::into_dispatch));
    }
    let device = inputs[0].device();
    let shapes = inputs.each_ref().map(Tensor::dims);
    let values = inputs.map(|tensor| -> Vec<f32> {
        let data = tensor.into_data().convert::<f32>();
        data.try_to_vec().expect("converted to 32-bit floats")
    });
    let shape = operation.shape(shapes.each_ref().map(|shape| &shape[..]));
    let views = std::array::from_fn(|n| View {
        shape: &shapes[n],
        data: &values[n],
    });
    Tensor::from_data(TensorData::new(operation.forward(views), shape), &device)
}

/// A [`Constant`] as the operation without gradient that it is.
#[derive(Debug)]
struct Ungraded<T>(T);

impl<T: Constant<N>, const N: usize> Operation<N> for Ungraded<T> {
    fn shape(&self, inputs: [&[usize]; N]) -> Vec<usize> {
        self.0.shape(inputs).to_vec()
    }

    fn forward(&self, inputs: [View; N]) -> Vec<f32> {
        self.0.forward(inputs)
    }

    fn backward(&self, _: Saved<N>) -> [Option<Vec<f32>>; N] {
        unreachable!("{:?} is given constants", self.0)
    }

    #[cfg(feature = "gpu")]
    fn forward_gpu(&self, inputs: [Buffer; N]) -> Buffer {
        self.0.forward_gpu(inputs)
    }

    #[cfg(feature = "gpu")]
    fn backward_gpu(&self, _: SavedBuffers<N>) -> [Option<Buffer>; N] {
        unreachable!("{:?} is given constants", self.0)
    }
}
