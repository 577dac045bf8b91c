//! The batches of a run, in order.

use super::{BatchTensors, Session};
use crate::dataset::{Batch, Loader};
use crate::error::Result;

/// Takes batches from the loader. Where the device makes their pairs, they can be made while it is still busy with the
/// step before, so that it need not wait for the host to draw numbers and to launch kernels.
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

    /// Makes the next batch on the device, if its pairs are made there; an error waits for its turn.
    pub fn make_ahead(&mut self) {
        if self.session.synthesises_on_device() {
            self.ahead = Some(self.make());
        }
    }

    fn make(&mut self) -> Result<Ready> {
        let batch = self.loader.next_batch()?;
        // Several devices make their parts themselves, each in its own thread.
        let images = match self.session.on_device.is_some() && self.session.others.is_none() {
            true => Some(self.session.tensors(&batch, &self.session.device)?),
            false => None,
        };
        Ok(Ready { batch, images })
    }
}
