//! How good a registration is: overlap, distance, intensity and field measures on the host, in
//! float64, without burn.
//!
//! One file per family and one line of [`Metric`] per measure; names, units and directions come from
//! there. Arrays are `(i, j, k)` with `k = 1` in 2-D. Inputs that are not numbers:
//!
//! * a voxel that is not finite in either image is left out of every intensity measure; `NaN` is
//!   returned when no voxel is left;
//! * a displacement that is not finite folds its neighbours and makes the spread of the log Jacobian,
//!   the non-diffeomorphic volume, landmark and inverse-consistency errors `NaN`.

pub mod edt;
pub mod folding;
pub mod intensity_variance;
pub mod inverse_consistency;
mod labels;
pub mod landmarks;
pub mod local_ncc;
pub mod mse;
pub mod mutual_information;
pub mod ncc;
pub mod ndv;
pub mod overlap;
mod paired;
mod registry;
pub mod sample;
pub mod surface;
mod surfel;

pub use folding::{Folding, folding, jacobian, sd_log_jacobian, sd_log_jacobian_l2r};
pub use intensity_variance::IntensityVariance;
pub use inverse_consistency::{InverseConsistency, inverse_consistency};
pub use landmarks::{Interpolation, LandmarkWorld, target_registration_errors};
pub use local_ncc::{WINDOW, local_ncc, window};
pub use mse::{average_ssd, mse};
pub use mutual_information::{BINS, mutual_information};
pub use ncc::ncc;
pub use ndv::{NonDiffeomorphic, non_diffeomorphic_volume};
pub use overlap::{Overlap, mean_dice, overlaps};
pub use registry::{Better, Metric};
pub use surface::{SurfaceDistances, surface_distances};
