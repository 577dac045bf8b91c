//! The start of a backward pass from a gradient that is known.

use burn::tensor::Tensor;

use super::bridge::{self, Operation, Saved, View};
#[cfg(feature = "gpu")]
use super::bridge::{Buffer, SavedBuffers};
#[cfg(feature = "gpu")]
use super::gpu;

/// A scalar whose gradient with respect to `x` is `upstream`, a constant of the same shape and type. To be differentiated
/// as it is, or in a sum with others; its value means nothing.
///
/// The kernels neither read `x` nor multiply: they give 0, and hand `upstream` on.
pub fn seed(x: Tensor<5>, upstream: Tensor<5>) -> Tensor<1> {
    assert_eq!(x.dims(), upstream.dims(), "a gradient is like its tensor");
    if bridge::serves_half(&x) && bridge::serves_half(&upstream) {
        bridge::run(Seed, [x.into_dispatch(), upstream.into_dispatch()]).reshape([1])
    } else {
        composed(x, upstream)
    }
}

/// [`seed`] from burn's operations.
fn composed(x: Tensor<5>, upstream: Tensor<5>) -> Tensor<1> {
    (x * upstream).sum()
}

#[derive(Debug)]
struct Seed;

impl Operation<2> for Seed {
    fn saves_inputs(&self) -> bool {
        true
    }

    fn shape(&self, _: [&[usize]; 2]) -> Vec<usize> {
        vec![1; 5]
    }

    fn forward(&self, _: [View; 2]) -> Vec<f32> {
        vec![0.0]
    }

    fn backward(&self, saved: Saved<2>) -> [Option<Vec<f32>>; 2] {
        let [_, upstream] = saved.inputs;
        [Some(upstream.data.to_vec()), None]
    }

    #[cfg(feature = "gpu")]
    fn forward_gpu(&self, [x, _]: [Buffer; 2]) -> Buffer {
        gpu::zeros(&x, [1; 5])
    }

    #[cfg(feature = "gpu")]
    fn backward_gpu(&self, saved: SavedBuffers<2>) -> [Option<Buffer>; 2] {
        let [_, upstream] = saved.inputs.expect("saves_inputs");
        [Some(upstream), None]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::oracle::random::uniform;
    use burn::tensor::{Device, TensorData};

    /// The cases of the other operations compare values, and weigh gradients: neither means anything here.
    #[test]
    fn both_forms_begin_with_the_same_bits() {
        let tensor = |n, device: &Device| -> Tensor<5> {
            Tensor::from_data(
                TensorData::new(uniform(n, 48, 1.0), [2, 3, 1, 4, 2]),
                device,
            )
        };
        let device = Device::flex();
        let [of_a, of_b] = [1, 2].map(|n| tensor(n, &device));
        for form in [seed, composed] {
            let [a, b] = [3, 4].map(|n| tensor(n, &device.clone().autodiff()).require_grad());
            let start = form(a.clone(), of_a.clone()) + form(b.clone(), of_b.clone());
            let gradients = start.backward();
            for (x, upstream) in [(&a, &of_a), (&b, &of_b)] {
                assert_eq!(x.grad(&gradients).unwrap().into_data(), upstream.to_data());
            }
        }
    }

    #[test]
    fn what_is_not_tracked_stays_so() {
        let device = Device::flex();
        let x: Tensor<5> = Tensor::ones([1, 1, 2, 2, 2], &device);
        let decorated = Tensor::from_inner(x.clone());
        assert!(!seed(decorated, x.clone()).is_tracked());
        assert_eq!(seed(x.clone(), x).into_scalar::<f32>(), 0.0);
    }
}
