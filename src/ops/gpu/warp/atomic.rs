//! Sums that many units add to at once.

use std::sync::atomic::{AtomicBool, Ordering};

use cubecl::features::AtomicUsage;
use cubecl::prelude::*;

use super::Buffer;

/// See [`exchange_sums`].
static EXCHANGE: AtomicBool = AtomicBool::new(false);

/// Whether sums on GPUs that begin from now on, in the whole process, do without additions of floats in memory even where
/// the device has them, so that tests see both ways.
pub fn exchange_sums(on: bool) {
    EXCHANGE.store(on, Ordering::Relaxed);
}

/// Whether the device that holds a buffer adds floats in memory, and is to.
pub(super) fn adds_floats(buffer: &Buffer) -> bool {
    let float = Type::atomic(f32::elem_type_native());
    let usage = buffer.client.properties().atomic_type_usage(float);
    !EXCHANGE.load(Ordering::Relaxed) && usage.contains(AtomicUsage::Add)
}

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

/// Elsewhere: what a cell holds is taken out, added to, and put back, until nobody has put something there in between,
/// which would have to be added in turn.
///
/// An exchange never fails. WGSL's comparing one may for no reason, and CubeCL does not say whether it has.
pub(super) struct AddBits;

#[cube]
impl AtomicSum for AddBits {
    type Cell = u32;

    fn add(cell: &mut Atomic<u32>, value: f32) {
        let mut rest = value;
        loop {
            let sum = f32::from_bits(cell.exchange(0u32)) + rest;
            let between = cell.exchange(sum.to_bits());
            if between == 0u32 {
                break;
            }
            rest = f32::from_bits(between);
        }
    }
}
