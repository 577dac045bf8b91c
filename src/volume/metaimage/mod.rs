//! MetaImage: a text header, then the voxels in the same file (`.mha`) or in another one (`.mhd`).
//!
//! Keys and types: the MetaIO documentation and ITK's `metaImage.cxx`. `TransformMatrix` lists the direction of one
//! axis after the other, `Offset` is the first voxel's place; both are LPS, whatever `AnatomicalOrientation` says
//! (ITK does not look at it either). `MET_LONG` has 4 bytes.

mod header;
mod read;
mod write;

pub(crate) use read::{data_file, read};
pub(crate) use write::write;

use super::DType;

const TYPES: [(&str, DType); 12] = [
    ("MET_UCHAR", DType::U8),
    ("MET_CHAR", DType::I8),
    ("MET_USHORT", DType::U16),
    ("MET_SHORT", DType::I16),
    ("MET_UINT", DType::U32),
    ("MET_INT", DType::I32),
    ("MET_ULONG_LONG", DType::U64),
    ("MET_LONG_LONG", DType::I64),
    ("MET_FLOAT", DType::F32),
    ("MET_DOUBLE", DType::F64),
    ("MET_ULONG", DType::U32),
    ("MET_LONG", DType::I32),
];
