//! Memory for the kernels: buffers kept by each thread, and output shared between threads.

use std::cell::RefCell;
use std::marker::PhantomData;

/// Numbers in a cache line.
const LINE: usize = 16;

/// Memory that a thread keeps from call to call, so that the pages stay mapped.
#[derive(Default)]
pub(super) struct Buffers(Vec<f32>);

thread_local! {
    static BUFFERS: RefCell<Buffers> = RefCell::default();
}

impl Buffers {
    /// Lends this thread's buffers. Enter the vector code inside `work`, not around this call:
    /// a closure is compiled for the plain processor unless everything around it is inlined.
    pub(super) fn with<R>(work: impl FnOnce(&mut Self) -> R) -> R {
        BUFFERS.with_borrow_mut(work)
    }

    /// Buffers of so many numbers, each beginning on a cache line, content arbitrary.
    pub(super) fn get<const N: usize>(&mut self, lengths: [usize; N]) -> [&mut [f32]; N] {
        let needed = lengths.map(|len| len.next_multiple_of(LINE));
        let total = needed.iter().sum::<usize>() + LINE;
        if self.0.len() < total {
            self.0 = vec![0.0; total];
        }
        let start = self.0.as_ptr().align_offset(LINE * size_of::<f32>());
        // `align_offset` may refuse to answer; unaligned is slower, not wrong.
        let mut rest = &mut self.0[if start < LINE { start } else { 0 }..];
        std::array::from_fn(|n| {
            let (buffer, after) = std::mem::take(&mut rest).split_at_mut(needed[n]);
            rest = after;
            &mut buffer[..lengths[n]]
        })
    }
}

/// Output that several threads write at once, each its own elements.
#[derive(Clone, Copy)]
pub(super) struct SharedOutput<'a> {
    start: *mut f32,
    len: usize,
    owner: PhantomData<&'a mut [f32]>,
}

// SAFETY: it only hands out elements through `slice`, whose caller keeps threads apart.
unsafe impl Send for SharedOutput<'_> {}
// SAFETY: as above.
unsafe impl Sync for SharedOutput<'_> {}

impl<'a> SharedOutput<'a> {
    pub(super) fn new(out: &'a mut [f32]) -> Self {
        Self {
            start: out.as_mut_ptr(),
            len: out.len(),
            owner: PhantomData,
        }
    }

    /// Elements `at..at + len`, for writing.
    ///
    /// # Safety
    /// No two slices that live at the same time may overlap.
    #[inline(always)]
    #[expect(clippy::mut_from_ref, reason = "disjointness is the caller's promise")]
    pub(super) unsafe fn slice(&self, at: usize, len: usize) -> &mut [f32] {
        assert!(at + len <= self.len);
        // SAFETY: inside the output by the check above; disjoint by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(at), len) }
    }
}
