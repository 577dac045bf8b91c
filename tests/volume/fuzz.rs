//! Damaged files of every format: any outcome but a panic, a second line in the message, or runaway memory.

use std::io::Write;
use std::path::Path;

use flate2::{Compression, write::GzEncoder};
use hmorph::volume;
use proptest::prelude::*;

const FILES: [&str; 18] = [
    "big_endian_nifti2.nii.gz",
    "field.nii.gz",
    "oblique.mgz",
    "two_frames.mgh",
    "vol_seg.npz",
    "legacy.npz",
    "fortran_big_endian.npy",
    "grey16.png",
    "oblique.mha",
    "plain.mha",
    "plane.mha",
    "oblique.nrrd",
    "plane.nrrd",
    "field.mha",
    "composite.h5",
    "ants_2d.h5",
    "chain.tfm",
    "affine.mat",
];

/// The content of a golden file, without the gzip around it, so that damage reaches the header.
fn content(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/volume");
    let bytes = std::fs::read(folder.join(name)).unwrap();
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return bytes;
    }
    let mut plain = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&bytes[..]), &mut plain).unwrap();
    plain
}

fn read_everything(path: &Path) {
    let results = [
        volume::read_image(path).err(),
        volume::read_labels(path).err(),
        volume::read_field(path).err(),
        volume::probe(path).err(),
        volume::read_transform(path).err(),
        volume::read_affine(path).err(),
    ];
    for error in results.into_iter().flatten() {
        let message = error.to_string();
        assert!(
            !message.contains('\n') && message.starts_with(path.to_str().unwrap()),
            "{message}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]

    #[test]
    fn damage_never_panics(
        file in prop::sample::select(&FILES[..]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        // Most fields that matter lie in the first 400 bytes.
        header_changes in prop::collection::vec((0_usize..400, any::<u8>()), 0..4),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let mut bytes = content(file);
        let length = bytes.len();
        for (index, value) in changes {
            bytes[index.index(length)] = value;
        }
        for (at, value) in header_changes {
            bytes[at % length] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(length));
        }
        if file.ends_with("gz") {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(&bytes).unwrap();
            bytes = encoder.finish().unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(file);
        std::fs::write(&path, bytes).unwrap();
        read_everything(&path);
    }
}
