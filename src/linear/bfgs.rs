//! Quasi-Newton minimisation of a function of few parameters.

use nalgebra::{DMatrix, DVector};

/// When to stop.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Length of the first step, and of any step at most.
    pub step: f64,
    /// Steps shorter than this end the search.
    pub least_step: f64,
    /// Evaluations at most.
    pub evaluations: usize,
}

/// Share of the decrease that the slope promises which a step must reach (Armijo).
const SUFFICIENT: f64 = 1e-4;

/// Decreases below this, three times in a row relative to the value, end the search.
const LEAST_DECREASE: f64 = 1e-6;

/// Minimises `function`, which gives value and gradient (`None` where it is not defined), by BFGS with backtracking
/// (Nocedal & Wright, Numerical Optimization, 2006, algorithm 6.1); the parameters should be of one scale.
///
/// `None` if the start is not defined.
pub(super) fn minimise(
    function: impl Fn(&[f64]) -> Option<(f64, Vec<f64>)>,
    start: &[f64],
    limits: Limits,
) -> Option<(Vec<f64>, f64)> {
    let evaluate = |x: &DVector<f64>| {
        function(x.as_slice()).map(|(value, gradient)| (value, DVector::from_vec(gradient)))
    };
    let mut x = DVector::from_column_slice(start);
    let (mut value, mut gradient) = evaluate(&x)?;
    let mut inverse: Option<DMatrix<f64>> = None;
    let (mut left, mut small) = (limits.evaluations, 0);
    while left > 0 && small < 3 && gradient.norm() > 0.0 {
        let direction = match &inverse {
            Some(inverse) => -(inverse * &gradient),
            None => -&gradient * (limits.step / gradient.norm()),
        };
        let slope = direction.dot(&gradient);
        if slope >= 0.0 {
            // Rounding has spoilt the curvature: start it again.
            if inverse.take().is_none() {
                break;
            }
            continue;
        }
        let length = direction.norm();
        let mut factor = (limits.step / length).min(1.0);
        let accepted = loop {
            if left == 0 || factor * length < limits.least_step {
                break None;
            }
            left -= 1;
            let next = &x + &direction * factor;
            match evaluate(&next) {
                Some((v, g)) if v <= value + SUFFICIENT * factor * slope => {
                    break Some((next, v, g));
                }
                _ => factor *= 0.4,
            }
        };
        let Some((next, next_value, next_gradient)) = accepted else {
            if inverse.take().is_none() {
                break;
            }
            continue;
        };
        let (step, change) = (&next - &x, &next_gradient - &gradient);
        update(&mut inverse, &step, &change);
        let decrease = value - next_value;
        small = if decrease < LEAST_DECREASE * value.abs() {
            small + 1
        } else {
            0
        };
        let done = step.norm() < limits.least_step;
        (x, value, gradient) = (next, next_value, next_gradient);
        if done {
            break;
        }
    }
    Some((x.as_slice().to_vec(), value))
}

/// The BFGS update of the inverse Hessian; left as it is where the curvature is not positive.
fn update(inverse: &mut Option<DMatrix<f64>>, step: &DVector<f64>, change: &DVector<f64>) {
    let curvature = step.dot(change);
    if curvature <= 1e-10 * step.norm() * change.norm() {
        return;
    }
    let size = step.len();
    let identity = DMatrix::identity(size, size);
    let current = inverse
        .take()
        .unwrap_or_else(|| &identity * (curvature / change.dot(change)));
    let left = &identity - step * change.transpose() / curvature;
    *inverse = Some(&left * current * left.transpose() + step * step.transpose() / curvature);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_end_of_the_rosenbrock_valley() {
        let function = |x: &[f64]| {
            let (a, b) = (1.0 - x[0], x[1] - x[0] * x[0]);
            let gradient = vec![-2.0 * a - 400.0 * x[0] * b, 200.0 * b];
            Some((a * a + 100.0 * b * b, gradient))
        };
        let limits = Limits {
            step: 1.0,
            least_step: 1e-9,
            evaluations: 200,
        };
        let (x, value) = minimise(function, &[-1.2, 1.0], limits).unwrap();
        assert!(value < 1e-10, "{value}");
        assert!(
            (x[0] - 1.0).abs() < 1e-5 && (x[1] - 1.0).abs() < 1e-5,
            "{x:?}"
        );
    }

    #[test]
    fn stays_where_the_function_is_defined() {
        // The minimum of x on x > 0 is not reached, and nothing beyond it is accepted.
        let function = |x: &[f64]| (x[0] > 0.0).then(|| (x[0], vec![1.0]));
        let limits = Limits {
            step: 1.0,
            least_step: 1e-3,
            evaluations: 50,
        };
        let (x, _) = minimise(function, &[3.5], limits).unwrap();
        assert!(x[0] > 0.0 && x[0] < 0.5, "{x:?}");
        assert!(minimise(function, &[-1.0], limits).is_none());
    }
}
