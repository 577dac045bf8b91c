//! The batches of a run, in order.

use burn::tensor::Device;

use super::{BatchTensors, Session};
use crate::dataset::{Batch, Loader};
use crate::error::Result;

/// Takes batches from the loader. Their tensors can be made while the device is still busy with the step before, so that
/// it need not wait for the host to copy images, or to draw numbers and to launch the kernels that make pairs.
pub(super) struct Feed<'a> {
    session: &'a Session,
    loader: Loader,
    ahead: Option<Result<Ready>>,
}

/// A batch to train on.
pub(super) struct Ready {
    pub batch: Batch,
    /// Its tensors, where they have been made.
    pub images: Option<BatchTensors>,
}

impl<'a> Feed<'a> {
    pub fn new(session: &'a Session, first: u64) -> Result<Self> {
        let loader = Loader::new(session.sampler.clone(), first, session.workers())?;
        Ok(Self {
            session,
            loader,
            ahead: None,
        })
    }

    /// The next batch.
    ///
    /// # Errors
    /// Those of the batch; after one, there are no more.
    pub fn next_batch(&mut self) -> Result<Ready> {
        match self.ahead.take() {
            Some(ready) => ready,
            None => self.make(),
        }
    }

    /// Makes the next batch, if its tensors are made here; an error waits for its turn.
    ///
    /// The device then holds the images of one batch more, which are few beside the features of a step.
    pub fn make_ahead(&mut self) {
        if self.makes_tensors() {
            self.ahead = Some(self.make());
        }
    }

    /// Whether tensors are made here rather than in the step: for a GPU, and wherever the device makes the pairs. Several
    /// devices make their parts themselves, each in its own thread.
    fn makes_tensors(&self) -> bool {
        let session = self.session;
        let ahead = session.synthesises_on_device() || session.device != Device::flex();
        ahead && session.others.is_none()
    }

    fn make(&mut self) -> Result<Ready> {
        let batch = self.loader.next_batch()?;
        let images = match self.makes_tensors() {
            true => Some(self.session.tensors(&batch, &self.session.device)?),
            false => None,
        };
        Ok(Ready { batch, images })
    }
}
