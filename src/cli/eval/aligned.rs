//! A registered pair on the fixed grid: all that is measured.

use ndarray::Array3;

use super::EvalArgs;
use super::landmarks::Points;
use super::listed::Solution;
use crate::cli::pairs::{Row, of_both};
use crate::cli::scan::ScanFile;
use crate::dataset::stem;
use crate::device::peak_memory_bytes;
use crate::error::Result;
use crate::eval::{Evaluation, Moved, Options, Pair, Protocol, evaluate_pair};
use crate::register::{Transform, counted, pull_image, pull_labels};
use crate::volume::resample::{Interpolation, LabelInterpolation, Outside};
use crate::volume::{Affine, Image, LabelMap, SeriesKind};

/// Images, labels and landmarks of a pair, and the voxels that count.
pub struct Aligned {
    images: Views<Image>,
    labels: Option<Views<LabelMap>>,
    points: Option<Points>,
    /// Of the moving scan's file.
    moving_spacing: [f64; 3],
    /// Before and after: what is measured before must not depend on the transform that is judged.
    masks: [Option<Array3<bool>>; 2],
    /// What is to be said where landmarks are left out.
    pub note: Option<String>,
    /// LUMIR's mask.
    foreground: Option<Array3<bool>>,
}

impl Aligned {
    /// # Errors
    /// Labels and landmarks that cannot be read or do not belong to the scans.
    pub fn new(
        args: &EvalArgs,
        row: &Row,
        scans: [&ScanFile; 2],
        solution: &Solution,
    ) -> anyhow::Result<Self> {
        let [fixed, moving] = scans;
        let labels = match of_both(&row.labels) {
            None => None,
            Some([f, m]) => Some(Views::labels(
                fixed.labels(&f)?,
                &moving.labels(&m)?,
                solution,
                args.label_interpolation.into(),
            )?),
        };
        let (points, note) = match of_both(&row.points) {
            None => (None, None),
            Some(files) => {
                let (points, note) = Points::read(args, &files, scans, solution)?;
                (Some(points), note)
            }
        };
        // The challenges ask for the mask of the fixed scan alone.
        let of_moving = moving.mask.as_ref();
        let of_moving = of_moving.filter(|_| !args.protocol.challenge());
        let masks = [fixed.mask.as_ref(), of_moving];
        let within = |transform: &Transform| {
            counted(masks, fixed.geometry(), std::slice::from_ref(transform))
        };
        Ok(Self {
            images: Views::images(scans, solution, args.protocol)?,
            labels,
            points,
            moving_spacing: moving.own_grid().spacing(),
            note,
            masks: [
                within(&Transform::Affine(solution.linear))?,
                within(&solution.complete)?,
            ],
            foreground: match args.protocol {
                Protocol::Lumir => Some(foreground(scans, solution)?),
                Protocol::Hmorph | Protocol::Learn2reg => None,
            },
        })
    }

    /// Measures the pair.
    ///
    /// # Errors
    /// Those of the measures.
    pub fn evaluate(
        &self,
        row: &Row,
        solution: &Solution,
        options: &Options,
    ) -> Result<Evaluation> {
        let (images, labels) = (&self.images, self.labels.as_ref());
        // The challenges move labels that lie on the fixed grid already, by their own rules.
        let moved = match options.protocol {
            Protocol::Hmorph => Moved {
                image: Some(&images.moved),
                labels: labels.map(|l| &l.moved),
            },
            Protocol::Learn2reg | Protocol::Lumir => Moved::default(),
        };
        let [mask_before, mask] = self.masks.each_ref().map(Option::as_ref);
        let [fixed, moving] = [&row.fixed, &row.moving].map(|path| stem(path));
        let pair = Pair {
            images: Some((&images.fixed, &images.moving)),
            labels: labels.map(|l| (&l.fixed, &l.moving)),
            landmarks: self.points.as_ref().map(Points::landmarks),
            moved,
            landmark_affine: Some(Affine(solution.linear * images.fixed.geometry.affine.0)),
            moving_spacing: Some(self.moving_spacing),
            mask,
            mask_before,
            foreground: self.foreground.as_ref(),
            seconds: solution.seconds,
            peak_memory: solution.seconds.and_then(|_| peak_memory_bytes()),
            ..Pair::new(&row.id, &fixed, &moving, &solution.deformation)
        };
        evaluate_pair(&pair, options)
    }

    /// The moving image before and after, not a number where it does not count: so a population leaves it out.
    pub fn into_counted(self) -> [Image; 2] {
        let mut images = [self.images.moving, self.images.moved];
        for (image, mask) in images.iter_mut().zip(&self.masks) {
            if let Some(mask) = mask {
                image.data.zip_mut_with(mask, |value, &counts| {
                    if !counts {
                        *value = f32::NAN;
                    }
                });
            }
        }
        images
    }
}

/// Where the moving scan as it is on file is above 0, by the nearest voxel: nothing blurs the bound, nor does a normalisation
/// move it.
fn foreground([fixed, moving]: [&ScanFile; 2], solution: &Solution) -> Result<Array3<bool>> {
    let start = [Transform::Affine(solution.linear)];
    let grid = fixed.geometry();
    let (channels, kind) = moving.content();
    let mut above = Array3::from_elem(grid.shape, false);
    for channel in without_alpha(channels, &kind) {
        let (how, outside) = (Interpolation::Nearest, Outside::Value(0.0));
        let there = pull_image(channel, grid, &start, how, outside)?;
        above.zip_mut_with(&there.data, |above, &value| *above |= value > 0.0);
    }
    Ok(above)
}

/// Opacity is above 0 wherever anything is, and says nothing of intensities.
fn without_alpha<'a>(channels: &'a [Image], kind: &SeriesKind) -> &'a [Image] {
    match (kind, channels) {
        (SeriesKind::Colour, [grey, _]) => std::slice::from_ref(grey),
        (SeriesKind::Colour, [colours @ .., _]) if colours.len() == 3 => colours,
        _ => channels,
    }
}

/// Fixed; moving after the linear part alone; moved: all on the fixed grid.
pub struct Views<T> {
    pub fixed: T,
    pub moving: T,
    pub moved: T,
}

impl Views<Image> {
    /// Where the moving scan does not reach, nothing is compared, but in the challenges.
    fn images(
        [fixed, moving]: [&ScanFile; 2],
        solution: &Solution,
        protocol: Protocol,
    ) -> anyhow::Result<Self> {
        let outside = Outside::Value(match protocol {
            Protocol::Hmorph => f32::NAN,
            Protocol::Learn2reg | Protocol::Lumir => 0.0,
        });
        let (mut target, mut source) = (fixed.image.clone(), moving.image.clone());
        let normaliser = &solution.normaliser;
        normaliser.apply_within(&mut target, fixed.mask.as_ref())?;
        normaliser.apply_within(&mut source, moving.mask.as_ref())?;
        let pull = |transform: Transform| {
            pull_image(
                &source,
                fixed.geometry(),
                &[transform],
                Interpolation::Linear,
                outside,
            )
        };
        Ok(Self {
            moving: pull(Transform::Affine(solution.linear))?,
            moved: pull(solution.complete.clone())?,
            fixed: target,
        })
    }
}

impl Views<LabelMap> {
    fn labels(
        fixed: LabelMap,
        moving: &LabelMap,
        solution: &Solution,
        between: LabelInterpolation,
    ) -> anyhow::Result<Self> {
        let pull =
            |transform: Transform| pull_labels(moving, &fixed.geometry, &[transform], between);
        Ok(Self {
            moving: pull(Transform::Affine(solution.linear))?,
            moved: pull(solution.complete.clone())?,
            fixed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::{Dimension, Geometry};

    #[test]
    fn only_colours_have_opacity() {
        let geometry = Geometry::new([1; 3], Dimension::Two, Affine::identity());
        let data = Array3::zeros(geometry.shape);
        let channels = vec![Image { data, geometry }; 4];
        let kept = |count: usize, kind| without_alpha(&channels[..count], kind).len();
        let colours = [1, 2, 3, 4].map(|count| kept(count, &SeriesKind::Colour));
        assert_eq!(colours, [1, 1, 3, 3]);
        assert_eq!(kept(1, &SeriesKind::SINGLE), 1);
    }
}
