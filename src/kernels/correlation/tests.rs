use super::*;
use crate::kernels::oracle::random::uniform;
use crate::kernels::oracle::{check, correlation as oracle, widen};

/// Every form, and one of them where much of the images falls below its floor.
const FORMS: [(Form, f32); 4] = [
    (Form::Plain, EPSILON),
    (Form::Clamped, EPSILON),
    (Form::Signed, EPSILON),
    (Form::Plain, 0.5),
];
/// Two images, one of them flat in a corner, where variances fall below the smallest one.
const CASES: [(usize, Extent, [usize; 3]); 4] = [
    (2, [5, 6, 7], [3, 5, 3]),
    (1, [1, 9, 11], [1, 9, 9]),
    (1, [4, 1, 1], [9, 9, 9]),
    (1, [7, 6, 5], [3, 3, 3]),
];

fn images(items: usize, extent: Extent) -> [Vec<f32>; 2] {
    let volume: usize = extent.iter().product();
    let (a, mut b) = (
        uniform(1, items * volume, 1.0),
        uniform(2, items * volume, 1.0),
    );
    // Related, so that the correlation is not all noise.
    b.iter_mut()
        .zip(&a)
        .for_each(|(b, a)| *b = 0.5 * *b + 0.5 * a);
    b[..volume / 2].fill(0.0);
    [a, b]
}

#[test]
fn matches_the_definition() {
    for (items, extent, window) in CASES {
        let [a, b] = images(items, extent);
        for (form, epsilon) in FORMS {
            let expected = oracle::local(
                &widen(&a),
                &widen(&b),
                items,
                extent,
                window,
                (form, f64::from(epsilon)),
            );
            let found = local(&Pair {
                a: &a,
                b: &b,
                items,
                extent,
                window,
                form,
                epsilon,
            });
            check::assert_close(&found, &expected, 1e-5);
        }
    }
}

#[test]
fn gradients_match_finite_differences() {
    for (items, extent, window) in CASES {
        let [a, b] = images(items, extent);
        let grad = uniform(3, a.len(), 1.0);
        let (wide_a, wide_b) = (widen(&a), widen(&b));
        for (form, epsilon) in FORMS {
            let loss = |a: &[f64], b: &[f64]| {
                check::dot(
                    &oracle::local(a, b, items, extent, window, (form, f64::from(epsilon))),
                    &widen(&grad),
                )
            };
            let pair = Pair {
                a: &a,
                b: &b,
                items,
                extent,
                window,
                form,
                epsilon,
            };
            let [of_a, of_b] = local_grad(&pair, &grad, [true, true]).map(Option::unwrap);
            let expected = check::finite_differences(|a| loss(a, &wide_b), &wide_a, 1e-6);
            check::assert_close(&of_a, &expected, 1e-4);
            let expected = check::finite_differences(|b| loss(&wide_a, b), &wide_b, 1e-6);
            check::assert_close(&of_b, &expected, 1e-4);
            let kept = Kept::new(&b, items, extent, window);
            assert_eq!(local_grad_of_first(&pair, &kept, &grad), of_a);
        }
    }
}

/// The images as they are seen through a mask, and for each window its values in both.
fn seen(
    mask: &[f32],
    images: &[Vec<f32>; 2],
    extent: Extent,
    window: [usize; 3],
) -> Vec<Vec<[f64; 2]>> {
    let [d, h, w] = extent;
    let reach = |at: usize, axis: usize| {
        let half = window[axis] / 2;
        at.saturating_sub(half)..(at + half + 1).min(extent[axis])
    };
    let values = |i: usize, j: usize, k: usize| {
        let mut values = Vec::new();
        for i in reach(i, 0) {
            for j in reach(j, 1) {
                for k in reach(k, 2) {
                    let at = (i * h + j) * w + k;
                    if mask[at] == 1.0 {
                        values.push(images.each_ref().map(|image| f64::from(image[at])));
                    }
                }
            }
        }
        values
    };
    let places = (0..d).flat_map(|i| (0..h).flat_map(move |j| (0..w).map(move |k| (i, j, k))));
    places.map(|(i, j, k)| values(i, j, k)).collect()
}

#[test]
fn windows_hold_only_what_the_mask_shows() {
    let (extent, window) = ([5, 6, 7], [3, 5, 3]);
    let [a, b] = images(1, extent);
    let mask: Vec<f32> = uniform(4, a.len(), 1.0)
        .iter()
        .map(|v| f32::from(*v > -0.3))
        .collect();
    let kept = Kept::masked(&b, &mask, extent, window);
    let masked = |x: &[f32]| -> Vec<f32> { x.iter().zip(&mask).map(|(x, m)| x * m).collect() };
    let (form, epsilon) = (Form::Plain, 0.01);
    let plain = |a: &[f32]| -> Vec<f64> {
        let windows = seen(&mask, &[a.to_vec(), b.clone()], extent, window);
        let correlation = |values: Vec<[f64; 2]>| {
            let n = values.len().max(1) as f64;
            let mean = [0, 1].map(|x| values.iter().map(|v| v[x]).sum::<f64>() / n);
            let product = |x: usize, y: usize| -> f64 {
                values
                    .iter()
                    .map(|v| (v[x] - mean[x]) * (v[y] - mean[y]))
                    .sum()
            };
            product(0, 1).powi(2) / (product(0, 0) * product(1, 1) + f64::from(epsilon))
        };
        windows.into_iter().map(correlation).collect()
    };
    let shown = masked(&a);
    let pair = Pair {
        a: &shown,
        b: &b,
        items: 1,
        extent,
        window,
        form,
        epsilon,
    };
    check::assert_close(&local_of_first(&pair, &kept), &plain(&a), 1e-5);

    let grad = uniform(3, a.len(), 1.0);
    let loss = |a: &[f64]| {
        let a: Vec<f32> = a.iter().map(|v| *v as f32).collect();
        check::dot(&plain(&a), &widen(&grad))
    };
    let found = masked(&local_grad_of_first(&pair, &kept, &grad));
    // Steps that float32 holds.
    let expected = check::finite_differences(loss, &widen(&a), 1.0 / 1024.0);
    check::assert_close(&found, &expected, 1e-3);
}

#[test]
fn what_is_not_a_number_is_seen() {
    let a = uniform(1, 27, 1.0);
    let mut b = a.clone();
    b[13] = f32::NAN;
    for (form, epsilon) in FORMS {
        let pair = Pair {
            a: &a,
            b: &b,
            items: 1,
            extent: [3; 3],
            window: [3; 3],
            form,
            epsilon,
        };
        assert!(local(&pair).iter().all(|v| v.is_nan()), "{form:?}");
    }
}
