//! Registering the images of a study linearly, each once.

use nalgebra::Matrix4;
use rayon::prelude::*;

use super::item::Loaded;
use super::listing::Listing;
use super::problems::Problems;
use crate::error::Error;
use crate::linear::{Masked, Settings, register};

/// Finds the affine map of every image from the world of one reference: the atlas if there is one, else an image of the
/// first training subject. Two images meet through both of their maps.
pub(super) fn to_reference(
    listing: &Listing,
    loaded: &mut [Option<Loaded>],
    problems: &mut Problems,
) {
    let reference = listing.reference;
    let Some(fixed) = loaded.get(reference).and_then(Option::as_ref) else {
        return;
    };
    let fixed = fixed.prepared.image.clone();
    let found: Vec<_> = loaded
        .par_iter()
        .enumerate()
        .map(|(number, loaded)| {
            // Images of another dimension are reported by the grid of the study.
            let comparable = |loaded: &&Loaded| {
                let dimension = loaded.prepared.image.geometry.dimension;
                number != reference && dimension == fixed.geometry.dimension
            };
            let Some(loaded) = loaded.as_ref().filter(comparable) else {
                return Ok(Matrix4::identity());
            };
            let [fixed, moving] =
                [&fixed, &loaded.prepared.image].map(|image| Masked { image, mask: None });
            register(fixed, moving, &Settings::default()).map(|found| found.matrix)
        })
        .collect();
    for ((entry, loaded), found) in listing.entries.iter().zip(loaded).zip(found) {
        let found = found.map_err(|error| {
            let reference = &listing.entries[reference].id;
            Error::file(
                &entry.image,
                format!("linear registration to {reference}: {error}"),
            )
        });
        if let (Some(loaded), Some(matrix)) = (loaded, problems.keep(found)) {
            loaded.from_reference = matrix;
        }
    }
}
