//! Where the fields of a header stand: nifti1.h (348 bytes) and nifti2.h (540 bytes) of the NIfTI working group.

/// Offsets in bytes. Lengths, scales and codes of NIfTI-2 are twice as wide as those of NIfTI-1.
#[derive(Debug)]
pub(super) struct Layout {
    /// Of the fixed header.
    pub length: usize,
    /// float64 where NIfTI-1 has float32, int64 sizes and int32 codes where it has int16.
    pub wide: bool,
    pub magic: usize,
    pub dim: usize,
    /// With the bits of a voxel after it; int16 in both.
    pub datatype: usize,
    pub pixdim: usize,
    pub vox_offset: usize,
    pub slope: usize,
    pub intercept: usize,
    pub units: usize,
    pub note: usize,
    pub intent_code: usize,
    pub intent_name: usize,
    pub qform_code: usize,
    pub sform_code: usize,
    pub quaternion: usize,
    pub offset: usize,
    pub srow: usize,
}

pub(super) const NIFTI1: Layout = Layout {
    length: 348,
    wide: false,
    magic: 344,
    dim: 40,
    datatype: 70,
    pixdim: 76,
    vox_offset: 108,
    slope: 112,
    intercept: 116,
    units: 123,
    note: 148,
    intent_code: 68,
    intent_name: 328,
    qform_code: 252,
    sform_code: 254,
    quaternion: 256,
    offset: 268,
    srow: 280,
};

pub(super) const NIFTI2: Layout = Layout {
    length: 540,
    wide: true,
    magic: 4,
    dim: 16,
    datatype: 12,
    pixdim: 104,
    vox_offset: 168,
    slope: 176,
    intercept: 184,
    units: 500,
    note: 240,
    intent_code: 504,
    intent_name: 508,
    qform_code: 344,
    sform_code: 348,
    quaternion: 352,
    offset: 376,
    srow: 400,
};

/// In the field of units, the bits of the unit of space.
pub(super) const SPACE: i32 = 0x07;
pub(super) const MILLIMETRES: i32 = 2;
/// The bits of the unit of time.
pub(super) const TIME: i32 = 0x38;
