//! Operations on the CPU, burn's `flex` backend: kernels on plain slices.

use std::sync::Arc;

use burn::backend::Flex;
use burn::backend::tensor::FloatTensor;
use burn::tensor::TensorData;

use super::{Gradients, Kept, Operation, Pack, Plan, Run, Shared, array, pack, unpack};

/// A contiguous tensor on the CPU, borrowed for the length of one kernel call.
pub struct View<'a> {
    pub shape: &'a [usize],
    pub data: &'a [f32],
}

/// A contiguous tensor on the CPU that nobody else reads any more.
pub struct ViewMut<'a> {
    pub shape: &'a [usize],
    pub data: &'a mut [f32],
}

/// Tensors the backward pass of an operation of `N` inputs may read.
pub struct Saved<'a, const N: usize> {
    /// The inputs, empty views unless [`Operation::saves_inputs`] says so.
    pub inputs: [View<'a>; N],
    /// The output, an empty view unless [`Operation::saves_output`] says so.
    pub output: View<'a>,
    /// Gradient of the loss with respect to the output, the operation's own: it may work in its place.
    pub grad: ViewMut<'a>,
    /// Which inputs need a gradient.
    pub wanted: [bool; N],
}

pub(super) type FlexTensor = FloatTensor<Flex>;

impl Run for Flex {
    fn run(inputs: Pack<Self>, operation: Shared) -> FlexTensor {
        operation.on_host(unpack!(Pack, inputs))
    }
}

impl Gradients for Flex {
    fn gradients(kept: Pack<Self>, plan: Arc<Plan>) -> Pack<Self> {
        let operation = plan.operation.clone();
        let kept = Kept::unpack(unpack!(Pack, kept), plan);
        pack!(Pack, operation.grads_on_host(kept))
    }
}

pub(super) fn forward<const N: usize>(
    operation: &impl Operation<N>,
    inputs: [FlexTensor; N],
) -> FlexTensor {
    let inputs = inputs.map(contiguous);
    let shape = operation.shape(inputs.each_ref().map(|t| &t.layout().shape()[..]));
    made(operation.forward(inputs.each_ref().map(view)), shape)
}

pub(super) fn backward<const N: usize>(
    operation: &impl Operation<N>,
    kept: Kept<FlexTensor>,
) -> Vec<FlexTensor> {
    let inputs: Option<[FlexTensor; N]> =
        (!kept.inputs.is_empty()).then(|| array(kept.inputs).map(contiguous));
    let output = kept.output.map(contiguous);
    let shape = kept.grad.layout().shape().to_vec();
    let mut grad = contiguous(kept.grad);
    let grads = operation.backward(Saved {
        inputs: match &inputs {
            Some(all) => all.each_ref().map(view),
            None => [EMPTY; N],
        },
        output: output.as_ref().map_or(EMPTY, view),
        grad: ViewMut {
            shape: &shape,
            data: grad.storage_mut(),
        },
        wanted: array(kept.plan.wanted.clone()),
    });
    let pairs = grads.into_iter().zip(&kept.plan.forms);
    let wanted = pairs.zip(&kept.plan.wanted).filter(|(_, wanted)| **wanted);
    wanted
        .map(|((grad, form), _)| {
            let grad = grad.expect("a gradient that was wanted");
            made(grad, form.shape.clone())
        })
        .collect()
}

fn view(tensor: &FlexTensor) -> View<'_> {
    View {
        shape: tensor.layout().shape(),
        data: tensor
            .as_slice::<f32>()
            .expect("made contiguous, and float32 was checked by serves"),
    }
}

/// The tensor in memory that holds nothing else, without a copy where it is so already.
fn contiguous(tensor: FlexTensor) -> FlexTensor {
    tensor.to_contiguous()
}

fn made(data: Vec<f32>, shape: Vec<usize>) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(data, shape))
}

const EMPTY: View<'static> = View {
    shape: &[],
    data: &[],
};
