//! The label maps of a batch as one channel a label, for the Dice loss.

use std::collections::BTreeSet;

use burn::tensor::{Device, Tensor};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::BatchTensors;
use super::tensors::{TensorLabels, tensor};
use crate::dataset::Batch;
use crate::loss::OneHot;
use crate::model::{Model, Prediction};
use crate::ops::{present_labels, warp};
use crate::volume::distinct_labels;

/// Sets the random streams of the choice apart from those that have the number of a pair, by which the sampler draws it: no
/// pair has so large a number.
const CHOICE: u64 = 1 << 63;

/// Both label maps of a batch as one channel a label, the moving ones moved; `None` where no item has both.
pub(super) fn one_hot(
    batch: &Batch,
    images: &BatchTensors,
    prediction: &Prediction,
    max_labels: usize,
    model: &Model,
    device: &Device,
) -> Option<OneHot> {
    let labels = match &images.chosen {
        Some(labels) => labels.clone(),
        None => chosen_labels(batch, images, max_labels, 0),
    };
    if labels.is_empty() {
        return None;
    }
    let maps = Maps {
        batch,
        images,
        labels: &labels,
        device,
    };
    let moving = maps.channels(&batch.moving_labels, |labels| &labels.moving);
    Some(OneHot {
        fixed: maps.channels(&batch.fixed_labels, |labels| &labels.fixed),
        moved: warp(
            moving,
            prediction.displacement.clone(),
            model.config().border,
        ),
    })
}

/// The labels of the fixed images whose moving images have labels, too; a random few of them (of this seed, for this batch) where
/// they are too many to hold.
///
/// Where maps are on the device and hold more labels than that, it is read from there which: best done before a step, while
/// the device has nothing else to do.
pub(super) fn chosen_labels(
    batch: &Batch,
    images: &BatchTensors,
    max_labels: usize,
    seed: u64,
) -> Vec<i32> {
    let made = || images.truths.iter().flatten().flat_map(|t| &t.labels);
    let mut labels = labels_in_memory(batch);
    let known = labels.clone();
    labels.extend(made().flat_map(|made| &made.ids[1..]));
    labels.remove(&0);
    if max_labels > 0 && labels.len() > max_labels {
        // Only now it matters which labels of the device's maps the deformation has left inside.
        labels = known;
        labels.extend(made().flat_map(occurring));
        labels.remove(&0);
    }
    let mut labels: Vec<i32> = labels.into_iter().collect();
    if max_labels > 0 && labels.len() > max_labels {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(CHOICE | batch.number);
        labels.shuffle(&mut rng);
        labels.truncate(max_labels);
        labels.sort_unstable();
    }
    labels
}

fn labels_in_memory(batch: &Batch) -> BTreeSet<i32> {
    let voxels: usize = batch.extent.iter().product();
    let has_labels = batch.has_labels.iter().zip(&batch.unmade);
    let made = has_labels.filter(|(_, unmade)| unmade.is_none());
    let maps = batch.fixed_labels.chunks_exact(voxels).zip(made);
    let maps = maps.filter(|(_, (both, _))| **both).map(|(map, _)| map);
    distinct_labels(maps.flatten())
}

/// The labels that occur in a fixed map on the device.
fn occurring(labels: &TensorLabels) -> Vec<i32> {
    let present = present_labels(labels.fixed.clone(), labels.ids.len());
    let present: Vec<f32> = present
        .into_data()
        .try_to_vec()
        .expect("marks are 32-bit floats");
    let pairs = labels.ids.iter().zip(present);
    pairs
        .filter(|(_, present)| *present > 0.0)
        .map(|(id, _)| *id)
        .collect()
}

/// Label maps in memory and on the device.
struct Maps<'a> {
    batch: &'a Batch,
    images: &'a BatchTensors,
    labels: &'a [i32],
    device: &'a Device,
}

impl Maps<'_> {
    /// One channel a label, `[n, label, d, h, w]`: of the maps in `memory`, and of those `of` the device.
    fn channels(&self, memory: &[i32], of: fn(&TensorLabels) -> &Tensor<5>) -> Tensor<5> {
        let Self { batch, images, .. } = *self;
        if images.truths.iter().all(Option::is_none) {
            return self.of_memory(memory);
        }
        let voxels: usize = batch.extent.iter().product();
        let items = images.truths.iter().enumerate().map(|(n, truth)| {
            match truth.as_ref().and_then(|truth| truth.labels.as_ref()) {
                Some(labels) => self.of_places(of(labels), &labels.ids),
                None if memory.is_empty() => self.none(),
                None => self.of_memory(&memory[batch.made(n) * voxels..][..voxels]),
            }
        });
        Tensor::cat(items.collect(), 0)
    }

    /// A GPU compares for itself, since it gets one value a voxel sooner than one for each label, too.
    fn of_memory(&self, maps: &[i32]) -> Tensor<5> {
        if self.device.clone().inner() == Device::flex() {
            return self.on_host(maps);
        }
        let places = places(maps, self.labels);
        let places = tensor(&places, 1, self.batch, self.device);
        self.of_places(&places, self.labels)
    }

    fn on_host(&self, maps: &[i32]) -> Tensor<5> {
        let voxels: usize = self.batch.extent.iter().product();
        let mut values = Vec::with_capacity(maps.len() * self.labels.len());
        for map in maps.chunks_exact(voxels) {
            for label in self.labels {
                values.extend(map.iter().map(|v| f32::from(v == label)));
            }
        }
        tensor(&values, self.labels.len(), self.batch, self.device)
    }

    /// Of maps that hold the places of labels in `ids`.
    fn of_places(&self, places: &Tensor<5>, ids: &[i32]) -> Tensor<5> {
        let [n, _, d, h, w] = places.dims();
        let shape = [n, self.labels.len(), d, h, w];
        let place = |label: &i32| match ids.iter().position(|id| id == label) {
            Some(place) => place as f32,
            // Of no voxel.
            None => -1.0,
        };
        let wanted: Vec<f32> = self.labels.iter().map(place).collect();
        let wanted: Tensor<1> = Tensor::from_data(wanted.as_slice(), self.device);
        let wanted = wanted.reshape([1, self.labels.len(), 1, 1, 1]);
        let places = places.clone().expand(shape);
        places.equal(wanted.expand(shape)).float()
    }

    fn none(&self) -> Tensor<5> {
        let [d, h, w] = self.batch.extent;
        Tensor::zeros([1, self.labels.len(), d, h, w], self.device)
    }
}

/// The place of each voxel's label among `labels`, which ascend; -1 where it is none of them.
fn places(map: &[i32], labels: &[i32]) -> Vec<f32> {
    let found = |label: i32| match labels.binary_search(&label) {
        Ok(place) => place as f32,
        Err(_) => -1.0,
    };
    let (mut last, mut place) = (0, found(0));
    let place_of = |&label: &i32| {
        // Neighbours mostly share a label.
        if label != last {
            (last, place) = (label, found(label));
        }
        place
    };
    map.iter().map(place_of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Sample;
    use crate::volume::Dimension;
    use ndarray::Array3;

    #[test]
    fn the_channels_of_places_are_those_of_labels() {
        let map = |seed: i32| {
            let label = |(i, j, _): (usize, usize, usize)| (7 * i as i32 + seed * j as i32) % 9 - 2;
            Array3::from_shape_fn((6, 5, 1), label)
        };
        let samples = [1, 2].map(|seed| Sample {
            fixed_labels: Some(map(seed)),
            moving_labels: Some(map(seed + 2)),
            ..Sample::of_images(Array3::zeros((6, 5, 1)), Array3::zeros((6, 5, 1)))
        });
        let batch = Batch::from_samples(0, Dimension::Two, &samples).unwrap();
        let device = Device::flex();
        let maps = Maps {
            batch: &batch,
            images: &BatchTensors::new(&batch, &device),
            // One below zero, and one that no voxel has.
            labels: &[-2, 3, 4, 40],
            device: &device,
        };
        for memory in [&batch.fixed_labels, &batch.moving_labels] {
            let places = tensor(&places(memory, maps.labels), 1, &batch, &device);
            let found = maps.of_places(&places, maps.labels);
            assert_eq!(found.dims(), [2, 4, 1, 6, 5]);
            assert_eq!(found.into_data(), maps.on_host(memory).into_data());
        }
    }

    /// The choice among 99 labels for batch `number`.
    fn chosen(seed: u64, number: u64) -> Vec<i32> {
        let labels = Array3::from_shape_fn((10, 10, 1), |(i, j, _)| (10 * i + j) as i32);
        let image = labels.mapv(|label| label as f32);
        let sample = Sample {
            fixed_labels: Some(labels.clone()),
            moving_labels: Some(labels),
            ..Sample::of_images(image.clone(), image)
        };
        let batch = Batch::from_samples(number, Dimension::Two, &[sample]).unwrap();
        let images = BatchTensors::new(&batch, &Device::flex());
        chosen_labels(&batch, &images, 16, seed)
    }

    #[test]
    fn a_choice_is_that_of_its_seed_and_batch() {
        let first = chosen(7, 3);
        assert_eq!(first.len(), 16);
        assert_eq!(chosen(7, 3), first);
        // Two choices of 16 among 99 are the same once in 10^18 times.
        assert_ne!(chosen(7, 4), first);
        assert_ne!(chosen(8, 3), first);
    }

    #[test]
    fn the_choice_does_not_follow_the_draw_of_the_pairs() {
        for number in 0..4 {
            let mut of_pair = ChaCha8Rng::seed_from_u64(7);
            of_pair.set_stream(number);
            let mut labels: Vec<i32> = (1..100).collect();
            labels.shuffle(&mut of_pair);
            labels.truncate(16);
            labels.sort_unstable();
            assert_ne!(chosen(7, number), labels, "batch {number}");
        }
    }
}
