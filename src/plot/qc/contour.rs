//! Outlines of labels, smooth at any magnification.

use super::view::View;
use crate::plot::Picture;
use crate::plot::colour::{Rgb, structure};
use crate::volume::resample::vote;
use nalgebra::Vector3;
use ndarray::Array3;
use std::collections::BTreeMap;

/// A number per label, which gives it the same colour in every panel.
pub(in crate::plot) struct Palette {
    numbers: BTreeMap<i32, usize>,
}

impl Palette {
    /// Numbers in ascending order of the labels that occur in any of the maps.
    pub fn of(maps: &[&Array3<i32>]) -> Self {
        let mut numbers = BTreeMap::new();
        for &label in maps.iter().flat_map(|map| map.iter()) {
            numbers.entry(label).or_insert(0);
        }
        numbers.remove(&0);
        for (index, number) in numbers.values_mut().enumerate() {
            *number = index;
        }
        Self { numbers }
    }

    /// How many structures there are.
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// From 0; `None` for the background.
    pub fn number(&self, label: i32) -> Option<usize> {
        self.numbers.get(&label).copied()
    }
}

/// Draws the inner rim of every label; `only` overrides the colours of the palette.
pub(super) fn draw(
    panel: &mut Picture,
    view: &View,
    labels: &Array3<i32>,
    palette: &Palette,
    only: Option<Rgb>,
) {
    let size = [panel.width, panel.height];
    trace(view, size, labels, palette, |x, y, number, alpha| {
        let colour = only.unwrap_or_else(|| structure(number));
        panel.blend(x as isize, y as isize, colour, alpha);
    });
}

/// Finds the inner rim of every label: `paint` gets each of its pixels, the number of the structure, and how much of
/// the pixel it covers (0..1).
pub(in crate::plot) fn trace(
    view: &View,
    [w, h]: [usize; 2],
    labels: &Array3<i32>,
    palette: &Palette,
    mut paint: impl FnMut(usize, usize, usize, f64),
) {
    let at: Vec<i32> = (0..w * h)
        .map(|pixel| {
            let (x, y) = ((pixel % w) as f64 + 0.5, (pixel / w) as f64 + 0.5);
            label_at(labels, view.place(x / w as f64, y / h as f64))
        })
        .collect();
    for y in 0..h {
        for x in 0..w {
            let here = at[y * w + x];
            let Some(number) = palette.number(here) else {
                continue;
            };
            // Two pixels wide: the nearest neighbours whole, the diagonal ones as a soft edge.
            let differs = |dx: isize, dy: isize| {
                let (Some(x), Some(y)) = (x.checked_add_signed(dx), y.checked_add_signed(dy))
                else {
                    return false;
                };
                x < w && y < h && at[y * w + x] != here
            };
            let beside = [(1, 0), (-1, 0), (0, 1), (0, -1)]
                .iter()
                .any(|d| differs(d.0, d.1));
            let near = [(1, 1), (-1, 1), (1, -1), (-1, -1)]
                .iter()
                .any(|d| differs(d.0, d.1));
            let alpha = if beside {
                0.95
            } else if near {
                0.5
            } else {
                continue;
            };
            paint(x, y, number, alpha);
        }
    }
}

/// The label with the largest share of the voxels around a place of the slice.
fn label_at(labels: &Array3<i32>, place: [f64; 3]) -> i32 {
    let last = Vector3::from_fn(|axis, _| labels.shape()[axis] as f64 - 1.0);
    let clamped = Vector3::from(place).zip_map(&last, |x, last| x.clamp(0.0, last));
    vote(&labels.view(), clamped)
}
