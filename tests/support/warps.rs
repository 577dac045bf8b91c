//! Cases of the spatial transformer.

use hmorph::ops::{self, Border, reference};

use super::{Case, Input, random};

/// Displacements of up to 3 voxels, at least 0.1 from a whole number: there the gradient jumps, and rounding
/// would decide on which side a device falls.
fn flow(seed: u64, shape: [usize; 5]) -> Input {
    let mut field = random(seed, shape);
    for value in &mut field.values {
        let whole = (*value * 3.0).floor();
        let fraction = *value * 3.0 - whole;
        *value = whole + 0.1 + 0.8 * fraction;
    }
    field
}

/// Displacements of up to 3 whole voxels: positions are exact, so that all devices are on the same side where the gradient
/// jumps, and some samples lie on the edges.
fn whole_flow(seed: u64, shape: [usize; 5]) -> Input {
    let mut field = random(seed, shape);
    for value in &mut field.values {
        *value = (*value * 3.0).round();
    }
    field
}

/// [`flow`] with some displacements that are no numbers, infinite, or as long as finite ones can be.
fn wild_flow(seed: u64, shape: [usize; 5]) -> Input {
    let wild = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 3e38, -3e38];
    let mut field = flow(seed, shape);
    for (n, value) in field.values.iter_mut().step_by(7).enumerate() {
        *value = wild[n % wild.len()];
    }
    field
}

pub fn warps() -> Vec<Case> {
    let case = |border: Border, image: [usize; 5], name: &str, field: Input| {
        let grid = field.shape;
        Case::new(
            format!("warp of {image:?} by {name} of {grid:?}, {border:?}"),
            vec![random(4, image), field],
            move |x| ops::warp(x[0].clone(), x[1].clone(), border),
            move |x| reference::warp(x[0].clone(), x[1].clone(), border),
        )
    };
    let (flat, solid) = ([2, 2, 1, 16, 12], [2, 2, 8, 9, 10]);
    let (along_flat, along_solid) = ([2, 2, 1, 16, 12], [2, 3, 8, 9, 10]);
    let mut all = Vec::new();
    for border in [Border::Zeros, Border::Edge] {
        all.push(case(border, flat, "a field", flow(5, along_flat)));
        all.push(case(border, solid, "a field", flow(5, along_solid)));
        let (whole, wild) = (whole_flow(22, along_solid), wild_flow(23, along_solid));
        all.push(case(border, solid, "whole voxels", whole));
        all.push(case(border, solid, "a wild field", wild));
    }
    // The grid of the result is the field's, not the image's.
    let other = flow(5, [1, 3, 5, 12, 7]);
    all.push(case(Border::Zeros, [1, 1, 8, 9, 10], "a field", other));
    all
}
