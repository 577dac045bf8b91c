//! Which axes span space, and where they lie.

use std::ops::Range;

use nalgebra::{DMatrix, DVector, Matrix3, Vector3};

use super::super::Affine;
use super::super::format::{numbers, quoted};
use super::super::placement::Placement;
use super::super::raw::{Intent, Layout};
use super::header::Header;

/// What the axes of the array are.
pub(super) struct Axes {
    /// Sizes with the axes of space first, as [`RawVolume`](super::super::raw::RawVolume) wants them.
    pub shape: Vec<usize>,
    pub affine: Affine,
    pub intent: Intent,
    pub layout: Layout,
}

impl Axes {
    pub fn of(header: &Header) -> Result<Self, String> {
        let sizes = header.sizes()?;
        let directions = directions(header, sizes.len())?;
        let spatial = spatial(header, &directions, sizes.len())?;
        let affine = affine(header, &directions, spatial.clone())?;
        let mut shape = sizes[spatial.clone()].to_vec();
        let values: usize = sizes[..spatial.start].iter().product();
        if spatial.start == 0 {
            if spatial.end < sizes.len() {
                shape.resize(3, 1);
            }
            shape.extend(&sizes[spatial.end..]);
            return Ok(Self {
                shape,
                affine,
                intent: Intent::Image,
                layout: Layout::FirstFastest,
            });
        }
        if spatial.end < sizes.len() {
            return Err("axes that are no axes of space before and after those of space".into());
        }
        shape.resize(4, 1);
        shape.push(values);
        let intent = if values == 1 {
            Intent::Image
        } else {
            Intent::Channels
        };
        Ok(Self {
            shape,
            affine,
            intent,
            layout: Layout::ChannelsFastest,
        })
    }
}

/// One direction an axis, as far as the header has them; `none` becomes `None`.
fn directions(header: &Header, axes: usize) -> Result<Vec<Option<Vec<f64>>>, String> {
    let Some(text) = header.get("space directions") else {
        return Ok(vec![None; axes]);
    };
    let mut found = Vec::new();
    // Vectors may have blanks after their commas.
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (item, after) = match rest.strip_prefix('(') {
            Some(inside) => inside
                .split_once(')')
                .ok_or_else(|| wrong("space directions", text))?,
            None => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
        };
        found.push(match item {
            "none" => None,
            _ => Some(vector("space directions", item)?),
        });
        rest = after.trim_start();
    }
    if found.len() != axes {
        return Err(format!("{} space directions for {axes} axes", found.len()));
    }
    Ok(found)
}

fn vector(field: &str, text: &str) -> Result<Vec<f64>, String> {
    let inside = text
        .trim()
        .trim_start_matches('(')
        .trim_end_matches(')')
        .replace(',', " ");
    match numbers(&inside) {
        Ok(values) if (2..=4).contains(&values.len()) && values.iter().all(|v| v.is_finite()) => {
            Ok(values)
        }
        _ => Err(wrong(field, text)),
    }
}

fn wrong(field: &str, text: &str) -> String {
    format!(
        "{field}: {} is not made of vectors such as (1,0,0)",
        quoted(text)
    )
}

/// The axes of space, which must lie side by side.
fn spatial(
    header: &Header,
    directions: &[Option<Vec<f64>>],
    axes: usize,
) -> Result<Range<usize>, String> {
    let is_spatial: Vec<bool> = match header.get("kinds") {
        _ if directions.iter().any(Option::is_some) => {
            directions.iter().map(Option::is_some).collect()
        }
        Some(kinds) => kinds
            .split_whitespace()
            .map(|k| matches!(k, "domain" | "space" | "???" | "none"))
            .collect(),
        None => vec![true; axes],
    };
    let start = is_spatial.iter().position(|&s| s).unwrap_or(axes);
    let count = is_spatial[start.min(is_spatial.len())..]
        .iter()
        .take_while(|&&s| s)
        .count();
    let all = is_spatial.iter().filter(|&&s| s).count();
    if is_spatial.len() != axes || count != all || !(2..=axes).contains(&count) {
        return Err(format!(
            "{all} axes of space among {axes}; expected two or three side by side"
        ));
    }
    // A fourth axis of space is one of time, as ITK writes it.
    Ok(start..start + count.min(3))
}

/// The place of the axes of space in RAS mm.
fn affine(
    header: &Header,
    directions: &[Option<Vec<f64>>],
    spatial: Range<usize>,
) -> Result<Affine, String> {
    let given = directions[spatial.clone()].iter().map(Option::as_ref);
    let Some(given) = given.collect::<Option<Vec<&Vec<f64>>>>() else {
        return spaced(header, directions.len(), spatial);
    };
    let dimension = given[0].len().min(3);
    if given.iter().any(|v| v.len() != given[0].len()) {
        return Err("space directions of different lengths".into());
    }
    let to_ras = to_ras(header)?;
    let mut linear = Matrix3::identity();
    for (axis, direction) in given.iter().enumerate() {
        for row in 0..dimension {
            linear[(row, axis)] = direction[row];
        }
    }
    if given.len() == 2 && dimension == 3 {
        let normal = linear.column(0).cross(&linear.column(1));
        let normal = normal
            .try_normalize(0.0)
            .ok_or("space directions are parallel")?;
        linear.set_column(2, &normal);
    }
    let mut origin = Vector3::zeros();
    if let Some(text) = header.get("space origin") {
        let values = vector("space origin", text)?;
        if values.len() != given[0].len() {
            return Err(wrong("space origin", text));
        }
        origin
            .rows_mut(0, dimension)
            .copy_from_slice(&values[..dimension]);
    }
    let affine = Affine::from_parts(to_ras * linear, to_ras * origin);
    Affine::checked(affine.0).map_err(|problem| format!("placement {problem}"))
}

/// From the space of the header to RAS.
fn to_ras(header: &Header) -> Result<Matrix3<f64>, String> {
    let name = header
        .get("space")
        .unwrap_or("left-posterior-superior")
        .to_ascii_lowercase();
    let signs = match name.trim_end_matches("-time") {
        "left-posterior-superior" | "lps" | "lpst" => [-1.0, -1.0, 1.0],
        "right-anterior-superior" | "ras" | "rast" => [1.0, 1.0, 1.0],
        "left-anterior-superior" | "las" | "last" => [-1.0, 1.0, 1.0],
        _ => {
            let shown = quoted(&name);
            return Err(format!(
                "space {shown} is not one of a patient; use left-posterior-superior"
            ));
        }
    };
    Ok(Matrix3::from_diagonal(&Vector3::from(signs)))
}

/// An image without directions: axes along LPS, the first voxel at the origin; a size that is not known (NaN) is 1.
fn spaced(header: &Header, axes: usize, spatial: Range<usize>) -> Result<Affine, String> {
    let stored = header.get("spacings").map(numbers).transpose()?;
    let stored = stored.unwrap_or_else(|| vec![1.0; axes]);
    if stored.len() != axes {
        return Err(format!("{} spacings for {axes} axes", stored.len()));
    }
    let known = |size: &f64| if size.is_nan() { 1.0 } else { *size };
    let spacing: Vec<f64> = stored[spatial].iter().map(known).collect();
    let axes = spacing.len();
    let placement = Placement {
        directions: DMatrix::identity(axes, axes),
        spacing,
        origin: DVector::zeros(axes),
    };
    placement.affine()
}
