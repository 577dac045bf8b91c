//! Every path of every kernel against the float64 oracle, over shapes that break careless code.

use super::*;
use crate::kernels::oracle::{check, conv as oracle, random};

/// Largest error relative to the largest value. float32 rounds to 6e-8; the longest sums here
/// have some thousand terms, and vector lanes split them, so 1e-5 leaves no room for a wrong term.
const TOLERANCE: f64 = 1e-5;

fn uniform(len: usize, seed: u64) -> Vec<f32> {
    random::uniform(seed, len, 1.0)
}

fn spec(
    batch: usize,
    [in_channels, out_channels]: [usize; 2],
    input: Extent,
    kernel_depth: usize,
    stride: [usize; 3],
) -> ConvSpec {
    ConvSpec {
        batch,
        in_channels,
        out_channels,
        input,
        kernel_depth,
        stride,
    }
}

/// Odd, even and size-1 extents, every stride, channels beside and at multiples of the tile.
fn shapes() -> Vec<ConvSpec> {
    let mut list = vec![
        spec(1, [1, 1], [1, 1, 1], 3, [1, 1, 1]),
        spec(1, [1, 1], [1, 1, 1], 3, [2, 2, 2]),
        spec(2, [2, 16], [5, 6, 7], 3, [1, 1, 1]),
        spec(1, [16, 3], [4, 9, 33], 3, [1, 1, 1]),
        spec(1, [34, 16], [3, 5, 18], 3, [1, 1, 1]),
        spec(1, [3, 34], [3, 5, 18], 3, [1, 1, 1]),
        spec(1, [48, 32], [4, 4, 6], 3, [1, 1, 1]),
        spec(1, [64, 8], [2, 3, 5], 3, [1, 1, 1]),
        spec(2, [8, 12], [1, 17, 40], 1, [1, 1, 1]),
        spec(4, [16, 2], [1, 20, 24], 1, [1, 1, 1]),
        spec(2, [5, 9], [1, 11, 14], 1, [1, 2, 2]),
        spec(1, [4, 6], [5, 4, 3], 1, [2, 1, 1]),
        spec(1, [3, 5], [1, 40, 1], 3, [1, 1, 1]),
        spec(1, [3, 5], [7, 1, 2], 3, [2, 1, 2]),
        spec(1, [2, 7], [1, 1, 50], 3, [1, 1, 1]),
        spec(1, [2, 3], [2, 70, 130], 3, [1, 1, 1]),
        spec(1, [3, 5], [3, 6, 71], 3, [1, 2, 2]),
        spec(1, [3, 2], [4, 5, 66], 3, [2, 1, 2]),
    ];
    for stride in 0..8 {
        let stride = [1 + (stride & 1), 1 + (stride >> 1 & 1), 1 + (stride >> 2)];
        list.push(spec(1, [4, 10], [5, 7, 9], 3, stride));
        list.push(spec(2, [11, 13], [4, 6, 8], 3, stride));
    }
    list
}

/// The spec and the path are shown when the test fails.
fn assert_close(found: &[f32], expected: &[f64], level: Level, spec: &ConvSpec) {
    println!("{level:?} {spec:?}");
    check::assert_close(found, expected, TOLERANCE);
}

#[test]
fn forward_agrees_with_the_oracle_on_every_path() {
    for spec in shapes() {
        let x = uniform(spec.input_len(), 1);
        let w = uniform(spec.weights_len(), 2);
        let b = uniform(spec.out_channels, 3);
        for (bias, slope) in [
            (None, None),
            (Some(&b[..]), Some(0.2)),
            (Some(&b[..]), None),
        ] {
            let expected = oracle::forward(&spec, &x, &w, bias, slope);
            for level in Level::available() {
                let mut out = vec![f32::NAN; spec.output_len()];
                forward::run(level, &spec, &x, &w, bias, slope, &mut out);
                assert_close(&out, &expected, level, &spec);
            }
        }
    }
}

#[test]
fn grad_input_agrees_with_the_oracle_on_every_path() {
    for spec in shapes() {
        let g = uniform(spec.output_len(), 4);
        let w = uniform(spec.weights_len(), 5);
        let expected = oracle::grad_input(&spec, &g, &w);
        for level in Level::available() {
            let mut grad = vec![f32::NAN; spec.input_len()];
            grad_input::run(level, &spec, &g, &w, &mut grad);
            assert_close(&grad, &expected, level, &spec);
        }
    }
}

#[test]
fn grad_weights_agree_with_the_oracle_on_every_path() {
    for spec in shapes() {
        let x = uniform(spec.input_len(), 6);
        let g = uniform(spec.output_len(), 7);
        let (expected_w, expected_b) = oracle::grad_weights(&spec, &x, &g);
        for level in Level::available() {
            let mut grad_w = vec![f32::NAN; spec.weights_len()];
            let mut grad_b = vec![f32::NAN; spec.out_channels];
            grad_weights::run(level, &spec, &x, &g, &mut grad_w, Some(&mut grad_b));
            assert_close(&grad_w, &expected_w, level, &spec);
            assert_close(&grad_b, &expected_b, level, &spec);
        }
    }
}

/// The three results, as bits.
fn all_bits(spec: &ConvSpec) -> Vec<u32> {
    let x = uniform(spec.input_len(), 8);
    let w = uniform(spec.weights_len(), 9);
    let g = uniform(spec.output_len(), 10);
    let mut out = vec![0.0; spec.output_len()];
    let mut grad_x = vec![0.0; spec.input_len()];
    let mut grad_w = vec![0.0; spec.weights_len()];
    let mut grad_b = vec![0.0; spec.out_channels];
    forward(
        spec,
        &x,
        &w,
        Some(&g[..spec.out_channels]),
        Some(0.2),
        &mut out,
    );
    grad_input(spec, &g, &w, &mut grad_x);
    grad_weights(spec, &x, &g, &mut grad_w, Some(&mut grad_b));
    let all = [out, grad_x, grad_w, grad_b].concat();
    all.into_iter().map(f32::to_bits).collect()
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    for spec in [
        spec(2, [9, 16], [13, 24, 31], 3, [1, 1, 1]),
        spec(1, [9, 5], [13, 24, 31], 3, [2, 2, 2]),
        spec(3, [16, 10], [1, 60, 64], 1, [1, 1, 1]),
    ] {
        let [one, two, three] = [1, 2, 3].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            pool.build().unwrap().install(|| all_bits(&spec))
        });
        assert!(one == two, "{spec:?}");
        assert!(one == three, "{spec:?}");
    }
}

/// `sum(out * g)` in float64, so that differences of it are exact enough.
fn objective(spec: &ConvSpec, x: &[f32], w: &[f32], b: &[f32], g: &[f32]) -> f64 {
    let mut out = vec![0.0; spec.output_len()];
    forward(spec, x, w, Some(b), None, &mut out);
    let terms = out.iter().zip(g);
    terms.map(|(&o, &g)| f64::from(o) * f64::from(g)).sum()
}

#[test]
fn gradients_agree_with_finite_differences() {
    let spec = spec(2, [2, 3], [3, 4, 5], 3, [1, 2, 1]);
    let x = uniform(spec.input_len(), 11);
    let w = uniform(spec.weights_len(), 12);
    let b = uniform(spec.out_channels, 13);
    let g = uniform(spec.output_len(), 14);
    let mut grad_x = vec![0.0; x.len()];
    let (mut grad_w, mut grad_b) = (vec![0.0; w.len()], vec![0.0; b.len()]);
    grad_input(&spec, &g, &w, &mut grad_x);
    grad_weights(&spec, &x, &g, &mut grad_w, Some(&mut grad_b));
    // The objective is linear in each argument, so a step of 1 has no truncation error; what is
    // left is the rounding of float32 outputs of size 10: 1e-6 each, 1e-4 in the sum of 120.
    let check = |values: &[f32], grad: &[f32], at: &dyn Fn(&[f32]) -> f64| {
        for index in 0..values.len() {
            let mut moved = values.to_vec();
            moved[index] += 0.5;
            let above = at(&moved);
            moved[index] -= 1.0;
            let difference = above - at(&moved);
            assert!((difference - f64::from(grad[index])).abs() < 1e-4);
        }
    };
    check(&x, &grad_x, &|x| objective(&spec, x, &w, &b, &g));
    check(&w, &grad_w, &|w| objective(&spec, &x, w, &b, &g));
    check(&b, &grad_b, &|b| objective(&spec, &x, &w, b, &g));
}

#[test]
fn a_nan_or_an_infinity_reaches_only_its_neighbours() {
    for bad in [f32::NAN, f32::INFINITY] {
        let spec = spec(1, [2, 9], [4, 5, 20], 3, [1, 1, 1]);
        let mut x = uniform(spec.input_len(), 15);
        let w = uniform(spec.weights_len(), 16);
        x[(2 * 5 + 3) * 20 + 7] = bad;
        for level in Level::available() {
            let mut out = vec![0.0; spec.output_len()];
            forward::run(level, &spec, &x, &w, None, Some(0.2), &mut out);
            for (index, value) in out.iter().enumerate() {
                let (d, h, w) = (index / 100 % 4, index / 20 % 5, index % 20);
                let near = d.abs_diff(2) <= 1 && h.abs_diff(3) <= 1 && w.abs_diff(7) <= 1;
                assert_eq!(near, !value.is_finite(), "{level:?} at {d} {h} {w}");
            }
        }
    }
}

#[test]
fn gradients_of_a_nan_write_only_their_own_memory() {
    let spec = spec(1, [3, 5], [3, 5, 7], 3, [2, 1, 2]);
    let x = vec![f32::NAN; spec.input_len()];
    let w = uniform(spec.weights_len(), 17);
    let g = vec![f32::INFINITY; spec.output_len()];
    let mut grad_x = vec![7.0; spec.input_len() + 64];
    let mut grad_w = vec![7.0; spec.weights_len() + 64];
    let (inside_x, beyond_x) = grad_x.split_at_mut(spec.input_len());
    let (inside_w, beyond_w) = grad_w.split_at_mut(spec.weights_len());
    grad_input(&spec, &g, &w, inside_x);
    grad_weights(&spec, &x, &g, inside_w, None);
    assert!(beyond_x.iter().chain(beyond_w.iter()).all(|&v| v == 7.0));
    assert!(inside_w.iter().all(|v| v.is_nan()));
}

#[test]
fn leaky_relu_gradient_follows_the_sign_of_the_output() {
    let mut grad = [3.0, 4.0, 5.0];
    leaky_relu_grad(&[2.0, -0.5, 0.0], &mut grad, 0.5);
    assert_eq!(grad, [3.0, 2.0, 2.5]);
}
