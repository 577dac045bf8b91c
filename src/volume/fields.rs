//! Fixed-offset fields of a binary header, in the byte order of the file.

use super::dtype::{Element, Endian};

/// The bytes of a header; offsets are those of the format's own C structure and lie within them.
pub(crate) struct Fields<'a> {
    bytes: &'a [u8],
    endian: Endian,
}

impl<'a> Fields<'a> {
    pub fn new(bytes: &'a [u8], endian: Endian) -> Self {
        Self { bytes, endian }
    }

    pub fn number<E: Element>(&self, offset: usize) -> E {
        E::read(&self.bytes[offset..offset + E::SIZE], self.endian)
    }

    /// `N` numbers in a row, as float64.
    pub fn values<E: Element, const N: usize>(&self, offset: usize) -> [f64; N] {
        std::array::from_fn(|n| self.number::<E>(offset + n * E::SIZE).value())
    }

    /// Text up to the first zero byte.
    pub fn text(&self, offset: usize, length: usize) -> String {
        let bytes = &self.bytes[offset..offset + length];
        let end = bytes.iter().position(|&b| b == 0).unwrap_or(length);
        String::from_utf8_lossy(&bytes[..end]).into_owned()
    }

    pub fn bytes(&self, offset: usize, length: usize) -> &'a [u8] {
        &self.bytes[offset..offset + length]
    }
}
