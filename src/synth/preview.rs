//! Preview sheet: one row per pair, to see at a glance what a configuration makes.

use image::{Rgb, RgbImage};
use ndarray::{ArrayView2, Axis};

use super::pair::SynthPair;

/// Pixels between the tiles.
const GAP: u32 = 4;
const PAPER: Rgb<u8> = Rgb([255, 255, 255]);

/// A picture of `pairs`, one row each: fixed image, moving image, fixed labels, moving labels, and the
/// length of the true field (black 0 to white at the longest vector of the sheet).
///
/// Volumes show their middle `k` slice. Axis `i` runs to the right, `j` upwards. Small images are
/// enlarged by a whole factor. An empty list gives an empty picture.
pub fn preview_sheet(pairs: &[SynthPair]) -> RgbImage {
    let longest = pairs
        .iter()
        .flat_map(|pair| field_length(pair).into_iter().collect::<Vec<_>>())
        .fold(f32::MIN_POSITIVE, f32::max);
    let rows: Vec<Vec<RgbImage>> = pairs.iter().map(|pair| tiles(pair, longest)).collect();
    let width = rows.iter().map(|row| row_size(row).0).max().unwrap_or(0);
    let height = rows.iter().map(|row| row_size(row).1 + GAP).sum::<u32>();
    let mut sheet = RgbImage::from_pixel(width, height.saturating_sub(GAP), PAPER);
    let mut top = 0;
    for row in &rows {
        let mut left = 0;
        for tile in row {
            image::imageops::replace(&mut sheet, tile, i64::from(left), i64::from(top));
            left += tile.width() + GAP;
        }
        top += row_size(row).1 + GAP;
    }
    sheet
}

fn row_size(row: &[RgbImage]) -> (u32, u32) {
    let width: u32 = row.iter().map(|t| t.width() + GAP).sum();
    let height = row.iter().map(RgbImage::height).max().unwrap_or(0);
    (width.saturating_sub(GAP), height)
}

fn tiles(pair: &SynthPair, longest: f32) -> Vec<RgbImage> {
    let middle = pair.fixed.dim().2 / 2;
    let gray = |v: &f32| Rgb([(v.clamp(0.0, 1.0) * 255.0).round() as u8; 3]);
    let label = |v: &i32| label_colour(*v);
    let length = field_length(pair);
    vec![
        tile(pair.fixed.index_axis(Axis(2), middle), gray),
        tile(pair.moving.index_axis(Axis(2), middle), gray),
        tile(pair.fixed_labels.index_axis(Axis(2), middle), label),
        tile(pair.moving_labels.index_axis(Axis(2), middle), label),
        tile(length.view(), |v| heat(v / longest)),
    ]
}

/// Length of the true field in the middle slice, voxels.
fn field_length(pair: &SynthPair) -> ndarray::Array2<f32> {
    let middle = pair.fixed.dim().2 / 2;
    let slice = pair.field.index_axis(Axis(3), middle);
    slice.map(|u| u * u).sum_axis(Axis(0)).mapv_into(f32::sqrt)
}

fn tile<T>(slice: ArrayView2<'_, T>, colour: impl Fn(&T) -> Rgb<u8>) -> RgbImage {
    let (ni, nj) = slice.dim();
    let zoom = (160 / ni.max(nj)).max(1);
    RgbImage::from_fn((ni * zoom) as u32, (nj * zoom) as u32, |x, y| {
        let (i, j) = (x as usize / zoom, nj - 1 - y as usize / zoom);
        colour(&slice[(i, j)])
    })
}

/// Black for background, else a hue that differs well between neighbouring numbers.
fn label_colour(label: i32) -> Rgb<u8> {
    if label == 0 {
        return Rgb([0, 0, 0]);
    }
    // Steps of the golden ratio spread any run of numbers evenly around the colour circle.
    let hue = (f64::from(label) * 0.618_033_988_75).rem_euclid(1.0) * 6.0;
    let value = if label % 2 == 0 { 0.95 } else { 0.7 };
    let channel = |offset: f64| {
        let distance = ((hue + offset).rem_euclid(6.0) - 3.0).abs() - 1.0;
        (255.0 * value * (0.25 + 0.75 * distance.clamp(0.0, 1.0))).round() as u8
    };
    Rgb([channel(0.0), channel(4.0), channel(2.0)])
}

/// Black, red, yellow, white as `t` goes from 0 to 1.
fn heat(t: f32) -> Rgb<u8> {
    let channel = |start: f32| (255.0 * (3.0 * t - start).clamp(0.0, 1.0)).round() as u8;
    Rgb([channel(0.0), channel(1.0), channel(2.0)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array3, Array4};

    #[test]
    fn tiles_stand_where_the_description_says() {
        let mut pair = SynthPair {
            fixed: Array3::zeros((160, 80, 1)),
            moving: Array3::from_elem((160, 80, 1), 1.0),
            fixed_labels: Array3::zeros((160, 80, 1)),
            moving_labels: Array3::from_elem((160, 80, 1), 3),
            field: Array4::zeros((2, 160, 80, 1)),
        };
        pair.fixed[(159, 79, 0)] = 1.0; // top right
        pair.field[(1, 0, 0, 0)] = -2.5; // bottom left, the longest
        let sheet = preview_sheet(&[pair.clone(), pair]);
        assert_eq!(sheet.dimensions(), (5 * 160 + 4 * GAP, 2 * 80 + GAP));
        assert_eq!(sheet[(159, 0)], Rgb([255; 3]));
        assert_eq!(sheet[(0, 0)], Rgb([0; 3]));
        assert_eq!(sheet[(160 + GAP + 5, 5)], Rgb([255; 3]));
        assert_eq!(sheet[(2 * (160 + GAP), 5)], Rgb([0; 3]));
        assert_eq!(sheet[(4 * (160 + GAP), 79)], Rgb([255; 3]));
        assert_eq!(sheet[(4 * (160 + GAP), 78)], Rgb([0; 3]));
    }

    #[test]
    fn nothing_to_show_is_an_empty_picture() {
        assert_eq!(preview_sheet(&[]).dimensions(), (0, 0));
    }
}
