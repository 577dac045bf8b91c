//! Which way the voxel axes of a grid point in the patient, and how a slice is laid on the page.

use crate::volume::{Affine, Dimension, Geometry, axis_codes};

/// A voxel axis as it runs on the page.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::plot) struct Along {
    /// Voxel axis: 0, 1, 2 for i, j, k.
    pub axis: usize,
    /// Its index falls to the right (or downwards) on the page.
    pub flipped: bool,
    pub voxels: usize,
    pub spacing: f64,
    /// What lies at the left (upper) and the right (lower) end: one of R L A P S I.
    pub letters: [char; 2],
}

impl Along {
    pub fn millimetres(&self) -> f64 {
        self.voxels as f64 * self.spacing
    }

    /// Index between voxels at a share (0..1) of the way along the page.
    pub fn index(&self, share: f64) -> f64 {
        let share = if self.flipped { 1.0 - share } else { share };
        share * self.voxels as f64 - 0.5
    }
}

/// A slice on the page.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::plot) struct View {
    pub name: &'static str,
    pub right: Along,
    pub down: Along,
    /// Voxel axis across the slice, the index on it, and how many slices there are.
    pub across: usize,
    pub slice: usize,
    pub slices: usize,
}

impl View {
    /// Voxel position of a place (shares of width and height, 0..1) in the slice.
    pub fn place(&self, x: f64, y: f64) -> [f64; 3] {
        let mut place = [self.slice as f64; 3];
        place[self.right.axis] = self.right.index(x);
        place[self.down.axis] = self.down.index(y);
        place
    }
}

/// Axial, coronal and sagittal slices through a voxel, right and anterior on the left; in 2-D the one plane.
pub(in crate::plot) fn views(geometry: &Geometry, through: [usize; 3]) -> Vec<View> {
    let axes = world_axes(&geometry.affine);
    // World axes to the right and down, and across.
    let planes = [
        ("axial", 0, 1, 2),
        ("coronal", 0, 2, 1),
        ("sagittal", 1, 2, 0),
    ];
    planes
        .into_iter()
        .filter(|plane| match geometry.dimension {
            Dimension::Three => true,
            Dimension::Two => axes[2].0 == plane.3,
        })
        .map(|(name, right, down, across)| {
            let across = voxel_axis(&axes, across);
            View {
                name,
                right: along(geometry, &axes, right),
                down: along(geometry, &axes, down),
                across,
                slice: through[across].min(geometry.shape[across] - 1),
                slices: geometry.shape[across],
            }
        })
        .collect()
}

/// For each voxel axis the world axis nearest to it and whether it runs that way.
fn world_axes(affine: &Affine) -> [(usize, bool); 3] {
    let mut axes = [(0, true), (1, true), (2, true)];
    // With an affine that says nothing, the axes as they are.
    if affine.spacing().iter().all(|size| size.is_normal()) {
        for (axis, code) in axes.iter_mut().zip(axis_codes(affine).chars()) {
            let world = ["RL", "AP", "SI"]
                .iter()
                .position(|ends| ends.contains(code));
            *axis = (world.unwrap_or(axis.0), "RAS".contains(code));
        }
    }
    axes
}

fn voxel_axis(axes: &[(usize, bool); 3], world: usize) -> usize {
    axes.iter()
        .position(|axis| axis.0 == world)
        .unwrap_or(world)
}

/// From the positive to the negative end of the world axis.
fn along(geometry: &Geometry, axes: &[(usize, bool); 3], world: usize) -> Along {
    let axis = voxel_axis(axes, world);
    let spacing = geometry.spacing()[axis];
    Along {
        axis,
        flipped: axes[axis].1,
        voxels: geometry.shape[axis],
        // A header that says nothing must not hide the picture.
        spacing: if spacing.is_normal() { spacing } else { 1.0 },
        letters: [['R', 'L'], ['A', 'P'], ['S', 'I']][world],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::Matrix4;

    fn geometry(columns: [[f64; 3]; 3], shape: [usize; 3], dimension: Dimension) -> Geometry {
        let mut matrix = Matrix4::identity();
        for (axis, column) in columns.iter().enumerate() {
            for (world, value) in column.iter().enumerate() {
                matrix[(world, axis)] = *value;
            }
        }
        Geometry::new(shape, dimension, Affine(matrix))
    }

    #[test]
    fn a_ras_grid_is_flipped_for_the_radiologist() {
        let grid = geometry(
            [[2.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 3.0]],
            [10, 20, 30],
            Dimension::Three,
        );
        let seen = views(&grid, [4, 5, 6]);
        let names: Vec<_> = seen.iter().map(|v| (v.name, v.across, v.slice)).collect();
        assert_eq!(
            names,
            [("axial", 2, 6), ("coronal", 1, 5), ("sagittal", 0, 4)]
        );
        // Top left of the axial slice: right, anterior = last i, last j.
        assert_eq!(seen[0].place(0.0, 0.0), [9.5, 19.5, 6.0]);
        assert_eq!(seen[0].right.letters, ['R', 'L']);
        assert_eq!(seen[0].right.millimetres(), 20.0);
        // Top left of the sagittal slice: anterior, superior.
        assert_eq!(seen[2].place(0.0, 0.0), [4.0, 19.5, 29.5]);
        assert_eq!(seen[2].right.letters, ['A', 'P']);
    }

    #[test]
    fn axes_are_found_in_a_turned_and_oblique_grid() {
        // LIA, as FreeSurfer: i to the left, j down, k forward; turned by some 10 degrees.
        let (c, s) = (0.98, 0.19);
        let grid = geometry(
            [[-c, s, 0.0], [0.0, 0.0, -1.0], [s, c, 0.0]],
            [4, 5, 6],
            Dimension::Three,
        );
        let seen = views(&grid, [0; 3]);
        assert_eq!(
            (seen[0].right.axis, seen[0].down.axis, seen[0].across),
            (0, 2, 1)
        );
        // i already runs from right to left, j from superior to inferior, k towards anterior.
        assert!(!seen[0].right.flipped && seen[0].down.flipped && !seen[1].down.flipped);
    }

    #[test]
    fn a_slice_is_shown_in_its_plane_and_a_bare_affine_does_no_harm() {
        let flat = [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]];
        let seen = views(&geometry(flat, [7, 9, 1], Dimension::Two), [0; 3]);
        assert_eq!(seen.len(), 1);
        assert_eq!((seen[0].name, seen[0].across), ("coronal", 2));
        let nothing = geometry([[0.0; 3]; 3], [7, 9, 3], Dimension::Three);
        let seen = views(&nothing, [9; 3]);
        assert_eq!(seen.len(), 3);
        assert_eq!((seen[0].right.spacing, seen[0].slice), (1.0, 2));
    }
}
