//! Every path against the float64 oracle, and the rounding errors beside those of the direct form.

use super::super::{ConvSpec, JoinSpec, forward as direct};
use super::*;
use crate::kernels::oracle::{check, conv as oracle, random, upsample, widen};

/// As for the direct form.
const TOLERANCE: f64 = 1e-5;

fn uniform(len: usize, seed: u64) -> Vec<f32> {
    random::uniform(seed, len, 1.0)
}

/// `[low, skip, out]` channels.
fn spec(batch: usize, channels: [usize; 3], input: [usize; 3], kernel_depth: usize) -> JoinSpec {
    let [low_channels, skip_channels, out_channels] = channels;
    JoinSpec {
        batch,
        low_channels,
        skip_channels,
        out_channels,
        input,
        kernel_depth,
    }
}

/// Odd, even and size-1 extents, channels beside and at multiples of the tiles, with and without coarse channels.
fn shapes() -> Vec<JoinSpec> {
    vec![
        spec(1, [0, 1, 1], [1, 1, 1], 3),
        spec(2, [0, 9, 11], [5, 7, 9], 3),
        spec(1, [0, 16, 3], [4, 9, 33], 3),
        spec(1, [0, 4, 34], [3, 5, 18], 3),
        spec(1, [0, 3, 5], [1, 40, 1], 3),
        spec(1, [0, 3, 5], [7, 1, 2], 3),
        spec(1, [0, 2, 4], [2, 70, 130], 3),
        spec(2, [0, 8, 12], [1, 17, 40], 1),
        spec(1, [0, 5, 2], [3, 4, 5], 1),
        spec(1, [1, 0, 1], [2, 2, 2], 3),
        spec(2, [3, 2, 9], [6, 8, 10], 3),
        spec(1, [9, 0, 8], [4, 6, 38], 3),
        spec(1, [32, 2, 16], [2, 4, 34], 3),
        spec(1, [5, 3, 3], [4, 66, 70], 3),
        spec(2, [6, 5, 7], [1, 12, 36], 1),
        spec(1, [8, 1, 4], [2, 10, 2], 1),
    ]
}

/// The same convolution over one tensor.
fn plain(spec: &JoinSpec) -> ConvSpec {
    ConvSpec {
        batch: spec.batch,
        in_channels: spec.low_channels + spec.skip_channels,
        out_channels: spec.out_channels,
        input: spec.input,
        kernel_depth: spec.kernel_depth,
        stride: [1; 3],
    }
}

/// `low` and `skip`.
fn inputs(spec: &JoinSpec) -> [Vec<f32>; 2] {
    let [low, skip] = [spec.low(), spec.input].map(|e| spec.batch * e.iter().product::<usize>());
    [
        uniform(low * spec.low_channels, 1),
        uniform(skip * spec.skip_channels, 2),
    ]
}

/// Both as one tensor.
fn join(spec: &JoinSpec, [low, skip]: &[Vec<f32>; 2]) -> Vec<f32> {
    if spec.low_channels == 0 {
        return skip.clone();
    }
    let (a, b) = (spec.low_channels, spec.skip_channels);
    let all = upsample::nearest_concat(
        &widen(low),
        spec.low(),
        a,
        &widen(skip),
        spec.input,
        b,
        spec.batch,
    );
    all.into_iter().map(|v| v as f32).collect()
}

/// The gradients of `low` and `skip` from that of both as one tensor.
fn split(spec: &JoinSpec, grad: &[f64]) -> [Vec<f64>; 2] {
    let ([_, h, w], [_, lh, lw]) = (spec.input, spec.low());
    let (voxels, coarse): (usize, usize) =
        (spec.input.iter().product(), spec.low().iter().product());
    let (mut low, mut skip) = (Vec::new(), Vec::new());
    for item in grad.chunks_exact(voxels * (spec.low_channels + spec.skip_channels)) {
        let (of_low, of_skip) = item.split_at(voxels * spec.low_channels);
        skip.extend_from_slice(of_skip);
        for channel in of_low.chunks_exact(voxels) {
            let mut sums = vec![0.0; coarse];
            for (at, value) in channel.iter().enumerate() {
                let z = if spec.kernel_depth == 1 {
                    at / (h * w)
                } else {
                    at / (h * w) / 2
                };
                sums[(z * lh + at / w % h / 2) * lw + at % w / 2] += value;
            }
            low.extend(sums);
        }
    }
    [low, skip]
}

/// Where there are values at all.
fn assert_close(found: &[f32], expected: &[f64], level: Level, spec: &JoinSpec) {
    println!("{level:?} {spec:?}");
    check::assert_close(found, expected, TOLERANCE);
}

#[test]
fn forward_agrees_with_the_oracle_on_every_path() {
    for spec in shapes() {
        let parts = inputs(&spec);
        let (w, b) = (
            uniform(spec.weights_len(), 3),
            uniform(spec.out_channels, 4),
        );
        for (bias, slope) in [
            (None, None),
            (Some(&b[..]), Some(0.2)),
            (Some(&b[..]), None),
        ] {
            let expected = oracle::forward(&plain(&spec), &join(&spec, &parts), &w, bias, slope);
            for level in Level::available() {
                let mut out = vec![f32::NAN; expected.len()];
                forward(
                    level,
                    &spec,
                    [&parts[0], &parts[1]],
                    &w,
                    bias,
                    slope,
                    &mut out,
                );
                assert_close(&out, &expected, level, &spec);
            }
        }
    }
}

#[test]
fn grad_input_agrees_with_the_oracle_on_every_path() {
    for spec in shapes() {
        let g = uniform(plain(&spec).output_len(), 5);
        let w = uniform(spec.weights_len(), 6);
        let [low, skip] = split(&spec, &oracle::grad_input(&plain(&spec), &g, &w));
        for level in Level::available() {
            let (mut grad_low, mut grad_skip) =
                (vec![f32::NAN; low.len()], vec![f32::NAN; skip.len()]);
            grad_input(level, &spec, &g, &w, [&mut grad_low, &mut grad_skip]);
            assert_close(&grad_low, &low, level, &spec);
            assert_close(&grad_skip, &skip, level, &spec);
        }
    }
}

#[test]
fn grad_weights_agree_with_the_oracle_on_every_path() {
    for spec in shapes() {
        let parts = inputs(&spec);
        let g = uniform(plain(&spec).output_len(), 7);
        let (of_w, of_b) = oracle::grad_weights(&plain(&spec), &join(&spec, &parts), &g);
        for level in Level::available() {
            let mut grad_w = vec![f32::NAN; of_w.len()];
            let mut grad_b = vec![f32::NAN; of_b.len()];
            let inputs = [&parts[0][..], &parts[1][..]];
            grad_weights(level, &spec, inputs, &g, &mut grad_w, Some(&mut grad_b));
            assert_close(&grad_w, &of_w, level, &spec);
            assert_close(&grad_b, &of_b, level, &spec);
        }
    }
}

/// For independent inputs of variance 1 the transforms multiply the variance of a sum: along one axis `B^T` by 2, `G` by
/// (1, 3/4, 3/4, 1), and an output adds three products, 2 (1 + 3/4 + 3/4) = 5 where the sum itself has 3. Rounding errors
/// grow with what is added, so over three axes by (5/3)^(3/2) = 2.2 at most; the sums are shorter than the direct ones,
/// which only helps.
#[test]
fn rounding_errors_are_at_most_those_of_the_direct_form_times_the_growth_of_the_terms() {
    let growth = (5.0_f64 / 3.0).powf(1.5);
    for channels in [[0, 16, 16], [0, 48, 32], [32, 16, 16]] {
        let spec = spec(1, channels, [12, 14, 16], 3);
        let parts = inputs(&spec);
        let x = join(&spec, &parts);
        let w = uniform(spec.weights_len(), 8);
        let expected = oracle::forward(&plain(&spec), &x, &w, None, None);
        let error = |found: &[f32]| {
            let squares = found
                .iter()
                .zip(&expected)
                .map(|(&f, e)| (f64::from(f) - e).powi(2));
            (squares.sum::<f64>() / expected.len() as f64).sqrt()
        };
        for level in Level::available() {
            let (mut ours, mut plainly) = (vec![0.0; expected.len()], vec![0.0; expected.len()]);
            forward(
                level,
                &spec,
                [&parts[0], &parts[1]],
                &w,
                None,
                None,
                &mut ours,
            );
            direct::run(level, &plain(&spec), &x, &w, None, None, &mut plainly);
            let [ours, plainly] = [error(&ours), error(&plainly)];
            println!("{level:?} {channels:?}: {ours:.2e}, direct {plainly:.2e}");
            assert!(
                ours <= growth * plainly,
                "{level:?} {channels:?}: {ours:e}, direct {plainly:e}"
            );
        }
    }
}

#[test]
fn gradients_agree_with_finite_differences() {
    let spec = spec(2, [2, 1, 3], [4, 2, 6], 3);
    let parts = inputs(&spec);
    let (w, b) = (uniform(spec.weights_len(), 9), uniform(3, 10));
    let g = uniform(plain(&spec).output_len(), 11);
    let level = Level::best();
    // Linear in each argument: a step of 1/2 has no truncation error, and float32 outputs of size 10 round by 1e-6.
    let objective = |low: &[f32], skip: &[f32], w: &[f32], b: &[f32]| {
        let mut out = vec![0.0; g.len()];
        forward(level, &spec, [low, skip], w, Some(b), None, &mut out);
        check::dot(&widen(&out), &widen(&g))
    };
    let [low, skip] = &parts;
    let (mut grad_low, mut grad_skip) = (vec![0.0; low.len()], vec![0.0; skip.len()]);
    let (mut grad_w, mut grad_b) = (vec![0.0; w.len()], vec![0.0; b.len()]);
    grad_input(level, &spec, &g, &w, [&mut grad_low, &mut grad_skip]);
    grad_weights(
        level,
        &spec,
        [low, skip],
        &g,
        &mut grad_w,
        Some(&mut grad_b),
    );
    let check = |values: &[f32], grad: &[f32], at: &dyn Fn(&[f32]) -> f64| {
        for index in 0..values.len() {
            let mut moved = values.to_vec();
            moved[index] += 0.5;
            let above = at(&moved);
            moved[index] -= 1.0;
            let difference = above - at(&moved);
            assert!((difference - f64::from(grad[index])).abs() < 2e-4);
        }
    };
    check(low, &grad_low, &|low| objective(low, skip, &w, &b));
    check(skip, &grad_skip, &|skip| objective(low, skip, &w, &b));
    check(&w, &grad_w, &|w| objective(low, skip, w, &b));
    check(&b, &grad_b, &|b| objective(low, skip, &w, b));
}

/// The four results, as bits.
fn all_bits(spec: &JoinSpec) -> Vec<u32> {
    let [low, skip] = &inputs(spec);
    let level = Level::best();
    let (w, g) = (
        uniform(spec.weights_len(), 12),
        uniform(plain(spec).output_len(), 13),
    );
    let (mut out, mut grad_low, mut grad_skip) = (
        vec![0.0; g.len()],
        vec![0.0; low.len()],
        vec![0.0; skip.len()],
    );
    let (mut grad_w, mut grad_b) = (vec![0.0; w.len()], vec![0.0; spec.out_channels]);
    forward(level, spec, [low, skip], &w, None, Some(0.2), &mut out);
    grad_input(level, spec, &g, &w, [&mut grad_low, &mut grad_skip]);
    grad_weights(level, spec, [low, skip], &g, &mut grad_w, Some(&mut grad_b));
    let all = [out, grad_low, grad_skip, grad_w, grad_b].concat();
    all.into_iter().map(f32::to_bits).collect()
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    for spec in [
        spec(2, [9, 4, 16], [14, 24, 30], 3),
        spec(1, [0, 9, 5], [13, 24, 31], 3),
        spec(3, [8, 8, 10], [1, 60, 64], 1),
    ] {
        let [one, two, three] = [1, 2, 3].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            pool.build().unwrap().install(|| all_bits(&spec))
        });
        assert!(one == two, "{spec:?}");
        assert!(one == three, "{spec:?}");
    }
}

/// A pair of outputs shares its products, so a NaN reaches the pairs whose windows hold it, and nothing else.
#[test]
fn a_nan_or_an_infinity_reaches_only_the_pairs_around_it() {
    let spec = spec(1, [0, 2, 9], [6, 8, 20], 3);
    for bad in [f32::NAN, f32::INFINITY] {
        let [_, mut x] = inputs(&spec);
        let w = uniform(spec.weights_len(), 14);
        x[(2 * 8 + 3) * 20 + 7] = bad;
        for level in Level::available() {
            let mut out = vec![0.0; plain(&spec).output_len()];
            forward(level, &spec, [&[], &x], &w, None, Some(0.2), &mut out);
            for (index, value) in out.iter().enumerate() {
                let (d, h, w) = (index / 160 % 6, index / 20 % 8, index % 20);
                let near = d.abs_diff(2) <= 1 && h.abs_diff(3) <= 1 && w.abs_diff(7) <= 1;
                // Windows from 2m - 1 to 2m + 2.
                let far = !(0..4).contains(&d) || !(2..6).contains(&h) || !(6..10).contains(&w);
                assert!(value.is_finite() || !far, "{level:?} at {d} {h} {w}");
                assert!(!value.is_finite() || !near, "{level:?} at {d} {h} {w}");
            }
        }
    }
}

#[test]
fn gradients_of_a_nan_write_only_their_own_memory() {
    let spec = spec(1, [3, 2, 5], [2, 6, 10], 3);
    let parts = inputs(&spec).map(|values| vec![f32::NAN; values.len()]);
    let w = uniform(spec.weights_len(), 15);
    let g = vec![f32::INFINITY; plain(&spec).output_len()];
    for level in Level::available() {
        let [mut low, mut skip] = parts.each_ref().map(|values| vec![7.0; values.len() + 64]);
        let mut grad_w = vec![7.0; w.len() + 64];
        let (inside_low, beyond_low) = low.split_at_mut(parts[0].len());
        let (inside_skip, beyond_skip) = skip.split_at_mut(parts[1].len());
        let (inside_w, beyond_w) = grad_w.split_at_mut(w.len());
        grad_input(level, &spec, &g, &w, [inside_low, inside_skip]);
        grad_weights(level, &spec, [&parts[0], &parts[1]], &g, inside_w, None);
        let beyond = [beyond_low, beyond_skip, beyond_w];
        assert!(beyond.into_iter().flatten().all(|v| *v == 7.0));
        assert!(inside_w.iter().all(|v| v.is_nan()));
    }
}
