//! Whole evaluations by each protocol, against the lines of Python that do the same.
//!
//! ```python
//! import numpy as np, scipy.ndimage as nd; from surface_distance import metrics as sd
//! i, j, k = np.indices((12, 10, 9))
//! ell = lambda c, r: ((i-c[0])/r[0])**2 + ((j-c[1])/r[1])**2 + ((k-c[2])/r[2])**2 <= 1
//! box = lambda a, b: (i>=a[0])&(i<b[0])&(j>=a[1])&(j<b[1])&(k>=a[2])&(k<b[2])
//! fx = np.where(ell((4,4,3), (3.2,2.6,2.2)), 1, 0); fx[box((8,5,4), (11,9,9))] = 2
//! mv = np.where(ell((5,4.5,3.5), (2.7,3.1,2.9)), 1, 0); mv[box((7,6,4), (12,10,7))] = 2
//! fx[0,0,0] = 4; fx[0,9,8] = 5; mv[11,0,8] = 3; mv[0,0,8] = 5
//! w = np.stack([((3*i + 5*j + 7*k*(1+m) + 2*m + i*j*(m+1)) % 11 - 5) / 4 + 0.013*(m+1)*i
//!               for m in range(3)]).astype('f4').astype('f8') / 2
//! wm = nd.map_coordinates(mv.astype(float), np.indices((12, 10, 9)) + w, order=0).astype(int)
//! ```

use hmorph::eval::{
    Landmarks, Options, Pair, PairResult, Populations, Protocol, evaluate_pair, per_pair,
    summarise, summary_markdown, write_pairs, write_summary,
};
use hmorph::metric::Metric;
use hmorph::volume::{
    Affine, Dimension, DisplacementField, Geometry, Image, LabelMap, Volume, VoxelPoint,
    write_table,
};
use ndarray::{Array3, Array4};

const SHAPE: [usize; 3] = [12, 10, 9];

fn geometry() -> Geometry {
    Geometry::new(
        SHAPE,
        Dimension::Three,
        Affine::from_spacing([1.0, 1.5, 2.5]),
    )
}

fn phantom(
    ellipsoid: ([f64; 3], [f64; 3]),
    cuboid: ([usize; 3], [usize; 3]),
    dots: &[([usize; 3], i32)],
) -> LabelMap {
    let mut data = Array3::from_shape_fn(SHAPE, |(i, j, k)| {
        let voxel = [i, j, k];
        let inside = (0..3).all(|a| (cuboid.0[a]..cuboid.1[a]).contains(&voxel[a]));
        let radial: f64 = (0..3)
            .map(|a| ((voxel[a] as f64 - ellipsoid.0[a]) / ellipsoid.1[a]).powi(2))
            .sum();
        if inside { 2 } else { i32::from(radial <= 1.0) }
    });
    for (voxel, label) in dots {
        data[*voxel] = *label;
    }
    Volume {
        data,
        geometry: geometry(),
    }
}

fn labels() -> (LabelMap, LabelMap) {
    (
        phantom(
            ([4.0, 4.0, 3.0], [3.2, 2.6, 2.2]),
            ([8, 5, 4], [11, 9, 9]),
            &[([0, 0, 0], 4), ([0, 9, 8], 5)],
        ),
        phantom(
            ([5.0, 4.5, 3.5], [2.7, 3.1, 2.9]),
            ([7, 6, 4], [12, 10, 7]),
            &[([11, 0, 8], 3), ([0, 0, 8], 5)],
        ),
    )
}

fn field() -> DisplacementField {
    let data = Array4::from_shape_fn((3, 12, 10, 9), |(m, i, j, k)| {
        let wave = (3 * i + 5 * j + 7 * k * (1 + m) + 2 * m + i * j * (m + 1)) % 11;
        let value = (wave as f64 - 5.0) / 4.0 + 0.013 * (m as f64 + 1.0) * i as f64;
        value as f32 / 2.0
    });
    DisplacementField {
        data,
        geometry: geometry(),
    }
}

fn image() -> Image {
    Volume {
        data: Array3::from_shape_fn(SHAPE, |(i, j, k)| {
            ((7 * i + 3 * j * j + 5 * k) % 23) as f32 / 22.0
        }),
        geometry: geometry(),
    }
}

fn options(protocol: Protocol) -> Options {
    Options {
        protocol,
        labels: Some(vec![1, 2, 3, 4, 5]),
        ..Options::default()
    }
}

/// Values before and after of one measure, in the order of the rows.
fn values(rows: &[PairResult], metric: Metric) -> [Vec<f64>; 2] {
    let of = |side: fn(&PairResult) -> Option<f64>| {
        rows.iter()
            .filter(|row| row.metric == metric)
            .filter_map(side)
            .collect()
    };
    [of(|row| row.before), of(|row| row.after)]
}

fn close(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{found:?} and {expected:?}");
    for (f, e) in found.iter().zip(expected) {
        let same = f == e || (f.is_nan() && e.is_nan()) || (f - e).abs() <= tolerance;
        assert!(same, "{found:?} and {expected:?}");
    }
}

const NAN: f64 = f64::NAN;

#[test]
fn learn2reg_labels_follow_the_challenge() {
    let (fixed, moving) = labels();
    let field = field();
    let mut pair = Pair::new("p", "f", "m", &field);
    pair.labels = Some((&fixed, &moving));
    for protocol in [Protocol::Learn2reg, Protocol::Lumir] {
        let rows = evaluate_pair(&pair, &options(protocol)).unwrap().rows;
        // For l in 1..5, x = mv or wm; nan where l is missing in fx or mv:
        // 2*((fx==l)&(x==l)).sum() / ((fx==l).sum() + (x==l).sum())
        let [before, after] = values(&rows, Metric::Dice);
        close(&before, &[0.6483516483516484, 0.45, NAN, NAN, 0.0], 1e-15);
        close(
            &after,
            &[0.632768361581921, 0.44642857142857145, NAN, NAN, 0.0],
            1e-15,
        );
        // sd.compute_robust_hausdorff(sd.compute_surface_distances(fx==l, x==l, np.ones(3)), 95.)
        let [before, after] = values(&rows, Metric::Hd95Voxels);
        close(&before, &[1.0, 2.0, NAN, NAN, 9.0], 1e-15);
        close(
            &after,
            &[2.0_f64.sqrt(), 2.0, NAN, NAN, f64::INFINITY],
            1e-15,
        );
        // np.nanmean of each: a structure lost on the way makes the mean infinite there.
        let means = per_pair(&rows, protocol);
        let [before, after] = values(&means, Metric::Dice);
        close(&before, &[0.36611721611721615], 1e-15);
        close(&after, &[0.3597323110034975], 1e-15);
        assert_eq!(
            values(&means, Metric::Hd95Voxels),
            [vec![4.0], vec![f64::INFINITY]]
        );
    }
}

#[test]
fn learn2reg_landmarks_follow_the_challenge() {
    let list = |points: &[[f64; 3]]| -> Vec<VoxelPoint> {
        points.iter().map(|&p| VoxelPoint(p.into())).collect()
    };
    let fixed = list(&[
        [4.2, 4.1, 3.3],
        [9.0, 6.5, 5.25],
        [0.0, 0.0, 0.0],
        [11.3, 2.0, 2.0],
    ]);
    let moving = list(&[
        [5.0, 4.5, 3.5],
        [9.5, 7.0, 5.0],
        [1.0, 0.5, 0.25],
        [10.0, 2.0, 3.0],
    ]);
    let field = field();
    let mut pair = Pair::new("p", "f", "m", &field);
    pair.landmarks = Some(Landmarks::Points {
        names: &[],
        fixed: &fixed,
        moving: &moving,
    });
    // fp, mp the points; d = np.stack([nd.map_coordinates(c, fp.T) for c in w], 1)
    // np.linalg.norm((fp + d - mp) * [1, 1.5, 2.5], axis=1); the same without d
    let rows = evaluate_pair(&pair, &options(Protocol::Learn2reg))
        .unwrap()
        .rows;
    let [before, after] = values(&rows, Metric::Tre);
    let expected = [
        0.8166756923465406,
        2.0179787192254244,
        2.289582385501776,
        2.8178005607210745,
    ];
    close(&after, &expected, 1e-12);
    let expected = [
        1.1180339887498953,
        1.0968705484240153,
        1.3975424859373686,
        2.8178005607210745,
    ];
    close(&before, &expected, 1e-12);
    let [_, mean] = values(&per_pair(&rows, Protocol::Learn2reg), Metric::Tre);
    close(&mean, &[1.9855093394487038], 1e-12);
}

#[test]
fn lumir_measures_centroids_and_masked_volume() {
    let (fixed, moving) = labels();
    let (field, image) = (field(), image());
    let mut pair = Pair::new("p", "f", "m", &field);
    pair.landmarks = Some(Landmarks::Volumes {
        fixed: &fixed,
        moving: &moving,
    });
    pair.images = Some((&image, &image));
    let rows = evaluate_pair(&pair, &options(Protocol::Lumir))
        .unwrap()
        .rows;
    // c = lambda a, l: np.argwhere(a==l).mean(0)
    // [np.linalg.norm(c(x, l) - c(fx, l)) for l in (1, 2, 4, 5)], x = mv or wm
    let [before, after] = values(&rows, Metric::TreVoxels);
    close(
        &before,
        &[1.2009830390794327, 2.0_f64.sqrt(), NAN, 9.0],
        1e-12,
    );
    close(
        &after,
        &[1.1747552848041778, 1.529178725317776, NAN, NAN],
        1e-12,
    );
    // The challenge takes np.mean: a lost landmark is not passed over.
    let [_, mean] = values(&per_pair(&rows, Protocol::Lumir), Metric::TreVoxels);
    assert!(mean[0].is_nan());
    // from digital_diffeomorphism.core import ndv     (1.1.1, float32)
    // m = np.zeros((12, 10, 9)); m[1:-1, 1:-1, 1:-1] = 1; m *= (7*i + 3*j*j + 5*k) % 23 > 0
    // ndv(w.transpose(1, 2, 3, 0).astype('f4'), mask=m, is_disp=True)[1]
    let [before, after] = values(&rows, Metric::NonDiffeomorphicVolume);
    assert!(before.is_empty());
    close(&after, &[4.3021603], 1e-5);
    assert!(values(&rows, Metric::Mse)[1].is_empty());
    // Its mask is that of the file, whatever was made of the intensities since.
    let normalised = image.map(|&value| value - 0.5);
    let foreground = image.data.mapv(|value| value > 0.0);
    pair.images = Some((&normalised, &normalised));
    pair.foreground = Some(&foreground);
    let rows = evaluate_pair(&pair, &options(Protocol::Lumir))
        .unwrap()
        .rows;
    let [_, again] = values(&rows, Metric::NonDiffeomorphicVolume);
    assert_eq!(again, after);
}

/// The value for an image registered to itself by the identity; `None` where it depends on the image.
fn perfect(metric: Metric) -> Option<f64> {
    match metric {
        Metric::Dice | Metric::Jaccard | Metric::Ncc => Some(1.0),
        Metric::LocalNcc | Metric::MutualInformation | Metric::Seconds | Metric::PeakMemory => None,
        _ => Some(0.0),
    }
}

#[test]
fn the_identity_of_an_image_with_itself_is_perfect() {
    let (fixed, _) = labels();
    let image = image();
    let mut identity = field();
    identity.data.fill(0.0);
    let points = [VoxelPoint([3.3, 4.0, 5.5].into())];
    let mut pair = Pair::new("p", "f", "m", &identity);
    pair.labels = Some((&fixed, &fixed));
    pair.images = Some((&image, &image));
    pair.inverse = Some(&identity);
    pair.seconds = Some(1.5);
    pair.peak_memory = Some(3 << 20);
    let mut seen = std::collections::BTreeSet::new();
    for protocol in Protocol::ALL {
        let landmarks = match protocol {
            Protocol::Lumir => Landmarks::Volumes {
                fixed: &fixed,
                moving: &fixed,
            },
            _ => Landmarks::Points {
                names: &[],
                fixed: &points,
                moving: &points,
            },
        };
        pair.landmarks = Some(landmarks);
        let options = Options {
            protocol,
            ..Options::default()
        };
        let mut rows = evaluate_pair(&pair, &options).unwrap().rows;
        let mut population = Populations::expecting(["f", "f", "g"].map(String::from));
        population.add("g", &image, &image).unwrap();
        population.add("f", &image, &image).unwrap();
        assert!(population.rows().is_empty());
        population.add("f", &image, &image).unwrap();
        rows.extend(population.rows());
        for row in rows {
            seen.insert(row.metric);
            let perfect = perfect(row.metric);
            for value in [row.before, row.after].into_iter().flatten() {
                assert!(value.is_finite(), "{row:?}");
                assert!(perfect.is_none_or(|p| (value - p).abs() < 1e-12), "{row:?}");
            }
        }
    }
    // Every measure of the registry is made by some protocol.
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), Metric::ALL);
}

#[test]
fn hmorph_counts_lost_structures_as_nothing_in_common() {
    let (fixed, moving) = labels();
    let field = field();
    let mut pair = Pair::new("p", "f", "m", &field);
    pair.labels = Some((&fixed, &moving));
    let mut options = Options::default();
    options.names.insert(4, "left thing".to_owned());
    let evaluation = evaluate_pair(&pair, &options).unwrap();
    let rows = &evaluation.rows;
    let dice: Vec<(&str, f64)> = rows
        .iter()
        .filter(|row| row.metric == Metric::Dice)
        .map(|row| (row.structure.as_str(), row.after.unwrap()))
        .collect();
    // Labels of the fixed map; 4 is not in the moving map, 5 far from its place.
    assert_eq!(
        dice.iter().map(|d| d.0).collect::<Vec<_>>(),
        ["1", "2", "left thing", "5"]
    );
    assert_eq!((dice[2].1, dice[3].1), (0.0, 0.0));
    let [_, hd95] = values(rows, Metric::Hd95);
    assert!(hd95[2].is_infinite() && hd95[0].is_finite());
    let summary = summarise(rows, Protocol::Hmorph);
    let lost = summary
        .iter()
        .find(|row| row.metric == Metric::Hd95 && row.structure == "left thing")
        .unwrap();
    // Infinite, so no part of the mean, but counted.
    assert_eq!((lost.after.unwrap().n, lost.after.unwrap().missing), (0, 1));
}

#[test]
fn what_is_not_on_the_grid_is_refused_by_name() {
    let (fixed, moving) = labels();
    let field = field();
    let mut pair = Pair::new("S01-S02", "f", "m", &field);
    let mut small = moving.clone();
    small.data = Array3::zeros((12, 10, 8));
    pair.labels = Some((&fixed, &small));
    let error = evaluate_pair(&pair, &Options::default())
        .unwrap_err()
        .to_string();
    for part in [
        "S01-S02",
        "moving labels",
        "[12, 10, 8]",
        "[12, 10, 9]",
        "resample",
    ] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn two_dimensional_pairs_are_measured_in_the_plane() {
    // By hand: a 4 x 3 rectangle moved by two pixels (0.5 mm each) along i, brought back by the field.
    let geometry = Geometry::new(
        [10, 8, 1],
        Dimension::Two,
        Affine::from_spacing([0.5, 2.0, 1.0]),
    );
    let rectangle = |first: usize| Volume {
        data: Array3::from_shape_fn((10, 8, 1), |(i, j, _)| {
            i32::from((first..first + 4).contains(&i) && (2..5).contains(&j))
        }),
        geometry: geometry.clone(),
    };
    let data = Array4::from_shape_fn((2, 10, 8, 1), |(c, ..)| [2.0, 0.0][c]);
    let field = DisplacementField {
        data,
        geometry: geometry.clone(),
    };
    let (fixed, moving) = (rectangle(2), rectangle(4));
    let mut pair = Pair::new("p", "f", "m", &field);
    pair.labels = Some((&fixed, &moving));
    let rows = evaluate_pair(&pair, &Options::default()).unwrap().rows;
    let get = |metric| values(&rows, metric);
    assert_eq!(get(Metric::Dice), [vec![0.5], vec![1.0]]);
    assert_eq!(get(Metric::Hd95), [vec![1.0], vec![0.0]]);
    assert_eq!(get(Metric::FoldedVoxels)[1], [0.0]);
    assert_eq!(get(Metric::NonDiffeomorphicVolume)[1], [0.0]);
}

#[test]
fn tables_hold_what_was_measured() {
    let (fixed, moving) = labels();
    let field = field();
    let mut pair = Pair::new("p,1", "f", "m", &field);
    pair.labels = Some((&fixed, &moving));
    pair.seconds = Some(2.0);
    let mut rows = evaluate_pair(&pair, &options(Protocol::Learn2reg))
        .unwrap()
        .rows;
    pair.id = "p2";
    pair.seconds = Some(3.0);
    rows.extend(
        evaluate_pair(&pair, &options(Protocol::Learn2reg))
            .unwrap()
            .rows,
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pairs.csv");
    let read = || std::fs::read_to_string(&path).unwrap();

    write_table(&path, &rows).unwrap();
    let lines: Vec<String> = read().lines().map(String::from).collect();
    assert_eq!(
        lines[0],
        "pair,fixed,moving,structure,metric,before,after,unit"
    );
    assert_eq!(lines[2], "\"p,1\",f,m,2,dice,0.45,0.44642857142857145,1");
    assert!(lines[3].contains(",3,dice,NaN,NaN,"));
    assert!(lines.iter().any(|line| line.ends_with(",seconds,,3.0,s")));
    assert_eq!(lines.len(), 1 + rows.len());

    write_pairs(&path, &rows, Protocol::Learn2reg).unwrap();
    let text = read();
    let header = "pair,fixed,moving,dice_before,dice_after,hd95_voxels_before,hd95_voxels_after,\
                  sd_log_jacobian_l2r,seconds";
    assert_eq!(text.lines().next().unwrap(), header);
    assert!(
        text.lines()
            .nth(1)
            .unwrap()
            .starts_with("\"p,1\",f,m,0.366")
    );
    assert!(text.lines().nth(2).unwrap().ends_with(",3"));

    let summary = summarise(&rows, Protocol::Learn2reg);
    write_summary(&path, &summary).unwrap();
    let text = read();
    assert!(
        text.starts_with("metric,structure,unit,when,n,missing,mean,sd,q1,median,q3,worst,q30")
    );
    // Two pairs of 2 and 3 s: mean 2.5, population SD 0.5, 0.3 quantile 2.3, worst 3.
    assert!(text.contains("seconds,,s,after,2,0,2.5,0.5,2.25,2.5,2.75,3.0,2.3"));

    let table = summary_markdown(&summary, false);
    assert!(table.contains("| time | s |  | 2.500 ± 0.5000 | 2.500 [2.250, 2.750] | 3 | 2 |"));
    assert!(!table.contains("Dice: 2") && summary_markdown(&summary, true).contains("Dice: 2"));
}
