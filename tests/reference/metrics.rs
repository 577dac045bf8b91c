//! Metrics against public tools, on phantoms that a few lines of Python make again.
//!
//! Each number stands below the lines that made it; all of them start with
//!
//! ```python
//! import numpy as np, scipy.ndimage as nd
//! i, j, k = np.indices((12, 10, 9))
//! ell = lambda c, r: ((i-c[0])/r[0])**2 + ((j-c[1])/r[1])**2 + ((k-c[2])/r[2])**2 <= 1
//! box = lambda a, b: (i>=a[0])&(i<b[0])&(j>=a[1])&(j<b[1])&(k>=a[2])&(k<b[2])
//! fx = np.where(ell((4,4,3), (3.2,2.6,2.2)), 1, 0); fx[box((8,5,4), (11,9,9))] = 2
//! mv = np.where(ell((5,4.5,3.5), (2.7,3.1,2.9)), 1, 0); mv[box((7,6,4), (12,10,7))] = 2
//! def field(shape):
//!     g = np.indices(shape); k = g[2] if len(shape) > 2 else 0
//!     return np.stack([((3*g[0] + 5*g[1] + 7*k*(1+m) + 2*m + g[0]*g[1]*(m+1)) % 11 - 5) / 4
//!         + 0.013*(m+1)*g[0] for m in range(len(shape))]).astype('f4').astype('f8')
//! u, u2 = field((7, 8, 9)), field((9, 8))
//! ```

use hmorph::metric::{
    folding, local_ncc, mse, mutual_information, ncc, non_diffeomorphic_volume, overlaps,
    sd_log_jacobian, sd_log_jacobian_l2r, surface_distances, window,
};
use hmorph::volume::{Affine, Dimension, DisplacementField, Geometry};
use ndarray::{Array3, Array4, s};

fn phantom(centre: [f64; 3], radius: [f64; 3], low: [usize; 3], high: [usize; 3]) -> Array3<i32> {
    Array3::from_shape_fn((12, 10, 9), |(i, j, k)| {
        let voxel = [i, j, k];
        let inside = (0..3).all(|a| (low[a]..high[a]).contains(&voxel[a]));
        let radial: f64 = (0..3)
            .map(|a| ((voxel[a] as f64 - centre[a]) / radius[a]).powi(2))
            .sum();
        if inside { 2 } else { i32::from(radial <= 1.0) }
    })
}

fn fixed_labels() -> Array3<i32> {
    phantom([4.0, 4.0, 3.0], [3.2, 2.6, 2.2], [8, 5, 4], [11, 9, 9])
}

fn moved_labels() -> Array3<i32> {
    phantom([5.0, 4.5, 3.5], [2.7, 3.1, 2.9], [7, 6, 4], [12, 10, 7])
}

fn field(shape: [usize; 3], dimension: Dimension, scale: f32) -> DisplacementField {
    let axes = dimension.axes();
    let data = Array4::from_shape_fn((axes, shape[0], shape[1], shape[2]), |(m, i, j, k)| {
        let wave = (3 * i + 5 * j + 7 * k * (1 + m) + 2 * m + i * j * (m + 1)) % 11;
        let value = (wave as f64 - 5.0) / 4.0 + 0.013 * (m as f64 + 1.0) * i as f64;
        scale * value as f32
    });
    DisplacementField {
        data,
        geometry: Geometry::new(shape, dimension, Affine::identity()),
    }
}

fn volume(scale: f32) -> DisplacementField {
    field([7, 8, 9], Dimension::Three, scale)
}

fn slice(scale: f32) -> DisplacementField {
    field([9, 8, 1], Dimension::Two, scale)
}

/// Holds `found` to `expected` within a relative tolerance.
fn close(found: f64, expected: f64, tolerance: f64) {
    let error = (found - expected).abs() / expected.abs().max(1.0);
    assert!(
        error <= tolerance,
        "{found} is not {expected} (relative error {error:.1e})"
    );
}

#[test]
fn overlap_equals_simple_itk() {
    // o = SimpleITK.LabelOverlapMeasuresImageFilter()
    // o.Execute(*(SimpleITK.GetImageFromArray(a.astype(np.uint8)) for a in (fx, mv)))
    // [(o.GetDiceCoefficient(l), o.GetJaccardCoefficient(l)) for l in (1, 2)]
    let expected = [
        (0.6483516483516484, 0.4796747967479675),
        (0.45000000000000007, 0.2903225806451613),
    ];
    let found = overlaps(&fixed_labels(), &moved_labels(), None).unwrap();
    for (overlap, (dice, jaccard)) in found.iter().zip(expected) {
        close(overlap.dice(), dice, 1e-15);
        close(overlap.jaccard(), jaccard, 1e-15);
    }
    // 100 * abs((mv==1).sum() - (fx==1).sum()) / (fx==1).sum(), 79 and 103 voxels
    close(found[0].absolute_volume_difference(), 2400.0 / 79.0, 1e-15);
    assert_eq!(found[1].absolute_volume_difference(), 0.0);
}

#[test]
fn surface_distances_equal_the_surface_distance_package() {
    // from surface_distance import metrics as sd   (surface-distance 0.1 of PyPI)
    // s = sd.compute_surface_distances(fx==l, mv==l, spacing)
    // d, a = ((np.concatenate([s[x+'_gt'+y], s[x+'_pred'+z]])) for x, y, z in
    //         (('distances', '_to_pred', '_to_gt'), ('surfel_areas', '', '')))
    // sd.compute_robust_hausdorff(s, 95), sd.compute_robust_hausdorff(s, 100), (d*a).sum()/a.sum()
    let expected = [
        ([1.0, 1.0, 1.0], 1, [1.0, 2.0, 0.41961123615141066]),
        (
            [1.0, 1.0, 1.0],
            2,
            [2.0, 2.23606797749979, 0.7699834605789507],
        ),
        (
            [1.0, 1.5, 2.5],
            1,
            [2.5, 3.082207001484488, 0.5411125102453185],
        ),
        (
            [1.0, 1.5, 2.5],
            2,
            [5.0, 5.220153254455275, 1.2637440902983037],
        ),
    ];
    let (fixed, moved) = (fixed_labels(), moved_labels());
    for (spacing, label, [hd95, hd100, mean]) in expected {
        let one = [label];
        let found =
            surface_distances(&fixed, &moved, Some(&one), spacing, Dimension::Three).unwrap();
        close(found[0].hausdorff(95.0), hd95, 1e-12);
        close(found[0].hausdorff(100.0), hd100, 1e-12);
        close(found[0].mean(), mean, 1e-12);
    }
}

#[test]
fn contour_distances_equal_the_surface_distance_package() {
    // The same of fx[:, :, 4], mv[:, :, 4] with spacing (1, 1.5).
    let expected = [
        [1.5, 1.8027756377319946, 0.6607388398453036],
        [1.8027756377319946, 1.8027756377319946, 1.0362421989321133],
    ];
    let plane = |labels: Array3<i32>| labels.slice(s![.., .., 4..5]).to_owned();
    let (fixed, moved) = (plane(fixed_labels()), plane(moved_labels()));
    let found = surface_distances(&fixed, &moved, None, [1.0, 1.5, 7.0], Dimension::Two).unwrap();
    for (distances, [hd95, hd100, mean]) in found.iter().zip(expected) {
        close(distances.hausdorff(95.0), hd95, 1e-12);
        close(distances.hausdorff(100.0), hd100, 1e-12);
        close(distances.mean(), mean, 1e-12);
    }
}

#[test]
fn a_shifted_cube_is_its_shift_away_in_millimetres() {
    // By hand: a 3-voxel cube moved by two voxels along k (3 mm each). The distances are 0 on the
    // parts of its sides that stay surface, up to 6 mm at the leading face: more than 5 % of the area.
    let cube = |first: usize| {
        Array3::from_shape_fn((7, 7, 9), |(i, j, k)| {
            let inside =
                (2..5).contains(&i) && (2..5).contains(&j) && (first..first + 3).contains(&k);
            i32::from(inside)
        })
    };
    let spacing = [1.0, 1.0, 3.0];
    let found = surface_distances(&cube(2), &cube(4), None, spacing, Dimension::Three).unwrap();
    assert_eq!(found[0].hausdorff(100.0), 6.0);
    assert_eq!(found[0].hausdorff(0.0), 0.0);
    let same = surface_distances(&cube(2), &cube(2), None, spacing, Dimension::Three).unwrap();
    assert_eq!((same[0].hausdorff(95.0), same[0].mean()), (0.0, 0.0));
    let gone = surface_distances(
        &cube(2),
        &Array3::zeros((7, 7, 9)),
        Some(&[1, 5]),
        spacing,
        Dimension::Three,
    )
    .unwrap();
    assert!(gone[0].hausdorff(95.0).is_infinite() && gone[0].mean().is_infinite());
    assert!(gone[1].hausdorff(95.0).is_nan() && gone[1].mean().is_nan());
}

#[test]
fn folds_and_log_jacobian_equal_numpy() {
    // def det(u): return np.linalg.det(np.eye(len(u)) + np.stack(
    //     [np.stack(np.gradient(c), -1) for c in u], -2))
    // d = det(u); (d <= 0).sum(), d.min(), np.log(np.clip(d, 1e-9, None)).std()
    let found = folding(&volume(1.0), None).unwrap();
    assert_eq!((found.folded, found.voxels), (137, 504));
    // Determinants are made in float32: 1e-6 of their terms.
    close(found.least, -7.351500101387502, 1e-5);
    close(found.percent(), 13700.0 / 504.0, 1e-12);
    close(
        sd_log_jacobian(&volume(1.0), None).unwrap(),
        9.25368364839107,
        1e-5,
    );
    // d = det(u / 8); d = det(u2); d = det(u2 / 4)
    let small = folding(&volume(0.125), None).unwrap();
    assert_eq!(small.folded, 0);
    close(small.least, 0.5436949479626492, 1e-5);
    close(
        sd_log_jacobian(&volume(0.125), None).unwrap(),
        0.15720949588177402,
        1e-5,
    );
    let plane = folding(&slice(1.0), None).unwrap();
    assert_eq!((plane.folded, plane.voxels), (17, 72));
    close(plane.least, -1.1640001252889647, 1e-5);
    close(
        sd_log_jacobian(&slice(0.25), None).unwrap(),
        0.26640719474268626,
        1e-5,
    );
}

#[test]
fn folds_are_counted_within_the_mask_only() {
    let all = folding(&volume(1.0), None).unwrap();
    let half = |lower: bool| Array3::from_shape_fn((7, 8, 9), |(i, _, _)| (i < 3) == lower);
    let parts = [true, false].map(|lower| folding(&volume(1.0), Some(&half(lower))).unwrap());
    assert_eq!(parts[0].folded + parts[1].folded, all.folded);
    assert_eq!((parts[0].voxels, parts[1].voxels), (216, 288));
    assert!(folding(&volume(1.0), Some(&Array3::from_elem((7, 8, 8), true))).is_err());
}

#[test]
fn learn2reg_spread_equals_its_formula() {
    // g = [np.array([-.5, 0, .5]).reshape(s) for s in ((3, 1, 1), (1, 3, 1), (1, 1, 3))]
    // J = np.stack([[nd.correlate(c, a, mode='constant') for c in u] for a in g])
    // J = (J + np.eye(3).reshape(3, 3, 1, 1, 1))[:, :, 2:-2, 2:-2, 2:-2].transpose(2, 3, 4, 0, 1)
    // np.log((np.linalg.det(J) + 3).clip(1e-9, 1e9)).std()
    close(
        sd_log_jacobian_l2r(&volume(1.0), None).unwrap(),
        0.2330285504446304,
        1e-6,
    );
    // The same of u / 8.
    close(
        sd_log_jacobian_l2r(&volume(0.125), None).unwrap(),
        0.025553241631780278,
        1e-6,
    );
    // m = np.indices((7, 8, 9)).sum(0) % 3 > 0; the same, but .. .clip(1e-9, 1e9))[m[2:-2, 2:-2, 2:-2]].std()
    let mask = Array3::from_shape_fn((7, 8, 9), |(i, j, k)| (i + j + k) % 3 > 0);
    close(
        sd_log_jacobian_l2r(&volume(1.0), Some(&mask)).unwrap(),
        0.22059979823013423,
        1e-6,
    );
    // Too small to crop two voxels from each side.
    let thin = field([7, 4, 9], Dimension::Three, 1.0);
    assert!(sd_log_jacobian_l2r(&thin, None).unwrap().is_nan());
}

#[test]
fn non_diffeomorphic_volume_equals_the_authors_package() {
    // from digital_diffeomorphism.core import ndv, nda     (1.1.1 of PyPI)
    // m = np.zeros((7, 8, 9)); m[1:-1, 1:-1, 1:-1] = 1
    // ndv(u.transpose(1, 2, 3, 0).astype('f4'), mask=m, is_disp=True)[:2]
    let found = non_diffeomorphic_volume(&volume(1.0), None).unwrap();
    assert_eq!(found.voxels, 210);
    // The package computes in float32.
    close(found.volume, 153.38669, 1e-5);
    close(found.percent(), 73.041275, 1e-5);
    // m2 = m * (np.indices((7, 8, 9)).sum(0) % 3 > 0); the same of u / 2 with mask=m2
    let mask = Array3::from_shape_fn((7, 8, 9), |(i, j, k)| (i + j + k) % 3 > 0);
    let masked = non_diffeomorphic_volume(&volume(0.5), Some(&mask)).unwrap();
    assert_eq!(masked.voxels, 140);
    close(masked.volume, 6.2906632, 1e-5);
    // m = np.zeros((9, 8)); m[1:-1, 1:-1] = 1; nda(u2.transpose(1, 2, 0).astype('f4'), mask=m, ..)
    let plane = non_diffeomorphic_volume(&slice(1.0), None).unwrap();
    assert_eq!(plane.voxels, 42);
    close(plane.volume, 16.154938, 1e-5);
}

#[test]
fn non_diffeomorphic_volume_sees_what_central_differences_miss() {
    // The checkerboard of Liu et al.: one point thrown across the grid leaves every central
    // difference at it unchanged.
    let mut field = field([5, 5, 5], Dimension::Three, 0.0);
    field.data.fill(0.0);
    field.data[[0, 2, 2, 2]] = 3.0;
    let centre = Array3::from_shape_fn((5, 5, 5), |(i, j, k)| (i, j, k) == (2, 2, 2));
    assert_eq!(folding(&field, Some(&centre)).unwrap().folded, 0);
    let found = non_diffeomorphic_volume(&field, Some(&centre)).unwrap();
    assert_eq!(found.voxels, 1);
    // By hand: the point lies 3 beyond its place on axis i. Forward differences there are 1 - 3 = -2,
    // and the four determinants with one are -2. Of the diagonals, (1, 1, 0), (0, 1, 1), (1, 0, 1) less
    // (3, 0, 0) have determinant 2 - 3 = -1, the opposite ones 2 + 3. (4 x 2 + 1) / 12.
    close(found.volume, 0.75, 1e-15);
}

#[test]
fn fields_that_are_not_numbers_are_reported() {
    let mut broken = volume(0.125);
    broken.data[[1, 3, 4, 4]] = f32::NAN;
    let found = folding(&broken, None).unwrap();
    // Central differences at its six neighbours.
    assert_eq!(found.folded, 6);
    assert!(found.least.is_nan());
    assert!(sd_log_jacobian(&broken, None).unwrap().is_nan());
    assert!(sd_log_jacobian_l2r(&broken, None).unwrap().is_nan());
    assert!(
        non_diffeomorphic_volume(&broken, None)
            .unwrap()
            .volume
            .is_nan()
    );
}

fn image_pair() -> (Array3<f32>, Array3<f32>) {
    let fixed = |i: usize, j: usize, k: usize| ((7 * i + 3 * j * j + 5 * k) % 23) as f64 / 22.0;
    (
        Array3::from_shape_fn((11, 10, 12), |(i, j, k)| fixed(i, j, k) as f32),
        Array3::from_shape_fn((11, 10, 12), |(i, j, k)| {
            (fixed((i + 10) % 11, j, k) * 0.8 + ((i * j + k) % 5) as f64 / 20.0) as f32
        }),
    )
}

#[test]
fn intensity_measures_equal_numpy_and_scipy() {
    // i, j, k = np.indices((11, 10, 12)); f = ((7*i + 3*j*j + 5*k) % 23) / 22
    // m = np.roll(f, 1, 0)*0.8 + ((i*j + k) % 5) / 20; f, m = (x.astype('f4').astype('f8') for x in (f, m))
    let (fixed, moved) = image_pair();
    // ((f - m)**2).mean(), np.corrcoef(f.ravel(), m.ravel())[0, 1]
    close(
        mse(&fixed, &moved, None).unwrap(),
        0.17873162275059815,
        1e-12,
    );
    close(
        ncc(&fixed, &moved, None).unwrap(),
        -0.17182787311769052,
        1e-12,
    );
    // def lncc(f, m, w):
    //     b = lambda x: nd.convolve(x, np.ones(w), mode='constant'); n = np.prod(w)
    //     c, v, t = ((b(x*y) - b(x)*b(y)/n).clip(1e-5) for x, y in ((f, m), (f, f), (m, m)))
    //     return ((c/v) * (c/t)).mean()
    // lncc(f, m, (9, 9, 9)), lncc(f, m, (3, 3, 3)), lncc(f[:, :, 3], m[:, :, 3], (9, 9))
    let nine = local_ncc(&fixed, &moved, window(9, Dimension::Three), None).unwrap();
    close(nine, 0.2878728774160525, 1e-10);
    let three = local_ncc(&fixed, &moved, window(3, Dimension::Three), None).unwrap();
    close(three, 0.11736589540212412, 1e-10);
    let plane = |image: &Array3<f32>| image.slice(s![.., .., 3..4]).to_owned();
    let square = window(9, Dimension::Two);
    let flat = local_ncc(&plane(&fixed), &plane(&moved), square, None).unwrap();
    close(flat, 0.2549854664098056, 1e-10);
    // p = np.histogram2d(f.ravel(), m.ravel(), bins=64)[0] / f.size
    // H = lambda q: -(q[q>0] * np.log(q[q>0])).sum(); H(p.sum(0)) + H(p.sum(1)) - H(p)
    close(
        mutual_information(&fixed, &moved, None).unwrap(),
        2.2223986369045496,
        1e-12,
    );
}

#[test]
fn intensity_measures_leave_out_unknown_voxels() {
    let (mut fixed, moved) = image_pair();
    let mask = Array3::from_shape_fn((11, 10, 12), |(i, _, _)| i < 9);
    let masked = [
        mse(&fixed, &moved, Some(&mask)).unwrap(),
        ncc(&fixed, &moved, Some(&mask)).unwrap(),
        local_ncc(&fixed, &moved, [3, 3, 3], Some(&mask)).unwrap(),
        mutual_information(&fixed, &moved, Some(&mask)).unwrap(),
    ];
    fixed.slice_mut(s![9.., .., ..]).fill(f32::NAN);
    let unknown = [
        mse(&fixed, &moved, None).unwrap(),
        ncc(&fixed, &moved, None).unwrap(),
        local_ncc(&fixed, &moved, [3, 3, 3], None).unwrap(),
        mutual_information(&fixed, &moved, None).unwrap(),
    ];
    assert_eq!(masked, unknown);
    assert!(masked.iter().all(|value| value.is_finite()));
    fixed.fill(f32::INFINITY);
    assert!(local_ncc(&fixed, &moved, [3, 3, 3], None).unwrap().is_nan());
    assert!(mutual_information(&fixed, &moved, None).unwrap().is_nan());
}

#[test]
fn local_ncc_clamps_anti_correlation_and_is_one_at_identity() {
    let (fixed, _) = image_pair();
    let negative = fixed.mapv(|v| 1.0 - v);
    let of = |moved: &Array3<f32>| local_ncc(&fixed, moved, [9, 9, 9], None).unwrap();
    close(of(&fixed), 1.0, 1e-12);
    // Inside, the correlation is -1 and clamped to nothing; zeros beyond the border add a little.
    assert!(of(&negative) < 0.4 && of(&negative) >= 0.0);
}
