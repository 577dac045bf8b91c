//! Histogram matching: each value takes the reference value of the same cumulative frequency
//! (Gonzalez and Woods, Digital Image Processing, "histogram specification").

/// Points of the stored quantile function; between them it is linear.
const POINTS: usize = 1001;

/// The reference's values at evenly spaced cumulative frequencies 0 to 1; `None` for no values.
pub(super) fn quantiles(mut values: Vec<f32>) -> Option<Vec<f32>> {
    values.sort_unstable_by(f32::total_cmp);
    let at = |n: usize| interpolate(&values, n as f64 / (POINTS - 1) as f64);
    (!values.is_empty()).then(|| (0..POINTS).map(at).collect())
}

/// Distinct source values, ascending, with what they become. Equal values stay equal: all take their mean rank.
pub(super) struct Table {
    values: Vec<f32>,
    matched: Vec<f32>,
}

impl Table {
    /// For values in any order, of an image whose histogram becomes that of `quantiles`.
    pub(super) fn new(mut sorted: Vec<f32>, quantiles: &[f32]) -> Self {
        sorted.sort_unstable_by(f32::total_cmp);
        let last = (sorted.len().max(2) - 1) as f64;
        let (mut values, mut matched) = (Vec::new(), Vec::new());
        let mut rank = 0;
        for equal in sorted.chunk_by(|a, b| a == b) {
            let middle = rank as f64 + (equal.len() - 1) as f64 / 2.0;
            values.push(equal[0]);
            matched.push(interpolate(quantiles, middle / last));
            rank += equal.len();
        }
        Self { values, matched }
    }

    /// What a value becomes; 0 where there was none to learn from.
    pub(super) fn lookup(&self, value: f32) -> f32 {
        let at = self.values.partition_point(|&v| v < value);
        let matched = self.matched.get(at).or(self.matched.last());
        matched.copied().unwrap_or(0.0)
    }
}

/// What lies at a fraction of the way through values in order.
fn interpolate(sorted: &[f32], fraction: f64) -> f32 {
    let last = sorted.len() - 1;
    let rank = fraction.clamp(0.0, 1.0) * last as f64;
    let below = rank.floor() as usize;
    let (a, b) = (sorted[below], sorted[(below + 1).min(last)]);
    (f64::from(a) + f64::from(b - a) * (rank - below as f64)) as f32
}
