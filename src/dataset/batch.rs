//! Batches of training samples as plain host memory; the trainer makes tensors of them.

use std::borrow::Borrow;
use std::ops::Range;

use ndarray::Array3;

use super::sample::{Entry, Kind, Sample};
use crate::error::{Error, Result};
use crate::volume::Dimension;

/// Samples of one extent, concatenated in tensor order.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Position in the run, which is also the optimiser step that uses it.
    pub number: u64,
    pub dimension: Dimension,
    /// `[d, h, w]` of the tensors; 2-D has `d = 1`.
    pub extent: [usize; 3],
    /// Per item: kind, and the ids of its images.
    pub kinds: Vec<Kind>,
    pub fixed_ids: Vec<String>,
    pub moving_ids: Vec<String>,
    /// Per item: the number of the synthetic pair that it is, where that is left to the device. The lists of values below
    /// hold the other items alone; `m` is their number.
    pub unmade: Vec<Option<u64>>,
    /// `[m, 1, d, h, w]`.
    pub fixed: Vec<f32>,
    pub moving: Vec<f32>,
    /// `[m, 1, d, h, w]`, zeros for items without labels; empty when none of them has any.
    pub fixed_labels: Vec<i32>,
    pub moving_labels: Vec<i32>,
    /// Per item: whether both of its label maps are there, or will be.
    pub has_labels: Vec<bool>,
    /// `[m, nf, d, h, w]`, voxels, zeros for items without; empty when none of them has one.
    pub field: Vec<f32>,
    /// Per item: whether its true field is there, or will be.
    pub has_field: Vec<bool>,
}

impl Batch {
    /// Puts samples of one shape into one batch.
    ///
    /// # Errors
    /// When the samples differ in shape, or there are none.
    pub fn from_samples(number: u64, dimension: Dimension, samples: &[Sample]) -> Result<Self> {
        let first = samples
            .first()
            .ok_or_else(|| Error::invalid("a batch needs a sample"))?;
        let entries: Vec<Entry<&Sample>> = samples.iter().map(Entry::Made).collect();
        Self::from_entries(number, dimension, first.fixed.dim().into(), &entries)
    }

    /// Puts pairs on a grid of `shape`, `(i, j, k)`, into one batch.
    ///
    /// # Errors
    /// A sample of another shape.
    pub fn from_entries<S: Borrow<Sample>>(
        number: u64,
        dimension: Dimension,
        shape: [usize; 3],
        entries: &[Entry<S>],
    ) -> Result<Self> {
        let samples: Vec<&Sample> = entries.iter().filter_map(Entry::sample).collect();
        let [i, j, k] = shape;
        for sample in &samples {
            sample.check((i, j, k), dimension)?;
        }
        let voxels = i * j * k;
        let names = |id: fn(&Sample) -> &String, side: &str| {
            entries.iter().map(|entry| entry.name(id, side)).collect()
        };
        let images = |image: fn(&Sample) -> &Array3<f32>| {
            join(samples.iter().map(|s| Some(image(s).iter())), voxels)
        };
        let maps = |map: fn(&Sample) -> Option<&Array3<i32>>| {
            join(samples.iter().map(|s| map(s).map(|a| a.iter())), voxels)
        };
        let fields = samples.iter().map(|s| s.field.as_ref().map(|a| a.iter()));
        let has = |what: fn(&Sample) -> bool| {
            let has = |entry: &Entry<S>| entry.sample().is_none_or(what);
            entries.iter().map(has).collect()
        };
        Ok(Self {
            number,
            dimension,
            extent: extent(shape, dimension),
            kinds: entries.iter().map(Entry::kind).collect(),
            fixed_ids: names(|s| &s.fixed_id, "fixed"),
            moving_ids: names(|s| &s.moving_id, "moving"),
            unmade: entries.iter().map(Entry::number).collect(),
            fixed: images(|s| &s.fixed),
            moving: images(|s| &s.moving),
            fixed_labels: maps(|s| s.fixed_labels.as_ref()),
            moving_labels: maps(|s| s.moving_labels.as_ref()),
            has_labels: has(|s| s.fixed_labels.is_some() && s.moving_labels.is_some()),
            field: join(fields, voxels * dimension.axes()),
            has_field: has(|s| s.field.is_some()),
        })
    }

    /// The batch in so many consecutive parts, as equal as they can be.
    pub fn parts(&self, count: usize) -> Vec<Self> {
        let bounds = |part: usize| part * self.len() / count;
        (0..count)
            .map(|part| self.part(bounds(part)..bounds(part + 1)))
            .collect()
    }

    fn part(&self, items: Range<usize>) -> Self {
        Self {
            number: self.number,
            dimension: self.dimension,
            extent: self.extent,
            kinds: self.kinds[items.clone()].to_vec(),
            fixed_ids: self.fixed_ids[items.clone()].to_vec(),
            moving_ids: self.moving_ids[items.clone()].to_vec(),
            unmade: self.unmade[items.clone()].to_vec(),
            fixed: self.cut(&self.fixed, &items),
            moving: self.cut(&self.moving, &items),
            fixed_labels: self.cut(&self.fixed_labels, &items),
            moving_labels: self.cut(&self.moving_labels, &items),
            has_labels: self.has_labels[items.clone()].to_vec(),
            field: self.cut(&self.field, &items),
            has_field: self.has_field[items].to_vec(),
        }
    }

    /// Those of some items among `values`, which hold all that are made, or nothing.
    fn cut<T: Clone>(&self, values: &[T], items: &Range<usize>) -> Vec<T> {
        let each = values.len() / self.made(self.len()).max(1);
        values[self.made(items.start) * each..self.made(items.end) * each].to_vec()
    }

    /// How many of the first `items` items are made: the place of the next one in the lists of values.
    pub fn made(&self, items: usize) -> usize {
        let made = self.unmade[..items].iter().filter(|n| n.is_none());
        made.count()
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        self.kinds.len()
    }

    /// Never true: a batch has at least one item.
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    /// `MOVING to FIXED` of every item, for messages.
    pub fn pair_names(&self) -> String {
        let ids = self.moving_ids.iter().zip(&self.fixed_ids);
        let names: Vec<String> = ids.map(|(m, f)| format!("{m} to {f}")).collect();
        names.join(", ")
    }

    /// Number of displacement components, 2 or 3.
    pub fn components(&self) -> usize {
        self.dimension.axes()
    }
}

/// A grid of `shape`, `(i, j, k)`, as tensors see it.
fn extent([i, j, k]: [usize; 3], dimension: Dimension) -> [usize; 3] {
    match dimension {
        Dimension::Two => [1, i, j],
        Dimension::Three => [i, j, k],
    }
}

/// Concatenates the items, zeros for the missing ones; empty when all are missing.
fn join<'a, T: Copy + Default + 'a>(
    items: impl Iterator<Item = Option<impl Iterator<Item = &'a T>>>,
    length: usize,
) -> Vec<T> {
    let items: Vec<_> = items.collect();
    if items.iter().all(Option::is_none) {
        return Vec::new();
    }
    let mut out = Vec::with_capacity(items.len() * length);
    for item in items {
        match item {
            Some(values) => out.extend(values.copied()),
            None => out.resize(out.len() + length, T::default()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array4;

    fn sample(kind: Kind, value: f32, shape: (usize, usize, usize)) -> Sample {
        let synthetic = kind == Kind::Synthetic;
        let (i, j, k) = shape;
        Sample {
            kind,
            fixed_id: "f".into(),
            moving_id: "m".into(),
            fixed: Array3::from_elem(shape, value),
            moving: Array3::from_elem(shape, -value),
            fixed_labels: synthetic.then(|| Array3::from_elem(shape, 3)),
            moving_labels: synthetic.then(|| Array3::from_elem(shape, 4)),
            field: synthetic.then(|| Array4::from_elem((2, i, j, k), 0.5)),
        }
    }

    #[test]
    fn missing_labels_and_fields_are_zeros_and_marked() {
        let samples = [
            sample(Kind::Real, 1.0, (2, 3, 1)),
            sample(Kind::Synthetic, 2.0, (2, 3, 1)),
        ];
        let batch = Batch::from_samples(5, Dimension::Two, &samples).unwrap();
        assert_eq!(batch.extent, [1, 2, 3]);
        assert_eq!(batch.fixed, [[1.0; 6], [2.0; 6]].concat());
        assert_eq!(batch.moving_labels, [[0; 6], [4; 6]].concat());
        assert_eq!(batch.has_labels, [false, true]);
        assert_eq!(batch.field, [[0.0; 12], [0.5; 12]].concat());
        assert_eq!(batch.has_field, [false, true]);
        let real = Batch::from_samples(0, Dimension::Two, &samples[..1]).unwrap();
        assert!(real.field.is_empty() && real.fixed_labels.is_empty());
    }

    #[test]
    fn parts_hold_every_item_once() {
        let samples: Vec<Sample> = (0..5)
            .map(|n| sample(Kind::Synthetic, n as f32, (2, 3, 1)))
            .collect();
        let of = |samples| Batch::from_samples(7, Dimension::Two, samples).unwrap();
        let parts = of(&samples).parts(2);
        assert_eq!(parts, [of(&samples[..2]), of(&samples[2..])]);
        let real = [0.0, 1.0].map(|value| sample(Kind::Real, value, (2, 3, 1)));
        assert_eq!(of(&real).parts(2), [of(&real[..1]), of(&real[1..])]);
    }

    #[test]
    fn what_the_device_will_make_takes_no_memory() {
        let sample = |value| Entry::Made(sample(Kind::Real, value, (2, 3, 1)));
        let of = |entries: &[Entry<Sample>]| {
            Batch::from_entries(0, Dimension::Two, [2, 3, 1], entries).unwrap()
        };
        let entries = [Entry::Unmade(8), sample(1.0), Entry::Unmade(9), sample(2.0)];
        let batch = of(&entries);
        assert_eq!(batch.unmade, [Some(8), None, Some(9), None]);
        assert_eq!(batch.fixed, [[1.0; 6], [2.0; 6]].concat());
        assert_eq!(batch.has_field, [true, false, true, false]);
        assert_eq!(batch.kinds[2], Kind::Synthetic);
        assert_eq!(batch.moving_ids[2], "synthetic-9-moving");
        let parts = batch.parts(3);
        assert_eq!(
            parts,
            [of(&entries[..1]), of(&entries[1..2]), of(&entries[2..])]
        );
        assert!(parts[0].fixed.is_empty());
    }

    #[test]
    fn different_shapes_are_refused() {
        let samples = [
            sample(Kind::Real, 1.0, (2, 3, 1)),
            sample(Kind::Real, 1.0, (3, 2, 1)),
        ];
        let error = Batch::from_samples(0, Dimension::Two, &samples)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("2x3x1") && error.contains("(3, 2, 1)"),
            "{error}"
        );
        assert!(Batch::from_samples(0, Dimension::Two, &[]).is_err());
    }
}
