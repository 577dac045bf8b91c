//! Whether a network has the memory that a pair takes.

use super::Registrar;
use crate::cli::linear::AlignmentPlan;
use crate::device;
use crate::error::{Error, Result};
use crate::ops;
use crate::register::{largest_tensor_bytes, network_bytes};
use crate::volume::Geometry;

impl Registrar {
    /// A network that does not fit would be killed by the system without a word.
    pub(super) fn check_memory(&self, scans: [&Geometry; 2]) -> Result<()> {
        let voxels = scans.map(|grid| self.network_voxels(grid));
        let voxels = match self.plan {
            AlignmentPlan::Centre => voxels[0].max(voxels[1]),
            AlignmentPlan::Header | AlignmentPlan::Linear(_) => voxels[0],
        };
        self.check_largest_tensor(voxels)?;
        let needed = network_bytes(self.model.config(), voxels);
        let on_gpu = ops::device_memory(&self.device);
        match on_gpu.or_else(device::available_memory) {
            Some(free) if needed > free as f64 => Err(Error::invalid(format!(
                "the network needs about {:.1} GB for {:.1} million voxels, there are {:.1} GB; choose larger voxels \
                 by --network-spacing, or crop the images",
                needed / 1e9,
                voxels / 1e6,
                free as f64 / 1e9
            ))),
            _ => Ok(()),
        }
    }

    /// A GPU allocates no more at once than a part of its memory, some by a fixed limit.
    fn check_largest_tensor(&self, voxels: f64) -> Result<()> {
        let needed = largest_tensor_bytes(self.model.config(), voxels);
        match ops::largest_tensor(&self.device) {
            Some(most) if needed > most as f64 => Err(Error::invalid(format!(
                "the network needs a tensor of {:.2} GB for {:.1} million voxels, and this GPU allocates at most {:.2} GB at once; choose \
                 larger voxels by --network-spacing, or --device cpu, or crop the images",
                needed / 1e9,
                voxels / 1e6,
                most as f64 / 1e9
            ))),
            _ => Ok(()),
        }
    }

    /// Voxels of a scan at the network's voxel size, before padding.
    fn network_voxels(&self, grid: &Geometry) -> f64 {
        let axes = grid.dimension.axes();
        let size: f64 = grid.spacing()[..axes].iter().product();
        let wanted = self.preprocessing.spacing.as_ref();
        let ratio = wanted.map_or(1.0, |wanted| size / wanted.iter().product::<f64>());
        grid.voxels() as f64 * ratio
    }
}
