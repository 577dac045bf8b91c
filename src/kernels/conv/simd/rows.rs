//! Copies of rows, short enough that calling `memcpy` would cost more than the copy.
//!
//! Rows of at least a vector end with a vector that overlaps the one before.

use super::Simd;

/// First elements of the vectors that cover `len` elements, or `None` for less than a vector.
#[inline(always)]
fn vectors<S: Simd>(_: S, len: usize) -> Option<impl Iterator<Item = usize>> {
    let last = len.checked_sub(S::LANES)?;
    Some((0..last).step_by(S::LANES).chain([last]))
}

/// Asks for the same row of the next channel, `ahead` numbers further: too far for the processor
/// to guess.
#[inline(always)]
pub(in super::super) fn prefetch<S: Simd>(simd: S, row: &[f32], ahead: usize) {
    for at in (0..row.len()).step_by(16) {
        simd.prefetch(row.as_ptr().wrapping_add(ahead + at));
    }
}

/// `target = source`.
#[inline(always)]
pub(in super::super) fn copy<S: Simd>(simd: S, source: &[f32], target: &mut [f32]) {
    assert_eq!(source.len(), target.len());
    if let Some(vectors) = vectors(simd, source.len()) {
        let (source, target) = (source.as_ptr(), target.as_mut_ptr());
        for at in vectors {
            // SAFETY: `vectors` keeps `at + LANES` within the length of both.
            unsafe { simd.store(target.add(at), simd.load(source.add(at))) }
        }
    } else {
        for (target, source) in target.iter_mut().zip(source) {
            *target = *source;
        }
    }
}

/// `even[i] = source[2 i]`, `odd[i] = source[2 i + 1]`.
#[inline(always)]
pub(in super::super) fn deinterleave<S: Simd>(
    simd: S,
    source: &[f32],
    even: &mut [f32],
    odd: &mut [f32],
) {
    let pairs = odd.len();
    assert!(even.len() == source.len() - pairs && pairs == source.len() / 2);
    if let Some(vectors) = vectors(simd, pairs) {
        let (even, odd) = (even.as_mut_ptr(), odd.as_mut_ptr());
        for at in vectors {
            // SAFETY: `vectors` keeps `at + LANES` within `pairs`, so twice that is within
            // `source`.
            unsafe {
                let pair = source.as_ptr().add(2 * at);
                let (e, o) = simd.split(simd.load(pair), simd.load(pair.add(S::LANES)));
                simd.store(even.add(at), e);
                simd.store(odd.add(at), o);
            }
        }
    } else {
        for ((pair, even), odd) in source.chunks_exact(2).zip(even.iter_mut()).zip(odd) {
            (*even, *odd) = (pair[0], pair[1]);
        }
    }
    if even.len() > pairs {
        even[pairs] = source[2 * pairs];
    }
}

/// `target[2 i] = even[i]`, `target[2 i + 1] = odd[i]`; `even` and `odd` may be longer.
#[inline(always)]
pub(in super::super) fn interleave<S: Simd>(
    simd: S,
    even: &[f32],
    odd: &[f32],
    target: &mut [f32],
) {
    let pairs = target.len() / 2;
    let (even, odd) = (&even[..target.len() - pairs], &odd[..pairs]);
    if let Some(vectors) = vectors(simd, pairs) {
        for at in vectors {
            // SAFETY: `vectors` keeps `at + LANES` within `pairs`, so twice that is within
            // `target`.
            unsafe {
                let (e, o) = (
                    simd.load(even.as_ptr().add(at)),
                    simd.load(odd.as_ptr().add(at)),
                );
                let (low, high) = simd.join(e, o);
                let pair = target.as_mut_ptr().add(2 * at);
                simd.store(pair, low);
                simd.store(pair.add(S::LANES), high);
            }
        }
    } else {
        for ((pair, even), odd) in target.chunks_exact_mut(2).zip(even).zip(odd) {
            (pair[0], pair[1]) = (*even, *odd);
        }
    }
    if even.len() > pairs {
        target[2 * pairs] = even[pairs];
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Level, Task};
    use super::*;

    /// Splits and joins rows of every length up to some vectors.
    struct Rows;

    impl Task for Rows {
        #[inline(always)]
        fn run<S: Simd>(self, simd: S) {
            for len in 0..5 * S::LANES {
                let source: Vec<f32> = (0..len).map(|i| i as f32).collect();
                let (mut even, mut odd) = (vec![-1.0; len.div_ceil(2)], vec![-1.0; len / 2]);
                deinterleave(simd, &source, &mut even, &mut odd);
                assert!(even.iter().enumerate().all(|(i, &v)| v == (2 * i) as f32));
                assert!(
                    odd.iter()
                        .enumerate()
                        .all(|(i, &v)| v == (2 * i + 1) as f32)
                );
                let mut joined = vec![-1.0; len];
                interleave(simd, &even, &odd, &mut joined);
                assert_eq!(joined, source);
                let mut copied = vec![-1.0; len];
                copy(simd, &source, &mut copied);
                assert_eq!(copied, source);
            }
        }
    }

    #[test]
    fn rows_of_every_length_are_split_and_joined() {
        for level in Level::available() {
            level.run(Rows);
        }
    }
}
