//! Rows of labelled structures.

use super::{Options, Pair, PairResult};
use crate::error::Result;
use crate::metric::{Metric, SurfaceDistances, average_ssd, overlaps, surface_distances};
use crate::volume::{Image, LabelMap};
use ndarray::Array3;

/// Overlap and distance of every structure before and after.
pub(super) fn structure_rows(
    pair: &Pair,
    options: &Options,
    labels: (&LabelMap, &LabelMap),
    moved: &LabelMap,
    moved_image: Option<&Image>,
) -> Result<Vec<PairResult>> {
    let (fixed, moving) = (&labels.0.data, &labels.1.data);
    let wanted = match &options.labels {
        Some(labels) => labels.clone(),
        None => overlaps(fixed, moving, None)?
            .iter()
            .map(|o| o.label)
            .collect(),
    };
    let mut rows = Rows {
        pair,
        options,
        rows: Vec::new(),
    };
    if options.protocol.challenge() {
        rows.challenge(&wanted, fixed, moving, &moved.data)?;
    } else {
        rows.overlap(&wanted, fixed, moving, &moved.data)?;
        rows.distance(&wanted, fixed, moving, &moved.data)?;
        if let (Some((fixed_image, moving_image)), Some(moved)) = (pair.images, moved_image) {
            let before = average_ssd(fixed, &fixed_image.data, &moving_image.data)?;
            let after = average_ssd(fixed, &fixed_image.data, &moved.data)?;
            for label in wanted {
                let of = |side: &std::collections::BTreeMap<i32, f64>| {
                    side.get(&label).copied().unwrap_or(f64::NAN)
                };
                rows.push(label, Metric::AverageSsd, of(&before), of(&after));
            }
        }
    }
    Ok(rows.rows)
}

struct Rows<'a> {
    pair: &'a Pair<'a>,
    options: &'a Options,
    rows: Vec<PairResult>,
}

type Labels = Array3<i32>;

impl Rows<'_> {
    fn push(&mut self, label: i32, metric: Metric, before: f64, after: f64) {
        let name = match self.options.names.get(&label) {
            Some(name) => name.clone(),
            None => label.to_string(),
        };
        self.rows.push(PairResult::new(
            self.pair,
            name,
            metric,
            Some(before),
            Some(after),
        ));
    }

    fn overlap(&mut self, wanted: &[i32], f: &Labels, m: &Labels, moved: &Labels) -> Result<()> {
        let before = overlaps(f, m, Some(wanted))?;
        let after = overlaps(f, moved, Some(wanted))?;
        for (b, a) in before.iter().zip(&after) {
            self.push(b.label, Metric::Dice, b.dice(), a.dice());
            self.push(b.label, Metric::Jaccard, b.jaccard(), a.jaccard());
            self.push(
                b.label,
                Metric::AbsoluteVolumeDifference,
                b.absolute_volume_difference(),
                a.absolute_volume_difference(),
            );
        }
        Ok(())
    }

    fn distance(&mut self, wanted: &[i32], f: &Labels, m: &Labels, moved: &Labels) -> Result<()> {
        let spacing = self.pair.field.geometry.spacing();
        let before = self.surfaces(wanted, f, m, spacing)?;
        let after = self.surfaces(wanted, f, moved, spacing)?;
        for (b, a) in before.iter().zip(&after) {
            self.push(b.label, Metric::Hd95, b.hausdorff(95.0), a.hausdorff(95.0));
            self.push(b.label, Metric::MeanSurfaceDistance, b.mean(), a.mean());
        }
        Ok(())
    }

    /// Dice and HD95 in voxels; `NaN` where the fixed or the unmoved moving map lacks a structure.
    fn challenge(&mut self, wanted: &[i32], f: &Labels, m: &Labels, moved: &Labels) -> Result<()> {
        let before = overlaps(f, m, Some(wanted))?;
        let after = overlaps(f, moved, Some(wanted))?;
        let known = |index: usize, value: f64| {
            let sizes = &before[index];
            if sizes.fixed > 0 && sizes.moved > 0 {
                value
            } else {
                f64::NAN
            }
        };
        for (index, label) in wanted.iter().enumerate() {
            let [b, a] = [&before, &after].map(|side| known(index, side[index].dice()));
            self.push(*label, Metric::Dice, b, a);
        }
        let one = [1.0; 3];
        let sides = [
            self.surfaces(wanted, f, m, one)?,
            self.surfaces(wanted, f, moved, one)?,
        ];
        for (index, label) in wanted.iter().enumerate() {
            let [b, a] = sides
                .each_ref()
                .map(|side| known(index, side[index].hausdorff(95.0)));
            self.push(*label, Metric::Hd95Voxels, b, a);
        }
        Ok(())
    }

    fn surfaces(
        &self,
        wanted: &[i32],
        fixed: &Labels,
        moved: &Labels,
        spacing: [f64; 3],
    ) -> Result<Vec<SurfaceDistances>> {
        let dimension = self.pair.field.geometry.dimension;
        surface_distances(fixed, moved, Some(wanted), spacing, dimension)
    }
}
