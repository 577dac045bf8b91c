//! Reproducible random inputs.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// `len` numbers, uniform between `-amplitude` and `amplitude`.
pub fn uniform(seed: u64, len: usize, amplitude: f32) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..len)
        .map(|_| rng.random_range(-amplitude..amplitude))
        .collect()
}
