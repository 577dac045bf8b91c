//! Affine files of ITK, NiftyReg and FreeSurfer.

use hmorph::volume::{self, Affine, Dimension, Geometry, WorldAffine, WorldPoint};
use nalgebra::{Matrix3, Matrix4, Vector3};

use crate::golden;

fn pulled(affine: &WorldAffine, lps: [f64; 3]) -> Vector3<f64> {
    // LPS and RAS differ by the signs of x and y, of the argument and of the result.
    let flip = Vector3::new(-1.0, -1.0, 1.0);
    let ras = WorldPoint(Vector3::from(lps).component_mul(&flip));
    affine.apply(ras).0.component_mul(&flip)
}

fn geometries(dimension: Dimension) -> [Geometry; 2] {
    let depth = if dimension == Dimension::Two { 1 } else { 9 };
    let moving = Affine::from_parts(
        Matrix3::new(0.0, -2.0, 0.0, 1.5, 0.0, 0.0, 0.0, 0.0, 3.0),
        Vector3::new(5.0, -7.0, 11.0),
    );
    let fixed = Affine::from_spacing([1.0, 2.0, 3.0]);
    [fixed, moving].map(|affine| Geometry::new([7, 8, depth], dimension, affine))
}

#[test]
fn itk_affines_move_points_as_itk_does() {
    for name in ["affine.mat", "affine.tfm"] {
        let affine = volume::read_affine(golden(name)).unwrap();
        // SimpleITK: t.TransformPoint((1, 2, 3))
        let expected = Vector3::new(0.5, -1.65, 7.2);
        approx::assert_relative_eq!(pulled(&affine, [1.0, 2.0, 3.0]), expected, epsilon = 1e-12);
    }
    let flat = volume::read_affine(golden("affine_2d.mat")).unwrap();
    // SimpleITK: t2.TransformPoint((1, 2)); the third coordinate is left alone.
    let expected = Vector3::new(0.5, -0.3, 7.0);
    approx::assert_relative_eq!(pulled(&flat, [1.0, 2.0, 7.0]), expected, epsilon = 1e-12);
}

#[test]
fn every_class_of_itk_moves_points_as_itk_does() {
    // SimpleITK: t.TransformPoint((1, 2, 3)), or ((1, 2)) in 2-D, where the third coordinate stays.
    for (name, expected) in [
        (
            "euler.tfm",
            [2.4347030348094414, 3.326863932986032, 6.368019203416319],
        ),
        (
            "euler_zyx.tfm",
            [2.36135546176313, 3.372707350149631, 6.37696682575797],
        ),
        (
            "versor_rigid.tfm",
            [2.5942540598864667, 3.283673427221344, 6.279466361890282],
        ),
        (
            "similarity.tfm",
            [2.1131048718637597, 2.5404081126656126, 5.735359634268338],
        ),
        (
            "versor.tfm",
            [1.5942540598864665, 1.283673427221344, 3.2794663618902824],
        ),
        ("euler_2d.tfm", [3.020551152607201, 3.2474299126391633, 3.0]),
        (
            "similarity_2d.tfm",
            [2.624661383128641, 2.496915895166996, 3.0],
        ),
        ("translation.tfm", [2.0, 4.0, 6.0]),
        (
            "chain.tfm",
            [5.257846454962847, 6.925025626624536, 12.379063933161529],
        ),
    ] {
        let affine = volume::read_affine(golden(name)).unwrap();
        let found = pulled(&affine, [1.0, 2.0, 3.0]);
        assert!(
            (found - Vector3::from(expected)).amax() < 1e-12,
            "{name}: {found}"
        );
    }
}

#[test]
fn other_itk_transforms_are_refused_by_name() {
    let error = volume::read_affine(golden("bspline.tfm"))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("'BSplineTransform_double_2_2'") && error.contains("save it as"),
        "{error}"
    );
}

#[test]
fn matrices_as_text_may_be_named_mat_and_have_three_rows() {
    let folder = tempfile::tempdir().unwrap();
    // As `c3d_affine_tool -o` and greedy in 2-D write them.
    let solid = folder.path().join("solid.mat");
    std::fs::write(&solid, "1 0 0 4\n0 1 0 5\n0 0 1 6\n0 0 0 1\n").unwrap();
    let moved = volume::read_affine(&solid)
        .unwrap()
        .apply(WorldPoint(Vector3::new(1.0, 2.0, 3.0)));
    assert_eq!(moved.0, Vector3::new(5.0, 7.0, 9.0));
    let flat = folder.path().join("flat.mat");
    std::fs::write(&flat, "0 -1 4\n1 0 5\n0 0 1\n").unwrap();
    let moved = volume::read_affine(&flat)
        .unwrap()
        .apply(WorldPoint(Vector3::new(1.0, 2.0, 3.0)));
    assert_eq!(moved.0, Vector3::new(2.0, 6.0, 3.0));
}

#[test]
fn every_format_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let affine = volume::read_affine(golden("affine.tfm")).unwrap();
    let [fixed, moving] = geometries(Dimension::Three);
    for name in ["a.mat", "a.tfm", "a.txt", "a.lta"] {
        let path = folder.path().join(name);
        volume::write_affine(&path, &affine, &fixed, &moving).unwrap();
        let back = volume::read_affine(&path).unwrap();
        assert!((back.0 - affine.0).amax() < 1e-12, "{name}");
    }
    assert!(volume::write_affine(folder.path().join("a.xfm"), &affine, &fixed, &moving).is_err());
}

#[test]
fn two_dimensional_affines_have_six_parameters() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mat");
    let flat = volume::read_affine(golden("affine_2d.mat")).unwrap();
    let [fixed, moving] = geometries(Dimension::Two);
    volume::write_affine(&path, &flat, &fixed, &moving).unwrap();
    // Two variables: 20 bytes and the name of each, 6 and 2 numbers.
    let names = "AffineTransform_double_2_2".len() + "fixed".len() + 2;
    assert_eq!(
        std::fs::read(&path).unwrap().len(),
        2 * 20 + names + 8 * (6 + 2)
    );
    assert!((volume::read_affine(&path).unwrap().0 - flat.0).amax() < 1e-12);
}

#[test]
fn lta_stores_the_inverse() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.lta");
    let [fixed, moving] = geometries(Dimension::Three);
    // The fixed image's origin belongs at x = 10 mm of the moving image.
    let pull = WorldAffine(Matrix4::new_translation(&Vector3::new(10.0, 0.0, 0.0)));
    volume::write_affine(&path, &pull, &fixed, &moving).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("\n1 0 0 -10\n"), "{text}");

    // The same transform between voxels (type 0): inverse(fixed affine) * push * moving affine.
    let push = pull.inverse().unwrap().0;
    let voxels = fixed.affine.inverse().unwrap() * push * moving.affine.0;
    let rows: Vec<String> = voxels
        .row_iter()
        .map(|r| format!("{} {} {} {}", r[0], r[1], r[2], r[3]))
        .collect();
    let (head, tail) = text.split_once("1 4 4\n").unwrap();
    let tail = tail.split_once("src").unwrap().1;
    let text = format!(
        "{}1 4 4\n{}\nsrc{tail}",
        head.replace("= 1\nnx", "= 0 # voxels\nnx"),
        rows.join("\n")
    );
    std::fs::write(&path, text).unwrap();
    assert!((volume::read_affine(&path).unwrap().0 - pull.0).amax() < 1e-9);
}

#[test]
fn damaged_files_are_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let good = std::fs::read(golden("affine.mat")).unwrap();
    let cases: [(&str, &[u8], &str); 7] = [
        ("a.mat", &good[..100], "cut off"),
        ("a.mat", b"text", "'text' is not a number"),
        ("a.txt", b"1 0 0 0\n0 1 0 0", "8 numbers"),
        (
            "a.txt",
            b"1 0 0 0\n0 1 0 0\n0 0 one 0\n0 0 0 1",
            "'one' is not a number",
        ),
        (
            "a.txt",
            b"1 0 0 0\n0 1 0 0\n0 0 NaN 0\n0 0 0 1",
            "not finite",
        ),
        (
            "a.tfm",
            b"#Insight Transform File V1.0\nTransform: A",
            "cut off",
        ),
        ("a.lta", b"type = 1\n", "no 'nxforms'"),
    ];
    for (name, bytes, expected) in cases {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let message = volume::read_affine(&path).unwrap_err().to_string();
        assert!(
            message.contains(expected) && !message.contains('\n'),
            "'{expected}': {message}"
        );
    }
}
