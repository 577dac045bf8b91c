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
