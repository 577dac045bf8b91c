//! Output tensors: their memory, and how they are cut into independent parallel tasks.

/// A run of consecutive positions of one item, with one output slice per channel.
pub(super) struct Block<'a, T> {
    pub item: usize,
    /// First position of the run inside each channel.
    pub start: usize,
    pub channels: Vec<&'a mut [T]>,
}

/// Cuts `out`, `[n, channels, length]`, into runs of `step` positions (the last may be shorter).
pub(super) fn blocks<T>(
    out: &mut [T],
    channels: usize,
    length: usize,
    step: usize,
) -> Vec<Block<'_, T>> {
    if out.is_empty() {
        return Vec::new();
    }
    let mut blocks = Vec::new();
    for (item, values) in out.chunks_exact_mut(channels * length).enumerate() {
        let mut runs: Vec<_> = values
            .chunks_exact_mut(length)
            .map(|channel| channel.chunks_mut(step))
            .collect();
        for start in (0..length).step_by(step) {
            let channels = runs.iter_mut().filter_map(Iterator::next).collect();
            blocks.push(Block {
                item,
                start,
                channels,
            });
        }
    }
    blocks
}

/// Whole rows of `width` positions that make a task of some ten thousand positions.
///
/// Independent of the number of threads.
pub(super) fn rows_step(width: usize) -> usize {
    width * (8192 / width.max(1)).max(1)
}

/// Memory for `len` values that a kernel is about to write, all of them: for large tensors, filling
/// it with zeros first takes as long as some of the kernels.
///
/// # Safety
/// Every value must be written before any is read.
#[expect(
    clippy::uninit_vec,
    reason = "the caller promises to write before reading"
)]
pub(super) unsafe fn unwritten<T: Copy>(len: usize) -> Vec<T> {
    let mut values = Vec::with_capacity(len);
    // SAFETY: the capacity is there; the rest is the caller's promise.
    unsafe { values.set_len(len) };
    values
}
