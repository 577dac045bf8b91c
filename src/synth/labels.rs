//! Where the label map of a pair comes from: random shapes, or maps given by the caller.

use rand::RngExt;
use rayon::prelude::*;

use super::config::SynthConfig;
use super::engine::Engine;
use super::grid::Grid;
use super::seeds::{Seeds, Side, Step};
use super::shapes;
use crate::error::{Error, Result};
use crate::volume::{Dimension, Geometry, LabelMap, distinct_labels};

/// Places in a list of labels, of which the first is background.
const MOST_LABELS: usize = u16::MAX as usize;

/// What the label map of a synthetic pair is.
#[derive(Debug, Clone, Default)]
pub enum LabelSource {
    /// New random shapes for every pair.
    #[default]
    Shapes,
    /// One of these maps, all on the grid of the pairs.
    Maps(Vec<GivenMap>),
}

/// A label map ready to be drawn: labels replaced by their place in a list.
#[derive(Debug, Clone)]
pub struct GivenMap {
    /// By which messages name it: its file, or its image.
    name: String,
    geometry: Geometry,
    index: Vec<u16>,
    /// Numbers of the labels; place 0 is always background.
    ids: Vec<i32>,
}

impl LabelSource {
    /// Label maps of any numbers, of which 0 is background, each with its name for messages.
    ///
    /// # Errors
    /// A map that holds no labels but intensities.
    pub fn of_maps(maps: &[(String, LabelMap)]) -> Result<Self> {
        let given = maps.par_iter().map(|(name, map)| GivenMap::new(name, map));
        Ok(Self::Maps(given.collect::<Result<_>>()?))
    }

    /// Finds what would otherwise be found when a map's turn comes.
    ///
    /// # Errors
    /// A map that is not on the pairs' grid of `shape` `(i, j, k)`.
    pub fn check(&self, dimension: Dimension, shape: [usize; 3]) -> Result<()> {
        let Self::Maps(maps) = self else {
            return Ok(());
        };
        maps.iter()
            .try_for_each(|map| map.check_grid(dimension, shape))
    }

    /// The label map of the pair that `seeds` stands for, and the number of the label at each place.
    pub(super) fn draw<E: Engine>(
        &self,
        engine: &E,
        config: &SynthConfig,
        grid: &Grid,
        seeds: &Seeds,
    ) -> Result<(E::Labels, Vec<i32>)> {
        match self {
            Self::Shapes => {
                let labels = shapes::label_map(engine, &config.shapes, grid, seeds);
                Ok((labels, (0..config.shapes.labels as i32).collect()))
            }
            Self::Maps(maps) if maps.is_empty() => Err(Error::invalid(
                "synth: the list of label maps is empty; name at least one, or use shapes",
            )),
            Self::Maps(maps) => {
                let pick = seeds
                    .rng(Step::Source, Side::Fixed, 0)
                    .random_range(0..maps.len());
                let map = &maps[pick];
                map.check_grid(grid.dimension, grid.array_shape())?;
                Ok((engine.labels(&map.index, grid), map.ids.clone()))
            }
        }
    }
}

impl GivenMap {
    fn new(name: &str, map: &LabelMap) -> Result<Self> {
        let mut ids = vec![0];
        ids.extend(distinct_labels(&map.data));
        if ids.len() > MOST_LABELS {
            return Err(Error::invalid(format!(
                "synth: label map {name} has {} different values, expected at most {MOST_LABELS}; is it an image, not \
                 labels?",
                ids.len()
            )));
        }
        let mut previous = (0, 0);
        let place = |&id: &i32| {
            // Neighbours mostly share a label: look it up only where it changes.
            if id != previous.0 {
                let at = ids[1..].binary_search(&id).map_or(0, |at| at as u16 + 1);
                previous = (id, at);
            }
            previous.1
        };
        let index = map.data.iter().map(place).collect();
        Ok(Self {
            name: name.into(),
            geometry: map.geometry.clone(),
            index,
            ids,
        })
    }

    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    fn check_grid(&self, dimension: Dimension, expected: [usize; 3]) -> Result<()> {
        let found = &self.geometry;
        if found.shape == expected && found.dimension == dimension {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "synth: label map {} has shape {:?} ({}-D), the pairs {expected:?} ({}-D); \
             pad or crop the map to the pairs' grid first",
            self.name,
            found.shape,
            found.dimension.axes(),
            dimension.axes()
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::Host;
    use crate::volume::Affine;
    use ndarray::Array3;

    fn map(shape: [usize; 3], values: Vec<i32>) -> LabelMap {
        LabelMap {
            data: Array3::from_shape_vec(shape, values).expect("shape fits"),
            geometry: Geometry::new(shape, Dimension::Two, Affine::identity()),
        }
    }

    #[test]
    fn labels_become_places_with_background_first() {
        let map = map([2, 4, 1], vec![17, 17, 0, -5, 1002, 0, 0, 17]);
        let indexed = GivenMap::new("m", &map).unwrap();
        assert_eq!(indexed.ids, [0, -5, 17, 1002]);
        assert_eq!(indexed.index, [2, 2, 0, 1, 3, 0, 0, 2]);
    }

    #[test]
    fn a_map_off_the_grid_is_refused_by_name() {
        let odd = map([4, 5, 1], vec![0; 20]);
        let source = LabelSource::of_maps(&[("maps/odd.nii".into(), odd)]).unwrap();
        let grid = Grid::new(Dimension::Two, [4, 6, 1], 0.0).unwrap();
        let config = SynthConfig::default();
        let error = source
            .draw(&Host, &config, &grid, &Seeds::new(0, 0))
            .err()
            .unwrap();
        let before = source.check(Dimension::Two, [4, 6, 1]).err().unwrap();
        for text in [error.to_string(), before.to_string()] {
            assert!(
                text.contains("label map maps/odd.nii has") && text.contains("[4, 5, 1]"),
                "{text}"
            );
        }
        source.check(Dimension::Two, [4, 5, 1]).unwrap();
    }

    #[test]
    fn an_image_given_for_labels_is_refused_by_name() {
        let shape = [300, 240, 1];
        let image = |values: i32| map(shape, (0..72_000).map(|n| n % values).collect());
        let error = |values| LabelSource::of_maps(&[("maps/t1.nii".into(), image(values))]).err();
        assert!(error(65_535).is_none());
        let text = error(70_000).unwrap().to_string();
        let expected = "label map maps/t1.nii has 70000 different values, expected at most 65535;";
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn an_empty_list_is_refused() {
        let grid = Grid::new(Dimension::Two, [4, 6, 1], 0.0).unwrap();
        let config = SynthConfig::default();
        let draw = LabelSource::Maps(vec![]).draw(&Host, &config, &grid, &Seeds::new(0, 0));
        assert!(draw.err().unwrap().to_string().contains("empty"));
    }
}
