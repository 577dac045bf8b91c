//! Sums that many units add to at once.

use cubecl::prelude::*;

/// How a 32-bit float in memory is added to by many units at once.
#[cube]
pub(super) trait AtomicSum: Send + Sync + 'static {
    type Cell: Numeric;

    fn add(cell: &mut Atomic<Self::Cell>, value: f32);
}

/// Where the device adds floats.
pub(super) struct AddFloat;

#[cube]
impl AtomicSum for AddFloat {
    type Cell = f32;

    fn add(cell: &mut Atomic<f32>, value: f32) {
        cell.fetch_add(value);
    }
}

/// Elsewhere: the bits are exchanged until nobody has come between.
pub(super) struct AddBits;

#[cube]
impl AtomicSum for AddBits {
    type Cell = u32;

    fn add(cell: &mut Atomic<u32>, value: f32) {
        let mut bits = cell.load();
        loop {
            let before = bits;
            let sum = (f32::from_bits(before) + value).to_bits();
            bits = cell.compare_exchange_weak(before, sum);
            if bits == before {
                break;
            }
        }
    }
}
