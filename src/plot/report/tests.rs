//! What the page of a small phantom holds.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::RgbImage;
use ndarray::{Array3, Array4};
use serde_json::Value;

use super::*;
use crate::plot::qc::QcLabels;
use crate::volume::{Affine, Dimension, DisplacementField, Geometry, Image, LabelMap, Volume};

/// LAS: i runs to the left, as the page shows it.
fn geometry() -> Geometry {
    let linear = nalgebra::Matrix3::from_diagonal(&nalgebra::Vector3::new(-1.0, 1.0, 2.0));
    let affine = Affine::from_parts(linear, nalgebra::Vector3::zeros());
    Geometry::new([20, 30, 16], Dimension::Three, affine)
}

fn volume<T>(value: impl Fn([usize; 3]) -> T) -> Volume<T> {
    let geometry = geometry();
    let data = Array3::from_shape_fn(geometry.shape, |(i, j, k)| value([i, j, k]));
    Volume { data, geometry }
}

fn image(bright: impl Fn([usize; 3]) -> bool) -> Image {
    volume(|at| if bright(at) { 80.0 } else { 0.0 })
}

/// Folds at i = 5: there the determinant is 1 + (-1.5 - 1.5) / 2.
fn field() -> DisplacementField {
    let mut data = Array4::zeros((3, 20, 30, 16));
    data.slice_mut(ndarray::s![0, 4, .., ..]).fill(1.5);
    data.slice_mut(ndarray::s![0, 6, .., ..]).fill(-1.5);
    DisplacementField {
        data,
        geometry: geometry(),
    }
}

fn text() -> ReportText {
    ReportText {
        fixed: "<b>fixed</b>".into(),
        moving: "moving & \"more\"".into(),
        highlights: Vec::new(),
        measures: Vec::new(),
        structures: Vec::new(),
        landmarks: Vec::new(),
        landmarks_note: String::new(),
        sections: vec![Section {
            title: "Inputs".into(),
            facts: vec![Fact {
                name: "file".into(),
                value: "</script><script>alert(1)</script>".into(),
            }],
        }],
        command: "hmorph register 'a<b'".into(),
    }
}

/// What the page's script reads.
fn data(page: &str) -> Value {
    let (_, rest) = page.split_once("id=\"data\">").unwrap();
    serde_json::from_str(rest.split("</script>").next().unwrap()).unwrap()
}

fn decoded(address: &Value) -> RgbImage {
    let text = address
        .as_str()
        .unwrap()
        .strip_prefix("data:image/png;base64,");
    let bytes = STANDARD.decode(text.unwrap()).unwrap();
    image::load_from_memory(&bytes).unwrap().to_rgb8()
}

/// The pixel at shares of width and height.
fn at(picture: &RgbImage, x: f64, y: f64) -> [u8; 3] {
    let (w, h) = picture.dimensions();
    picture
        .get_pixel((x * f64::from(w)) as u32, (y * f64::from(h)) as u32)
        .0
}

#[test]
fn the_channels_of_a_slice_hold_images_maps_and_rims() {
    let fixed = image(|[i, ..]| i < 10);
    let moving = image(|[_, j, _]| j < 15);
    let labels: LabelMap = volume(|[i, j, _]| if i < 10 { 3 } else { i32::from(j < 15) * 7 });
    let field = field();
    let input = QcInput {
        fixed: &fixed,
        moving: &moving,
        moved: &fixed,
        field: &field,
        labels: Some(QcLabels {
            fixed: &labels,
            moving: &labels,
            moved: &labels,
        }),
    };
    let page = report_page(&input, &text()).unwrap();
    let data = data(&page);
    let axial = &data["planes"][0];
    assert_eq!(
        (&axial["name"], &axial["axis"]),
        (&"axial".into(), &"k".into())
    );
    // The right side is on the left, anterior on top.
    assert_eq!(axial["sides"], serde_json::json!(["R", "L", "A", "P"]));
    let slice = &axial["slices"][axial["first"].as_u64().unwrap() as usize];
    let images = decoded(&slice["images"]);
    // 20 x 30 x 32 mm on 224 pixels.
    assert_eq!(images.dimensions(), (140, 210));
    assert_eq!(at(&images, 0.2, 0.2), [255, 0, 255]);
    assert_eq!(at(&images, 0.2, 0.8), [255, 255, 255]);
    assert_eq!(at(&images, 0.8, 0.8), [0, 255, 0]);
    let maps = decoded(&slice["maps"]);
    assert_eq!(at(&maps, 5.5 / 20.0, 0.51)[0], 0, "folded");
    assert_eq!(at(&maps, 0.9, 0.51)[0], 128, "determinant 1");
    let lines = maps.pixels().filter(|pixel| pixel.0[1] > 200).count();
    assert!((100..10_000).contains(&lines), "{lines}");
    // The first structure is label 3, the second label 7; the inside of neither has a rim.
    let outlines = decoded(&slice["outlines"]);
    let near = |x: f64, y: f64, code: u8| {
        (-4..4).any(|d| at(&outlines, x + f64::from(d) / 140.0, y) == [code; 3])
    };
    assert!(near(0.5, 0.2, 1) && near(0.5, 0.8, 2), "rims");
    assert_eq!(at(&outlines, 0.2, 0.2), [0; 3]);
}

#[test]
fn what_comes_from_outside_is_escaped_and_nothing_is_fetched() {
    let (image, field) = (image(|[i, ..]| i < 10), field());
    let input = QcInput {
        fixed: &image,
        moving: &image,
        moved: &image,
        field: &field,
        labels: None,
    };
    let page = report_page(&input, &text()).unwrap();
    for raw in [
        "<b>fixed",
        "moving & ",
        "<script>alert",
        "a<b",
        "http:",
        "https:",
        "<link",
        " src=",
    ] {
        assert!(!page.contains(raw), "{raw}");
    }
    assert!(
        page.contains("&lt;b&gt;fixed&lt;&#x2f;b&gt;") && page.contains("moving &amp; &quot;more")
    );
    // The data and the script of the page, and neither ends early.
    assert_eq!(page.matches("</script>").count(), 2);
    assert_eq!(data(&page)["planes"].as_array().unwrap().len(), 3);
    assert!(page.contains("480 of 9600 voxels"), "folds are counted");
}
