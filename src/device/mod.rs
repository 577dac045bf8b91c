//! Finds the device that networks run on.

mod failure;
mod gpu;
mod resources;

use burn::tensor::Device;

use crate::error::{Error, Result};

pub use failure::guard;
pub use gpu::{Gpu, Kind, gpus};
pub use resources::{available_memory, available_threads, peak_memory_bytes};

use gpu::Api;

/// A device to run on.
#[derive(Debug)]
pub struct Choice {
    /// As `--device` takes it.
    pub name: String,
    pub device: Device,
    /// Why `auto` took the CPU.
    pub fallback: Option<String>,
}

impl Choice {
    fn new(name: impl Into<String>, device: Device) -> Self {
        Self {
            name: name.into(),
            device,
            fallback: None,
        }
    }
}

/// The device that a name such as `auto`, `cpu` or `wgpu:0` stands for, with what is to be said about it; a GPU is started.
///
/// # Errors
/// An unknown name, a device this program or machine does not have, or one that does not start.
pub fn choose(name: &str) -> Result<Choice> {
    let (interface, index) = name.split_once(':').unwrap_or((name, "0"));
    let device = match (name, Api::named(interface)) {
        ("auto", _) => return Ok(automatic()),
        ("cpu", _) => Device::flex(),
        (_, Some(api)) => named(name, api, index)?,
        _ if interface == "metal" => {
            return Err(Error::invalid(format!(
                "--device {name}: Metal is reached through wgpu; use --device wgpu"
            )));
        }
        _ => {
            return Err(Error::invalid(format!(
                "--device {name}: unknown; expected auto, cpu, wgpu[:INDEX], vulkan[:INDEX] or cuda[:INDEX]"
            )));
        }
    };
    Ok(Choice::new(name, device))
}

/// A physical GPU where the program has been built with one and the machine has it, otherwise the CPU; never a
/// software adapter.
pub fn automatic() -> Choice {
    let mut passed_over = Vec::new();
    for gpu in gpus() {
        let why = match gpu.kind.is_physical() {
            true if gpu.start().is_ok() => return Choice::new(gpu.name, gpu.device),
            true => "does not start".into(),
            false => gpu.kind.to_string(),
        };
        passed_over.push(format!("{} ({why})", gpu.name));
    }
    let reason = if !cfg!(feature = "gpu") {
        "this program was built without GPU support".into()
    } else if passed_over.is_empty() {
        "no GPU was found".into()
    } else {
        format!("no usable GPU was found, only {}", passed_over.join(", "))
    };
    Choice {
        fallback: Some(reason),
        ..Choice::new("cpu", Device::flex())
    }
}

fn named(name: &str, api: Api, index: &str) -> Result<Device> {
    let refusal = |problem: String| Error::invalid(format!("--device {name}: {problem}"));
    let index: usize = index
        .parse()
        .map_err(|_| refusal("expected a number after the colon".into()))?;
    let Some(gpus) = api.gpus() else {
        let feature = api.name();
        return Err(refusal(format!(
            "this program was built without {feature}; use --device cpu, or build with --features {feature}"
        )));
    };
    let count = gpus.len();
    let gpu = gpus.into_iter().nth(index).ok_or_else(|| {
        refusal(format!(
            "{count} adapters found; use one that `hmorph info` lists, or install the driver of the GPU"
        ))
    })?;
    gpu.start()?;
    Ok(gpu.device)
}

/// What a device is called in records: `cpu`, or the interface and the name of the GPU.
pub fn name(device: &Device) -> String {
    if *device == Device::flex() {
        return "cpu".into();
    }
    match gpu::adapter(device) {
        Some(adapter) => format!("{}: {adapter}", Api::of(device).name()),
        None => format!("{device:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_no_device_say_what_is_expected() {
        for (name, part) in [
            ("gpu", "expected auto, cpu"),
            ("cpu:0", "expected auto, cpu"),
            ("auto:0", "expected auto, cpu"),
            ("metal", "use --device wgpu"),
            ("wgpu:first", "a number after the colon"),
            ("cuda:", "a number after the colon"),
        ] {
            let problem = choose(name).unwrap_err().to_string();
            assert!(
                problem.starts_with(&format!("--device {name}:")),
                "{problem}"
            );
            assert!(problem.contains(part), "{problem}");
        }
    }

    #[test]
    fn the_cpu_is_taken_without_a_word_where_it_is_named() {
        let choice = choose("cpu").unwrap();
        assert_eq!((choice.device, choice.fallback), (Device::flex(), None));
        assert_eq!(name(&Device::flex()), "cpu");
    }
}
