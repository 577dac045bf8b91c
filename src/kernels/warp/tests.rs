use super::*;
use crate::kernels::oracle::check::{assert_close, dot, finite_differences};
use crate::kernels::oracle::random::uniform;
use crate::kernels::oracle::{self, widen};

/// Float32 positions of up to 80 voxels are rounded by 4e-6; values span 2.
const TOLERANCE: f64 = 1e-5;

fn problem(image: [usize; 3], output: [usize; 3], components: usize, border: Border) -> Shape {
    Shape {
        image,
        grid: output,
        items: 2,
        channels: 3,
        components,
        border,
    }
}

/// Grids of both dimensions: odd, of one voxel along every axis, wider than a run, changing size.
fn problems() -> Vec<Shape> {
    let mut list = Vec::new();
    for border in [Border::Zeros, Border::Edge] {
        for image in [
            [3, 4, 5],
            [1, 4, 5],
            [3, 1, 5],
            [3, 4, 1],
            [1, 1, 1],
            [2, 2, 2],
        ] {
            list.push(problem(image, image, 3, border));
        }
        list.push(problem([3, 4, 7], [2, 3, 66], 3, border));
        for image in [[1, 5, 7], [1, 1, 7], [1, 5, 1]] {
            list.push(problem(image, image, 2, border));
        }
        list.push(problem([1, 4, 7], [1, 3, 66], 2, border));
    }
    list
}

/// Random displacements that reach outside and stay away from whole numbers, where slopes jump.
fn displacements(p: &Shape, seed: u64) -> Vec<f32> {
    // A single voxel would hardly be met otherwise.
    let amplitude = if p.image == [1, 1, 1] { 0.9 } else { 2.5 };
    let mut flow = uniform(seed, p.flow_len(), amplitude);
    flow.iter_mut()
        .for_each(|u| *u = u.floor() + 0.05 + 0.9 * (*u - u.floor()));
    flow
}

fn run_linear(p: &Shape, image: &[f32], flow: &[f32]) -> Vec<f32> {
    linear(image, flow, p)
}

fn run_grad(p: &Shape, image: &[f32], flow: &[f32], grad: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let grads = linear_grad(image, flow, p, grad, [true; 2]);
    grads.map(Option::unwrap).into()
}

#[test]
fn linear_matches_the_definition() {
    for p in problems() {
        let (image, flow) = (uniform(1, p.image_len(), 1.0), displacements(&p, 2));
        let expected = oracle::warp::linear(&p, &widen(&image), &widen(&flow));
        assert_close(&run_linear(&p, &image, &flow), &expected, TOLERANCE);
    }
}

#[test]
fn nearest_matches_the_definition_also_for_labels() {
    for p in problems() {
        let labels: Vec<i32> = (0..p.image_len() as i32).map(|i| i + 1).collect();
        let mut flow = uniform(3, p.flow_len(), 2.5);
        // Every other voxel half-way between two.
        flow.iter_mut()
            .step_by(2)
            .for_each(|u| *u = u.round() + 0.5);
        let found = nearest(&labels, &flow, &p);
        let wide: Vec<f64> = labels.iter().map(|&l| l.into()).collect();
        let expected = oracle::warp::nearest(&p, &wide, &widen(&flow));
        assert_eq!(
            found.iter().map(|&l| f64::from(l)).collect::<Vec<_>>(),
            expected,
            "{p:?}"
        );
    }
}

#[test]
fn gradients_match_finite_differences() {
    for p in problems().into_iter().filter(|p| p.grid[2] <= 7) {
        let (image, flow) = (uniform(4, p.image_len(), 1.0), displacements(&p, 5));
        let grad = uniform(6, p.output_len(), 1.0);
        let (grad_image, grad_flow) = run_grad(&p, &image, &flow, &grad);
        let (image, flow, grad) = (widen(&image), widen(&flow), widen(&grad));
        let of_image = |x: &[f64]| dot(&grad, &oracle::warp::linear(&p, x, &flow));
        assert_close(
            &grad_image,
            &finite_differences(of_image, &image, 1e-3),
            TOLERANCE,
        );
        if p.border == Border::Edge && p.image == [1, 1, 1] {
            // Every sample is held at the only voxel.
            assert!(grad_flow.iter().all(|&g| g == 0.0));
            continue;
        }
        let of_flow = |u: &[f64]| dot(&grad, &oracle::warp::linear(&p, &image, u));
        assert_close(
            &grad_flow,
            &finite_differences(of_flow, &flow, 1e-3),
            TOLERANCE,
        );
    }
}

#[test]
fn only_wanted_gradients_are_made() {
    let p = problem([3, 4, 5], [3, 4, 5], 3, Border::Zeros);
    let (image, flow) = (uniform(4, p.image_len(), 1.0), displacements(&p, 5));
    let grad = uniform(6, p.output_len(), 1.0);
    for wanted in [[true, false], [false, true], [false, false]] {
        let found = linear_grad(&image, &flow, &p, &grad, wanted);
        assert_eq!(found.map(|grad| grad.is_some()), wanted);
    }
}

#[test]
fn results_do_not_depend_on_the_threads() {
    for (extent, nf) in [([19, 8, 9], 3), ([1, 64, 80], 2)] {
        let p = problem(extent, extent, nf, Border::Zeros);
        let (image, flow) = (
            uniform(7, p.image_len(), 1.0),
            uniform(8, p.flow_len(), 6.0),
        );
        let grad = uniform(9, p.output_len(), 1.0);
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| {
                (
                    run_linear(&p, &image, &flow),
                    run_grad(&p, &image, &flow, &grad),
                )
            })
        };
        let one = run(1);
        assert!(one.1.0.iter().any(|&g| g != 0.0));
        for threads in [2, 3, 7] {
            assert!(run(threads) == one, "{threads} threads");
        }
    }
}

#[test]
fn poisoned_displacements_sample_zero_and_touch_nothing() {
    for p in problems() {
        let voxels: usize = p.grid.iter().product();
        let image = uniform(10, p.image_len(), 1.0);
        let poison = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 3e38, -3e38];
        let mut flow = displacements(&p, 11);
        for (i, u) in flow.iter_mut().enumerate().step_by(3) {
            *u = poison[i / 3 % poison.len()];
        }
        let grad = uniform(12, p.output_len(), 1.0);
        let out = run_linear(&p, &image, &flow);
        let (grad_image, grad_flow) = run_grad(&p, &image, &flow, &grad);
        for values in [&out, &grad_image, &grad_flow] {
            assert!(values.iter().all(|v| v.is_finite()), "{p:?}");
        }
        let nearest = nearest(&image, &flow, &p);
        let (mut zeros, c) = (0, p.components);
        for (at, value) in out.iter().enumerate() {
            let (item, voxel) = (at / voxels / p.channels, at % voxels);
            let u = (0..c).map(|a| flow[(item * c + a) * voxels + voxel]);
            let lost = |u: f32| !u.is_finite() || (p.border == Border::Zeros && u.abs() > 1e3);
            if u.into_iter().any(lost) {
                assert_eq!((*value, nearest[at]), (0.0, 0.0), "{p:?} output {at}");
                zeros += 1;
            }
        }
        assert!(zeros > 0);
    }
}

#[test]
fn half_a_voxel_shift_averages_neighbours() {
    // By hand: [1, 2, 4] read at 0.5, 1.5, 2.5.
    let flow = [0.0, 0.0, 0.0, 0.5, 0.5, 0.5];
    let run = |border| linear(&[1.0, 2.0, 4.0], &flow, &Shape::one([1, 1, 3], 2, border));
    assert_eq!(run(Border::Zeros), [1.5, 3.0, 2.0]);
    assert_eq!(run(Border::Edge), [1.5, 3.0, 4.0]);
}
