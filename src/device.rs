//! Finds the device that networks run on.

use burn::tensor::Device;

use crate::error::{Error, Result};

/// The device that a name such as `auto`, `cpu` or `wgpu:0` stands for.
///
/// `auto` takes a real GPU where the program has been built with one and the machine has it, otherwise the CPU;
/// never a software adapter.
///
/// # Errors
/// An unknown name, or a device this program or machine does not have.
pub fn resolve(name: &str) -> Result<Device> {
    match name.split_once(':').unwrap_or((name, "0")) {
        ("auto", _) => Ok(real_gpu().unwrap_or_else(Device::flex)),
        ("cpu", _) => Ok(Device::flex()),
        ("wgpu", index) => gpu(index),
        _ => Err(Error::invalid(format!(
            "--device {name}: unknown; expected auto, cpu or wgpu[:INDEX]"
        ))),
    }
}

/// What a device is called in records.
pub fn name(device: &Device) -> String {
    match *device == Device::flex() {
        true => "cpu".into(),
        false => format!("{device:?}"),
    }
}

/// Threads this process may use: what SLURM granted, otherwise what the operating system and cgroups allow.
pub fn available_threads() -> usize {
    let granted = std::env::var("SLURM_CPUS_PER_TASK")
        .ok()
        .and_then(|n| n.parse().ok())
        .filter(|&n: &usize| n > 0);
    let present = std::thread::available_parallelism().map_or(1, |n| n.get());
    granted.map_or(present, |n| n.min(present))
}

#[cfg(feature = "wgpu")]
fn real_gpu() -> Option<Device> {
    use burn::tensor::DeviceType;
    Device::enumerate(DeviceType::Wgpu)
        .into_vec()
        .into_iter()
        .find(|device| {
            let kind = format!("{:?}", device.as_dispatch());
            kind.contains("DiscreteGpu") || kind.contains("IntegratedGpu")
        })
}

#[cfg(not(feature = "wgpu"))]
fn real_gpu() -> Option<Device> {
    None
}

#[cfg(feature = "wgpu")]
fn gpu(index: &str) -> Result<Device> {
    use burn::tensor::DeviceType;
    let index: usize = index.parse().map_err(|_| {
        Error::invalid(format!(
            "--device wgpu:{index}: expected a number after the colon"
        ))
    })?;
    let found = Device::enumerate(DeviceType::Wgpu).into_vec();
    let count = found.len();
    found.into_iter().nth(index).ok_or_else(|| {
        Error::invalid(format!(
            "--device wgpu:{index}: {count} adapters found; use --device cpu, or install a Vulkan driver"
        ))
    })
}

#[cfg(not(feature = "wgpu"))]
fn gpu(index: &str) -> Result<Device> {
    Err(Error::invalid(format!(
        "--device wgpu:{index}: this program was built without GPU support; use --device cpu, or build with the \
         feature wgpu"
    )))
}
