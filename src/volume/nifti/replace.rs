//! The affine in the bytes of a header.

use super::super::dtype::{Endian, Storable};
use super::super::fields::Fields;
use super::super::{Affine, World};
use super::affine::Qform;
use super::header::recognise;
use super::layout::{Layout, MILLIMETRES, SPACE};

/// Puts `affine` into both forms and the voxel sizes, so that every reader finds the form it prefers, and mm as their
/// unit; a sheared one has no qform. `bytes` begin with the size of the header. What was assumed is stated, so that no
/// reader assumes otherwise.
pub(crate) fn replace_affine(
    bytes: &mut [u8],
    affine: &Affine,
    world: World,
) -> Result<(), String> {
    let World(code) = match world {
        World::ASSUMED => World::ALIGNED,
        stated => stated,
    };
    let start = bytes.first_chunk::<4>().and_then(|start| recognise(*start));
    let (at, endian) = start.ok_or("not NIfTI")?;
    let mut header = Header { bytes, endian, at };
    let qform = Qform::of(affine);
    let [x, y, z] = affine.spacing();
    header.numbers(at.pixdim, &[qform.map_or(1.0, |q| q.handedness), x, y, z]);
    header.code(at.qform_code, if qform.is_some() { code } else { 0 });
    header.code(at.sform_code, code);
    if let Some(qform) = qform {
        header.numbers(at.quaternion, &qform.quaternion);
        header.numbers(at.offset, affine.translation().as_slice());
    }
    let rows: Vec<f64> = affine
        .0
        .fixed_rows::<3>(0)
        .transpose()
        .iter()
        .copied()
        .collect();
    header.numbers(at.srow, &rows);
    header.space_in_millimetres();
    Ok(())
}

struct Header<'a> {
    bytes: &'a mut [u8],
    endian: Endian,
    at: &'static Layout,
}

impl Header<'_> {
    fn numbers(&mut self, offset: usize, values: &[f64]) {
        let mut out = Vec::new();
        for &value in values {
            match self.at.wide {
                true => value.put(self.endian, &mut out),
                false => (value as f32).put(self.endian, &mut out),
            }
        }
        self.put(offset, &out);
    }

    fn code(&mut self, offset: usize, code: i16) {
        let mut out = Vec::new();
        match self.at.wide {
            true => i32::from(code).put(self.endian, &mut out),
            false => code.put(self.endian, &mut out),
        }
        self.put(offset, &out);
    }

    /// Leaves the unit of time.
    fn space_in_millimetres(&mut self) {
        let changed = |units: i32| units & !SPACE | MILLIMETRES;
        let units = self.at.units;
        if self.at.wide {
            let old: i32 = Fields::new(self.bytes, self.endian).number(units);
            let mut out = Vec::new();
            changed(old).put(self.endian, &mut out);
            self.put(units, &out);
        } else {
            self.bytes[units] = changed(self.bytes[units].into()) as u8;
        }
    }

    fn put(&mut self, offset: usize, bytes: &[u8]) {
        self.bytes[offset..offset + bytes.len()].copy_from_slice(bytes);
    }
}
