//! Arrays saved by numpy: `.npy`, and `.npz` with VoxelMorph's names.
//!
//! Array axes are the voxel axes `(i, j, k)`; further axes are frames. There is no place in the world, so the
//! affine is the identity: 1 mm voxels.

mod npy;
mod npz;
mod zip;

pub(crate) use npy::read as read_npy;
pub(crate) use npz::read as read_npz;
