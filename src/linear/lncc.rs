//! Local correlation of samples that fill a grid.

use super::measures::Energy;
use crate::kernels::Extent;
use crate::kernels::affine::Sample;
use crate::kernels::boxsum::box_sum;

/// Side of the window in voxels of the level.
const WINDOW: usize = 5;

/// Variance (of intensities from 0 to 1) below which a window says nothing.
const FLAT: f64 = 1e-4;

/// `-mean r^2` over windows, with `r` the weighted correlation in the window around each sample, and each window counting
/// by its weight; a correlation below 0 counts 0, as in VoxelMorph's.
pub(super) fn lncc(fixed: &[f32], moving: &[Sample], extent: Extent) -> Option<Energy> {
    let window = extent.map(|n| if n == 1 { 1 } else { WINDOW });
    let sums = Sums::new(fixed, moving, extent, window);
    let total: f64 = sums.get(Term::Weight).iter().map(|&w| f64::from(w)).sum();
    if total <= 0.0 {
        return None;
    }
    let windows: Vec<Window> = (0..fixed.len()).map(|at| sums.window(at)).collect();
    let weighted = windows.iter().map(|w| w.weight * w.square);
    let value = -weighted.sum::<f64>() / total;
    // What each window says about its sums comes back to the samples by the same windows.
    let back: Vec<Vec<f32>> = (0..TERMS)
        .map(|term| {
            let by_sum: Vec<f32> = windows
                .iter()
                .map(|w| {
                    let level = if term == Term::Weight as usize {
                        w.square + value
                    } else {
                        0.0
                    };
                    ((-w.weight * w.by_sum[term] - level) / total) as f32
                })
                .collect();
            box_sum(&by_sum, 1, extent, window)
        })
        .collect();
    let by_sample = fixed
        .iter()
        .zip(moving)
        .enumerate()
        .map(|(at, (&f, m))| {
            let f = f64::from(f);
            let b = |term: Term| f64::from(back[term as usize][at]);
            let by_value =
                b(Term::Moving) + 2.0 * m.value * b(Term::MovingMoving) + f * b(Term::FixedMoving);
            let by_weight = b(Term::Weight)
                + f * b(Term::Fixed)
                + m.value * b(Term::Moving)
                + f * f * b(Term::FixedFixed)
                + m.value * m.value * b(Term::MovingMoving)
                + f * m.value * b(Term::FixedMoving);
            [m.weight * by_value, by_weight]
        })
        .collect();
    Some(Energy { value, by_sample })
}

/// The weighted sums over a window.
#[derive(Clone, Copy)]
enum Term {
    Weight,
    Fixed,
    Moving,
    FixedFixed,
    MovingMoving,
    FixedMoving,
}

const TERMS: usize = 6;

struct Sums([Vec<f32>; TERMS]);

/// One window: its weight, the squared correlation, and the derivatives of that by the sums.
struct Window {
    weight: f64,
    square: f64,
    by_sum: [f64; TERMS],
}

impl Sums {
    fn new(fixed: &[f32], moving: &[Sample], extent: Extent, window: [usize; 3]) -> Self {
        let term = |value: &dyn Fn(f64, f64) -> f64| {
            let pairs = fixed.iter().zip(moving);
            let values: Vec<f32> = pairs
                .map(|(&f, m)| (m.weight * value(f64::from(f), m.value)) as f32)
                .collect();
            box_sum(&values, 1, extent, window)
        };
        Self([
            term(&|_, _| 1.0),
            term(&|f, _| f),
            term(&|_, m| m),
            term(&|f, _| f * f),
            term(&|_, m| m * m),
            term(&|f, m| f * m),
        ])
    }

    fn get(&self, term: Term) -> &[f32] {
        &self.0[term as usize]
    }

    fn window(&self, at: usize) -> Window {
        let [w, f, m, ff, mm, fm] = [0, 1, 2, 3, 4, 5].map(|term| f64::from(self.0[term][at]));
        let mut window = Window {
            weight: w,
            square: 0.0,
            by_sum: [0.0; TERMS],
        };
        // Nothing but rounding.
        if w < 1e-3 {
            return window;
        }
        let (mean_f, mean_m) = (f / w, m / w);
        let cross = fm / w - mean_f * mean_m;
        let [var_f, var_m] = [ff / w - mean_f * mean_f, mm / w - mean_m * mean_m];
        if cross <= 0.0 {
            return window;
        }
        let (a, b) = (var_f.max(0.0) + FLAT, var_m.max(0.0) + FLAT);
        window.square = cross * cross / (a * b);
        // By the covariance and the variances, then through them by the sums.
        let by_cross = 2.0 * cross / (a * b);
        let by_a = if var_f > 0.0 { -window.square / a } else { 0.0 };
        let by_b = if var_m > 0.0 { -window.square / b } else { 0.0 };
        let by_mean_f = -by_cross * mean_m - 2.0 * by_a * mean_f;
        let by_mean_m = -by_cross * mean_f - 2.0 * by_b * mean_m;
        let by_weight =
            -(by_cross * fm + by_a * ff + by_b * mm + by_mean_f * f + by_mean_m * m) / (w * w);
        window.by_sum = [
            by_weight,
            by_mean_f / w,
            by_mean_m / w,
            by_a / w,
            by_b / w,
            by_cross / w,
        ];
        window
    }
}
