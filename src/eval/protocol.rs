//! Whose rules an evaluation follows.

use serde::{Deserialize, Serialize};

/// Which measures are made, and exactly how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Every measure that the inputs allow, distances in millimetres. Labels move by vote, or by
    /// the nearest voxel (half-way to even, zeros outside) where asked for. A structure of the fixed image that the moved one lacks
    /// has Dice 0 and an infinite distance; means are over finite values, the others are counted.
    #[default]
    Hmorph,
    /// The Learn2Reg evaluation (MDL-UzL/L2R, evaluation/evaluation.py, version 2.0): Dice, HD95 in
    /// voxels, TRE in mm, SD of log(det + 3). Labels move as `scipy.ndimage.map_coordinates(order=0)`
    /// does: half-way up, zeros beyond the outermost voxel centres. A structure missing in the fixed or
    /// the (unmoved) moving image is `NaN` and left out of the mean of a pair; over pairs nothing is
    /// left out. SD over pairs divides by n. The robust score "30" is the 0.3 quantile, whichever
    /// way a measure improves.
    Learn2reg,
    /// The Learn2Reg LUMIR evaluation (JHU-MedImage-Reg/LUMIR_L2R, L2R_LUMIR_Eval): Dice and HD95 as
    /// above, TRE in voxels between centroids of landmark volumes, and non-diffeomorphic volume over
    /// the voxels where the moving image is above 0.
    Lumir,
}

impl Protocol {
    pub const ALL: [Self; 3] = [Self::Hmorph, Self::Learn2reg, Self::Lumir];

    /// Name on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hmorph => "hmorph",
            Self::Learn2reg => "learn2reg",
            Self::Lumir => "lumir",
        }
    }

    /// Whether the rules are those of the challenges, which compare arrays voxel by voxel, whatever headers say.
    pub fn challenge(self) -> bool {
        match self {
            Self::Hmorph => false,
            Self::Learn2reg | Self::Lumir => true,
        }
    }
}
