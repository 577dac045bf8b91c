//! Preview sheet: one row per pair, to see at a glance what a configuration makes.

use image::{Rgb, RgbImage};
use ndarray::{Array2, Axis};

use super::pair::SynthPair;

/// Pixels between the tiles.
const GAP: u32 = 4;
const PAPER: Rgb<u8> = Rgb([255, 255, 255]);

/// What the sheet shows of one pair: its middle `k` slice.
#[derive(Debug, Clone)]
pub struct PreviewRow {
    fixed: Array2<f32>,
    moving: Array2<f32>,
    fixed_labels: Array2<i32>,
    moving_labels: Array2<i32>,
    /// Length of the true field, voxels.
    length: Array2<f32>,
}

impl PreviewRow {
    pub fn new(pair: &SynthPair) -> Self {
        let slice = Axis(2);
        let middle = pair.fixed.dim().2 / 2;
        let field = pair.field.index_axis(Axis(3), middle);
        Self {
            fixed: pair.fixed.index_axis(slice, middle).to_owned(),
            moving: pair.moving.index_axis(slice, middle).to_owned(),
            fixed_labels: pair.fixed_labels.index_axis(slice, middle).to_owned(),
            moving_labels: pair.moving_labels.index_axis(slice, middle).to_owned(),
            length: field.map(|u| u * u).sum_axis(Axis(0)).mapv_into(f32::sqrt),
        }
    }

    fn tiles(&self, longest: f32) -> [RgbImage; 5] {
        let gray = |v: &f32| Rgb([(v.clamp(0.0, 1.0) * 255.0).round() as u8; 3]);
        let label = |v: &i32| label_colour(*v);
        [
            tile(&self.fixed, gray),
            tile(&self.moving, gray),
            tile(&self.fixed_labels, label),
            tile(&self.moving_labels, label),
            tile(&self.length, |v| heat(v / longest)),
        ]
    }
}

/// A picture of pairs, one row each: fixed image, moving image, fixed labels, moving labels, and the
/// length of the true field (black 0 to white at the longest vector of the sheet).
///
/// Axis `i` runs to the right, `j` upwards. Small images are enlarged by a whole factor. An empty list
/// gives an empty picture.
pub fn preview_sheet(pairs: &[PreviewRow]) -> RgbImage {
    let lengths = pairs.iter().flat_map(|pair| &pair.length);
    let longest = lengths.copied().fold(f32::MIN_POSITIVE, f32::max);
    let rows: Vec<[RgbImage; 5]> = pairs.iter().map(|pair| pair.tiles(longest)).collect();
    let width = rows.iter().map(|row| row_size(row).0).max().unwrap_or(0);
    let height: u32 = rows.iter().map(|row| row_size(row).1 + GAP).sum();
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

fn tile<T>(slice: &Array2<T>, colour: impl Fn(&T) -> Rgb<u8>) -> RgbImage {
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
        let row = PreviewRow::new(&pair);
        let sheet = preview_sheet(&[row.clone(), row]);
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
