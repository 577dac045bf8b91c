//! Options that a registration would do nothing with.

use anyhow::ensure;

use super::ModelArgs;
use crate::cli::linear::AlignmentPlan;
use crate::cli::options::given;

impl ModelArgs {
    /// The option by which the network is left out, if it is.
    pub(super) fn without_network(&self) -> Option<&'static str> {
        let options = given([
            ("--no-network", self.refine.no_network),
            ("--in-plane", self.in_plane),
        ]);
        options.first().copied()
    }

    /// Refuses options of stages that are left out: the record would name what was never used.
    pub(super) fn check_unused(&self, plan: &AlignmentPlan, refines: bool) -> anyhow::Result<()> {
        let searches = plan.searches();
        ensure!(
            self.linear.search.is_none() || searches,
            "--search is for the linear registration, which there is none of; leave it out, or ask for one by --linear"
        );
        ensure!(
            self.linear.metric.is_none() || searches || refines,
            "--metric is for the linear registration and the optimisation, which there are none of; leave it out, or ask \
             for one by --linear or --refine"
        );
        // --model goes on saying how scans are brought together and what their intensities become.
        if let (Some(without), Some(_)) = (self.without_network(), &self.network_spacing) {
            anyhow::bail!(
                "--network-spacing is for the network, which {without} does without; leave one of them out"
            );
        }
        Ok(())
    }
}
