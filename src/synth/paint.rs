//! The two images of a pair of label maps: intensities, artefacts of the signal, scaling to [0, 1],
//! artefacts of the stored image.

use super::artefact::{Artefact, Site};
use super::config::SynthConfig;
use super::contrast::{self, Sharing};
use super::engine::{Engine, VoxelNoise};
use super::grid::Grid;
use super::seeds::{Seeds, Side, Step};

/// Makes the images of one pair.
pub(super) struct Painter<'a, E> {
    pub engine: &'a E,
    pub config: &'a SynthConfig,
    pub grid: &'a Grid,
    pub seeds: &'a Seeds,
    /// Number of labels, background included.
    pub labels: usize,
}

impl<E: Engine> Painter<'_, E> {
    /// The fixed and the moving image, in [0, 1].
    pub fn images(&self, fixed_labels: &E::Labels, moving_labels: &E::Labels) -> [E::Array; 2] {
        let fixed = self.signal(Side::Fixed, fixed_labels);
        let moving = self.signal(Side::Moving, moving_labels);
        let together = self.config.contrast.pair == Sharing::Shared;
        let [fixed, moving] = self.engine.to_unit([fixed, moving], together);
        [
            self.apply(&Artefact::OF_IMAGE, self.site(Side::Fixed), fixed),
            self.apply(&Artefact::OF_IMAGE, self.site(Side::Moving), moving),
        ]
    }

    fn signal(&self, own: Side, labels: &E::Labels) -> E::Array {
        let site = self.site(own);
        let mut rng = self.seeds.rng(Step::Intensity, site.common, 0);
        let tissues = contrast::draw(&self.config.contrast, self.labels, &mut rng);
        let noise = VoxelNoise::new(self.seeds, Step::Texture, own);
        let painted = self.engine.paint(labels, &tissues, noise);
        self.apply(&Artefact::OF_SIGNAL, site, painted)
    }

    fn site(&self, own: Side) -> Site<'_, E> {
        Site {
            engine: self.engine,
            grid: self.grid,
            seeds: self.seeds,
            own,
            common: self.config.contrast.pair.stream(own),
        }
    }

    fn apply(&self, artefacts: &[Artefact], site: Site<'_, E>, image: E::Array) -> E::Array {
        let next = |image, artefact: &Artefact| artefact.maybe_apply(self.config, &site, image);
        artefacts.iter().fold(image, next)
    }
}
