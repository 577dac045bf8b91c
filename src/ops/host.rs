//! Bridge between burn tensors and kernels on plain CPU slices.
//!
//! A [`HostOp`] states its values and its gradients on [`View`]s; this module makes it a burn operation
//! with automatic differentiation. One extension trait serves every operation, so that adding one means
//! writing its kernel and its `HostOp`, nothing else.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::autodiff::{Autodiff, NodeId};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{DType, Device, Tensor, TensorData};

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

/// A tensor a kernel made.
pub struct Made {
    pub shape: Vec<usize>,
    pub data: Vec<f32>,
}

/// Tensors the backward pass of an operation of `N` inputs may read.
pub struct Saved<'a, const N: usize> {
    /// The inputs, empty views unless [`HostOp::saves_inputs`] says so.
    pub inputs: [View<'a>; N],
    /// The output, an empty view unless [`HostOp::saves_output`] says so.
    pub output: View<'a>,
    /// Gradient of the loss with respect to the output, the operation's own: it may work in its place.
    pub grad: ViewMut<'a>,
    /// Which inputs need a gradient.
    pub wanted: [bool; N],
}

/// An operation whose value and gradients are computed by kernels on CPU slices.
pub trait HostOp<const N: usize>: Debug + Send + Sync + 'static {
    /// Whether the backward pass reads the inputs.
    fn saves_inputs(&self) -> bool;
    /// Whether the backward pass reads the output.
    fn saves_output(&self) -> bool;
    /// The value.
    fn forward(&self, inputs: [View; N]) -> Made;
    /// The gradient of each input, `None` where none is wanted.
    fn backward(&self, saved: Saved<N>) -> [Option<Vec<f32>>; N];
}

type Shared<const N: usize> = Arc<dyn HostOp<N>>;

/// See [`use_reference`].
static REFERENCE: AtomicBool = AtomicBool::new(false);

/// Whether operations that begin from now on, in the whole process, run as their composed forms even where a kernel
/// could serve, to check a result. Slow.
pub fn use_reference(on: bool) {
    REFERENCE.store(on, Ordering::Relaxed);
}

/// Whether the kernels are to serve this tensor: 32-bit floats on the CPU backend.
pub fn on_host<const D: usize>(tensor: &Tensor<D>) -> bool {
    !REFERENCE.load(Ordering::Relaxed)
        && tensor.dtype() == DType::F32
        && tensor.device().inner() == Device::flex()
}

/// Runs an operation of one input.
pub fn unary<const A: usize>(op: impl HostOp<1>, a: Tensor<A>) -> Tensor<5> {
    Tensor::from_dispatch(<Dispatch as HostOps>::host_unary(
        a.into_dispatch(),
        Arc::new(op),
    ))
}

/// Runs an operation of two inputs.
pub fn binary<const A: usize, const B: usize>(
    op: impl HostOp<2>,
    a: Tensor<A>,
    b: Tensor<B>,
) -> Tensor<5> {
    Tensor::from_dispatch(<Dispatch as HostOps>::host_binary(
        a.into_dispatch(),
        b.into_dispatch(),
        Arc::new(op),
    ))
}

/// Runs an operation of three inputs.
pub fn ternary<const A: usize, const B: usize, const C: usize>(
    op: impl HostOp<3>,
    a: Tensor<A>,
    b: Tensor<B>,
    c: Tensor<C>,
) -> Tensor<5> {
    Tensor::from_dispatch(<Dispatch as HostOps>::host_ternary(
        a.into_dispatch(),
        b.into_dispatch(),
        c.into_dispatch(),
        Arc::new(op),
    ))
}

/// Runs an operation of four inputs.
pub fn quaternary<const A: usize, const B: usize, const C: usize, const D: usize>(
    op: impl HostOp<4>,
    a: Tensor<A>,
    b: Tensor<B>,
    c: Tensor<C>,
    d: Tensor<D>,
) -> Tensor<5> {
    Tensor::from_dispatch(<Dispatch as HostOps>::host_quaternary(
        a.into_dispatch(),
        b.into_dispatch(),
        c.into_dispatch(),
        d.into_dispatch(),
        Arc::new(op),
    ))
}

#[backend_extension(Autodiff, Flex)]
trait HostOps: Backend {
    fn host_unary(a: FloatTensor<Self>, op: Arc<dyn HostOp<1>>) -> FloatTensor<Self>;
    fn host_binary(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        op: Arc<dyn HostOp<2>>,
    ) -> FloatTensor<Self>;
    fn host_ternary(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        op: Arc<dyn HostOp<3>>,
    ) -> FloatTensor<Self>;
    fn host_quaternary(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        d: FloatTensor<Self>,
        op: Arc<dyn HostOp<4>>,
    ) -> FloatTensor<Self>;
}

/// Value and gradient on the undecorated backend. Apart from [`HostOps`], so that differentiating a
/// gradient is a type error.
trait HostKernels: Backend {
    fn run<const N: usize>(op: &Shared<N>, inputs: [FloatTensor<Self>; N]) -> FloatTensor<Self>;
    fn run_backward<const N: usize>(
        op: &Shared<N>,
        inputs: Option<[FloatTensor<Self>; N]>,
        output: Option<FloatTensor<Self>>,
        grad: FloatTensor<Self>,
        wanted: [bool; N],
        shapes: [Vec<usize>; N],
    ) -> [Option<FloatTensor<Self>>; N];
}

type FlexTensor = FloatTensor<Flex>;

fn view(tensor: &FlexTensor) -> View<'_> {
    View {
        shape: tensor.layout().shape(),
        data: tensor
            .as_slice::<f32>()
            .expect("made contiguous, and float32 was checked by on_host"),
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

impl HostKernels for Flex {
    fn run<const N: usize>(op: &Shared<N>, inputs: [FlexTensor; N]) -> FlexTensor {
        let inputs = inputs.map(contiguous);
        let Made { shape, data } = op.forward(inputs.each_ref().map(view));
        made(data, shape)
    }

    fn run_backward<const N: usize>(
        op: &Shared<N>,
        inputs: Option<[FlexTensor; N]>,
        output: Option<FlexTensor>,
        grad: FlexTensor,
        wanted: [bool; N],
        shapes: [Vec<usize>; N],
    ) -> [Option<FlexTensor>; N] {
        let inputs = inputs.map(|all| all.map(contiguous));
        let output = output.map(contiguous);
        let shape = grad.layout().shape().to_vec();
        let mut grad = contiguous(grad);
        let grads = op.backward(Saved {
            inputs: match &inputs {
                Some(all) => all.each_ref().map(view),
                None => [EMPTY; N],
            },
            output: output.as_ref().map_or(EMPTY, view),
            grad: ViewMut {
                shape: &shape,
                data: grad.storage_mut(),
            },
            wanted,
        });
        let mut shapes = shapes.into_iter();
        grads.map(|g| {
            let shape = shapes.next().expect("one shape an input");
            g.map(|data| made(data, shape))
        })
    }
}

impl HostOps for Flex {
    fn host_unary(a: FlexTensor, op: Arc<dyn HostOp<1>>) -> FlexTensor {
        Self::run(&op, [a])
    }

    fn host_binary(a: FlexTensor, b: FlexTensor, op: Arc<dyn HostOp<2>>) -> FlexTensor {
        Self::run(&op, [a, b])
    }

    fn host_ternary(
        a: FlexTensor,
        b: FlexTensor,
        c: FlexTensor,
        op: Arc<dyn HostOp<3>>,
    ) -> FlexTensor {
        Self::run(&op, [a, b, c])
    }

    fn host_quaternary(
        a: FlexTensor,
        b: FlexTensor,
        c: FlexTensor,
        d: FlexTensor,
        op: Arc<dyn HostOp<4>>,
    ) -> FlexTensor {
        Self::run(&op, [a, b, c, d])
    }
}

#[derive(Debug)]
struct HostBackward;

#[derive(Debug, Clone)]
struct State<B: Backend, const N: usize> {
    op: Shared<N>,
    inputs: Option<[NodeId; N]>,
    output: Option<FloatTensor<B>>,
    shapes: [Vec<usize>; N],
}

impl<B: HostKernels, const N: usize> Backward<B, N> for HostBackward {
    type State = State<B, N>;

    fn backward(
        self,
        ops: Ops<Self::State, N>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let State {
            op,
            inputs,
            output,
            shapes,
        } = ops.state;
        let grad = grads.consume::<B>(&ops.node);
        let inputs = inputs.map(|ids| ids.map(|id| checkpointer.retrieve_node_output(id)));
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let made = B::run_backward(&op, inputs, output, grad, wanted, shapes);
        for (parent, grad) in ops.parents.into_iter().zip(made) {
            if let (Some(node), Some(grad)) = (parent, grad) {
                grads.register::<B>(node.id, grad);
            }
        }
    }
}

fn track<B: HostKernels, C: CheckpointStrategy, const N: usize>(
    op: Shared<N>,
    inputs: [FloatTensor<Autodiff<B, C>>; N],
) -> FloatTensor<Autodiff<B, C>> {
    use burn::backend::TensorMetadata;
    let guards = inputs.each_ref().map(|t| t.node());
    let shapes = inputs.each_ref().map(|t| t.shape().to_vec());
    let primitives = inputs.each_ref().map(|t| t.primitive().clone());
    let output = B::run(&op, primitives);
    match HostBackward.prepare::<C>(guards).compute_bound().stateful() {
        OpsKind::Tracked(mut prep) => {
            let ids = op
                .saves_inputs()
                .then(|| inputs.each_ref().map(|t| prep.checkpoint(t)));
            let state = State {
                inputs: ids,
                output: op.saves_output().then(|| output.clone()),
                shapes,
                op,
            };
            prep.finish(state, output)
        }
        OpsKind::UnTracked(prep) => prep.finish(output),
    }
}

impl<B: HostOps + HostKernels, C: CheckpointStrategy> HostOps for Autodiff<B, C> {
    fn host_unary(a: FloatTensor<Self>, op: Arc<dyn HostOp<1>>) -> FloatTensor<Self> {
        track::<B, C, _>(op, [a])
    }

    fn host_binary(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        op: Arc<dyn HostOp<2>>,
    ) -> FloatTensor<Self> {
        track::<B, C, _>(op, [a, b])
    }

    fn host_ternary(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        op: Arc<dyn HostOp<3>>,
    ) -> FloatTensor<Self> {
        track::<B, C, _>(op, [a, b, c])
    }

    fn host_quaternary(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        d: FloatTensor<Self>,
        op: Arc<dyn HostOp<4>>,
    ) -> FloatTensor<Self> {
        track::<B, C, _>(op, [a, b, c, d])
    }
}
