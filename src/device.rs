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

/// Bytes of memory this process may still take; `None` where the system does not tell (anything but Linux).
pub fn available_memory() -> Option<u64> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let free = memory_available(&read("/proc/meminfo")?)?;
    // The limit of a container or a job, where there is one.
    let group = |file: &str| read(&format!("/sys/fs/cgroup/memory.{file}"));
    let left = || group_left(&group("max")?, &group("current")?, &group("stat")?);
    Some(left().map_or(free, |left| free.min(left)))
}

/// What a cgroup of version 2 still gives; file pages it would drop first count as free.
fn group_left(max: &str, current: &str, stat: &str) -> Option<u64> {
    let [max, current] = [max, current].map(|text| text.trim().parse::<u64>().ok());
    let cached = stat
        .lines()
        .find_map(|line| line.strip_prefix("inactive_file "));
    let cached: u64 = cached
        .and_then(|number| number.trim().parse().ok())
        .unwrap_or(0);
    Some(max?.saturating_sub(current?.saturating_sub(cached)))
}

/// The line `MemAvailable:   1234 kB` of proc(5).
fn memory_available(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_memory_is_read_in_kibibytes() {
        let text = "MemTotal:       16000 kB\nMemFree:  1 kB\nMemAvailable:    8123 kB\n";
        assert_eq!(memory_available(text), Some(8123 * 1024));
        assert_eq!(memory_available("MemAvailable: plenty"), None);
        assert_eq!(
            group_left("5000\n", "4000\n", "anon 1\ninactive_file 1500\n"),
            Some(2500)
        );
        assert_eq!(group_left("max\n", "4000\n", ""), None);
    }
}
