//! Colour bars and the captions beside them.

use super::layout::Layout;
use super::maps::Maps;
use super::page::{FAINT, INK};
use crate::error::Result;
use crate::metric::Folding;
use crate::plot::Picture;
use crate::plot::colour::{FOLD, diverging};
use crate::plot::text::{Anchor, Text};

const HEIGHT: usize = 10;
const SIZE: f64 = 15.0;

/// Bars under the two differences, the grid and the Jacobian.
pub(super) fn draw(
    page: &mut Picture,
    layout: &Layout,
    maps: &Maps,
    folds: &Folding,
    grid_spacing: f64,
) -> Result<()> {
    let top = layout.bars();
    let both = layout.column(4) + layout.column_width - layout.column(3);
    let range = maps.difference_range;
    let ticks = [
        (-1.0, format!("−{range:.1}")),
        (0.0, "0".into()),
        (1.0, format!("+{range:.1}")),
    ];
    bar(page, [layout.column(3), top], both, &ticks)?;
    let scale = "moving or moved − fixed, each image scaled to 0..1";
    let centred = Text::new(SIZE, FAINT).align(Anchor::Centre);
    let middle = layout.column(3) as f64 + both as f64 / 2.0;
    centred.draw(page, scale, middle, top as f64 + 50.0)?;

    let every = format!("a line every {} mm", short(grid_spacing));
    caption(page, layout, 5, &every)?;

    let range = maps.determinant_range;
    let ticks = [
        (-1.0, short(1.0 / range)),
        (0.0, "1".into()),
        (1.0, short(range)),
    ];
    bar(page, [layout.column(6), top], layout.column_width, &ticks)?;
    legend(page, layout, folds, top)
}

/// A line of text under a column.
pub(super) fn caption(
    page: &mut Picture,
    layout: &Layout,
    column: usize,
    text: &str,
) -> Result<()> {
    let middle = layout.column(column) as f64 + layout.column_width as f64 / 2.0;
    let centred = Text::new(SIZE, FAINT).align(Anchor::Centre);
    centred.draw(page, text, middle, layout.bars() as f64 + 5.0)
}

/// The colour of folds and how many there are.
fn legend(page: &mut Picture, layout: &Layout, folds: &Folding, top: usize) -> Result<()> {
    let x = layout.column(6);
    page.fill(x, top + 45, 12, 12, FOLD);
    let text = format!("folded: {:.3} %", folds.percent());
    Text::new(SIZE, INK).draw(page, &text, x as f64 + 20.0, top as f64 + 50.5)
}

fn bar(
    page: &mut Picture,
    [x, y]: [usize; 2],
    width: usize,
    ticks: &[(f64, String); 3],
) -> Result<()> {
    for column in 0..width {
        let value = 2.0 * (column as f64 + 0.5) / width as f64 - 1.0;
        page.fill(x + column, y, 1, HEIGHT, diverging(value));
    }
    for (value, label) in ticks {
        let share = (value + 1.0) / 2.0;
        let align = match share {
            0.0 => Anchor::Left,
            1.0 => Anchor::Right,
            _ => Anchor::Centre,
        };
        let place = x as f64 + share * width as f64;
        let text = Text::new(SIZE, INK).align(align);
        text.draw(page, label, place, y as f64 + 24.0)?;
    }
    Ok(())
}

/// Up to two decimals, none where not needed.
fn short(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
