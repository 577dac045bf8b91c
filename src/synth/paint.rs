//! The two images of a pair of label maps: intensities, artefacts of the signal, scaling to [0, 1],
//! artefacts of the stored image.

use rayon::prelude::*;

use super::artefact::{Artefact, Site};
use super::config::SynthConfig;
use super::contrast::{self, Sharing};
use super::grid::{CHUNK, Grid};
use super::seeds::{Seeds, Side, Step};

/// Makes the images of one pair.
pub(super) struct Painter<'a> {
    pub config: &'a SynthConfig,
    pub grid: &'a Grid,
    pub seeds: &'a Seeds,
    /// Number of labels, background included.
    pub labels: usize,
}

impl Painter<'_> {
    /// The fixed and the moving image, in [0, 1].
    pub fn images(&self, fixed_labels: &[u16], moving_labels: &[u16]) -> [Vec<f32>; 2] {
        let fixed = self.signal(Side::Fixed, fixed_labels);
        let moving = self.signal(Side::Moving, moving_labels);
        let [fixed, moving] = scale_to_unit(fixed, moving, self.config.contrast.pair);
        [
            self.apply(&Artefact::OF_IMAGE, self.site(Side::Fixed), fixed),
            self.apply(&Artefact::OF_IMAGE, self.site(Side::Moving), moving),
        ]
    }

    fn signal(&self, own: Side, labels: &[u16]) -> Vec<f32> {
        let site = self.site(own);
        let mut rng = self.seeds.rng(Step::Intensity, site.common, 0);
        let tissues = contrast::draw(&self.config.contrast, self.labels, &mut rng);
        let painted = contrast::paint(labels, &tissues, self.seeds, own);
        self.apply(&Artefact::OF_SIGNAL, site, painted)
    }

    fn site(&self, own: Side) -> Site<'_> {
        Site {
            grid: self.grid,
            seeds: self.seeds,
            own,
            common: self.config.contrast.pair.stream(own),
        }
    }

    fn apply(&self, artefacts: &[Artefact], site: Site<'_>, image: Vec<f32>) -> Vec<f32> {
        let next = |image, artefact: &Artefact| artefact.maybe_apply(self.config, site, image);
        artefacts.iter().fold(image, next)
    }
}

/// Clips to [0, 1], then stretches to the whole of it: both images alike if they share their contrast.
fn scale_to_unit(fixed: Vec<f32>, moving: Vec<f32>, sharing: Sharing) -> [Vec<f32>; 2] {
    let (a, b) = (clipped_range(&fixed), clipped_range(&moving));
    let (a, b) = match sharing {
        Sharing::Shared => (widest(a, b), widest(a, b)),
        Sharing::Independent => (a, b),
    };
    [stretch(fixed, a), stretch(moving, b)]
}

/// Lowest and highest value.
type Extremes = (f32, f32);

fn widest(a: Extremes, b: Extremes) -> Extremes {
    (a.0.min(b.0), a.1.max(b.1))
}

fn clipped_range(image: &[f32]) -> Extremes {
    let of_chunk = |chunk: &[f32]| {
        let values = chunk.iter().map(|v| v.clamp(0.0, 1.0));
        values.fold((1.0, 0.0), |range, v| widest(range, (v, v)))
    };
    image
        .par_chunks(CHUNK)
        .map(of_chunk)
        .reduce(|| (1.0, 0.0), widest)
}

fn stretch(mut image: Vec<f32>, (low, high): Extremes) -> Vec<f32> {
    // An image of one intensity becomes dark rather than being divided by zero.
    let scale = if high > low { 1.0 / (high - low) } else { 0.0 };
    image.par_chunks_mut(CHUNK).for_each(|chunk| {
        for v in chunk {
            *v = ((v.clamp(low, high) - low) * scale).min(1.0);
        }
    });
    image
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scaling_clips_first_and_is_common_only_when_shared() {
        let images = || (vec![-0.5, 0.25, 0.5], vec![0.5, 0.75, 1.5]);
        let (fixed, moving) = images();
        assert_eq!(
            scale_to_unit(fixed, moving, Sharing::Shared),
            [vec![0.0, 0.25, 0.5], vec![0.5, 0.75, 1.0]]
        );
        let (fixed, moving) = images();
        assert_eq!(
            scale_to_unit(fixed, moving, Sharing::Independent),
            [vec![0.0, 0.5, 1.0], vec![0.0, 0.5, 1.0]]
        );
    }

    #[test]
    fn a_constant_image_becomes_dark() {
        let flat = || vec![0.4; 5];
        let scaled = scale_to_unit(flat(), flat(), Sharing::Independent);
        assert_eq!(scaled, [vec![0.0; 5], vec![0.0; 5]]);
    }
}
