//! The page on phantoms whose look is known.

use super::layout::Layout;
use super::page::PANEL;
use super::view::views;
use super::*;
use crate::plot::Picture;
use crate::plot::colour::{FOLD, Rgb, diverging, structure};
use crate::volume::{Affine, Dimension, Geometry, Volume};
use ndarray::{Array3, Array4};

fn geometry(dimension: Dimension) -> Geometry {
    let shape = match dimension {
        Dimension::Two => [20, 30, 1],
        Dimension::Three => [20, 30, 16],
    };
    // RAS.
    Geometry::new(shape, dimension, Affine::from_spacing([1.0, 1.0, 2.0]))
}

fn field(dimension: Dimension) -> DisplacementField {
    let geometry = geometry(dimension);
    let [i, j, k] = geometry.shape;
    DisplacementField {
        data: Array4::zeros((dimension.axes(), i, j, k)),
        geometry,
    }
}

/// Bright where `inside`, dark elsewhere.
fn image(dimension: Dimension, inside: impl Fn([usize; 3]) -> bool) -> Image {
    let geometry = geometry(dimension);
    Volume {
        data: Array3::from_shape_fn(
            geometry.shape,
            |(i, j, k)| {
                if inside([i, j, k]) { 100.0 } else { 3.0 }
            },
        ),
        geometry,
    }
}

fn input<'a>(image: &'a Image, field: &'a DisplacementField) -> QcInput<'a> {
    QcInput {
        fixed: image,
        moving: image,
        moved: image,
        field,
        labels: None,
    }
}

fn options() -> QcOptions {
    QcOptions {
        fixed_name: "fixed".into(),
        moving_name: "moving".into(),
        dice: None,
        ncc: None,
    }
}

/// One panel, cut from the page.
fn panel(page: &Picture, input: &QcInput, row: usize, column: usize) -> Picture {
    let views = views(&input.field.geometry, [10, 15, 8]);
    let layout = Layout::new(&views, PANEL);
    let ([x0, y0], [w, h]) = (layout.panel(row, column), layout.panels[row]);
    let mut cut = Picture::new(w, h, [0; 3]);
    for y in 0..h {
        for x in 0..w {
            cut.set(x, y, page.pixel(x0 + x, y0 + y));
        }
    }
    cut
}

fn count(panel: &Picture, colour: Rgb) -> usize {
    panel.rgb.chunks(3).filter(|pixel| *pixel == colour).count()
}

/// Colour at a share of width and height.
fn at(panel: &Picture, x: f64, y: f64) -> Rgb {
    let place = |share: f64, size: usize| (share * size as f64) as usize;
    panel.pixel(place(x, panel.width), place(y, panel.height))
}

#[test]
fn equal_images_under_the_identity_leave_the_maps_blank() {
    for dimension in [Dimension::Two, Dimension::Three] {
        let (field, image) = (field(dimension), image(dimension, |[i, ..]| i < 7));
        let input = input(&image, &field);
        let page = qc_page(&input, &options()).unwrap();
        let rows = if dimension == Dimension::Two { 1 } else { 3 };
        for row in 0..rows {
            for column in [3, 4, 6] {
                let panel = panel(&page, &input, row, column);
                assert_eq!(count(&panel, diverging(0.0)), panel.width * panel.height);
            }
            // Grid lines of the identity: straight, so that some rows of pixels are nothing else.
            let grid = panel(&page, &input, row, 5);
            let yellow = |x: usize, y: usize| {
                let [r, _, b] = grid.pixel(x, y);
                r > b.saturating_add(40)
            };
            let lines = (0..grid.height)
                .filter(|&y| (0..grid.width).all(|x| yellow(x, y)))
                .count();
            assert!(lines >= 3, "{lines}");
        }
    }
}

#[test]
fn the_right_side_is_on_the_left_for_the_radiologist() {
    // i grows to the patient's right, j to anterior: bright there, up to the middle of the grid.
    let (field, image) = (
        field(Dimension::Three),
        image(Dimension::Three, |[i, j, _]| i > 8 && j > 13),
    );
    let input = input(&image, &field);
    let page = qc_page(&input, &options()).unwrap();
    // Axial: right at the left, anterior (large j) on top.
    let axial = panel(&page, &input, 0, 1);
    assert_eq!(
        (at(&axial, 0.15, 0.1), at(&axial, 0.85, 0.1)),
        ([255; 3], [0; 3])
    );
    assert_eq!(at(&axial, 0.15, 0.8), [0; 3]);
    // Sagittal: anterior on the left.
    let sagittal = panel(&page, &input, 2, 1);
    assert_eq!(
        (at(&sagittal, 0.1, 0.5), at(&sagittal, 0.9, 0.5)),
        ([255; 3], [0; 3])
    );
}

#[test]
fn panels_have_the_aspect_of_the_scan() {
    let views = views(&geometry(Dimension::Three), [0; 3]);
    let layout = Layout::new(&views, 320);
    // 20 x 30 x 32 mm.
    assert_eq!(layout.panels, [[200, 300], [200, 320], [300, 320]]);
}

#[test]
fn differences_are_coloured_by_their_sign() {
    let field = field(Dimension::Two);
    let fixed = image(Dimension::Two, |[i, ..]| i < 10);
    let moving = image(Dimension::Two, |[_, j, _]| j < 15);
    let mut input = input(&fixed, &field);
    input.moving = &moving;
    let page = qc_page(&input, &options()).unwrap();
    let before = panel(&page, &input, 0, 3);
    // Left: i >= 10, fixed dark; lower half: j < 15, moving bright.
    assert_eq!(at(&before, 0.2, 0.8), diverging(1.0));
    assert_eq!(at(&before, 0.2, 0.2), diverging(0.0));
    assert_eq!(at(&before, 0.8, 0.2), diverging(-1.0));
    assert_eq!(at(&before, 0.8, 0.8), diverging(0.0));
    let after = panel(&page, &input, 0, 4);
    assert_eq!(count(&after, diverging(0.0)), after.width * after.height);
}

#[test]
fn folds_show_where_they_are() {
    let mut field = field(Dimension::Two);
    // At i = 5 the determinant is 1 + (-1.5 - 1.5) / 2 = -0.5; at i = 3, 4, 6, 7 it is at least 1.
    for j in 0..30 {
        field.data[[0, 4, j, 0]] = 1.5;
        field.data[[0, 6, j, 0]] = -1.5;
    }
    let image = image(Dimension::Two, |[i, ..]| i < 10);
    let input = input(&image, &field);
    let page = qc_page(&input, &options()).unwrap();
    let volume = panel(&page, &input, 0, 6);
    // i = 5 of 20 is seen at 1 - 5.5 / 20 of the width.
    assert_eq!(at(&volume, 1.0 - 5.5 / 20.0, 0.5), FOLD);
    let share = count(&volume, FOLD) as f64 / (volume.width * volume.height) as f64;
    assert!((share - 1.0 / 20.0).abs() < 0.01, "{share}");
}

#[test]
fn contours_follow_the_labels() {
    let field = field(Dimension::Three);
    let image = image(Dimension::Three, |_| false);
    let labels = |first: usize| Volume {
        data: Array3::from_shape_fn([20, 30, 16], |(i, j, k)| {
            let inside = (first..first + 6).contains(&i) && (8..20).contains(&j) && k > 3;
            if inside { 7 } else { 0 }
        }),
        geometry: geometry(Dimension::Three),
    };
    let (fixed, moving) = (labels(2), labels(12));
    let mut input = input(&image, &field);
    input.labels = Some(QcLabels {
        fixed: &fixed,
        moving: &moving,
        moved: &fixed,
    });
    // Coronal, through the middle of the fixed label: j = 13.
    let page = qc_page(&input, &options()).unwrap();
    let near = |column: usize, x: f64| {
        let panel = panel(&page, &input, 1, column);
        let y = panel.height / 2;
        let middle = (x * panel.width as f64) as usize;
        (middle.saturating_sub(4)..(middle + 4).min(panel.width)).any(|x| {
            let [r, g, b] = panel.pixel(x, y);
            let [sr, sg, sb] = structure(0);
            r.abs_diff(sr) < 30 && g.abs_diff(sg) < 30 && b.abs_diff(sb) < 30
        })
    };
    // Edges at i = 2 and 8 (fixed), 12 and 18 (moving), seen from the right side.
    for (column, edges, none) in [
        (0, [2.0, 8.0], 5.0),
        (1, [12.0, 18.0], 2.0),
        (2, [2.0, 8.0], 12.0),
    ] {
        for edge in edges {
            assert!(
                near(column, 1.0 - edge / 20.0),
                "panel {column}, edge {edge}"
            );
        }
        assert!(!near(column, 1.0 - none / 20.0), "panel {column}");
    }
}

#[test]
fn what_is_not_a_number_is_drawn_without_harm() {
    let mut field = field(Dimension::Three);
    let mut image = image(Dimension::Three, |[i, ..]| i < 7);
    image.data[[3, 3, 8]] = f32::NAN;
    image.data[[3, 4, 8]] = f32::INFINITY;
    field.data[[0, 10, 15, 8]] = f32::NAN;
    let page = qc_page(&input(&image, &field), &options()).unwrap();
    // Neighbours of a displacement that is no number are folds.
    assert!(count(&panel(&page, &input(&image, &field), 0, 6), FOLD) > 0);
    image.data.fill(f32::NAN);
    field.data.fill(f32::NAN);
    qc_page(&input(&image, &field), &options()).unwrap();
}

#[test]
fn shapes_must_agree() {
    let (field, image) = (field(Dimension::Three), image(Dimension::Three, |_| true));
    let mut other = image.clone();
    other.data = Array3::zeros((20, 30, 15));
    let mut input = input(&image, &field);
    input.moved = &other;
    let error = qc_page(&input, &options()).unwrap_err().to_string();
    assert!(
        error.contains("moved image") && error.contains("[20, 30, 15]"),
        "{error}"
    );
}
