//! Kernels for GPUs in CubeCL, one file an operation, each meeting the kernel that its operation has on the CPU.
//!
//! Buffers are contiguous and row-major, as on the CPU. Those of a network's activations may hold 16-bit floats, `E`; kernels
//! add in 32 bits, and round once where they store. All kernels are launched unchecked, which means that an index
//! out of bounds is undefined behaviour: each of them ends units past its last item first and clamps what it reads.

pub mod boxsum;
pub mod conv;
pub mod correlation;
pub mod diffusion;
pub mod exponential;
pub mod gaussian;
pub mod labels;
pub mod lattice;
pub mod noise;
pub mod pool;
pub mod resize;
pub mod squares;
pub mod transform;
pub mod unit;
pub mod upsample;
pub mod warp;

mod sums;

use burn::backend::cubecl::dtype_to_storage_type;
use burn::tensor::DType;
use burn_cubecl::ops::numeric::{empty_device_contiguous_dtype, zeros_client};
use cubecl::prelude::*;

use super::bridge::Buffer;
use crate::kernels::Extent;

/// Voxels along `(d, h, w)`, on the GPU.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
#[expand(derive(Clone, Copy))]
pub(super) struct Grid {
    d: usize,
    h: usize,
    w: usize,
}

#[cube]
impl Grid {
    fn voxels(&self) -> usize {
        self.d * self.h * self.w
    }

    /// In which of several volumes behind each other an element is, and where `(i, j, k)`.
    fn place(&self, index: usize) -> (usize, usize, usize, usize) {
        let row = index / self.w;
        let plane = row / self.h;
        (plane / self.d, plane % self.d, row % self.h, index % self.w)
    }
}

/// [`Grid`] as an argument of a launch.
fn grid([d, h, w]: Extent) -> GridLaunch {
    GridLaunch::new(d, h, w)
}

fn extent(buffer: &Buffer) -> Extent {
    let shape = buffer.meta.shape();
    [shape[2], shape[3], shape[4]]
}

fn batch(buffer: &Buffer) -> usize {
    buffer.meta.shape()[0]
}

fn channels(buffer: &Buffer) -> usize {
    buffer.meta.shape()[1]
}

fn elements(buffer: &Buffer) -> usize {
    buffer.meta.shape().iter().product()
}

/// A buffer of 32-bit floats beside `other`, whose values a kernel has yet to write.
fn empty<const D: usize>(other: &Buffer, shape: [usize; D]) -> Buffer {
    unwritten(other, shape, DType::F32)
}

/// The same, of floats as `other` holds.
fn empty_like<const D: usize>(other: &Buffer, shape: [usize; D]) -> Buffer {
    unwritten(other, shape, other.dtype)
}

fn unwritten<const D: usize>(other: &Buffer, shape: [usize; D], dtype: DType) -> Buffer {
    let (client, device) = (other.client.clone(), other.device.clone());
    empty_device_contiguous_dtype(client, device, shape.into(), dtype)
}

/// Zeros beside `other`, of floats as it holds.
pub(super) fn zeros<const D: usize>(other: &Buffer, shape: [usize; D]) -> Buffer {
    let (client, device) = (other.client.clone(), other.device.clone());
    // As a single row: on CUDA and HIP burn leaves gaps between the rows of its own zeros, on other devices it does not.
    let row = [shape.iter().product::<usize>()];
    let row = zeros_client(client.clone(), device.clone(), row.into(), other.dtype);
    Buffer::new_contiguous(client, device, shape.into(), row.handle, other.dtype)
}

/// What a kernel takes for `E`: the floats of a buffer.
fn element(buffer: &Buffer) -> ElemType {
    dtype_to_storage_type(buffer.dtype)
}

/// How many cubes of how many units serve `items`, one unit each.
fn units(buffer: &Buffer, items: usize) -> (CubeCount, CubeDim) {
    let dim = CubeDim::new_1d(256);
    let count = cubecl::calculate_cube_count_elemwise(&buffer.client, items, dim);
    (count, dim)
}

/// Values of a buffer, at most: kernels count in 32 bits.
pub const MOST_VALUES: usize = 1 << 31;

fn argument(buffer: &Buffer) -> BufferArg {
    check_values(elements(buffer));
    buffer.clone().into_buffer_arg()
}

/// Panics where an index would begin again at 0. By the first words `device::guard` knows a device at its end, not a mistake.
fn check_values(values: usize) {
    assert!(
        values <= MOST_VALUES,
        "too many values for a GPU: a tensor has {values}, expected at most {MOST_VALUES}; try fewer pairs a step \
         (train.batch), larger voxels (data.spacing in training, --network-spacing in registration), or --device cpu"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "too many values for a GPU: a tensor has 2147483649")]
    fn a_buffer_that_32_bits_do_not_index_is_refused() {
        check_values(1 << 31);
        check_values((1 << 31) + 1);
    }
}
