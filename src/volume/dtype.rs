//! Voxel types of image files: their names, sizes, and conversion from and to bytes.

use serde::{Deserialize, Serialize};

/// The number type of the voxels in a file, named as numpy names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DType {
    #[serde(rename = "uint8")]
    U8,
    #[serde(rename = "int8")]
    I8,
    #[serde(rename = "uint16")]
    U16,
    #[serde(rename = "int16")]
    I16,
    #[serde(rename = "uint32")]
    U32,
    #[serde(rename = "int32")]
    I32,
    #[serde(rename = "uint64")]
    U64,
    #[serde(rename = "int64")]
    I64,
    /// Only read (from numpy files); no medical format stores it.
    #[serde(rename = "float16")]
    F16,
    #[serde(rename = "float32")]
    F32,
    #[serde(rename = "float64")]
    F64,
}

impl DType {
    pub const ALL: [Self; 11] = [
        Self::U8,
        Self::I8,
        Self::U16,
        Self::I16,
        Self::U32,
        Self::I32,
        Self::U64,
        Self::I64,
        Self::F16,
        Self::F32,
        Self::F64,
    ];

    /// Bytes of one voxel.
    pub fn size(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 | Self::F16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::U8 => "uint8",
            Self::I8 => "int8",
            Self::U16 => "uint16",
            Self::I16 => "int16",
            Self::U32 => "uint32",
            Self::I32 => "int32",
            Self::U64 => "uint64",
            Self::I64 => "int64",
            Self::F16 => "float16",
            Self::F32 => "float32",
            Self::F64 => "float64",
        }
    }
}

impl std::fmt::Display for DType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for DType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|d| d.name() == text)
            .ok_or_else(|| {
                let names = Self::ALL.map(Self::name).join(", ");
                format!("'{text}' is not a voxel type; use one of {names}")
            })
    }
}

/// How values are stored in a file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Encoding {
    pub dtype: DType,
    /// `(slope, intercept)`, which NIfTI alone has: value = slope * stored + intercept.
    pub scale: Option<(f64, f64)>,
}

impl From<DType> for Encoding {
    fn from(dtype: DType) -> Self {
        Self { dtype, scale: None }
    }
}

/// Byte order of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Endian {
    Little,
    Big,
}

impl Endian {
    pub(crate) const NATIVE: Self = if cfg!(target_endian = "big") {
        Self::Big
    } else {
        Self::Little
    };
}

/// A number that can be read from the bytes of a file.
pub(crate) trait Element: Copy {
    const SIZE: usize;
    /// `bytes` holds exactly `SIZE` bytes.
    fn read(bytes: &[u8], endian: Endian) -> Self;
    fn value(self) -> f64;
}

/// A number that can be written, made from a value by rounding half to even and saturating.
pub(crate) trait Storable {
    /// NaN becomes 0 in integer types.
    fn store(value: f64) -> Self;
    fn put(self, endian: Endian, out: &mut Vec<u8>);
}

macro_rules! element {
    ($type:ty, $value:expr, $store:expr) => {
        impl Element for $type {
            const SIZE: usize = size_of::<$type>();
            #[inline]
            fn read(bytes: &[u8], endian: Endian) -> Self {
                let mut array = [0; size_of::<$type>()];
                array.copy_from_slice(bytes);
                match endian {
                    Endian::Little => Self::from_le_bytes(array),
                    Endian::Big => Self::from_be_bytes(array),
                }
            }
            #[inline]
            fn value(self) -> f64 {
                let convert: fn($type) -> f64 = $value;
                convert(self)
            }
        }
        impl Storable for $type {
            #[inline]
            fn store(value: f64) -> Self {
                let convert: fn(f64) -> $type = $store;
                convert(value)
            }
            #[inline]
            fn put(self, endian: Endian, out: &mut Vec<u8>) {
                match endian {
                    Endian::Little => out.extend_from_slice(&self.to_le_bytes()),
                    Endian::Big => out.extend_from_slice(&self.to_be_bytes()),
                }
            }
        }
    };
    ($($type:ty),*) => {
        // `as` from a float saturates, and turns NaN into 0.
        $(element!($type, |x| x as f64, |v| v.round_ties_even() as $type);)*
    };
}

element!(u8, i8, u16, i16, u32, i32, u64, i64);
element!(half::f16, |x| x.to_f64(), half::f16::from_f64);
element!(f32, f64::from, |v| v as f32);
element!(f64, |x| x, |v| v);

/// Evaluates the expression with the given name standing for the Rust type of the voxel type.
macro_rules! with_element {
    ($dtype:expr, $name:ident => $body:expr) => {
        match $dtype {
            $crate::volume::DType::U8 => {
                type $name = u8;
                $body
            }
            $crate::volume::DType::I8 => {
                type $name = i8;
                $body
            }
            $crate::volume::DType::U16 => {
                type $name = u16;
                $body
            }
            $crate::volume::DType::I16 => {
                type $name = i16;
                $body
            }
            $crate::volume::DType::U32 => {
                type $name = u32;
                $body
            }
            $crate::volume::DType::I32 => {
                type $name = i32;
                $body
            }
            $crate::volume::DType::U64 => {
                type $name = u64;
                $body
            }
            $crate::volume::DType::I64 => {
                type $name = i64;
                $body
            }
            $crate::volume::DType::F16 => {
                type $name = half::f16;
                $body
            }
            $crate::volume::DType::F32 => {
                type $name = f32;
                $body
            }
            $crate::volume::DType::F64 => {
                type $name = f64;
                $body
            }
        }
    };
}
pub(crate) use with_element;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn storing_rounds_half_to_even_and_saturates() {
        let stored = [0.5, 1.5, -0.4, -3.0, 254.5, 1e9, f64::NAN, f64::INFINITY].map(u8::store);
        assert_eq!(stored, [0, 2, 0, 0, 254, 255, 0, 255]);
        assert_eq!(i16::store(-1e6), -32768);
        assert_eq!(i64::store(-7.5), -8);
    }

    #[test]
    fn bytes_are_read_in_both_orders() {
        assert_eq!(i16::read(&[0xfe, 0xff], Endian::Little).value(), -2.0);
        assert_eq!(i16::read(&[0xff, 0xfe], Endian::Big).value(), -2.0);
        // 1.5 as IEEE 754 half precision is 0x3e00.
        assert_eq!(half::f16::read(&[0x3e, 0x00], Endian::Big).value(), 1.5);
    }

    #[test]
    fn names_parse_back() {
        for dtype in DType::ALL {
            assert_eq!(dtype.name().parse(), Ok(dtype));
        }
        assert!("short".parse::<DType>().unwrap_err().contains("int16"));
    }
}
