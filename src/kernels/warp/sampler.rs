//! Where a warp reads: base indices and hat weights of a run of output voxels.
//!
//! Along each axis a sample at `p` touches two neighbours, `b` and `b + 1`, with the hat weights
//! `max(0, 1 - |p - b|)`. With `b` clamped into the image, the weights of neighbours outside vanish
//! by themselves: no masks, and no position, NaN included, can leave the image.

use super::corners::{Corners, pack};
use super::{Border, Shape};
use crate::kernels::Extent;

/// Voxels of one run: enough to fill vectors, small enough for the first-level cache.
pub(super) const LANES: usize = 64;

/// One axis of the sampled grid.
#[derive(Clone, Copy)]
pub(super) struct Axis {
    /// Positions are clamped to `[low, high]`: the edges, or infinity for zeros outside.
    low: f32,
    high: f32,
    /// Bounds of the base index.
    first: f32,
    last: f32,
    /// 1, or 0 where the axis has one voxel and so no second neighbour.
    second: f32,
}

impl Axis {
    pub fn new(size: usize, border: Border) -> Self {
        let (low, high) = match border {
            Border::Zeros => (f32::NEG_INFINITY, f32::INFINITY),
            Border::Edge => (0.0, size as f32 - 1.0),
        };
        let axis = Self {
            low,
            high,
            first: 0.0,
            last: 0.0,
            second: 0.0,
        };
        axis.part(0, size)
    }

    /// The same axis of which only voxels `start..start + len` are there: the others weigh nothing.
    pub fn part(self, start: usize, len: usize) -> Self {
        Self {
            first: start as f32,
            last: (start + len.saturating_sub(2)) as f32,
            second: if len > 1 { 1.0 } else { 0.0 },
            ..self
        }
    }

    /// A position held between the edges; NaN for one that is not finite.
    #[inline(always)]
    pub fn clamp(&self, p: f32) -> f32 {
        let p = if p.is_finite() { p } else { f32::NAN };
        // Written so that NaN stays NaN.
        let p = if p < self.low { self.low } else { p };
        if p > self.high { self.high } else { p }
    }

    /// Base index of a clamped position, a whole number in `[first, last]` also for NaN.
    #[inline(always)]
    fn base(&self, p: f32) -> i32 {
        let p = if p > self.first { p } else { self.first };
        let p = if p < self.last { p } else { self.last };
        // SAFETY: p is a number between 0 and the size of an axis.
        unsafe { p.to_int_unchecked() }
    }
}

/// Weight of a neighbour at distance `t`; 0 for NaN.
#[inline(always)]
fn hat(t: f32) -> f32 {
    let w = 1.0 - t.abs();
    if w > 0.0 { w } else { 0.0 }
}

/// Derivative of [`hat`], from the right at the corners; 0 for NaN.
#[inline(always)]
fn hat_slope(t: f32) -> f32 {
    let rising = if (-1.0..0.0).contains(&t) { 1.0 } else { 0.0 };
    let falling = if (0.0..1.0).contains(&t) { 1.0 } else { 0.0 };
    rising - falling
}

/// Samples of a run: the offset of the lowest neighbour and, per axis `[d, h, w]`, the weights of the
/// lower and the upper neighbour with their derivatives. 2-D runs leave axis `d` untouched.
pub(super) struct Taps {
    pub offset: [u32; LANES],
    pub weight: [[[f32; LANES]; 2]; 3],
    pub slope: [[[f32; LANES]; 2]; 3],
}

impl Taps {
    pub fn new() -> Self {
        Self {
            offset: [0; LANES],
            weight: [[[0.0; LANES]; 2]; 3],
            slope: [[[0.0; LANES]; 2]; 3],
        }
    }
}

impl Taps {
    /// Interpolated value of sample `i`.
    #[inline(always)]
    pub fn blend<const VOLUME: bool>(&self, corners: &Corners, i: usize) -> f32 {
        let [wd, wh, ww] = &self.weight;
        let row = |d, h| ww[0][i] * corners.at([d, h, 0], i) + ww[1][i] * corners.at([d, h, 1], i);
        let plane = |d| wh[0][i] * row(d, 0) + wh[1][i] * row(d, 1);
        if VOLUME {
            wd[0][i] * plane(0) + wd[1][i] * plane(1)
        } else {
            plane(0)
        }
    }

    /// What each neighbour receives of the gradients `grad` of the samples: the transpose of
    /// [`Taps::blend`].
    #[inline(always)]
    pub fn spread<const VOLUME: bool>(&self, grad: &[f32], corners: &mut Corners) {
        let [wd, wh, ww] = &self.weight;
        for (row, pairs) in corners
            .0
            .iter_mut()
            .enumerate()
            .take(Sampler::<VOLUME>::ROWS)
        {
            for (i, (pair, g)) in pairs.iter_mut().zip(grad).enumerate() {
                let g = if VOLUME { wd[row / 2][i] * g } else { *g };
                let g = wh[row % 2][i] * g;
                *pair = pack(ww[0][i] * g, ww[1][i] * g);
            }
        }
    }

    /// Derivatives along `[d, h, w]` at sample `i`; 2-D has none along d.
    #[inline(always)]
    pub fn slopes<const VOLUME: bool>(&self, corners: &Corners, i: usize) -> [f32; 3] {
        let ([wd, wh, ww], [sd, sh, sw]) = (&self.weight, &self.slope);
        let mix = |w: &[[f32; LANES]; 2], a: f32, b: f32| w[0][i] * a + w[1][i] * b;
        let row = |d, h| {
            let (a, b) = (corners.at([d, h, 0], i), corners.at([d, h, 1], i));
            (mix(ww, a, b), mix(sw, a, b))
        };
        let plane = |d| {
            let ((a, da), (b, db)) = (row(d, 0), row(d, 1));
            (mix(wh, a, b), mix(sh, a, b), mix(wh, da, db))
        };
        let (a, ah, aw) = plane(0);
        if !VOLUME {
            return [0.0, ah, aw];
        }
        let (b, bh, bw) = plane(1);
        [mix(sd, a, b), mix(wd, ah, bh), mix(wd, aw, bw)]
    }
}

/// Turns a displacement field into [`Taps`] on an image; `VOLUME` says whether axis `d` is displaced.
#[derive(Clone, Copy)]
pub(super) struct Sampler<const VOLUME: bool> {
    pub axes: [Axis; 3],
    /// Steps in memory to the second neighbour; 0 along an axis of one voxel.
    pub steps: [usize; 3],
    output: Extent,
}

impl<const VOLUME: bool> Sampler<VOLUME> {
    pub fn new(shape: &Shape) -> Self {
        let Shape { image, border, .. } = *shape;
        let [_, h, w] = image;
        let strides = [h * w, w, 1];
        Self {
            axes: image.map(|size| Axis::new(size, border)),
            steps: [0, 1, 2].map(|a| if image[a] > 1 { strides[a] } else { 0 }),
            output: shape.grid,
        }
    }

    /// Number of displacement components.
    pub const COMPONENTS: usize = if VOLUME { 3 } else { 2 };
    /// Number of rows of the image that a sample touches.
    pub const ROWS: usize = if VOLUME { 4 } else { 2 };

    /// Steps in memory to the rows that a sample touches, in the order of [`Corners`].
    pub fn rows(&self) -> [usize; 4] {
        let [d, h, _] = self.steps;
        [0, h, d, d + h]
    }

    /// Voxels of the output grid.
    pub fn voxels(&self) -> usize {
        self.output.iter().product()
    }

    /// Voxels of an output row.
    pub fn width(&self) -> usize {
        self.output[2]
    }

    /// Cuts output voxels `start..start + len`, whole rows, into runs `(first voxel, voxels)`.
    pub fn runs(
        &self,
        start: usize,
        len: usize,
    ) -> impl Iterator<Item = (usize, usize)> + use<VOLUME> {
        let width = self.width();
        (start..start + len).step_by(width).flat_map(move |row| {
            (0..width)
                .step_by(LANES)
                .map(move |x| (row + x, LANES.min(width - x)))
        })
    }

    /// Grid coordinate along `axis` of output voxel `at`.
    pub fn coordinate(&self, axis: usize, at: usize) -> f32 {
        let [_, h, w] = self.output;
        [at / (h * w), at / w % h, at % w][axis] as f32
    }

    /// Samples of output voxels `at..at + len` (of one row), with derivatives if `SLOPES`.
    ///
    /// `flow` holds one item, `[components, voxels]`.
    #[inline(always)]
    pub fn taps<const SLOPES: bool>(&self, flow: &[f32], at: usize, len: usize, taps: &mut Taps) {
        taps.offset = [0; LANES];
        let skipped = 3 - Self::COMPONENTS;
        for a in skipped..3 {
            let u = &flow[(a - skipped) * self.voxels() + at..][..len];
            let (axis, step) = (self.axes[a], self.steps[a] as i32);
            let origin = self.coordinate(a, at);
            let ramp = if a == 2 { 1.0 } else { 0.0 };
            let [w0, w1] = &mut taps.weight[a];
            let [s0, s1] = &mut taps.slope[a];
            for i in 0..len {
                let free = origin + ramp * i as f32 + u[i];
                let p = axis.clamp(free);
                let base = axis.base(p);
                let t = p - base as f32;
                let t1 = p - (base + 1) as f32;
                w0[i] = hat(t);
                w1[i] = axis.second * hat(t1);
                if SLOPES {
                    let moves = if free > axis.low && free < axis.high {
                        1.0
                    } else {
                        0.0
                    };
                    s0[i] = moves * hat_slope(t);
                    s1[i] = moves * axis.second * hat_slope(t1);
                }
                taps.offset[i] += ((base - axis.first as i32) * step) as u32;
            }
        }
    }
}
