//! The label maps that a run makes synthetic pairs of.

use crate::config::{LabelOrigin, RunConfig};
use crate::dataset::{Dataset, Split};
use crate::error::{Error, Result};
use crate::synth::LabelSource;
use crate::volume::{Dimension, LabelMap, axis_codes, centre_fit, read_labels};

/// The source that `[synth_labels]` names, with maps on a grid of `shape` if they come from files.
pub(super) fn label_source(
    config: &RunConfig,
    dataset: Option<&Dataset>,
    shape: [usize; 3],
) -> Result<LabelSource> {
    let maps = match (&config.synth_labels.source, dataset) {
        (LabelOrigin::Shapes, _) => return Ok(LabelSource::Shapes),
        (LabelOrigin::Data, Some(dataset)) => dataset.label_maps(Split::Train),
        (LabelOrigin::Data, None) => {
            return Err(Error::invalid(
                "[synth_labels] source = \"data\" needs the labels of a [data] section",
            ));
        }
        (LabelOrigin::Files(pattern), _) => read_label_maps(pattern, shape)?,
    };
    if maps.is_empty() {
        return Err(none_found(&config.synth_labels.source));
    }
    check_dimension(&maps, config.model.dimension)?;
    // Those of the data are turned and resampled as its settings say.
    if let LabelOrigin::Files(_) = config.synth_labels.source {
        check_headers(&maps)?;
    }
    LabelSource::of_maps(&maps)
}

/// A source without a single map.
fn none_found(source: &LabelOrigin) -> Error {
    Error::invalid(match source {
        LabelOrigin::Files(pattern) => format!(
            "[synth_labels] no label map found: no file matches source = {pattern:?}, expected a pattern of label files, \
             seen from the working folder, such as maps/*.nii.gz; or set source = \"shapes\""
        ),
        _ => "[synth_labels] no label map found: source is \"data\", but no training image has labels; name label maps \
              in the manifest or by data.labels, or set source = \"shapes\""
            .into(),
    })
}

fn check_dimension(maps: &[(String, LabelMap)], dimension: Dimension) -> Result<()> {
    let mut maps = maps.iter();
    match maps.find(|(_, map)| map.geometry.dimension != dimension) {
        None => Ok(()),
        Some((name, map)) => Err(Error::invalid(format!(
            "[synth_labels] label map {name} is {}-D, but [model] dimension is {}-D; set model.dimension, or name other \
             maps",
            map.geometry.dimension.axes(),
            dimension.axes()
        ))),
    }
}

/// Largest difference of voxel sizes, as part of them, that counts as none.
const SAME_SPACING: f64 = 0.01;

/// All pairs have the header of the first map, and a model should not see anatomy turned or squeezed: refuses maps that differ
/// from it in axis directions or voxel size.
fn check_headers(maps: &[(String, LabelMap)]) -> Result<()> {
    let header = |map: &LabelMap| {
        let grid = &map.geometry;
        let axes = grid.dimension.axes();
        let codes = axis_codes(&grid.affine)[..axes].to_string();
        (codes, grid.spacing()[..axes].to_vec())
    };
    let Some(((first, map), others)) = maps.split_first() else {
        return Ok(());
    };
    let (codes, spacing) = header(map);
    for (name, map) in others {
        let (found, sizes) = header(map);
        let near = |(a, b): (&f64, &f64)| (a - b).abs() <= SAME_SPACING * b;
        if found != codes || !sizes.iter().zip(&spacing).all(near) {
            return Err(Error::invalid(format!(
                "[synth_labels] label map {name} is stored {found} in voxels of {sizes:.3?} mm; expected {codes} and \
                 {spacing:.3?} mm as of {first}, whose header the pairs get: turn and resample the maps to one grid, or \
                 name maps that agree"
            )));
        }
    }
    Ok(())
}

/// Every map that matches, with its path.
fn read_label_maps(pattern: &str, shape: [usize; 3]) -> Result<Vec<(String, LabelMap)>> {
    let paths = glob::glob(pattern).map_err(|e| {
        Error::invalid(format!(
            "[synth_labels] source = {pattern:?} is no pattern: {e}"
        ))
    })?;
    paths
        .map(|path| {
            let path = path.map_err(|e| {
                let path = e.path().to_owned();
                Error::io(&path, e.into())
            })?;
            let map: LabelMap = read_labels(&path)?;
            Ok((path.display().to_string(), centre_fit(&map, shape, 0)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::{Affine, Geometry, write_labels};
    use nalgebra::{Matrix3, Vector3};
    use ndarray::Array3;

    /// A map with steps of so many mm along the world's axes.
    fn map(dimension: Dimension, steps: [f64; 3]) -> LabelMap {
        let linear = Matrix3::from_diagonal(&Vector3::from(steps));
        let affine = Affine::from_parts(linear, Vector3::new(5.0, 6.0, 7.0));
        LabelMap {
            data: Array3::zeros((2, 2, 1)),
            geometry: Geometry::new([2, 2, 1], dimension, affine),
        }
    }

    #[test]
    fn maps_of_another_header_than_the_first_are_refused() {
        let refusal = |dimension, other| {
            let steps = [[1.0, 1.0, 2.0], [1.0, 1.0, 2.0], other];
            let names = ["a.nii", "b.nii", "c.nii"].map(String::from);
            let maps = steps.map(|steps| map(dimension, steps));
            let maps: Vec<_> = names.into_iter().zip(maps).collect();
            check_headers(&maps).err().map(|error| error.to_string())
        };
        let (two, three) = (Dimension::Two, Dimension::Three);
        assert_eq!(refusal(three, [1.009, 1.0, 1.981]), None);
        let coarse = refusal(three, [1.0, 1.0, 2.03]).unwrap();
        for part in [
            "label map c.nii is stored RAS in voxels of [1.000, 1.000, 2.030] mm",
            "expected RAS and [1.000, 1.000, 2.000] mm as of a.nii",
        ] {
            assert!(coarse.contains(part), "{coarse}");
        }
        let turned = refusal(three, [-1.0, 1.0, 2.0]).unwrap();
        assert!(turned.contains("c.nii is stored LAS"), "{turned}");
        // Of a slice, neither the thickness nor the direction across it shows.
        assert_eq!(refusal(two, [1.0, 1.0, -5.0]), None);
        assert!(refusal(two, [1.0, -1.0, 2.0]).is_some());
    }

    #[test]
    fn files_of_several_headers_make_no_pairs() {
        let folder = tempfile::tempdir().unwrap();
        for (name, step) in [("a.nii", 1.0), ("b.nii", 2.0)] {
            let map = map(Dimension::Two, [step; 3]);
            write_labels(folder.path().join(name), &map, "").unwrap();
        }
        let mut config = RunConfig::default();
        config.model.dimension = Dimension::Two;
        let pattern = format!("{}/*.nii", folder.path().display());
        config.synth_labels.source = LabelOrigin::Files(pattern);
        let error = label_source(&config, None, [2, 2, 1]).err().unwrap();
        let text = error.to_string();
        assert!(
            text.contains("b.nii is stored RA in voxels of [2.000, 2.000] mm"),
            "{text}"
        );
    }

    #[test]
    fn a_source_without_maps_says_which_it_is() {
        let of_files = none_found(&LabelOrigin::Files("maps/*.nii".into())).to_string();
        assert!(
            of_files.contains("no file matches source = \"maps/*.nii\""),
            "{of_files}"
        );
        let of_data = none_found(&LabelOrigin::Data).to_string();
        assert!(
            of_data.contains("no training image has labels"),
            "{of_data}"
        );
    }
}
