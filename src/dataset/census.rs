//! What a run could measure itself by, found without reading an image.

use super::config::DataConfig;
use super::listing::Listing;
use super::problems::Problems;
use super::split::{self, Split};
use super::verify;
use crate::error::Result;

/// Numbers of pairs that can be held out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldOutPairs {
    pub validation: usize,
    pub test: usize,
}

impl HeldOutPairs {
    /// Counts them in the splits that [`super::Dataset::load`] would make.
    ///
    /// # Errors
    /// One report of what is wrong with the settings, the list of images and its splits; files are not looked for.
    pub fn count(config: &DataConfig) -> Result<Self> {
        let mut problems = Problems::default();
        config.check(&mut problems);
        let entries = verify::entries(config, &mut problems);
        let splits = split::assign(&entries, config, &mut problems);
        let listing = Listing::new(config, &entries, &splits, &Split::USED, &mut problems);
        problems.into_result()?;
        let [_, validation, test] = &listing.groups;
        let [validation, test] = [validation, test].map(|group| group.all(&listing.pairing).len());
        Ok(Self { validation, test })
    }
}
