//! Options that an evaluation would do nothing with.

use std::path::Path;

use anyhow::bail;

use super::EvalArgs;
use crate::cli::options::given;

/// Where the transforms that are judged come from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Origin<'a> {
    /// The network, on held-out pairs as a training configuration prepares them.
    HeldOut,
    /// The registration of the scans of a list.
    Scans,
    /// Files that a column of this list names.
    Column(&'a Path),
    /// Files of a folder.
    Folder,
}

impl EvalArgs {
    /// # Errors
    /// An option that nothing would come of.
    pub(super) fn check_unused(&self, origin: Origin) -> anyhow::Result<()> {
        let units = ("--field-units", self.field_units.is_some());
        let model = ("--model", self.model.model.is_some());
        let normalize = ("--normalize", self.model.normalize.is_some());
        let registration = self.model.registration();
        let (unused, reason) = match origin {
            Origin::HeldOut => (
                [
                    registration,
                    self.reading.given(),
                    given([normalize, units]),
                ]
                .concat(),
                "--data has the network alone register images as the configuration prepares them"
                    .into(),
            ),
            Origin::Scans => (
                given([units]),
                "there are no transforms on file (--transforms, or a column transform)".into(),
            ),
            Origin::Column(list) => (
                [given([model]), registration].concat(),
                format!("{}: its column transform is judged", list.display()),
            ),
            Origin::Folder => (
                [given([model]), registration].concat(),
                "the files of --transforms are judged".into(),
            ),
        };
        match unused.first() {
            None => Ok(()),
            Some(name) => bail!("{reason}, so {name} would do nothing; leave it out"),
        }
    }
}
