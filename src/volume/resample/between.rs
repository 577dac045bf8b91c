//! Values of an array between its voxels; positions are clamped to the grid already.

use nalgebra::Vector3;
use ndarray::ArrayView3;

pub(super) fn linear(data: &ArrayView3<f32>, position: Vector3<f64>) -> f32 {
    let low = position.map(|p| p.floor());
    let [ti, tj, tk]: [f64; 3] = (position - low).into();
    let [i, j, k]: [usize; 3] = low.map(|p| p as usize).into();
    let along_k =
        |i: usize, j: usize| mix(tk, || data[[i, j, k]].into(), || data[[i, j, k + 1]].into());
    let along_j = |i: usize| mix(tj, || along_k(i, j), || along_k(i, j + 1));
    mix(ti, || along_j(i), || along_j(i + 1)) as f32
}

/// The second value is not looked at where it has no weight: it may lie outside or be NaN.
fn mix(t: f64, first: impl Fn() -> f64, second: impl Fn() -> f64) -> f64 {
    let first = first();
    if t == 0.0 {
        first
    } else {
        first + (second() - first) * t
    }
}

pub(super) fn nearest<T: Copy>(data: &ArrayView3<T>, position: Vector3<f64>) -> T {
    // Halves go up, as in ITK; `position` is clamped to the grid already.
    let [i, j, k] = [0, 1, 2].map(|axis| (position[axis] + 0.5).floor() as usize);
    let (ni, nj, nk) = data.dim();
    data[[i.min(ni - 1), j.min(nj - 1), k.min(nk - 1)]]
}

/// The voxels around a position and their linear weights; those without weight, which may lie outside, are left out.
pub(crate) fn corners(position: Vector3<f64>) -> impl Iterator<Item = ([usize; 3], f64)> {
    let low = position.map(f64::floor);
    let part = position - low;
    let low: [usize; 3] = low.map(|p| p as usize).into();
    (0..8_usize).filter_map(move |corner| {
        let upper = [corner & 1, corner >> 1 & 1, corner >> 2 & 1];
        let along = |axis: usize| [1.0 - part[axis], part[axis]][upper[axis]];
        let weight = along(0) * along(1) * along(2);
        (weight > 0.0).then(|| ([0, 1, 2].map(|axis| low[axis] + upper[axis]), weight))
    })
}

/// The label with the largest sum of linear weights among the voxels around; of equal ones that of the nearest voxel.
pub(crate) fn vote(data: &ArrayView3<i32>, position: Vector3<f64>) -> i32 {
    // The nearest voxel's label first, so that it wins a tie.
    let mut sums = [(nearest(data, position), 0.0); 9];
    let mut found = 1;
    for (voxel, weight) in corners(position) {
        let label = data[voxel];
        match sums[..found].iter().position(|(known, _)| *known == label) {
            Some(known) => sums[known].1 += weight,
            None => {
                sums[found] = (label, weight);
                found += 1;
            }
        }
    }
    // Rounding of the weights must not decide a tie.
    let better =
        |best: (i32, f64), &next: &(i32, f64)| if next.1 > best.1 + 1e-9 { next } else { best };
    sums[1..found].iter().fold(sums[0], better).0
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn votes_are_counted_by_label() {
        let labels = array![[[1], [2]], [[2], [3]]];
        let at = |i: f64, j: f64| vote(&labels.view(), Vector3::new(i, j, 0.0));
        // By hand at (0.4, 0.3): 1 has 0.42, 2 has 0.28 + 0.18, 3 has 0.12.
        assert_eq!(at(0.4, 0.3), 2);
        // (0.2, 0.2): 1 has 0.64.
        assert_eq!(at(0.2, 0.2), 1);
        assert_eq!((at(0.0, 0.0), at(1.0, 1.0), at(0.0, 1.0)), (1, 3, 2));
        // Halfway between 2 and 3: the nearest voxel, halves going up.
        assert_eq!(at(1.0, 0.5), 3);
        assert_eq!(
            vote(&array![[[4], [7]]].view(), Vector3::new(0.0, 0.4, 0.0)),
            4
        );
    }
}
