//! Adam's update (Kingma & Ba, ICLR 2015) in one pass over slices.

use rayon::prelude::*;

use super::vector;

const BETA: [f64; 2] = [0.9, 0.999];
const EPSILON: f32 = 1e-8;
/// Values of one task; independent of the number of threads.
const TASK: usize = 16384;

/// First and second moments of a gradient.
pub struct Moments {
    first: Vec<f32>,
    second: Vec<f32>,
    steps: i32,
}

impl Moments {
    /// Moments of `len` values before the first step.
    pub fn new(len: usize) -> Self {
        Self {
            first: vec![0.0; len],
            second: vec![0.0; len],
            steps: 0,
        }
    }

    /// Moves `values` down along the gradient by about `rate` each.
    pub fn step(&mut self, values: &mut [f32], grad: &[f32], rate: f32) {
        assert!(
            values.len() == self.first.len() && grad.len() == values.len(),
            "Adam: {} values, {} gradients and {} moments",
            values.len(),
            grad.len(),
            self.first.len()
        );
        self.steps += 1;
        // In float64: 1 - 0.999 has but four digits in float32.
        let correction = BETA.map(|beta| (1.0 / (1.0 - beta.powi(self.steps))) as f32);
        values
            .par_chunks_mut(TASK)
            .zip(grad.par_chunks(TASK))
            .zip(self.first.par_chunks_mut(TASK))
            .zip(self.second.par_chunks_mut(TASK))
            .for_each(|(((values, grad), m), v)| {
                vector::run(Update {
                    values,
                    grad,
                    m,
                    v,
                    correction,
                    rate,
                });
            });
    }
}

struct Update<'a> {
    values: &'a mut [f32],
    grad: &'a [f32],
    m: &'a mut [f32],
    v: &'a mut [f32],
    correction: [f32; 2],
    rate: f32,
}

impl vector::Work for Update<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let n = self.values.len();
        let (grad, m, v) = (&self.grad[..n], &mut self.m[..n], &mut self.v[..n]);
        let [first, second] = self.correction;
        let [old_first, old_second] = BETA.map(|beta| beta as f32);
        let [new_first, new_second] = BETA.map(|beta| (1.0 - beta) as f32);
        for i in 0..n {
            m[i] = old_first * m[i] + new_first * grad[i];
            v[i] = old_second * v[i] + new_second * grad[i] * grad[i];
            self.values[i] -= self.rate * first * m[i] / ((second * v[i]).sqrt() + EPSILON);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_pytorch() {
        // python -c "import torch; x = torch.tensor([1., -2., 0.5], requires_grad=True); o = torch.optim.Adam([x], lr=0.1)
        // for k in range(3): o.zero_grad(); (x**2 * torch.tensor([1., 3., 0.])).sum().backward(); o.step()
        // print(x.tolist())"
        let mut x = [1.0, -2.0, 0.5];
        let mut moments = Moments::new(3);
        for _ in 0..3 {
            let grad = [2.0 * x[0], 6.0 * x[1], 0.0];
            moments.step(&mut x, &grad, 0.1);
        }
        let expected = [0.7015863, -1.7006234, 0.5];
        for (x, expected) in x.iter().zip(expected) {
            assert!((x - expected).abs() < 1e-6, "{x} {expected}");
        }
    }
}
