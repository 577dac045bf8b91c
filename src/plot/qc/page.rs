//! The whole page: panels, letters, captions.

use super::layout::{Layout, MARGIN};
use super::maps::{Maps, middle};
use super::panel::{Outlines, TITLES, panels};
use super::view::{View, views};
use super::{QcInput, QcOptions, bars};
use crate::error::{Error, Result};
use crate::metric::{Folding, folding};
use crate::plot::Picture;
use crate::plot::colour::Rgb;
use crate::plot::text::{Anchor, Text};

/// Near black, so that the images, their differences and the folds stand out.
const GROUND: Rgb = [16, 17, 20];
pub(super) const INK: Rgb = [232, 234, 237];
pub(super) const FAINT: Rgb = [158, 163, 170];
/// Pixels along the longest side of a panel.
pub(super) const PANEL: usize = 280;
const CONVENTION: &str = "radiological display: patient's right on the left";

/// Draws the page.
///
/// Intensities are shown between the 0.5 and 99.5 percentiles of the fixed, and of the moving image
/// (also for the moved one). The Jacobian is on a logarithmic scale about 1; folded voxels count over
/// the whole grid.
///
/// # Errors
/// Something is not on the grid of the field.
pub fn qc_page(input: &QcInput, options: &QcOptions) -> Result<Picture> {
    check(input)?;
    let views = views(&input.field.geometry, middle(input));
    let layout = Layout::new(&views, PANEL);
    let maps = Maps::new(input);
    let outlines = input.labels.map(Outlines::new);
    let folds = folding(input.field, None)?;
    let mut page = Picture::new(layout.width, layout.height, GROUND);
    header(&mut page, &layout, options, &folds)?;
    let mut grid_spacing = 0.0;
    for (row, view) in views.iter().enumerate() {
        let (pictures, spacing) = panels(&maps, outlines.as_ref(), view, layout.panels[row]);
        for (column, picture) in pictures.iter().enumerate() {
            let [x, y] = layout.panel(row, column);
            page.paste(picture, x, y);
        }
        letters(&mut page, &layout, row, view)?;
        if row == 0 {
            grid_spacing = spacing;
        }
    }
    bars::draw(&mut page, &layout, &maps, &folds, grid_spacing)?;
    if let Some(outlines) = outlines {
        bars::caption(&mut page, &layout, 2, outlines.caption())?;
    }
    Ok(page)
}

pub(in crate::plot) fn check(input: &QcInput) -> Result<()> {
    let grid = &input.field.data.shape()[1..];
    let mut given = vec![
        ("fixed image", input.fixed.data.shape()),
        ("moving image", input.moving.data.shape()),
        ("moved image", input.moved.data.shape()),
    ];
    if let Some(labels) = &input.labels {
        given.push(("fixed labels", labels.fixed.data.shape()));
        given.push(("moving labels", labels.moving.data.shape()));
        given.push(("moved labels", labels.moved.data.shape()));
    }
    match given
        .into_iter()
        .find(|(_, shape)| *shape != grid || shape.contains(&0))
    {
        None => Ok(()),
        Some((what, shape)) => Err(Error::invalid(format!(
            "QC picture: {what} {shape:?} and field {grid:?}: shapes must be equal and not empty"
        ))),
    }
}

/// Names, scores, convention, and the titles of the columns.
fn header(page: &mut Picture, layout: &Layout, options: &QcOptions, folds: &Folding) -> Result<()> {
    let (left, right) = (MARGIN as f64, (layout.width - MARGIN) as f64);
    let (quiet, loud) = (Text::new(20.0, FAINT), Text::new(20.0, INK));
    let mut x = left;
    for (role, name) in [
        ("fixed ", &options.fixed_name),
        ("moving ", &options.moving_name),
    ] {
        quiet.draw(page, role, x, 34.0)?;
        x += quiet.width(role)? as f64;
        loud.draw(page, name, x, 34.0)?;
        x += loud.width(name)? as f64 + 36.0;
    }
    Text::new(17.0, INK).draw(page, &scores(options, folds), left, 64.0)?;
    let note = Text::new(16.0, FAINT).align(Anchor::Right);
    note.draw(page, CONVENTION, right, 34.0)?;
    let title = Text::new(17.0, INK).align(Anchor::Centre);
    for (column, name) in TITLES.iter().enumerate() {
        let middle = layout.column(column) as f64 + layout.column_width as f64 / 2.0;
        title.draw(page, name, middle, layout.titles())?;
    }
    Ok(())
}

fn scores(options: &QcOptions, folds: &Folding) -> String {
    let mut parts = Vec::new();
    for (name, score) in [("Dice", options.dice), ("NCC", options.ncc)] {
        parts.extend(score.map(|[before, linear, after]| {
            format!("{name} {before:.3} before, {linear:.3} linear, {after:.3} after")
        }));
    }
    parts.push(format!(
        "folded voxels {} of {}",
        thousands(folds.folded),
        thousands(folds.voxels)
    ));
    parts.push(format!("least determinant {:.2}", folds.least));
    parts.join("     ")
}

/// A whole number with commas between thousands.
fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Name of the slice in the margin, and what lies at the sides of the fixed image.
fn letters(page: &mut Picture, layout: &Layout, row: usize, view: &View) -> Result<()> {
    let [x, y] = layout.panel(row, 0).map(|v| v as f64);
    let [w, h] = layout.panels[row].map(|v| v as f64);
    let axis = ["i", "j", "k"][view.across];
    let name = if view.slices == 1 || h < 110.0 {
        view.name.to_owned()
    } else {
        format!("{} {axis} = {}", view.name, view.slice)
    };
    let margin = Text::new(16.0, FAINT).align(Anchor::Centre).upright();
    margin.draw(page, &name, layout.column(0) as f64 - 16.0, y + h / 2.0)?;
    let letter = Text::new(16.0, INK).align(Anchor::Centre);
    let sides = [
        (view.right.letters[0], x + 11.0, y + h / 2.0),
        (view.right.letters[1], x + w - 11.0, y + h / 2.0),
        (view.down.letters[0], x + w / 2.0, y + 11.0),
        (view.down.letters[1], x + w / 2.0, y + h - 11.0),
    ];
    for (side, x, y) in sides {
        letter.draw_rimmed(page, &side.to_string(), x, y)?;
    }
    Ok(())
}
