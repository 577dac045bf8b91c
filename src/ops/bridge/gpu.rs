//! Operations on a GPU, burn's CubeCL backend: kernels on buffers of its memory.

use std::sync::Arc;

use burn::backend::fusion::custom::TensorSpec;
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;

use super::{
    Form, Gradients, Kept, Operation, Pack, PackMetadata, Plan, Run, Shared, array, pack, unpack,
};

/// A contiguous tensor of floats in the memory of a GPU.
pub type Buffer = CubeTensor;

/// Tensors the backward pass of an operation of `N` inputs may read.
pub struct SavedBuffers<const N: usize> {
    /// The inputs, `None` unless [`Operation::saves_inputs`] says so.
    pub inputs: Option<[Buffer; N]>,
    /// The output, `None` unless [`Operation::saves_output`] says so.
    pub output: Option<Buffer>,
    /// Gradient of the loss with respect to the output.
    pub grad: Buffer,
    /// Which inputs need a gradient.
    pub wanted: [bool; N],
}

impl Run for CubeBackend {
    fn run(inputs: Pack<Self>, operation: Shared) -> CubeTensor {
        operation.on_gpu(unpack!(Pack, inputs))
    }
}

impl Gradients for CubeBackend {
    fn gradients(kept: Pack<Self>, plan: Arc<Plan>) -> Pack<Self> {
        let operation = plan.operation.clone();
        let kept = Kept::unpack(unpack!(Pack, kept), plan);
        pack!(Pack, operation.grads_on_gpu(kept))
    }
}

pub(super) fn forward<const N: usize>(
    operation: &impl Operation<N>,
    inputs: [Buffer; N],
) -> Buffer {
    operation.forward_gpu(inputs.map(into_contiguous))
}

pub(super) fn backward<const N: usize>(
    operation: &impl Operation<N>,
    kept: Kept<Buffer>,
) -> Vec<Buffer> {
    let inputs = (!kept.inputs.is_empty()).then(|| array(kept.inputs).map(into_contiguous));
    let wanted: [bool; N] = array(kept.plan.wanted.clone());
    let grads = operation.backward_gpu(SavedBuffers {
        inputs,
        output: kept.output.map(into_contiguous),
        grad: into_contiguous(kept.grad),
        wanted,
    });
    let pairs = grads.into_iter().zip(wanted).filter(|(_, wanted)| *wanted);
    pairs
        .map(|(grad, _)| grad.expect("a gradient that was wanted"))
        .collect()
}

/// Shape and type of an operation's value, before it is computed.
pub(super) fn value_spec(inputs: &PackMetadata, operation: &Shared) -> TensorSpec {
    let inputs: Vec<&TensorSpec> = unpack!(PackMetadata, inputs);
    let shapes: Vec<&[usize]> = inputs.iter().map(|spec| &spec.shape[..]).collect();
    TensorSpec::new(operation.shape(&shapes).into(), inputs[0].dtype)
}

/// Shapes and types of the gradients that are wanted.
pub(super) fn gradient_specs(plan: &Plan) -> PackMetadata {
    let spec = |form: &Form| TensorSpec::new(form.shape.clone().into(), form.dtype);
    let specs: Vec<TensorSpec> = plan.wanted_forms().map(spec).collect();
    pack!(PackMetadata, specs)
}
