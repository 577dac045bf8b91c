//! Slices as pictures whose three channels hold what the page's script composes.
//!
//! So three pictures a slice are enough for every comparison, and the script needs no other data.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ndarray::Array3;
use rayon::prelude::*;
use serde::Serialize;

use crate::error::Result;
use crate::plot::Picture;
use crate::plot::qc::{Maps, Outlines, View, over_pixel, trace_grid, trace_outlines, views};
use crate::volume::Dimension;

/// Slices of each plane of a volume.
const SLICES: usize = 7;
/// Pixels along the longest side: about one a voxel of a brain at 1 mm; more for the one slice of a 2-D image.
const PIXELS: f64 = 224.0;
const PIXELS_2D: f64 = 512.0;
/// Structures told apart by a byte.
pub(super) const STRUCTURES: usize = 255;

/// The slices across one axis.
#[derive(Serialize)]
pub(super) struct Plane {
    name: &'static str,
    /// Voxel axis across: i, j or k.
    axis: char,
    /// What lies left, right, above and below.
    sides: [char; 4],
    width: usize,
    height: usize,
    slices: Vec<Slice>,
    /// The slice to show first.
    first: usize,
}

/// One slice; the pictures are PNG as `data:` addresses.
#[derive(Serialize)]
struct Slice {
    /// Voxel index along the axis across.
    index: usize,
    /// Fixed, moving and moved image, in grey.
    images: String,
    /// Jacobian determinant (0: fold, 1..255: its logarithm), cover by grid lines, nothing.
    maps: String,
    /// Number of the structure whose rim this is, from 1, in fixed, moving and moved; 0 elsewhere.
    outlines: Option<String>,
}

/// The planes of the grid, and the distance of grid lines in mm.
pub(super) fn planes(
    maps: &Maps,
    outlines: Option<&Outlines>,
    through: [usize; 3],
) -> Result<(Vec<Plane>, f64)> {
    let geometry = &maps.input.field.geometry;
    let content = content(maps);
    let views = views(geometry, through);
    let sides = views
        .iter()
        .flat_map(|v| [v.right.millimetres(), v.down.millimetres()]);
    let longest = match geometry.dimension {
        Dimension::Two => PIXELS_2D,
        Dimension::Three => PIXELS,
    };
    let scale = longest / sides.fold(0.0, f64::max);
    let planes: Vec<(Plane, f64)> = views
        .into_par_iter()
        .map(|view| plane(maps, outlines, view, scale, content[view.across]))
        .collect::<Result<_>>()?;
    let grid_mm = planes.first().map_or(0.0, |(_, spacing)| *spacing);
    Ok((
        planes.into_iter().map(|(plane, _)| plane).collect(),
        grid_mm,
    ))
}

fn plane(
    maps: &Maps,
    outlines: Option<&Outlines>,
    view: View,
    scale: f64,
    content: [usize; 2],
) -> Result<(Plane, f64)> {
    let pixels = |millimetres: f64| ((millimetres * scale).round() as usize).max(1);
    let size = [
        pixels(view.right.millimetres()),
        pixels(view.down.millimetres()),
    ];
    let (indices, first) = spread(content, view.slice);
    let drawn: Vec<(Slice, f64)> = indices
        .into_par_iter()
        .map(|slice| draw(maps, outlines, View { slice, ..view }, size))
        .collect::<Result<_>>()?;
    let grid_mm = drawn[first].1;
    let [left, right] = view.right.letters;
    let [above, below] = view.down.letters;
    let plane = Plane {
        name: view.name,
        axis: ['i', 'j', 'k'][view.across],
        sides: [left, right, above, below],
        width: size[0],
        height: size[1],
        slices: drawn.into_iter().map(|(slice, _)| slice).collect(),
        first,
    };
    Ok((plane, grid_mm))
}

/// Slices at even distances between the ends of the content, one of them `middle`; and which of them that is.
fn spread([low, high]: [usize; 2], middle: usize) -> (Vec<usize>, usize) {
    let reach = (high - low) as f64;
    let mut indices: Vec<usize> = (0..SLICES)
        .map(|n| low + (reach * (n as f64 + 0.5) / SLICES as f64).round() as usize)
        .collect();
    // The nearest one gives way to the middle.
    if let Some(nearest) = indices
        .iter_mut()
        .min_by_key(|index| index.abs_diff(middle))
    {
        *nearest = middle;
    }
    indices.sort_unstable();
    indices.dedup();
    let first = indices
        .iter()
        .position(|&index| index == middle)
        .unwrap_or(0);
    (indices, first)
}

/// Ends of what is brighter than a tenth of the fixed image's range, along each axis; the whole axis of a dark image.
fn content(maps: &Maps) -> [[usize; 2]; 3] {
    let shape = maps.input.field.geometry.shape;
    let mut ends = shape.map(|n| [n - 1, 0]);
    let bright: &Array3<f32> = &maps.input.fixed.data;
    for ((i, j, k), &value) in bright.indexed_iter() {
        if maps.fixed_scale(value) > 0.1 {
            for (axis, index) in [i, j, k].into_iter().enumerate() {
                ends[axis] = [ends[axis][0].min(index), ends[axis][1].max(index)];
            }
        }
    }
    [0, 1, 2].map(|axis| match ends[axis] {
        [low, high] if low <= high => [low, high],
        _ => [0, shape[axis] - 1],
    })
}

fn draw(
    maps: &Maps,
    outlines: Option<&Outlines>,
    view: View,
    size: [usize; 2],
) -> Result<(Slice, f64)> {
    let images = Picture::painted(size, |pixel| {
        let grey = |value: &dyn Fn([f64; 3]) -> f64| byte(over_pixel(&view, size, pixel, value));
        [
            grey(&|at| maps.fixed_at(at)),
            grey(&|at| maps.moving_at(at)),
            grey(&|at| maps.moved_at(at)),
        ]
    });
    let mut quantities = Picture::painted(size, |pixel| {
        let change = maps.volume_change_over(&view, size, pixel);
        [change.map_or(0, determinant_code), 0, 0]
    });
    let grid_mm = trace_grid(&view, size, maps.input.field, |x, y, cover| {
        let [code, before, _] = quantities.pixel(x, y);
        quantities.set(x, y, [code, before.max(byte(cover)), 0]);
    });
    let slice = Slice {
        index: view.slice,
        images: address(&images)?,
        maps: address(&quantities)?,
        outlines: outlines
            .map(|o| address(&rims(o, &view, size)))
            .transpose()?,
    };
    Ok((slice, grid_mm))
}

/// 0..1 as a byte; 0 for what is no number.
fn byte(value: f64) -> u8 {
    (255.0 * value.clamp(0.0, 1.0)).round() as u8
}

/// -1..1 on the scale of determinants as 1..255.
fn determinant_code(change: f64) -> u8 {
    (128.0 + 127.0 * change.clamp(-1.0, 1.0)).round() as u8
}

fn rims(outlines: &Outlines, view: &View, size: [usize; 2]) -> Picture {
    let mut picture = Picture::new(size[0], size[1], [0; 3]);
    let labels = outlines.labels;
    for (channel, map) in [labels.fixed, labels.moving, labels.moved]
        .into_iter()
        .enumerate()
    {
        trace_outlines(
            view,
            size,
            &map.data,
            &outlines.palette,
            |x, y, number, cover| {
                if cover > 0.5 {
                    let mut codes = picture.pixel(x, y);
                    codes[channel] = (number % STRUCTURES) as u8 + 1;
                    picture.set(x, y, codes);
                }
            },
        );
    }
    picture
}

/// A picture as an address that holds all of it.
fn address(picture: &Picture) -> Result<String> {
    let text = STANDARD.encode(picture.png()?);
    Ok(format!("data:image/png;base64,{text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_spread_and_run_through_the_middle() {
        let (indices, first) = spread([10, 80], 44);
        assert_eq!(indices, [15, 25, 35, 44, 55, 65, 75]);
        assert_eq!(first, 3);
        assert_eq!(spread([0, 0], 0), (vec![0], 0));
        let (indices, first) = spread([0, 2], 1);
        assert_eq!((indices, first), (vec![0, 1, 2], 1));
    }

    #[test]
    fn determinants_keep_their_sign_and_spare_the_code_of_folds() {
        assert_eq!(
            [-2.0, -1.0, 0.0, 1.0, 3.0].map(determinant_code),
            [1, 1, 128, 255, 255]
        );
    }
}
