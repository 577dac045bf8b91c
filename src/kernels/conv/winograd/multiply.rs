//! From transformed sources to the voxels of the target: products, summed over channels, and `A^T` of the sums.

use super::super::simd::Simd;
use super::super::sweep::Tiled;
use super::super::tile::{Operands, tile};
use super::kernel::{PLANE, PRODUCTS, has_coarse};
use super::products::Products;

/// Values of a channel at one position: two planes, rows and columns each, the last fastest.
pub(super) const PAIRS: usize = 8;

/// What a product along d does to the two planes of a pair.
#[derive(Debug, Clone, Copy)]
pub(super) enum Update {
    Keep,
    Set,
    Add,
    Subtract,
}

/// `A^T` along d: what the product `z` does to each of the planes of a position.
pub(super) fn updates(planes: usize, z: usize) -> [Update; 2] {
    use Update::{Add, Keep, Set, Subtract};
    if planes == 1 {
        return [Set, Keep];
    }
    [[Set, Keep], [Add, Set], [Add, Subtract], [Keep, Subtract]][z]
}

/// Multiplies the sources with the kernels of a block of fine targets, for one product along d, and brings the sums to
/// their voxels.
pub(super) struct Multiply<'a, 'b> {
    pub(super) entered: &'a Products<'b>,
    /// Source channels of the products over rows and columns, `[without, with]` the coarse ones.
    pub(super) channels: [usize; 2],
    /// `[product over rows and columns][source channel][target]`.
    pub(super) weights: &'a [f32],
    pub(super) updates: [Update; 2],
    /// In whole vectors.
    pub(super) positions: usize,
    /// Room for `PLANE * MAX_TILE` vectors.
    pub(super) sums: &'a mut [f32],
    /// `[target][PAIRS][position]`.
    pub(super) out: &'a mut [f32],
}

impl Tiled for Multiply<'_, '_> {
    #[inline(always)]
    fn run<S: Simd, const C: usize, const N: usize>(mut self, simd: S) {
        let operands = self.operands(C);
        for operands in &operands {
            operands.check(C, self.positions);
        }
        assert!(self.positions.is_multiple_of(S::LANES));
        assert!(PLANE * C * N * S::LANES <= self.sums.len());
        assert!(C * PAIRS * self.positions <= self.out.len());
        let vectors = self.positions / S::LANES;
        let whole = vectors / N * N;
        for vector in (0..whole).step_by(N) {
            // SAFETY: the checks above cover positions up to `positions`, which `whole` stays within.
            unsafe { self.group::<S, C, N>(simd, &operands, vector * S::LANES) }
        }
        for vector in whole..vectors {
            // SAFETY: as above.
            unsafe { self.group::<S, C, 1>(simd, &operands, vector * S::LANES) }
        }
    }
}

impl<'a> Multiply<'a, '_> {
    /// What each product reads, for a block of `width` targets.
    fn operands(&self, width: usize) -> [Operands<'a>; PLANE] {
        let mut rest = self.weights;
        std::array::from_fn(|product| {
            let channels = self.channels[usize::from(has_coarse(product))];
            let (weights, after) = rest.split_at(channels * width);
            rest = after;
            Operands {
                slab: self.entered.of(product),
                channel_stride: self.entered.pitch,
                channels,
                taps: &[0],
                weights,
            }
        })
    }

    /// `N` vectors of positions from `position` on.
    ///
    /// # Safety
    /// The checks of [`Self::run`] must have passed, with `position + N * LANES <= positions`.
    #[inline(always)]
    unsafe fn group<S: Simd, const C: usize, const N: usize>(
        &mut self,
        simd: S,
        operands: &[Operands; PLANE],
        position: usize,
    ) {
        let sums = self.sums.as_mut_ptr();
        let stride = C * N * S::LANES;
        for (product, &operands) in operands.iter().enumerate() {
            // SAFETY: the operands were checked for these positions, and `sums` for this many vectors.
            unsafe {
                let tile: [[S::V; N]; C] = tile(simd, operands, position, &[0.0; C]);
                for (n, &sum) in tile.as_flattened().iter().enumerate() {
                    simd.store(sums.add(product * stride + n * S::LANES), sum);
                }
            }
        }
        for channel in 0..C {
            for vector in 0..N {
                // SAFETY: as above; `out` was checked for `C` channels of `positions`.
                unsafe {
                    let from = sums.add((channel * N + vector) * S::LANES);
                    let to = channel * PAIRS * self.positions + position + vector * S::LANES;
                    let out = self.out.as_mut_ptr().add(to);
                    leave(simd, from, stride, self.updates, out, self.positions);
                }
            }
        }
    }
}

/// `A^T` of one vector of the products over rows and columns, `stride` numbers apart, to voxels `pitch` numbers apart.
///
/// # Safety
/// `from` must be valid for reading [`PLANE`] vectors so far apart, `out` for writing [`PAIRS`].
#[inline(always)]
unsafe fn leave<S: Simd>(
    simd: S,
    from: *const f32,
    stride: usize,
    updates: [Update; 2],
    out: *mut f32,
    pitch: usize,
) {
    let mut rows = [[simd.splat(0.0); 2]; PRODUCTS];
    for (r, row) in rows.iter_mut().enumerate() {
        let mut m = [simd.splat(0.0); PRODUCTS];
        for (c, m) in m.iter_mut().enumerate() {
            // SAFETY: the caller's promise.
            *m = unsafe { simd.load(from.add((r * PRODUCTS + c) * stride)) };
        }
        *row = pair(simd, m);
    }
    for c in 0..2 {
        let [first, second, third, fourth] = &rows;
        let column = [first[c], second[c], third[c], fourth[c]];
        for (r, value) in pair(simd, column).into_iter().enumerate() {
            for (plane, update) in updates.into_iter().enumerate() {
                // SAFETY: the caller's promise.
                unsafe {
                    let target = out.add((plane * 4 + r * 2 + c) * pitch);
                    let value = match update {
                        Update::Keep => continue,
                        Update::Set => value,
                        Update::Add => simd.add(simd.load(target), value),
                        Update::Subtract => simd.sub(simd.load(target), value),
                    };
                    simd.store(target, value);
                }
            }
        }
    }
}

/// `A^T m`: two outputs of four products.
#[inline(always)]
fn pair<S: Simd>(simd: S, [m0, m1, m2, m3]: [S::V; PRODUCTS]) -> [S::V; 2] {
    let (sum, difference) = (simd.add(m1, m2), simd.sub(m1, m2));
    [simd.add(m0, sum), simd.sub(difference, m3)]
}
