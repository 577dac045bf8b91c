//! Landmarks of the pairs of a list.

use hmorph::volume::{
    Affine, Dimension, DisplacementField, Geometry, LabelMap, Volume, write_field,
};
use ndarray::{Array3, Array4};

use super::{check, eval, results, study};
use crate::support::Bench;

#[test]
fn landmarks_keep_their_names_where_others_are_left_out() {
    let bench = Bench::new();
    study(&bench);
    let fewer = "x,y,z,name\n6,2,7,b\n1,1,1,c\n2,2,2,d\n";
    std::fs::write(bench.path("fewer.csv"), fewer).unwrap();
    let list = std::fs::read_to_string(bench.path("pairs.csv")).unwrap();
    let row = "fixed.nii.gz,moving.nii.gz,,,f.csv,fewer.csv,two\n";
    std::fs::write(bench.path("pairs.csv"), list + row).unwrap();
    let text = eval(&bench, "--pairs pairs.csv --model m.safetensors -o out");
    let note = "note: landmarks that both files name: 1; left out: 1 of f.csv, 2 of fewer.csv";
    assert!(text.contains(note), "{text}");
    let record = std::fs::read_to_string(bench.path("out/run.json")).unwrap();
    assert!(record.contains(note), "{record}");
    check(&bench, "out");
    let found = results(&bench.path("out/results.csv"));
    let mut names: Vec<&str> = found
        .keys()
        .filter(|[pair, _, metric]| pair == "two" && metric == "tre")
        .map(|[_, name, _]| name.as_str())
        .collect();
    assert_eq!(names.pop(), Some("b"));
    assert!(names.is_empty(), "{names:?}");
}

/// A grid of `size` voxels along each axis, `spacing` mm apart, from the origin of the world.
fn cube(size: usize, spacing: f64) -> Geometry {
    let affine = Affine::from_spacing([spacing; 3]);
    Geometry::new([size; 3], Dimension::Three, affine)
}

/// Landmarks drawn as voxels of their number.
fn drawn(geometry: &Geometry, voxels: &[([usize; 3], i32)]) -> LabelMap {
    let mut data = Array3::zeros(geometry.shape);
    for (voxel, number) in voxels {
        data[*voxel] = *number;
    }
    let geometry = geometry.clone();
    Volume { data, geometry }
}

#[test]
fn drawn_landmarks_are_the_centres_of_their_voxels_on_their_own_grids() {
    let bench = Bench::new();
    let (fixed, moving) = (cube(9, 2.0), cube(18, 1.0));
    for (name, grid) in [("f.nii.gz", &fixed), ("m.nii.gz", &moving)] {
        let data = Array3::from_shape_fn(grid.shape, |(i, j, k)| (i + 2 * j + 3 * k) as f32);
        let geometry = grid.clone();
        bench.image(name, &Volume { data, geometry });
    }
    // Of the moving voxels every second one along an axis lies on a centre of the fixed grid: no resampling keeps the others.
    let of_fixed = [([2, 3, 1], 1), ([5, 2, 4], 2), ([7, 7, 7], 3)];
    let of_moving = [([5, 6, 2], 1), ([9, 7, 12], 2), ([11, 7, 12], 2)];
    bench.labels("lf.nii.gz", &drawn(&fixed, &of_fixed));
    bench.labels("lm.nii.gz", &drawn(&moving, &of_moving));
    // Half a voxel, 1 mm, along the first axis.
    let mut data = Array4::zeros((3, 9, 9, 9));
    data.index_axis_mut(ndarray::Axis(0), 0).fill(0.5);
    let geometry = fixed.clone();
    write_field(
        bench.path("one.nii.gz"),
        &DisplacementField { data, geometry },
        "",
    )
    .unwrap();
    let list = "fixed,moving,fixed_points,moving_points,id,transform\n\
                f.nii.gz,m.nii.gz,lf.nii.gz,lm.nii.gz,one,one.nii.gz\n";
    std::fs::write(bench.path("pairs.csv"), list).unwrap();
    let text = eval(&bench, "--pairs pairs.csv -o out");
    let note = "landmarks that both files name: 2; left out: 1 of lf.nii.gz, 0 of lm.nii.gz";
    assert!(text.contains(note), "{text}");
    let found = results(&bench.path("out/results.csv"));
    let error = |name: &str| found[&["one", name, "tre"].map(String::from)];
    // In mm: (4, 6, 2), moved to (5, 6, 2), and (5, 6, 2).
    let [before, after] = error("landmark 1");
    approx::assert_abs_diff_eq!(before, 1.0, epsilon = 1e-5);
    approx::assert_abs_diff_eq!(after, 0.0, epsilon = 1e-5);
    // (10, 4, 8), moved to (11, 4, 8), and (10, 7, 12).
    let [before, after] = error("landmark 2");
    approx::assert_abs_diff_eq!(before, 5.0, epsilon = 1e-5);
    approx::assert_abs_diff_eq!(after, 26.0_f64.sqrt(), epsilon = 1e-5);
}
