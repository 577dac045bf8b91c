//! NIfTI-1, NIfTI-2 and Analyze 7.5.
//!
//! The header is parsed here rather than by a library, because every claim in it must be checked against
//! the file before memory is taken, and NIfTI-2 and Analyze are needed too.
//!
//! Policies, as nibabel's unless said otherwise:
//! * affine: sform if its code > 0, else qform if its code > 0, else voxel sizes with x flipped, centred; a sform that
//!   places nothing gives way to a qform (not nibabel's), and where there is none or both say different things
//!   [`geometry_note`] tells;
//! * the code of the form stays with the grid ([`World`](super::World)), and results on it have it in both forms;
//! * `scl_slope` 0, NaN or infinite: no scaling;
//! * metres and micrometres become mm, as for ITK (nibabel leaves the unit to the caller);
//! * a voxel size of 0 is an error where it is needed (nibabel takes 1);
//! * bytes beyond those the header accounts for are an error (nibabel ignores them).

mod affine;
mod analyze;
mod header;
mod layout;
mod read;
mod replace;
mod write;

pub use read::geometry_note;
pub(crate) use read::{read_pair, read_single};
pub(crate) use replace::replace_affine;
pub(crate) use write::{Content, write};
