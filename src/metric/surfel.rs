//! Area of the surface between voxels, from which voxels around a corner belong to a structure.
//!
//! The 2x2x2 voxels around a corner are cut by marching cubes (Lorensen & Cline 1987) at the middle of
//! their links. Up to turning, mirroring and swapping inside and outside there are 14 patterns; the
//! areas below are those of their polygons, so that surface distances agree with DeepMind's
//! `surface-distance` package, which Learn2Reg and LUMIR use.

use crate::volume::Dimension;
use std::sync::OnceLock;

/// Parts of a surface that share one direction, as the size of their area vector along each axis (for
/// unit spacing).
type Parts = &'static [[f64; 3]];

const E: f64 = 0.125;
const Q: f64 = 0.25;
const H: f64 = 0.5;

/// Code of a pattern (bit `4 x + 2 y + z` is the voxel at `(x, y, z)`) and its surface.
///
/// One voxel is cut off by a triangle of area vector (1/8, 1/8, 1/8): three half links meet at it.
#[rustfmt::skip]
const PATTERNS: [(u8, Parts); 14] = [
    (0b0000_0000, &[]),
    (0b0000_0001, &[[E, E, E]]),                                    // one voxel
    (0b0000_0011, &[[H, H, 0.0]]),                                  // two along z: a roof
    (0b0000_0110, &[[Q, Q, Q]]),                                    // two across a face: two triangles
    (0b1000_0001, &[[Q, Q, Q]]),                                    // two across the cube
    (0b0000_0111, &[[H, 0.0, 0.0], [3.0 * E, 3.0 * E, 3.0 * E]]),   // three of a face
    (0b0001_0110, &[[3.0 * E, 3.0 * E, 3.0 * E]]),                  // three, none linked
    (0b0100_0011, &[[H, H, 0.0], [E, E, E]]),                       // a pair and one apart
    (0b0000_1111, &[[1.0, 0.0, 0.0]]),                              // a face: a plane
    (0b0001_0111, &[[6.0 * E, 6.0 * E, 6.0 * E]]),                  // one with its three links: a hexagon
    (0b0110_1001, &[[H, H, H]]),                                    // four, none linked
    (0b1100_0011, &[[1.0, 1.0, 0.0]]),                              // two pairs along z, apart
    (0b0001_1011, &[[Q, 0.0, Q], [0.0, Q, Q], [H, H, H]]),          // a chain of four
    (0b0001_1110, &[[H, 0.0, 0.0], [H, H, H]]),                     // three of a face and one apart
];

/// Surface area per corner pattern: 256 entries in 3-D, 16 in 2-D (contour length), in the units of
/// `spacing`. 2-D codes use bit `2 x + y`.
pub(super) fn areas(dimension: Dimension, spacing: [f64; 3]) -> Vec<f64> {
    match dimension {
        Dimension::Two => (0..16).map(|code| length(code, spacing)).collect(),
        Dimension::Three => turned_patterns()
            .iter()
            .map(|(parts, turn)| parts.iter().map(|part| area(part, turn, spacing)).sum())
            .collect(),
    }
}

/// Every code as a pattern and the axes along which that pattern's axes lie.
fn turned_patterns() -> &'static [(Parts, [usize; 3])] {
    static TABLE: OnceLock<Vec<(Parts, [usize; 3])>> = OnceLock::new();
    TABLE.get_or_init(|| (0..=255).map(find_pattern).collect())
}

fn find_pattern(code: u8) -> (Parts, [usize; 3]) {
    const TURNS: [[usize; 3]; 6] = [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ];
    for turn in TURNS {
        for mirror in 0..8 {
            let seen = turned(code, turn, mirror);
            for (pattern, parts) in PATTERNS {
                if seen == pattern || seen == !pattern {
                    return (parts, turn);
                }
            }
        }
    }
    unreachable!("the 14 patterns and their images are all 256 codes (tested)")
}

/// The code as seen with axis `a` of the view along axis `turn[a]`, mirrored where `mirror` has a bit.
fn turned(code: u8, turn: [usize; 3], mirror: u8) -> u8 {
    let mut seen = 0;
    for voxel in 0..8_u8 {
        if code >> voxel & 1 == 1 {
            let along = |axis: usize| voxel >> (2 - axis) & 1;
            let place = along(turn[0]) << 2 | along(turn[1]) << 1 | along(turn[2]);
            seen |= 1 << (place ^ mirror);
        }
    }
    seen
}

/// Area vectors scale, along each axis, with the spacing of the two others.
fn area(part: &[f64; 3], turn: &[usize; 3], spacing: [f64; 3]) -> f64 {
    let scaled = |axis: usize| {
        let along = turn[axis];
        part[axis] * spacing[(along + 1) % 3] * spacing[(along + 2) % 3]
    };
    (scaled(0).powi(2) + scaled(1).powi(2) + scaled(2).powi(2)).sqrt()
}

/// Contour through 2x2 pixels: a straight line between halves, else half a diagonal per corner cut.
fn length(code: u8, spacing: [f64; 3]) -> f64 {
    let half_diagonal = 0.5 * spacing[0].hypot(spacing[1]);
    match code {
        0b0000 | 0b1111 => 0.0,
        0b0011 | 0b1100 => spacing[1],
        0b0101 | 0b1010 => spacing[0],
        0b0110 | 0b1001 => 2.0 * half_diagonal,
        _ => half_diagonal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Area per code at spacing (1, 2, 3) mm: every pattern, the asymmetric ones in several
    /// orientations. By the public package, surface-distance 0.1:
    /// `from surface_distance import lookup_tables as t`
    /// `a = t.create_table_neighbour_code_to_surface_area((1, 2, 3)); [(c, a[c]) for c in (..)]; a.sum()`
    /// There bit 7 is the voxel (0, 0, 0), here bit 0: the test reverses the bits.
    const PACKAGE: [(u8, f64); 33] = [
        (1, 0.875),
        (3, 3.3541019662496847),
        (5, 3.1622776601683795),
        (17, 1.8027756377319946),
        (6, 1.75),
        (20, 1.75),
        (36, 1.75),
        (24, 1.75),
        (66, 1.75),
        (7, 5.625),
        (11, 5.625),
        (35, 4.125),
        (42, 3.625),
        (22, 2.625),
        (67, 4.229101966249685),
        (25, 2.677775637731995),
        (70, 2.677775637731995),
        (90, 6.324555320336759),
        (15, 6.0),
        (51, 3.0),
        (85, 2.0),
        (23, 5.25),
        (105, 3.5),
        (60, 6.708203932499369),
        (27, 5.982526648950187),
        (58, 6.758189813209032),
        (114, 5.982526648950187),
        (30, 6.5),
        (75, 6.5),
        (101, 4.5),
        (195, 6.708203932499369),
        (170, 2.0),
        (239, 0.875),
    ];
    const PACKAGE_SUM: f64 = 950.4895895094021;

    #[test]
    fn areas_agree_with_the_surface_distance_package() {
        let found = areas(Dimension::Three, [1.0, 2.0, 3.0]);
        for (code, expected) in PACKAGE {
            let mirrored = u8::reverse_bits(code);
            assert!((found[mirrored as usize] - expected).abs() < 1e-9, "{code}");
        }
        assert!((found.iter().sum::<f64>() - PACKAGE_SUM).abs() < 1e-9);
    }

    #[test]
    fn contours_follow_the_geometry() {
        let found = areas(Dimension::Two, [2.0, 3.0, 9.0]);
        let half = 0.5 * 13.0_f64.sqrt();
        assert_eq!(found[0b0001], half);
        assert_eq!(found[0b0111], half);
        // Pixels (0, 0) and (0, 1) inside: the contour runs along axis 1.
        assert_eq!(found[0b0011], 3.0);
        assert_eq!(found[0b0101], 2.0);
        assert_eq!(found[0b1001], 2.0 * half);
        assert_eq!((found[0], found[15]), (0.0, 0.0));
    }

    #[test]
    fn a_box_has_the_area_of_its_faces_and_cut_edges() {
        // Around a flat face each corner counts one unit of area.
        let found = areas(Dimension::Three, [1.0, 2.0, 3.0]);
        assert_eq!(found[0b0000_1111], 6.0);
        assert_eq!(found[0b0011_0011], 3.0);
        assert_eq!(found[0b0101_0101], 2.0);
    }
}
