//! A set of synthetic pairs on disk: images, labels, true fields, the list of pairs, a preview.

use std::path::Path;

use image::ImageFormat;

use super::config::SynthConfig;
use super::labels::LabelSource;
use super::pair::{SynthPair, make_pair};
use super::preview::{PreviewRow, preview_sheet};
use crate::error::{Error, Result};
use crate::volume::{
    DType, DisplacementField, Geometry, Volume, write_atomically, write_field, write_image,
    write_labels, write_text,
};

/// Pairs shown on the preview sheet.
const PREVIEWED: usize = 8;

/// Which pairs to write.
#[derive(Debug, Clone)]
pub struct SynthSet<'a> {
    pub config: &'a SynthConfig,
    pub source: &'a LabelSource,
    /// Grid of all images; label maps must be on it.
    pub geometry: Geometry,
    pub seed: u64,
    /// Pairs `0..count` are written.
    pub count: usize,
}

impl SynthSet<'_> {
    /// Pair `index` of the set.
    pub fn pair(&self, index: usize) -> Result<SynthPair> {
        let Geometry {
            shape, dimension, ..
        } = self.geometry;
        make_pair(
            self.config,
            self.source,
            dimension,
            shape,
            self.seed,
            index as u64,
        )
    }

    /// Writes the set into `folder`, which is made if need be; existing files of the same names are
    /// replaced. `report` is called with the number of pairs written so far, and may end the work with an error.
    ///
    /// Each pair has a folder `pair-NNNN` with `fixed`, `moving`, `fixed_labels`, `moving_labels` and
    /// `true_field` (`.nii.gz`; the field as every field: LPS millimetres). Beside them: `pairs.csv`,
    /// whose paths are relative to `folder`; `preview.png`; `synth.toml`, the settings under `[synth]`.
    ///
    /// # Errors
    /// As [`make_pair`], before anything is written, refusals of the operating system, and those of `report`.
    pub fn write(&self, folder: &Path, mut report: impl FnMut(usize) -> Result<()>) -> Result<()> {
        if self.count == 0 {
            return Err(Error::invalid(
                "synth: expected a count of at least 1 pair, found 0",
            ));
        }
        let mut rows = Vec::new();
        let mut previews = Vec::new();
        for index in 0..self.count {
            let pair = self.pair(index)?;
            let name = format!("pair-{index:04}");
            make_folder(&folder.join(&name))?;
            previews.extend((index < PREVIEWED).then(|| PreviewRow::new(&pair)));
            self.write_pair(&folder.join(&name), pair, index)?;
            rows.push(name);
            report(index + 1)?;
        }
        self.write_settings(&folder.join("synth.toml"))?;
        write_preview(&folder.join("preview.png"), &previews)?;
        write_list(&folder.join("pairs.csv"), &rows)
    }

    fn write_pair(&self, folder: &Path, pair: SynthPair, index: usize) -> Result<()> {
        let note = format!(
            "synthetic: hmorph {} seed {} pair {index}",
            version(),
            self.seed
        );
        let file = |name: &str| folder.join(format!("{name}.nii.gz"));
        let geometry = &self.geometry;
        for (name, data) in [("fixed", pair.fixed), ("moving", pair.moving)] {
            let image = Volume {
                data,
                geometry: geometry.clone(),
            };
            write_image(file(name), &image, DType::F32, &note)?;
        }
        for (name, data) in [
            ("fixed_labels", pair.fixed_labels),
            ("moving_labels", pair.moving_labels),
        ] {
            let labels = Volume {
                data,
                geometry: geometry.clone(),
            };
            write_labels(file(name), &labels, &note)?;
        }
        let field = DisplacementField {
            data: pair.field,
            geometry: geometry.clone(),
        };
        write_field(file("true_field"), &field, &note)
    }

    fn write_settings(&self, path: &Path) -> Result<()> {
        let mut table = toml::Table::new();
        let config = toml::Value::try_from(self.config)
            .map_err(|e| Error::file(path, format!("settings cannot be written: {e}")))?;
        table.insert("synth".into(), config);
        let text = format!(
            "# hmorph {}: {} pairs of {:?} voxels, seed {}\n{table}",
            version(),
            self.count,
            self.geometry.shape,
            self.seed
        );
        write_text(path, &text)
    }
}

fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

fn make_folder(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))
}

fn write_preview(path: &Path, rows: &[PreviewRow]) -> Result<()> {
    let sheet = preview_sheet(rows);
    write_atomically(path, |out| {
        let encoded = sheet.write_to(out, ImageFormat::Png);
        encoded.map_err(std::io::Error::other)
    })
}

/// The columns that `hmorph eval --pairs` reads.
fn write_list(path: &Path, names: &[String]) -> Result<()> {
    write_atomically(path, |out| {
        let mut table = csv::Writer::from_writer(out);
        table.write_record(["fixed", "moving", "fixed_labels", "moving_labels", "id"])?;
        for name in names {
            let file = |part: &str| format!("{name}/{part}.nii.gz");
            let files = ["fixed", "moving", "fixed_labels", "moving_labels"].map(file);
            table.write_record(files.iter().chain([name]))?;
        }
        table.flush()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::{Affine, Dimension, read_field, read_image, read_labels};

    #[test]
    fn what_is_written_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("made/here");
        let config = SynthConfig::default();
        for (dimension, shape) in [
            (Dimension::Two, [24, 20, 1]),
            (Dimension::Three, [12, 16, 10]),
        ] {
            let set = SynthSet {
                config: &config,
                source: &LabelSource::Shapes,
                geometry: Geometry::new(shape, dimension, Affine::from_spacing([2.0, 1.5, 1.0])),
                seed: 3,
                count: 2,
            };
            let mut reported = Vec::new();
            set.write(&out, |n| {
                reported.push(n);
                Ok(())
            })
            .unwrap();
            assert_eq!(reported, [1, 2]);
            let pair = set.pair(1).unwrap();
            let file = |name: &str| out.join(format!("pair-0001/{name}.nii.gz"));
            let moving = read_image(file("moving")).unwrap();
            assert_eq!(moving.data, pair.moving);
            assert_eq!(moving.geometry, set.geometry);
            assert_eq!(
                read_labels(file("fixed_labels")).unwrap().data,
                pair.fixed_labels
            );
            let field = read_field(file("true_field")).unwrap();
            // Through millimetres and back in float32; displacements are below 20 voxels.
            let close = field
                .data
                .iter()
                .zip(&pair.field)
                .all(|(a, b)| (a - b).abs() < 1e-4);
            assert!(close && field.data.dim() == pair.field.dim());
        }
    }

    #[test]
    fn lists_settings_and_preview_stand_beside_the_pairs() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = SynthConfig::default();
        config.blur.prob = 0.25;
        let shape = [20, 24, 1];
        let set = SynthSet {
            config: &config,
            source: &LabelSource::Shapes,
            geometry: Geometry::new(shape, Dimension::Two, Affine::identity()),
            seed: 0,
            count: 1,
        };
        set.write(folder.path(), |_| Ok(())).unwrap();
        let text = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(
            text("pairs.csv"),
            "fixed,moving,fixed_labels,moving_labels,id\n\
             pair-0000/fixed.nii.gz,pair-0000/moving.nii.gz,pair-0000/fixed_labels.nii.gz,\
             pair-0000/moving_labels.nii.gz,pair-0000\n"
        );
        let table: toml::Table = toml::from_str(&text("synth.toml")).unwrap();
        let read: SynthConfig = table["synth"].clone().try_into().unwrap();
        assert_eq!(read, config);
        let preview = image::open(folder.path().join("preview.png")).unwrap();
        // Five tiles of 20 x 24 voxels, enlarged 6 times, 4 pixels apart.
        assert_eq!((preview.width(), preview.height()), (5 * 120 + 16, 144));
    }

    #[test]
    fn no_pairs_or_bad_settings_write_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("new");
        let mut config = SynthConfig::default();
        let geometry = Geometry::new([20, 24, 1], Dimension::Two, Affine::identity());
        let write = |config: &SynthConfig, count| {
            let set = SynthSet {
                config,
                source: &LabelSource::Shapes,
                geometry: geometry.clone(),
                seed: 0,
                count,
            };
            set.write(&out, |_| Ok(())).unwrap_err().to_string()
        };
        assert!(write(&config, 0).contains("at least 1"));
        config.crop.prob = 7.0;
        assert!(write(&config, 1).contains("crop.prob"));
        assert!(!out.exists());
    }
}
