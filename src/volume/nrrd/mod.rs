//! NRRD: a text header, then the voxels in the same file (`.nrrd`) or in another one (`.nhdr`).
//!
//! Fields and types: "Definition of NRRD File Format" of teem. Axes that are no axes of space (kinds such as `vector`,
//! `RGB-color` or `list`, directions `none`) hold several values a voxel when they come first and a series of volumes
//! when they come last. An image in a space without a name, or in none, is taken for LPS, as ITK does.

mod axes;
mod header;
mod read;
mod write;

pub(crate) use read::{data_file, read};
pub(crate) use write::write;

use super::DType;

/// Names of each type; the first one is written.
const TYPES: [(DType, &[&str]); 10] = [
    (DType::I8, &["int8", "signed char", "int8_t"]),
    (DType::U8, &["uint8", "unsigned char", "uchar", "uint8_t"]),
    (
        DType::I16,
        &[
            "int16",
            "short",
            "short int",
            "signed short",
            "signed short int",
            "int16_t",
        ],
    ),
    (
        DType::U16,
        &[
            "uint16",
            "unsigned short",
            "ushort",
            "unsigned short int",
            "uint16_t",
        ],
    ),
    (DType::I32, &["int32", "int", "signed int", "int32_t"]),
    (DType::U32, &["uint32", "unsigned int", "uint", "uint32_t"]),
    (
        DType::I64,
        &[
            "int64",
            "long long",
            "longlong",
            "long long int",
            "signed long long",
            "signed long long int",
            "int64_t",
        ],
    ),
    (
        DType::U64,
        &[
            "uint64",
            "unsigned long long",
            "ulonglong",
            "unsigned long long int",
            "uint64_t",
        ],
    ),
    (DType::F32, &["float"]),
    (DType::F64, &["double"]),
];
