//! Golden files, and how near to them numbers must be.
#![allow(dead_code)] // Each test program uses a part.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use safetensors::SafeTensors;

/// A weights file of another program, or what it gives.
pub fn interop_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/interop")
        .join(name)
}

/// A file of `tests/golden/`: named tensors and metadata.
pub struct Golden {
    tensors: HashMap<String, (Vec<usize>, Vec<f32>)>,
    metadata: HashMap<String, String>,
}

impl Golden {
    pub fn open(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        Self::open_file(&folder.join(format!("{name}.safetensors")))
    }

    pub fn open_file(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let tensors = SafeTensors::deserialize(&bytes)
            .unwrap()
            .iter()
            .map(|(name, view)| {
                let values = view
                    .data()
                    .chunks_exact(4)
                    .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
                    .collect();
                (name.to_string(), (view.shape().to_vec(), values))
            })
            .collect();
        Self {
            tensors,
            metadata: header.metadata().clone().unwrap_or_default(),
        }
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    pub fn meta<T: serde::de::DeserializeOwned>(&self, key: &str) -> T {
        // Python writes True and False.
        let text = self.metadata[key].to_lowercase();
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{key} = {text}: {e}"))
    }

    pub fn scalar(&self, name: &str) -> f32 {
        self.tensors[name].1[0]
    }

    pub fn values(&self, name: &str) -> &[f32] {
        &self.tensors[name].1
    }

    /// The shape as our networks see it: 2-D `[n, c, i, j]` becomes `[n, c, 1, i, j]`, which is the same memory.
    pub fn shape(&self, name: &str) -> [usize; 5] {
        let (shape, _) = &self.tensors[name];
        match shape[..] {
            [n, c, i, j] => [n, c, 1, i, j],
            [n, c, i, j, k] => [n, c, i, j, k],
            _ => panic!("{name}: shape {shape:?}"),
        }
    }

    /// The tensor in that shape.
    pub fn tensor(&self, name: &str, device: &Device) -> Tensor<5> {
        let values = self.values(name).to_vec();
        Tensor::from_data(TensorData::new(values, self.shape(name)), device)
    }

    pub fn vector(&self, name: &str, device: &Device) -> Tensor<1> {
        let (shape, values) = &self.tensors[name];
        Tensor::from_data(TensorData::new(values.clone(), shape.clone()), device)
    }
}

/// Largest difference of two tensors, relative to the largest magnitude of `expected`.
pub fn relative_distance(found: &[f32], expected: &[f32]) -> f32 {
    let largest = expected.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    assert!(largest > 0.0, "the reference is all zeros");
    let worst = found
        .iter()
        .zip(expected)
        .map(|(f, e)| (f - e).abs())
        .fold(
            0.0f32,
            |m, d| if d.is_nan() { f32::INFINITY } else { m.max(d) },
        );
    worst / largest
}

/// Fails unless `found` equals `expected` to `tolerance` times the largest magnitude of `expected`.
pub fn assert_close(what: &str, found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len(), "{what}: number of values");
    let distance = relative_distance(found, expected);
    assert!(
        distance <= tolerance,
        "{what}: largest difference is {distance:e} of the largest value, allowed {tolerance:e}"
    );
}

pub fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}
