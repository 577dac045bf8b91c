//! Training samples and batches as plain host memory; the trainer makes tensors of them.

use std::ops::Range;

use ndarray::{Array3, Array4};

use crate::error::{Error, Result};
use crate::volume::Dimension;

/// Whether a pair was scanned or synthesised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Real,
    Synthetic,
}

impl Kind {
    pub const ALL: [Self; 2] = [Self::Real, Self::Synthetic];

    /// As logs write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Real => "real",
            Self::Synthetic => "synthetic",
        }
    }
}

/// One pair on the network grid, host axes `(i, j, k)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub kind: Kind,
    pub fixed_id: String,
    pub moving_id: String,
    pub fixed: Array3<f32>,
    pub moving: Array3<f32>,
    pub fixed_labels: Option<Array3<i32>>,
    pub moving_labels: Option<Array3<i32>>,
    /// True displacement of a synthetic pair: pull on the fixed grid, voxels, `[component, i, j, k]`.
    pub field: Option<Array4<f32>>,
}

impl Sample {
    /// Two images about which nothing else is known.
    pub fn of_images(fixed: Array3<f32>, moving: Array3<f32>) -> Self {
        Self {
            kind: Kind::Real,
            fixed_id: "fixed".into(),
            moving_id: "moving".into(),
            fixed,
            moving,
            fixed_labels: None,
            moving_labels: None,
            field: None,
        }
    }
}

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
    /// `[n, 1, d, h, w]`.
    pub fixed: Vec<f32>,
    pub moving: Vec<f32>,
    /// `[n, 1, d, h, w]`, zeros for items without labels; empty when no item has any.
    pub fixed_labels: Vec<i32>,
    pub moving_labels: Vec<i32>,
    /// Per item: whether both of its label maps are there.
    pub has_labels: Vec<bool>,
    /// `[n, nf, d, h, w]`, voxels, zeros for items without; empty when no item has one.
    pub field: Vec<f32>,
    /// Per item: whether its true field is there.
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
        let shape = first.fixed.dim();
        for sample in samples {
            check_shapes(sample, shape, dimension)?;
        }
        let (i, j, k) = shape;
        let extent = match dimension {
            Dimension::Two => [1, i, j],
            Dimension::Three => [i, j, k],
        };
        let voxels = i * j * k;
        let ids = |id: fn(&Sample) -> &String| samples.iter().map(|s| id(s).clone()).collect();
        Ok(Self {
            number,
            dimension,
            extent,
            kinds: samples.iter().map(|s| s.kind).collect(),
            fixed_ids: ids(|s| &s.fixed_id),
            moving_ids: ids(|s| &s.moving_id),
            fixed: join(samples.iter().map(|s| Some(s.fixed.iter())), voxels),
            moving: join(samples.iter().map(|s| Some(s.moving.iter())), voxels),
            fixed_labels: join(
                samples
                    .iter()
                    .map(|s| s.fixed_labels.as_ref().map(|a| a.iter())),
                voxels,
            ),
            moving_labels: join(
                samples
                    .iter()
                    .map(|s| s.moving_labels.as_ref().map(|a| a.iter())),
                voxels,
            ),
            has_labels: samples
                .iter()
                .map(|s| s.fixed_labels.is_some() && s.moving_labels.is_some())
                .collect(),
            field: join(
                samples.iter().map(|s| s.field.as_ref().map(|a| a.iter())),
                voxels * dimension.axes(),
            ),
            has_field: samples.iter().map(|s| s.field.is_some()).collect(),
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
            fixed: self.cut(&self.fixed, &items),
            moving: self.cut(&self.moving, &items),
            fixed_labels: self.cut(&self.fixed_labels, &items),
            moving_labels: self.cut(&self.moving_labels, &items),
            has_labels: self.has_labels[items.clone()].to_vec(),
            field: self.cut(&self.field, &items),
            has_field: self.has_field[items].to_vec(),
        }
    }

    /// Some items of `values`, which hold all or nothing.
    fn cut<T: Clone>(&self, values: &[T], items: &Range<usize>) -> Vec<T> {
        let each = values.len() / self.len();
        values[items.start * each..items.end * each].to_vec()
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

/// Concatenates the items, zeros for the missing ones; empty when all are missing.
fn join<'a, T: Copy + Default + 'a>(
    items: impl Iterator<Item = Option<impl Iterator<Item = &'a T>>>,
    length: usize,
) -> Vec<T> {
    let mut out = Vec::new();
    let mut any = false;
    for item in items {
        let end = out.len() + length;
        if let Some(values) = item {
            any = true;
            out.extend(values.copied());
        }
        out.resize(end, T::default());
    }
    if any { out } else { Vec::new() }
}

fn check_shapes(sample: &Sample, shape: (usize, usize, usize), dimension: Dimension) -> Result<()> {
    let (i, j, k) = shape;
    let labels = [&sample.fixed_labels, &sample.moving_labels];
    let agree = sample.fixed.dim() == shape
        && sample.moving.dim() == shape
        && labels
            .iter()
            .all(|labels| labels.as_ref().is_none_or(|a| a.dim() == shape))
        && sample
            .field
            .as_ref()
            .is_none_or(|field| field.dim() == (dimension.axes(), i, j, k));
    if agree {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "{} and {}: expected a pair on a grid of {i}x{j}x{k}, found {:?} and {:?}; a batch has one shape",
        sample.fixed_id,
        sample.moving_id,
        sample.fixed.dim(),
        sample.moving.dim(),
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

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
