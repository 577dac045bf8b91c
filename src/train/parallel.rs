//! Data-parallel training: several devices take a part of each batch.
//!
//! Worker `rank` keeps to one thread and one device. It gets a copy of the weights and differentiates its items, which
//! count as they do in the whole batch (but where the Dice loss takes a random few of many labels, each part draws its
//! own). The gradients are summed on the first device in the order of ranks, so that the
//! result does not depend on who is done first; the optimiser works there alone.

use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::Device;
use rayon::ThreadPool;

use super::Objective;
use super::outcome::joined;
use crate::dataset::Batch;
use crate::error::{Error, Result};
use crate::model::Model;

/// The devices beside the first one, and a thread for each of all.
pub struct Others {
    devices: Vec<Device>,
    threads: ThreadPool,
}

/// What a worker found about its part of a batch.
type Found = Result<Option<(Objective, GradientsParams)>>;

impl Others {
    /// # Errors
    /// A system that gives no threads.
    pub fn new(devices: Vec<Device>) -> Result<Self> {
        let threads = rayon::ThreadPoolBuilder::new()
            .num_threads(devices.len() + 1)
            .build()
            .map_err(|error| Error::invalid(format!("threads for the devices: {error}")))?;
        Ok(Self { devices, threads })
    }

    pub fn devices(&self) -> &[Device] {
        &self.devices
    }

    /// `work` on a part of the batch for each device, and the sum of what it finds, on the device `first`.
    ///
    /// # Errors
    /// The first of `work`.
    pub(super) fn share(
        &self,
        first: &Device,
        model: &Model,
        batch: &Batch,
        work: impl Fn(&Device, &Model, &Batch) -> Found + Sync,
    ) -> Found {
        let devices: Vec<&Device> = [first].into_iter().chain(&self.devices).collect();
        let parts = batch.parts(devices.len());
        let worker = |rank: usize| {
            let (device, part) = (devices[rank], &parts[rank]);
            let model = model.clone().fork(&device.clone().autodiff());
            let found = work(device, &model, part)?;
            Ok(found.map(|(judged, gradients)| (judged, gradients.to_device(first, &model))))
        };
        let found = self.threads.broadcast(|thread| worker(thread.index()));
        let mut sum = GradientsAccumulator::new();
        let mut judged = Vec::new();
        for (part, found) in parts.iter().zip(found) {
            let found = found?.map(|(judged, gradients)| {
                sum.accumulate(model, gradients);
                judged
            });
            judged.push((part.len(), found));
        }
        let judged = joined(&judged, first);
        Ok((!judged.is_empty()).then(|| (judged, sum.grads())))
    }
}
