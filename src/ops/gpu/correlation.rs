//! Local correlation of two images, from five window sums.

use cubecl::prelude::*;

use super::boxsum::box_sum;
use super::{Buffer, argument, batch, empty, extent, units};
use crate::kernels::correlation::{EPSILON, Form};

/// The correlation in the window about each voxel of two images `[n, 1, d, h, w]`.
pub fn local(pair: [Buffer; 2], window: [usize; 3], form: Form) -> Buffer {
    let sums = box_sum(products(&pair), window);
    let [d, h, w] = extent(&sums);
    let out = empty(&sums, [batch(&sums), 1, d, h, w]);
    let (count, dim) = units(&sums, batch(&sums) * d * h * w);
    unsafe {
        value::launch_unchecked(
            &sums.client,
            count,
            dim,
            argument(&sums),
            argument(&out),
            shape(&sums, window),
            form,
        );
    }
    out
}

/// Gradients of [`local`] with respect to both images, as far as they are wanted.
///
/// A window's correlation depends on its five sums; the slopes with respect to them, summed over the windows that
/// hold a voxel, make the slope with respect to that voxel.
pub fn local_grad(
    pair: [Buffer; 2],
    grad: Buffer,
    window: [usize; 3],
    form: Form,
    wanted: [bool; 2],
) -> [Option<Buffer>; 2] {
    let sums = box_sum(products(&pair), window);
    let [d, h, w] = extent(&sums);
    let channels = slope_channels(wanted);
    let slopes = empty(&sums, [batch(&sums), channels, d, h, w]);
    let (count, dim) = units(&sums, batch(&sums) * d * h * w);
    unsafe {
        slopes_of_sums::launch_unchecked(
            &sums.client,
            count.clone(),
            dim,
            argument(&sums),
            argument(&grad),
            argument(&slopes),
            shape(&sums, window),
            form,
            wanted,
        );
    }
    drop(sums);
    let slopes = box_sum(slopes, window);
    let [a, b] = &pair;
    let of = |own: &Buffer, other: &Buffer, first: usize| {
        let out = empty(own, [batch(own), 1, d, h, w]);
        unsafe {
            slopes_of_voxels::launch_unchecked(
                &own.client,
                count.clone(),
                dim,
                argument(&slopes),
                argument(own),
                argument(other),
                argument(&out),
                shape(own, window),
                first,
                channels,
            );
        }
        out
    };
    [
        wanted[0].then(|| of(a, b, 0)),
        wanted[1].then(|| of(b, a, channels - 3)),
    ]
}

/// Of each image whose gradient is wanted, the slopes with respect to the sums of its values and of its squares; last that with
/// respect to the sum of products.
fn slope_channels(wanted: [bool; 2]) -> usize {
    2 * wanted.iter().filter(|wanted| **wanted).count() + 1
}

/// `a, b, a^2, b^2, a b` as channels.
fn products([a, b]: &[Buffer; 2]) -> Buffer {
    let [d, h, w] = extent(a);
    let out = empty(a, [batch(a), 5, d, h, w]);
    let (count, dim) = units(a, batch(a) * d * h * w);
    unsafe {
        multiply::launch_unchecked(
            &a.client,
            count,
            dim,
            argument(a),
            argument(b),
            argument(&out),
            shape(a, [1; 3]),
        );
    }
    out
}

/// Sizes that the kernels need.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
#[expand(derive(Clone, Copy))]
struct Sizes {
    /// Of one image.
    voxels: usize,
    /// Voxels of all items.
    sites: usize,
    /// Voxels of the window.
    window: f32,
}

fn shape(buffer: &Buffer, window: [usize; 3]) -> SizesLaunch {
    let voxels = extent(buffer).iter().product::<usize>();
    let window = window.iter().product::<usize>() as f32;
    SizesLaunch::new(voxels, batch(buffer) * voxels, window)
}

#[cube(launch_unchecked)]
fn multiply(a: &[f32], b: &[f32], out: &mut [f32], sizes: Sizes) {
    if ABSOLUTE_POS >= sizes.sites {
        terminate!();
    }
    let n = sizes.voxels;
    let first = (ABSOLUTE_POS / n) * 5 * n + ABSOLUTE_POS % n;
    let (x, y) = (a[ABSOLUTE_POS], b[ABSOLUTE_POS]);
    out[first] = x;
    out[first + n] = y;
    out[first + 2 * n] = x * x;
    out[first + 3 * n] = y * y;
    out[first + 4 * n] = x * y;
}

/// Sums over one window, and what follows from them.
#[derive(CubeType, Clone, Copy)]
#[expand(derive(Clone, Copy))]
struct Moments {
    a: f32,
    b: f32,
    cov: f32,
    var_a: f32,
    var_b: f32,
}

#[cube]
fn moments(sums: &[f32], site: usize, sizes: &Sizes) -> Moments {
    let n = sizes.voxels;
    let first = (site / n) * 5 * n + site % n;
    let (a, b) = (sums[first], sums[first + n]);
    Moments {
        a,
        b,
        cov: sums[first + 4 * n] - a * b / sizes.window,
        var_a: sums[first + 2 * n] - a * a / sizes.window,
        var_b: sums[first + 3 * n] - b * b / sizes.window,
    }
}

/// `x`, or the smallest value that counts; what is not a number stays so, that a broken loss is seen.
#[cube]
fn floored(x: f32) -> f32 {
    select(x < EPSILON, EPSILON, x)
}

/// 1 where [`floored`] passes a change on.
#[cube]
fn passes(x: f32) -> f32 {
    select(x < EPSILON, 0.0f32, 1.0f32)
}

#[cube(launch_unchecked)]
fn value(sums: &[f32], out: &mut [f32], sizes: Sizes, #[comptime] form: Form) {
    if ABSOLUTE_POS >= sizes.sites {
        terminate!();
    }
    let m = moments(sums, ABSOLUTE_POS, &sizes);
    let (a, b) = (floored(m.var_a), floored(m.var_b));
    let mut value = m.cov / (a * b).sqrt();
    if comptime!(form == Form::Plain) {
        value = m.cov * m.cov / (m.var_a * m.var_b + EPSILON);
    }
    if comptime!(form == Form::Clamped) {
        let cov = floored(m.cov);
        value = (cov / a) * (cov / b);
    }
    out[ABSOLUTE_POS] = value;
}

#[cube(launch_unchecked)]
fn slopes_of_sums(
    sums: &[f32],
    grad: &[f32],
    out: &mut [f32],
    sizes: Sizes,
    #[comptime] form: Form,
    #[comptime] wanted: [bool; 2],
) {
    if ABSOLUTE_POS >= sizes.sites {
        terminate!();
    }
    let m = moments(sums, ABSOLUTE_POS, &sizes);
    let (a, b) = (floored(m.var_a), floored(m.var_b));
    // Signed.
    let part = 1.0 / (a * b).sqrt();
    let mut by_cov = part;
    let mut by_a = -passes(m.var_a) * 0.5 * m.cov * part / a;
    let mut by_b = -passes(m.var_b) * 0.5 * m.cov * part / b;
    if comptime!(form == Form::Plain) {
        let part = m.cov / (m.var_a * m.var_b + EPSILON);
        by_cov = 2.0 * part;
        by_a = -part * part * m.var_b;
        by_b = -part * part * m.var_a;
    }
    if comptime!(form == Form::Clamped) {
        let cov = floored(m.cov);
        let (over_a, over_b) = (cov / a, cov / b);
        by_cov = passes(m.cov) * 2.0 * over_a / b;
        by_a = -passes(m.var_a) * over_a * over_b / a;
        by_b = -passes(m.var_b) * over_a * over_b / b;
    }
    let upstream = grad[ABSOLUTE_POS];
    let (by_cov, by_a, by_b) = (by_cov * upstream, by_a * upstream, by_b * upstream);
    let n = sizes.voxels;
    let channels = comptime!(slope_channels(wanted));
    let first = (ABSOLUTE_POS / n) * channels * n + ABSOLUTE_POS % n;
    if comptime!(wanted[0]) {
        out[first] = -(by_cov * m.b + 2.0 * by_a * m.a) / sizes.window;
        out[first + n] = by_a;
    }
    let last = first + comptime!(channels - 1) * n;
    if comptime!(wanted[1]) {
        out[last - 2 * n] = -(by_cov * m.a + 2.0 * by_b * m.b) / sizes.window;
        out[last - n] = by_b;
    }
    out[last] = by_cov;
}

/// `first` is the channel of the slope with respect to the image's own sum, of as many as there are.
#[cube(launch_unchecked)]
fn slopes_of_voxels(
    slopes: &[f32],
    own: &[f32],
    other: &[f32],
    out: &mut [f32],
    sizes: Sizes,
    #[comptime] first: usize,
    #[comptime] channels: usize,
) {
    if ABSOLUTE_POS >= sizes.sites {
        terminate!();
    }
    let n = sizes.voxels;
    let base = (ABSOLUTE_POS / n) * channels * n + ABSOLUTE_POS % n;
    let by_sum = slopes[base + first * n];
    let by_square = slopes[base + comptime!(first + 1) * n];
    let by_product = slopes[base + comptime!(channels - 1) * n];
    out[ABSOLUTE_POS] =
        by_sum + 2.0 * own[ABSOLUTE_POS] * by_square + other[ABSOLUTE_POS] * by_product;
}
