//! Bridge between burn tensors and the kernels of this crate.
//!
//! An [`Operation`] states its value and its gradients for every kind of device that has kernels; this module makes
//! it a burn operation with automatic differentiation. One extension trait serves every operation, so that adding
//! one means writing its kernels and its `Operation`, nothing else.

mod constant;
#[cfg(feature = "gpu")]
mod gpu;
mod host;

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients as Graph;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::autodiff::{Autodiff, NodeId};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, ExtensionType, TensorMetadata, backend_extension};
use burn::tensor::{DType, Device, Tensor};

pub use constant::{Constant, run_constant};
#[cfg(feature = "gpu")]
pub use gpu::{Buffer, SavedBuffers};
pub use host::{Saved, View};

/// The variant of an enum like [`Pack`] that holds a list.
macro_rules! pack {
    ($enum:ident, $list:expr) => {{
        let list = $list;
        let count = list.len();
        let mut list = list.into_iter();
        let mut next = || list.next().expect("as many as were counted");
        match count {
            0 => $enum::Zero,
            1 => $enum::One(next()),
            2 => $enum::Two(next(), next()),
            3 => $enum::Three(next(), next(), next()),
            4 => $enum::Four(next(), next(), next(), next()),
            5 => $enum::Five(next(), next(), next(), next(), next()),
            6 => $enum::Six(next(), next(), next(), next(), next(), next()),
            _ => unreachable!("no operation has {count} tensors"),
        }
    }};
}

/// The list that a variant of an enum like [`Pack`] holds.
macro_rules! unpack {
    ($enum:ident, $value:expr) => {
        match $value {
            $enum::Zero => vec![],
            $enum::One(a) => vec![a],
            $enum::Two(a, b) => vec![a, b],
            $enum::Three(a, b, c) => vec![a, b, c],
            $enum::Four(a, b, c, d) => vec![a, b, c, d],
            $enum::Five(a, b, c, d, e) => vec![a, b, c, d, e],
            $enum::Six(a, b, c, d, e, f) => vec![a, b, c, d, e, f],
        }
    };
}

use {pack, unpack};

/// An operation of `N` tensors whose value and gradients are computed by kernels of this crate.
pub trait Operation<const N: usize>: Debug + Send + Sync + 'static {
    /// Whether the backward pass reads the inputs.
    fn saves_inputs(&self) -> bool {
        false
    }
    /// Whether the backward pass reads the output.
    fn saves_output(&self) -> bool {
        false
    }
    /// Shape of the value, which is stored as the first input is.
    fn shape(&self, inputs: [&[usize]; N]) -> Vec<usize>;
    /// The value, on the CPU.
    fn forward(&self, inputs: [View; N]) -> Vec<f32>;
    /// The gradient of each input, `None` where none is wanted, on the CPU.
    fn backward(&self, saved: Saved<N>) -> [Option<Vec<f32>>; N];
    /// The value, on a GPU.
    #[cfg(feature = "gpu")]
    fn forward_gpu(&self, inputs: [Buffer; N]) -> Buffer;
    /// The gradient of each input, `None` where none is wanted, on a GPU.
    #[cfg(feature = "gpu")]
    fn backward_gpu(&self, saved: SavedBuffers<N>) -> [Option<Buffer>; N];
}

/// See [`use_reference`].
static REFERENCE: AtomicBool = AtomicBool::new(false);

/// Whether operations that begin from now on, in the whole process, run as their composed forms even where a kernel
/// could serve, to check a result. Slow.
pub fn use_reference(on: bool) {
    REFERENCE.store(on, Ordering::Relaxed);
}

/// Whether the kernels are to serve this tensor: 32-bit floats on the CPU backend or on a GPU.
pub fn serves<const D: usize>(tensor: &Tensor<D>) -> bool {
    !REFERENCE.load(Ordering::Relaxed)
        && tensor.dtype() == DType::F32
        && (cfg!(feature = "gpu") || tensor.device().inner() == Device::flex())
}

/// The same for an operation whose GPU kernels also take its first inputs, and give its value, in 16-bit floats.
pub fn serves_half<const D: usize>(tensor: &Tensor<D>) -> bool {
    match tensor.dtype() {
        DType::F16 => {
            !REFERENCE.load(Ordering::Relaxed) && tensor.device().inner() != Device::flex()
        }
        _ => serves(tensor),
    }
}

/// Runs an operation on the device that holds its inputs.
pub fn run<const N: usize>(
    operation: impl Operation<N>,
    inputs: [FloatTensor<Dispatch>; N],
) -> Tensor<5> {
    let inputs = pack!(Pack, Vec::from(inputs));
    let operation: Shared = Arc::new(Arity::<_, N>(operation));
    Tensor::from_dispatch(<Dispatch as Run>::run(inputs, operation))
}

type Shared = Arc<dyn Erased>;

/// [`Operation`] with its number of inputs erased, as the extension traits need it.
trait Erased: Debug + Send + Sync {
    fn saves_inputs(&self) -> bool;
    fn saves_output(&self) -> bool;
    #[cfg(feature = "gpu")]
    fn shape(&self, inputs: &[&[usize]]) -> Vec<usize>;
    fn on_host(&self, inputs: Vec<host::FlexTensor>) -> host::FlexTensor;
    fn grads_on_host(&self, kept: Kept<host::FlexTensor>) -> Vec<host::FlexTensor>;
    #[cfg(feature = "gpu")]
    fn on_gpu(&self, inputs: Vec<Buffer>) -> Buffer;
    #[cfg(feature = "gpu")]
    fn grads_on_gpu(&self, kept: Kept<Buffer>) -> Vec<Buffer>;
}

#[derive(Debug)]
struct Arity<T, const N: usize>(T);

impl<T: Operation<N>, const N: usize> Erased for Arity<T, N> {
    fn saves_inputs(&self) -> bool {
        self.0.saves_inputs()
    }

    fn saves_output(&self) -> bool {
        self.0.saves_output()
    }

    #[cfg(feature = "gpu")]
    fn shape(&self, inputs: &[&[usize]]) -> Vec<usize> {
        self.0.shape(array(inputs.to_vec()))
    }

    fn on_host(&self, inputs: Vec<host::FlexTensor>) -> host::FlexTensor {
        host::forward(&self.0, array(inputs))
    }

    fn grads_on_host(&self, kept: Kept<host::FlexTensor>) -> Vec<host::FlexTensor> {
        host::backward(&self.0, kept)
    }

    #[cfg(feature = "gpu")]
    fn on_gpu(&self, inputs: Vec<Buffer>) -> Buffer {
        gpu::forward(&self.0, array(inputs))
    }

    #[cfg(feature = "gpu")]
    fn grads_on_gpu(&self, kept: Kept<Buffer>) -> Vec<Buffer> {
        gpu::backward(&self.0, kept)
    }
}

fn array<T, const N: usize>(list: Vec<T>) -> [T; N] {
    let n = list.len();
    list.try_into()
        .unwrap_or_else(|_| unreachable!("an operation of {N} tensors was given {n}"))
}

/// What a backward pass needs beside tensors.
#[derive(Debug)]
struct Plan {
    operation: Shared,
    /// Which inputs need a gradient.
    wanted: Vec<bool>,
    /// Of the inputs, and so of their gradients.
    forms: Vec<Form>,
}

/// Shape and type of a tensor.
#[derive(Debug, Clone)]
struct Form {
    shape: Vec<usize>,
    #[cfg(feature = "gpu")]
    dtype: DType,
}

impl Form {
    fn of(tensor: &impl TensorMetadata) -> Self {
        Self {
            shape: tensor.shape().to_vec(),
            #[cfg(feature = "gpu")]
            dtype: tensor.dtype(),
        }
    }
}

#[cfg(feature = "gpu")]
impl Plan {
    fn wanted_forms(&self) -> impl Iterator<Item = &Form> {
        let pairs = self.forms.iter().zip(&self.wanted);
        pairs.filter(|(_, wanted)| **wanted).map(|(form, _)| form)
    }
}

/// The tensors of a backward pass.
struct Kept<T> {
    /// Empty unless [`Operation::saves_inputs`] says so.
    inputs: Vec<T>,
    /// `None` unless [`Operation::saves_output`] says so.
    output: Option<T>,
    /// Gradient of the loss with respect to the output.
    grad: T,
    plan: Arc<Plan>,
}

impl<T> Kept<T> {
    /// The list as one, in the order inputs, output, gradient.
    fn pack(self) -> Vec<T> {
        let ends = self.output.into_iter().chain([self.grad]);
        self.inputs.into_iter().chain(ends).collect()
    }

    fn unpack(mut list: Vec<T>, plan: Arc<Plan>) -> Self {
        let grad = list.pop().expect("the gradient is always kept");
        let output = plan.operation.saves_output().then(|| list.pop()).flatten();
        Self {
            inputs: list,
            output,
            grad,
            plan,
        }
    }
}

/// Up to six tensors, since burn's extension traits take no lists.
#[derive(ExtensionType)]
#[extension_type(fusion: cfg(feature = "gpu"))]
#[rustfmt::skip]
enum Pack<B: Backend> {
    Zero,
    One(FloatTensor<B>),
    Two(FloatTensor<B>, FloatTensor<B>),
    Three(FloatTensor<B>, FloatTensor<B>, FloatTensor<B>),
    Four(FloatTensor<B>, FloatTensor<B>, FloatTensor<B>, FloatTensor<B>),
    Five(FloatTensor<B>, FloatTensor<B>, FloatTensor<B>, FloatTensor<B>, FloatTensor<B>),
    Six(FloatTensor<B>, FloatTensor<B>, FloatTensor<B>, FloatTensor<B>, FloatTensor<B>, FloatTensor<B>),
}

#[backend_extension(Autodiff, Flex, Cube: cfg(feature = "gpu"), Fusion: cfg(feature = "gpu"))]
trait Run: Backend {
    #[fusion(meta = |inputs, operation| gpu::value_spec(inputs, operation))]
    fn run(#[extension_type] inputs: Pack<Self>, operation: Shared) -> FloatTensor<Self>;
}

/// Gradients on the undecorated backends. Apart from [`Run`], so that differentiating a gradient is a type error.
#[backend_extension(Flex, Cube: cfg(feature = "gpu"), Fusion: cfg(feature = "gpu"))]
trait Gradients: Backend {
    /// The gradients that are wanted, in the order of the inputs.
    #[fusion(meta = |_kept, plan| gpu::gradient_specs(plan))]
    fn gradients(#[extension_type] kept: Pack<Self>, plan: Arc<Plan>) -> Pack<Self>;
}

#[derive(Debug)]
struct Differentiable;

#[derive(Debug, Clone)]
struct State<B: Backend, const N: usize> {
    operation: Shared,
    inputs: Option<[NodeId; N]>,
    output: Option<FloatTensor<B>>,
    forms: [Form; N],
}

impl<B: Gradients, const N: usize> Backward<B, N> for Differentiable {
    type State = State<B, N>;

    fn backward(
        self,
        ops: Ops<Self::State, N>,
        grads: &mut Graph,
        checkpointer: &mut Checkpointer,
    ) {
        let State {
            operation,
            inputs,
            output,
            forms,
        } = ops.state;
        let grad = grads.consume::<B>(&ops.node);
        let inputs = inputs.map(|ids| ids.map(|id| checkpointer.retrieve_node_output(id)));
        let plan = Arc::new(Plan {
            operation,
            wanted: ops.parents.iter().map(Option::is_some).collect(),
            forms: forms.into(),
        });
        let kept = Kept {
            inputs: inputs.map_or(vec![], Vec::from),
            output,
            grad,
            plan: plan.clone(),
        };
        let made = B::gradients(pack!(Pack, kept.pack()), plan);
        let parents = ops.parents.into_iter().flatten();
        for (parent, grad) in parents.zip(unpack!(Pack, made)) {
            grads.register::<B>(parent.id, grad);
        }
    }
}

fn track<B: Run + Gradients, C: CheckpointStrategy, const N: usize>(
    operation: Shared,
    inputs: [FloatTensor<Autodiff<B, C>>; N],
) -> FloatTensor<Autodiff<B, C>> {
    let guards = inputs.each_ref().map(|t| t.node());
    let forms = inputs.each_ref().map(Form::of);
    let primitives = Vec::from(inputs.each_ref().map(|t| t.primitive().clone()));
    let output = B::run(pack!(Pack, primitives), operation.clone());
    match Differentiable
        .prepare::<C>(guards)
        .compute_bound()
        .stateful()
    {
        OpsKind::Tracked(mut prep) => {
            let inputs = operation
                .saves_inputs()
                .then(|| inputs.each_ref().map(|t| prep.checkpoint(t)));
            let state = State {
                inputs,
                output: operation.saves_output().then(|| output.clone()),
                forms,
                operation,
            };
            prep.finish(state, output)
        }
        OpsKind::UnTracked(prep) => prep.finish(output),
    }
}

impl<B: Run + Gradients, C: CheckpointStrategy> Run for Autodiff<B, C> {
    fn run(inputs: Pack<Self>, operation: Shared) -> FloatTensor<Self> {
        match inputs {
            Pack::One(a) => track::<B, C, _>(operation, [a]),
            Pack::Two(a, b) => track::<B, C, _>(operation, [a, b]),
            Pack::Three(a, b, c) => track::<B, C, _>(operation, [a, b, c]),
            Pack::Four(a, b, c, d) => track::<B, C, _>(operation, [a, b, c, d]),
            _ => unreachable!("operations take one to four tensors"),
        }
    }
}
