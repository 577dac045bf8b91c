//! The images of a training configuration, and which of them are held out.

use std::path::Path;

use anyhow::{Context, bail, ensure};

use crate::config::{RunConfig, overridden};
use crate::dataset::DataConfig;
use crate::eval::Protocol;
use crate::train::SPLIT;
use crate::volume::intensity::Normalisation;

/// Settings that divide subjects into splits.
const DIVIDING: [&str; 3] = ["data.split", "data.split_seed", "data.n_train"];

/// The images that are evaluated: those that the overrides name, else those of the split that the run of these settings wrote
/// beside them, else those of the settings. Divided again, subjects of a run would change places wherever images were added or
/// removed since, and training subjects would be tested.
///
/// # Errors
/// Settings without images; overrides that nothing would come of.
pub(super) fn images(
    name: &str,
    settings: RunConfig,
    overrides: &[String],
    protocol: Protocol,
) -> anyhow::Result<DataConfig> {
    let data = settings.data;
    let data = data.with_context(|| format!("{name}: no [data] section, so no held-out pairs"))?;
    check_foreground(name, protocol, &data.normalize)?;
    let keys: Vec<String> = overrides.iter().map(|text| overridden(text)).collect();
    let named = |key: &str| keys.iter().any(|given| given == key);
    // What is named goes before what the configuration names.
    let data = match (named("data.manifest"), named("data.images")) {
        (true, false) => DataConfig {
            images: None,
            labels: data.labels.filter(|_| named("data.labels")),
            ..data
        },
        (false, true) => DataConfig {
            manifest: None,
            ..data
        },
        _ => data,
    };
    let split = Path::new(name).with_file_name(SPLIT);
    let of_run = Path::new(name).is_file() && split.is_file();
    let own = ["data", "data.manifest", "data.images", "data.labels"];
    if !of_run || own.iter().any(|key| named(key)) {
        return Ok(data);
    }
    if let Some(key) = DIVIDING.into_iter().find(|key| named(key)) {
        bail!(
            "--set {key}: {} has the split of the run, so this would do nothing; leave it out, or name images by data.manifest",
            split.display()
        );
    }
    Ok(DataConfig {
        manifest: Some(split),
        images: None,
        labels: None,
        n_train: None,
        ..data
    })
}

/// LUMIR masks by the voxels above 0 of the moving image as it is on file, which normalised intensities do not tell.
fn check_foreground(
    name: &str,
    protocol: Protocol,
    normalize: &Normalisation,
) -> anyhow::Result<()> {
    ensure!(
        protocol != Protocol::Lumir || *normalize == Normalisation::None {},
        "{name}: data.normalize changes which voxels of moving images are above 0, the mask of --protocol lumir; list the \
         pairs in a table (--pairs)"
    );
    Ok(())
}
