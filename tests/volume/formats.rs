//! MetaImage and NRRD: files of SimpleITK, variants written here by hand, what is written, and what is refused.

use std::path::{Path, PathBuf};

use hmorph::volume::{
    self, Affine, DType, Dimension, Endian, FrameStep, Geometry, Image, Series, SeriesKind,
};
use nalgebra::{Matrix3, Vector3};
use ndarray::Array3;

use crate::{golden, linear};

/// 20 i + 5 j + k on the golden grid.
pub fn numbered() -> Image {
    let affine = Affine::from_parts(linear(), Vector3::new(10.0, -20.0, 30.0));
    Image {
        data: Array3::from_shape_fn((3, 4, 5), |(i, j, k)| (20 * i + 5 * j + k) as f32),
        geometry: Geometry::new([3, 4, 5], Dimension::Three, affine),
    }
}

fn assert_same(found: &Image, expected: &Image, what: &str) {
    assert_eq!(found.data, expected.data, "{what}");
    assert_eq!(
        found.geometry.dimension, expected.geometry.dimension,
        "{what}"
    );
    let difference = (found.geometry.affine.0 - expected.geometry.affine.0).amax();
    assert!(difference < 1e-9, "{what}: {difference}");
}

#[test]
fn files_of_itk_give_values_and_places() {
    for name in [
        "oblique.mha",
        "plain.mha",
        "oblique.mhd",
        "oblique.nrrd",
        "oblique.nhdr",
    ] {
        let image = volume::read_image(golden(name)).unwrap();
        assert_same(&image, &numbered(), name);
    }
}

#[test]
fn planes_of_itk_lie_at_height_zero() {
    for name in ["plane.mha", "plane.nrrd"] {
        let image = volume::read_image(golden(name)).unwrap();
        assert_eq!(
            (image.geometry.dimension, image.geometry.shape),
            (Dimension::Two, [3, 4, 1])
        );
        assert_eq!(image.data[[2, 3, 0]], 55.0);
        let affine = &image.geometry.affine;
        let in_plane = affine.linear().fixed_view::<2, 2>(0, 0) - linear().fixed_view::<2, 2>(0, 0);
        assert!(in_plane.amax() < 1e-12);
        assert_eq!(affine.translation(), Vector3::new(10.0, -20.0, 0.0));
        assert_eq!(volume::probe(golden(name)).unwrap().dtype, DType::I16);
    }
}

#[test]
fn vectors_of_itk_are_fields() {
    let expected = volume::read_field(golden("field.nii.gz")).unwrap();
    for name in ["field.mha", "field.nrrd"] {
        let field = volume::read_field(golden(name)).unwrap();
        for (found, expected) in field.data.iter().zip(&expected.data) {
            // The NIfTI affine is float32.
            assert!(
                (found - expected).abs() < 1e-4,
                "{name}: {found} {expected}"
            );
        }
        let error = volume::read_image(golden(name)).unwrap_err().to_string();
        assert!(error.contains("3 values a voxel"), "{error}");
    }
}

/// A file of the numbers 0, 1, 2 ... as `dtype`, first axis fastest.
fn bytes(dtype: DType, endian: Endian, count: usize) -> Vec<u8> {
    let number = |n: usize| -> Vec<u8> {
        let value = n as f64;
        let big: Vec<u8> = match dtype {
            DType::U8 => vec![n as u8],
            DType::I8 => vec![(n as i8) as u8],
            DType::U16 | DType::I16 => (n as u16).to_be_bytes().into(),
            DType::U32 | DType::I32 => (n as u32).to_be_bytes().into(),
            DType::U64 | DType::I64 => (n as u64).to_be_bytes().into(),
            DType::F32 => (value as f32).to_be_bytes().into(),
            DType::F64 => value.to_be_bytes().into(),
            DType::F16 => unreachable!(),
        };
        match endian {
            Endian::Big => big,
            Endian::Little => big.into_iter().rev().collect(),
        }
    };
    (0..count).flat_map(number).collect()
}

fn written(folder: &Path, name: &str, header: &str, voxels: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, [header.as_bytes(), voxels].concat()).unwrap();
    path
}

const TYPES: [(DType, &str, &str); 10] = [
    (DType::U8, "MET_UCHAR", "uchar"),
    (DType::I8, "MET_CHAR", "signed char"),
    (DType::U16, "MET_USHORT", "unsigned short"),
    (DType::I16, "MET_SHORT", "short"),
    (DType::U32, "MET_UINT", "unsigned int"),
    (DType::I32, "MET_INT", "int"),
    (DType::U64, "MET_ULONG_LONG", "unsigned long long int"),
    (DType::I64, "MET_LONG_LONG", "longlong"),
    (DType::F32, "MET_FLOAT", "float"),
    (DType::F64, "MET_DOUBLE", "double"),
];

#[test]
fn every_type_in_both_byte_orders() {
    let folder = tempfile::tempdir().unwrap();
    for (dtype, meta, nrrd) in TYPES {
        for (endian, msb, word) in [
            (Endian::Little, "False", "little"),
            (Endian::Big, "True", "big"),
        ] {
            let voxels = bytes(dtype, endian, 24);
            let header = format!(
                "ObjectType = Image\nNDims = 3\nElementByteOrderMSB = {msb}\nElementSize = 2 3 4\n\
                 DimSize = 2 3 4\nElementType = {meta}\nElementDataFile = LOCAL\n"
            );
            let mha = written(folder.path(), "a.mha", &header, &voxels);
            let header = format!(
                "NRRD0001\n# a comment: here\ntype: {nrrd}\ndimension: 3\nsizes: 2 3 4\nendian: {word}\n\
                 spacings: 2 3 4\nencoding: raw\nkey:=value: with colon\n\n"
            );
            let nrrd = written(folder.path(), "a.nrrd", &header, &voxels);
            for path in [mha, nrrd] {
                let image = volume::read_image(&path).unwrap();
                let expected =
                    Array3::from_shape_fn((2, 3, 4), |(i, j, k)| (i + 2 * j + 6 * k) as f32);
                assert_eq!(image.data, expected, "{} {dtype}", path.display());
                assert_eq!(image.geometry.spacing(), [2.0, 3.0, 4.0]);
                assert_eq!(volume::axis_codes(&image.geometry.affine), "LPS");
                assert_eq!(volume::probe(&path).unwrap().dtype, dtype);
            }
        }
    }
}

#[test]
fn nrrd_spaces_are_turned_to_ras() {
    let folder = tempfile::tempdir().unwrap();
    let place = |fields: &str| {
        let header = format!("NRRD0005\ntype: uint8\n{fields}encoding: raw\n\n");
        let path = written(
            folder.path(),
            "a.nrrd",
            &header,
            &bytes(DType::U8, Endian::Little, 24),
        );
        volume::read_image(path).unwrap().geometry
    };
    let solid = "dimension: 3\nsizes: 2 3 4\nspace directions: (0,2,0) (3,0,0) (0,0,4)\nspace origin: (5,6,7)\n";
    for (space, codes, origin) in [
        ("space: right-anterior-superior\n", "ARS", [5.0, 6.0, 7.0]),
        ("space: LPS\n", "PLS", [-5.0, -6.0, 7.0]),
        ("space: left-anterior-superior\n", "ALS", [-5.0, 6.0, 7.0]),
        ("space dimension: 3\n", "PLS", [-5.0, -6.0, 7.0]),
    ] {
        let geometry = place(&(space.to_string() + solid));
        assert_eq!(volume::axis_codes(&geometry.affine), codes, "{space}");
        assert_eq!(
            geometry.affine.translation(),
            Vector3::from(origin),
            "{space}"
        );
        assert_eq!(geometry.spacing(), [2.0, 3.0, 4.0]);
    }
    // A slice with a place in the world of three axes: coronal, its normal 1 mm long.
    let slice = place(
        "dimension: 2\nsizes: 6 4\nspace: LPS\nspace directions: (2,0,0) (0, 0, 3)\nspace origin: (1,2,3)\n",
    );
    assert_eq!((slice.shape, slice.dimension), ([6, 4, 1], Dimension::Two));
    assert_eq!(slice.affine.linear().column(1), Vector3::new(0.0, 0.0, 3.0));
    assert_eq!(slice.affine.linear().column(2).norm(), 1.0);
    // Without directions each size belongs to its own axis, whatever the axes of no space say.
    for (spacings, kinds, expected) in [
        ("NaN 2 3 4", "vector domain domain domain", [2.0, 3.0, 4.0]),
        ("9 2 3 4", "vector domain domain domain", [2.0, 3.0, 4.0]),
        ("2 NaN 4 9", "domain domain domain list", [2.0, 1.0, 4.0]),
    ] {
        let sizes = match kinds.starts_with("vector") {
            true => "1 2 3 4",
            false => "2 3 4 1",
        };
        let found = place(&format!(
            "dimension: 4\nsizes: {sizes}\nkinds: {kinds}\nspacings: {spacings}\n"
        ));
        assert_eq!(found.spacing(), expected, "{spacings}");
    }
}

#[test]
fn voxels_beside_their_header() {
    let folder = tempfile::tempdir().unwrap();
    let data = [vec![9; 5], bytes(DType::I16, Endian::Big, 24)].concat();
    std::fs::write(folder.path().join("v.raw"), &data).unwrap();
    let expected = Array3::from_shape_fn((2, 3, 4), |(i, j, k)| (i + 2 * j + 6 * k) as f32);
    for skip in ["5", "-1"] {
        let header = format!(
            "NDims = 3\nDimSize = 2 3 4\nBinaryDataByteOrderMSB = True\nHeaderSize = {skip}\n\
             ElementType = MET_SHORT\nElementDataFile = v.raw\n"
        );
        let path = written(folder.path(), "a.mhd", &header, &[]);
        assert_eq!(volume::read_image(path).unwrap().data, expected, "{skip}");
        let header = format!(
            "NRRD0004\ntype: short\ndimension: 3\nsizes: 2 3 4\nendian: big\nbyte skip: {skip}\nencoding: raw\n\
             data file: v.raw\n"
        );
        let path = written(folder.path(), "a.nhdr", &header, &[]);
        assert_eq!(volume::read_image(path).unwrap().data, expected, "{skip}");
    }
}

#[test]
fn what_is_written_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let image = numbered();
    let plane = volume::read_image(golden("plane.mha")).unwrap();
    // Sagittal, away from the origin: no 2-D image of ITK.
    let turned = Matrix3::new(0.0, 0.0, 1.0, 2.0, 0.0, 0.0, 0.0, 3.0, 0.0);
    let slice = Image {
        geometry: Geometry::new(
            [3, 4, 1],
            Dimension::Two,
            Affine::from_parts(turned, Vector3::new(4.0, 5.0, 6.0)),
        ),
        data: plane.data.clone(),
    };
    for name in ["a.mha", "a.mhd", "a.nrrd", "a.nhdr"] {
        let path = folder.path().join(name);
        for (image, what) in [(&image, "volume"), (&plane, "plane"), (&slice, "slice")] {
            for (dtype, ..) in TYPES {
                volume::write_image(&path, image, dtype, "a note\nof two lines").unwrap();
                assert_same(
                    &volume::read_image(&path).unwrap(),
                    image,
                    &format!("{name} {what} {dtype}"),
                );
                assert_eq!(volume::probe(&path).unwrap().dtype, dtype);
            }
        }
    }
}

#[test]
fn series_come_back_with_all_their_volumes() {
    let folder = tempfile::tempdir().unwrap();
    let step = FrameStep {
        value: 1.5,
        unit: 8,
    };
    for (image, sizes, step) in [
        (numbered(), vec![3], Some(step)),
        (
            volume::read_image(golden("plane.mha")).unwrap(),
            vec![3],
            None,
        ),
    ] {
        let volumes: Vec<Image> = (0..3)
            .map(|n| image.map(|v| v + 100.0 * n as f32))
            .collect();
        let kind = SeriesKind::Frames { sizes, step };
        let series = Series { volumes, kind };
        for name in ["a.nii.gz", "a.mha", "a.nrrd", "a.mgz"] {
            let path = folder.path().join(name);
            volume::write_series(&path, &series, DType::F32, "").unwrap();
            let back = volume::read_series(&path).unwrap();
            assert_eq!(back.volumes.len(), 3, "{name}");
            for (found, expected) in back.volumes.iter().zip(&series.volumes) {
                assert_eq!(found.data, expected.data, "{name}");
                assert_eq!(found.geometry.dimension, expected.geometry.dimension);
                // NIfTI and MGH headers are float32.
                let difference = (found.geometry.affine.0 - expected.geometry.affine.0).amax();
                assert!(difference < 1e-5, "{name}");
            }
            if name == "a.nii.gz" {
                assert_eq!(back.kind, series.kind);
            }
        }
    }
}

#[test]
fn colour_pictures_keep_their_channels() {
    let folder = tempfile::tempdir().unwrap();
    let series = volume::read_series(golden("colour.png")).unwrap();
    assert_eq!(
        (series.volumes.len(), &series.kind),
        (3, &SeriesKind::Colour)
    );
    // The README has it as p[j, i].
    let value = |c: usize, i: usize, j: usize| series.volumes[c].data[[i, j, 0]];
    assert_eq!(
        [value(0, 0, 0), value(1, 0, 0), value(2, 0, 0)],
        [255.0, 0.0, 0.0]
    );
    assert_eq!(
        [value(0, 1, 0), value(1, 1, 0), value(2, 1, 0)],
        [0.0, 255.0, 0.0]
    );
    assert_eq!([value(0, 1, 1), value(1, 1, 1), value(2, 1, 1)], [200.0; 3]);
    for dtype in [DType::U8, DType::U16] {
        let path = folder.path().join("back.png");
        volume::write_series(&path, &series, dtype, "").unwrap();
        assert_eq!(volume::read_series(&path).unwrap(), series);
    }
    for (name, dtype, part) in [
        ("a.nii", DType::U16, "RGB or RGBA of uint8"),
        ("a.mha", DType::U8, "written as .png, .nii"),
    ] {
        let error = volume::write_series(folder.path().join(name), &series, dtype, "").unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn wrong_headers_are_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let meta = "NDims = 3\nDimSize = 2 3 4\nElementType = MET_UCHAR\nElementDataFile = LOCAL\n";
    let nrrd = "NRRD0004\ntype: uint8\ndimension: 3\nsizes: 2 3 4\nencoding: raw\n\n";
    let voxels = bytes(DType::U8, Endian::Little, 24);
    for (name, good, bad, voxels, part) in [
        ("a.mha", "", "", &voxels[..23], "too short"),
        ("a.nrrd", "", "", &voxels[..23], "too short"),
        (
            "a.mha",
            "2 3 4",
            "20000 30000 40000",
            &voxels[..],
            "at most",
        ),
        (
            "a.nrrd",
            "2 3 4",
            "20000 30000 40000",
            &voxels[..],
            "at most",
        ),
        ("a.mha", "2 3 4", "2 3", &voxels[..], "DimSize"),
        ("a.nrrd", "2 3 4", "2 -3 4", &voxels[..], "sizes"),
        ("a.mha", "2 3 4", "2 3 1", &voxels[..], "goes on after"),
        (
            "a.mha",
            "MET_UCHAR",
            "MET_STRING",
            &voxels[..],
            "MET_STRING",
        ),
        ("a.nrrd", "uint8", "block", &voxels[..], "block"),
        (
            "a.nrrd",
            "encoding: raw",
            "encoding: bzip2",
            &voxels[..],
            "gzip",
        ),
        ("a.nrrd", "uint8", "int16", &voxels[..], "endian"),
        ("a.mha", "LOCAL", "LIST 2D", &voxels[..], "series of files"),
        ("a.mha", "LOCAL", "gone.raw", &[][..], "gone.raw"),
        ("a.mha", "LOCAL", "gone\0.raw", &[][..], "no file name"),
        ("a.mha", "LOCAL", ".", &[][..], "a folder"),
        (
            "a.mha",
            "NDims = 3",
            "NDims = 3\nBinaryData = False",
            &voxels[..],
            "as text",
        ),
        (
            "a.mha",
            "NDims = 3",
            "NDims = 3\nElementSpacing = 1 0 1",
            &voxels[..],
            "voxel size is 0",
        ),
        (
            "a.mha",
            "NDims = 3",
            "NDims = 3\nTransformMatrix = 1 0 0 1 0 0 0 0 1",
            &voxels[..],
            "singular",
        ),
        (
            "a.mha",
            "NDims = 3",
            "NDims = 3\nCompressedData = True",
            &voxels[..],
            "damaged",
        ),
        (
            "a.nrrd",
            "encoding: raw",
            "encoding: gzip",
            &voxels[..],
            "damaged",
        ),
        (
            "a.nrrd",
            "encoding",
            "space: scanner-xyz\nspace directions: (1,0,0) (0,1,0) (0,0,1)\nencoding",
            &voxels[..],
            "scanner-xyz",
        ),
        ("a.mha", "NDims", "Ndims", &voxels[..], "NDims"),
        ("a.nrrd", "NRRD0004", "PNG", &voxels[..], "not NRRD"),
    ] {
        let header = if name == "a.mha" { meta } else { nrrd };
        assert!(header.contains(good));
        let path = written(folder.path(), name, &header.replacen(good, bad, 1), voxels);
        let error = volume::read_image(&path).unwrap_err().to_string();
        assert!(
            error.contains(part) && !error.contains('\n'),
            "{bad}: {error}"
        );
    }
}

#[test]
fn dicom_is_told_where_to_go() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("IM0001");
    std::fs::write(&file, [vec![0; 128], b"DICM and more".to_vec()].concat()).unwrap();
    for path in [file.as_path(), folder.path(), Path::new("scan.dcm")] {
        let error = volume::read_image(path).unwrap_err().to_string();
        assert!(error.contains("dcm2niix"), "{error}");
    }
}

#[test]
fn the_files_of_an_image_are_known() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let meta = "NDims = 3\nDimSize = 2 3 4\nElementType = MET_UCHAR\nElementDataFile = ";
    let nrrd = "NRRD0004\ntype: uint8\ndimension: 3\nsizes: 2 3 4\nencoding: raw\n";
    for (name, header, voxels) in [
        ("a.mhd", format!("{meta}other.raw\n"), Some("other.raw")),
        ("a.mha", format!("{meta}LOCAL\n"), None),
        ("a.nhdr", format!("{nrrd}data file: v.raw\n"), Some("v.raw")),
        ("a.nrrd", format!("{nrrd}\n"), None),
        ("b.hdr", String::new(), Some("b.img")),
        ("none.mhd", "damaged".into(), None),
    ] {
        std::fs::write(path(name), header).unwrap();
        std::fs::write(path("b.img"), "").unwrap();
        let expected: Vec<PathBuf> = [name].into_iter().chain(voxels).map(path).collect();
        assert_eq!(volume::image_files(&path(name)), expected, "{name}");
    }
    // From the other name of a pair the header is the one beside it.
    let pair = volume::image_files(&path("b.img"));
    assert_eq!(pair, ["b.img", "b.hdr"].map(path));
}

#[test]
fn vectors_in_millimetres_are_told_from_colours() {
    let folder = tempfile::tempdir().unwrap();
    let header = |element: &str| {
        format!(
            "NDims = 3\nDimSize = 1 1 2\nElementNumberOfChannels = 3\nElementType = {element}\nElementDataFile = LOCAL\n"
        )
    };
    let path = folder.path().join("a.mha");
    for (element, bytes, kind) in [
        ("MET_FLOAT", 24, volume::Kind::DisplacementField),
        ("MET_UCHAR", 6, volume::Kind::VectorImage),
    ] {
        std::fs::write(
            &path,
            [header(element).into_bytes(), vec![0; bytes]].concat(),
        )
        .unwrap();
        assert_eq!(volume::probe(&path).unwrap().kind, kind, "{element}");
        // The grid is known in any case.
        assert_eq!(volume::read_geometry(&path).unwrap().shape, [1, 1, 2]);
    }
}
