//! Series whose volumes are made while they are written.

use hmorph::error::{Error, Result};
use hmorph::volume::{self, DType, Image, SeriesKind};

use crate::formats::numbered;
use crate::golden;

#[test]
fn a_volume_that_cannot_be_made_leaves_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let kind = SeriesKind::Frames {
        sizes: vec![2],
        step: None,
    };
    for name in ["a.nii.gz", "a.mha", "a.mhd", "a.nrrd", "a.nhdr", "a.mgz"] {
        let path = folder.path().join(name);
        let original = numbered();
        volume::write_image(&path, &original, DType::F32, "").unwrap();
        let volumes: [Result<Image>; 2] = [
            Ok(original.map(|_| 0.0)),
            Err(Error::invalid("no second volume")),
        ];
        let head = (&original.geometry, &kind);
        let written =
            volume::write_volumes(&path, head, DType::F32, "", volumes.into_iter()).unwrap_err();
        assert_eq!(written.to_string(), "no second volume", "{name}");
        let kept = volume::read_image(&path).unwrap();
        assert_eq!(kept.data, original.data, "{name}");
    }
}

#[test]
fn a_volume_is_not_made_for_a_format_that_cannot_hold_it() {
    let folder = tempfile::tempdir().unwrap();
    let plane = volume::read_image(golden("plane.mha")).unwrap();
    for (name, dtype, part) in [
        ("a.png", DType::I16, "PNG has no int16"),
        ("a.mgz", DType::F64, "MGH has no float64"),
        ("a.mha", DType::F16, "MetaImage has no float16"),
    ] {
        let volumes = [()]
            .into_iter()
            .map(|()| -> Result<Image> { unreachable!("the type is refused before") });
        let head = (&plane.geometry, &SeriesKind::SINGLE);
        let path = folder.path().join(name);
        let error = volume::write_volumes(&path, head, dtype, "", volumes).unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    }
}
