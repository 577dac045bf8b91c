//! The closed list of measures: the one place where their names, units and directions are written.

use serde::{Deserialize, Serialize};

/// Everything that can be measured of a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    Dice,
    Jaccard,
    Hd95,
    Hd95Voxels,
    MeanSurfaceDistance,
    AbsoluteVolumeDifference,
    AverageSsd,
    Tre,
    TreVoxels,
    Mse,
    Ncc,
    LocalNcc,
    MutualInformation,
    IntensityVariance,
    FoldedVoxels,
    FoldedPercent,
    #[serde(rename = "ndv_percent")]
    NonDiffeomorphicVolume,
    SdLogJacobian,
    SdLogJacobianL2r,
    InverseConsistency,
    InverseConsistencyVoxels,
    Seconds,
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
    /// The value when moved and fixed are the same image and the transform is the identity.
    perfect: Option<f64>,
    doc: &'static str,
}

const fn entry(
    name: &'static str,
    title: &'static str,
    unit: &'static str,
    better: Better,
    perfect: Option<f64>,
    doc: &'static str,
) -> Entry {
    Entry {
        name,
        title,
        unit,
        better,
        perfect,
        doc,
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

    /// Value for an image registered to itself by the identity; `None` where it depends on the image.
    pub fn perfect(self) -> Option<f64> {
        self.entry().perfect
    }

    /// Definition in one sentence.
    pub fn doc(self) -> &'static str {
        self.entry().doc
    }

    /// The measure of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metric| metric.name() == name)
    }

    #[rustfmt::skip]
    const fn entry(self) -> Entry {
        use Better::{Higher, Lower};
        match self {
            Self::Dice => entry("dice", "Dice", "1", Higher, Some(1.0),
                "2 |F and M| / (|F| + |M|) of a structure; 0 where it is absent from the moved labels"),
            Self::Jaccard => entry("jaccard", "Jaccard", "1", Higher, Some(1.0),
                "|F and M| / |F or M| of a structure"),
            Self::Hd95 => entry("hd95", "HD95", "mm", Lower, Some(0.0),
                "larger of the two directed 95th percentiles, by area, of distances between surfaces"),
            Self::Hd95Voxels => entry("hd95_voxels", "HD95", "voxels", Lower, Some(0.0),
                "HD95 with unit spacing, as Learn2Reg and LUMIR report it"),
            Self::MeanSurfaceDistance => entry("mean_surface_distance", "mean surface distance", "mm",
                Lower, Some(0.0), "mean distance between surfaces, both directions, weighted by area"),
            Self::AbsoluteVolumeDifference => entry("absolute_volume_difference", "AVD", "%",
                Lower, Some(0.0), "100 ||M| - |F|| / |F| of a structure"),
            Self::AverageSsd => entry("average_ssd", "average SSD", "intensity^2", Lower, Some(0.0),
                "sum of squared differences within a structure of the fixed image / its voxels"),
            Self::Tre => entry("tre", "TRE", "mm", Lower, Some(0.0),
                "distance of mapped fixed landmarks to moving landmarks; mean over landmarks"),
            Self::TreVoxels => entry("tre_voxels", "TRE", "voxels", Lower, Some(0.0),
                "distance between centroids of moved and fixed landmark volumes, as LUMIR reports it"),
            Self::Mse => entry("mse", "MSE", "intensity^2", Lower, Some(0.0),
                "mean squared intensity difference"),
            Self::Ncc => entry("ncc", "NCC", "1", Higher, Some(1.0),
                "Pearson correlation of intensities over the image"),
            Self::LocalNcc => entry("local_ncc", "local NCC", "1", Higher, None,
                "mean squared correlation in 9-voxel windows, clamped as in VoxelMorph (TensorFlow)"),
            Self::MutualInformation => entry("mutual_information", "MI", "nats", Higher, None,
                "mutual information of a joint histogram of 64 x 64 equal bins"),
            Self::IntensityVariance => entry("intensity_variance", "intensity variance", "intensity^2",
                Lower, Some(0.0), "variance over the images moved to one fixed image, mean over voxels"),
            Self::FoldedVoxels => entry("folded_voxels", "folded voxels", "voxels", Lower, Some(0.0),
                "voxels whose Jacobian determinant (central differences) is not > 0"),
            Self::FoldedPercent => entry("folded_percent", "folded", "%", Lower, Some(0.0),
                "folded voxels / all voxels of the grid (of the mask, if given) x 100"),
            Self::NonDiffeomorphicVolume => entry("ndv_percent", "NDV", "%", Lower, Some(0.0),
                "non-diffeomorphic volume / voxels counted (mask without the border layer) x 100"),
            Self::SdLogJacobian => entry("sd_log_jacobian", "SD log J", "1", Lower, Some(0.0),
                "standard deviation of log(max(det, 1e-9)) over the grid"),
            Self::SdLogJacobianL2r => entry("sd_log_jacobian_l2r", "SD log J (L2R)", "1", Lower,
                Some(0.0), "standard deviation of log(clip(det + 3, 1e-9, 1e9)), 2 voxels cropped"),
            Self::InverseConsistency => entry("inverse_consistency", "ICE", "mm", Lower, Some(0.0),
                "mean |u(x) + v(x + u(x))| over voxels mapped into the grid"),
            Self::InverseConsistencyVoxels => entry("inverse_consistency_voxels", "ICE", "voxels",
                Lower, Some(0.0), "inverse-consistency error in voxels"),
            Self::Seconds => entry("seconds", "time", "s", Lower, None,
                "wall-clock time of one registration"),
            Self::PeakMemory => entry("peak_memory", "peak memory", "MiB", Lower, None,
                "largest resident memory of the process so far"),
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
            assert_eq!(Metric::from_name(metric.name()), Some(metric));
            assert_eq!(serde_json::to_value(metric).unwrap(), metric.name());
            assert!(!metric.doc().is_empty() && !metric.unit().is_empty());
        }
        assert_eq!(Metric::PeakMemory as usize + 1, Metric::ALL.len());
        assert_eq!(Metric::from_name("Dice"), None);
    }
}
