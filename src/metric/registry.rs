//! The closed list of measures: the one place where their names, units and directions are written.

use serde::{Deserialize, Serialize};

/// Everything that can be measured of a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// 2 |F and M| / (|F| + |M|) of a structure; 0 where it is absent from the moved labels.
    Dice,
    /// |F and M| / |F or M| of a structure.
    Jaccard,
    /// Larger of the two directed 95th percentiles, by area, of distances between surfaces.
    Hd95,
    /// HD95 with unit spacing, as Learn2Reg and LUMIR report it.
    Hd95Voxels,
    /// Mean distance between surfaces, both directions, weighted by area.
    MeanSurfaceDistance,
    /// 100 ||M| - |F|| / |F| of a structure.
    AbsoluteVolumeDifference,
    /// Sum of squared differences within a structure of the fixed image / its voxels.
    AverageSsd,
    /// Distance of mapped fixed landmarks to moving landmarks; mean over landmarks.
    Tre,
    /// Distance between centroids of moved and fixed landmark volumes, as LUMIR reports it.
    TreVoxels,
    /// Mean squared intensity difference.
    Mse,
    /// Pearson correlation of intensities over the image.
    Ncc,
    /// Mean squared correlation in 9-voxel windows, clamped as in VoxelMorph (TensorFlow).
    LocalNcc,
    /// Mutual information of a joint histogram of 64 x 64 equal bins.
    MutualInformation,
    /// Variance over the images moved to one fixed image, mean over voxels.
    IntensityVariance,
    /// Voxels whose Jacobian determinant (central differences) is not > 0.
    FoldedVoxels,
    /// Folded voxels / all voxels of the grid (of the mask, if given) x 100.
    FoldedPercent,
    /// Non-diffeomorphic volume / voxels counted (mask without the border layer) x 100.
    #[serde(rename = "ndv_percent")]
    NonDiffeomorphicVolume,
    /// Standard deviation of log(max(det, 1e-9)) over the grid.
    SdLogJacobian,
    /// Standard deviation of log(clip(det + 3, 1e-9, 1e9)), 2 voxels cropped.
    SdLogJacobianL2r,
    /// Mean |u(x) + v(x + u(x))| over voxels mapped into the grid.
    InverseConsistency,
    /// Inverse-consistency error in voxels.
    InverseConsistencyVoxels,
    /// Wall-clock time of one registration.
    Seconds,
    /// Largest resident memory of the process so far.
    PeakMemory,
}

/// Which way a measure improves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    Higher,
    Lower,
}

/// One line of the registry.
struct Entry {
    name: &'static str,
    title: &'static str,
    unit: &'static str,
    better: Better,
}

const fn entry(
    name: &'static str,
    title: &'static str,
    unit: &'static str,
    better: Better,
) -> Entry {
    Entry {
        name,
        title,
        unit,
        better,
    }
}

impl Metric {
    /// Every measure, in the order of tables.
    pub const ALL: [Self; 23] = [
        Self::Dice,
        Self::Jaccard,
        Self::Hd95,
        Self::Hd95Voxels,
        Self::MeanSurfaceDistance,
        Self::AbsoluteVolumeDifference,
        Self::AverageSsd,
        Self::Tre,
        Self::TreVoxels,
        Self::Mse,
        Self::Ncc,
        Self::LocalNcc,
        Self::MutualInformation,
        Self::IntensityVariance,
        Self::FoldedVoxels,
        Self::FoldedPercent,
        Self::NonDiffeomorphicVolume,
        Self::SdLogJacobian,
        Self::SdLogJacobianL2r,
        Self::InverseConsistency,
        Self::InverseConsistencyVoxels,
        Self::Seconds,
        Self::PeakMemory,
    ];

    /// Name in CSV files, lower case with underscores.
    pub fn name(self) -> &'static str {
        self.entry().name
    }

    /// Short name for tables and pictures.
    pub fn title(self) -> &'static str {
        self.entry().title
    }

    /// Unit; `1` for a pure number.
    pub fn unit(self) -> &'static str {
        self.entry().unit
    }

    pub fn better(self) -> Better {
        self.entry().better
    }

    /// Whether its structures are landmarks.
    pub fn of_landmarks(self) -> bool {
        matches!(self, Self::Tre | Self::TreVoxels)
    }

    #[rustfmt::skip]
    const fn entry(self) -> Entry {
        use Better::{Higher, Lower};
        match self {
            Self::Dice => entry("dice", "Dice", "1", Higher),
            Self::Jaccard => entry("jaccard", "Jaccard", "1", Higher),
            Self::Hd95 => entry("hd95", "HD95", "mm", Lower),
            Self::Hd95Voxels => entry("hd95_voxels", "HD95", "voxels", Lower),
            Self::MeanSurfaceDistance => entry("mean_surface_distance", "mean surface distance", "mm", Lower),
            Self::AbsoluteVolumeDifference => entry("absolute_volume_difference", "AVD", "%", Lower),
            Self::AverageSsd => entry("average_ssd", "average SSD", "intensity^2", Lower),
            Self::Tre => entry("tre", "TRE", "mm", Lower),
            Self::TreVoxels => entry("tre_voxels", "TRE", "voxels", Lower),
            Self::Mse => entry("mse", "MSE", "intensity^2", Lower),
            Self::Ncc => entry("ncc", "NCC", "1", Higher),
            Self::LocalNcc => entry("local_ncc", "local NCC", "1", Higher),
            Self::MutualInformation => entry("mutual_information", "MI", "nats", Higher),
            Self::IntensityVariance => entry("intensity_variance", "intensity variance", "intensity^2", Lower),
            Self::FoldedVoxels => entry("folded_voxels", "folded voxels", "voxels", Lower),
            Self::FoldedPercent => entry("folded_percent", "folded", "%", Lower),
            Self::NonDiffeomorphicVolume => entry("ndv_percent", "NDV", "%", Lower),
            Self::SdLogJacobian => entry("sd_log_jacobian", "SD log J", "1", Lower),
            Self::SdLogJacobianL2r => entry("sd_log_jacobian_l2r", "SD log J (L2R)", "1", Lower),
            Self::InverseConsistency => entry("inverse_consistency", "ICE", "mm", Lower),
            Self::InverseConsistencyVoxels => entry("inverse_consistency_voxels", "ICE", "voxels", Lower),
            Self::Seconds => entry("seconds", "time", "s", Lower),
            Self::PeakMemory => entry("peak_memory", "peak memory", "MiB", Lower),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn all_lists_every_variant_once_under_its_own_name() {
        let names: HashSet<_> = Metric::ALL.iter().map(|metric| metric.name()).collect();
        assert_eq!(names.len(), Metric::ALL.len());
        for (index, metric) in Metric::ALL.into_iter().enumerate() {
            // The discriminant follows the declaration, so a variant missing from ALL shows here.
            assert_eq!(metric as usize, index, "{}", metric.name());
            assert_eq!(serde_json::to_value(metric).unwrap(), metric.name());
            assert!(!metric.title().is_empty() && !metric.unit().is_empty());
        }
        assert_eq!(Metric::PeakMemory as usize + 1, Metric::ALL.len());
    }
}
