//! How much memory a GPU has, and how much of it a tensor may take.

use burn::tensor::Device;

/// Bytes of memory of a GPU, which is started for that, where its driver tells; `None` for the CPU.
#[cfg(feature = "gpu")]
pub fn device_memory(device: &Device) -> Option<u64> {
    use burn::backend::DispatchDevice;
    match device.as_dispatch() {
        DispatchDevice::Cube(device) => device.client().properties().memory.max_memory(),
        _ => None,
    }
}

/// Bytes of the largest tensor that a GPU takes, whatever its memory; `None` for the CPU.
#[cfg(feature = "gpu")]
pub fn largest_tensor(device: &Device) -> Option<u64> {
    use burn::backend::DispatchDevice;
    match device.as_dispatch() {
        DispatchDevice::Cube(device) => Some(device.client().properties().memory.max_page_size),
        _ => None,
    }
}

/// Bytes of the largest tensor of a GPU: none, since the program was built without.
#[cfg(not(feature = "gpu"))]
pub fn largest_tensor(_: &Device) -> Option<u64> {
    None
}

/// Bytes of memory of a GPU: none, since the program was built without.
#[cfg(not(feature = "gpu"))]
pub fn device_memory(_: &Device) -> Option<u64> {
    None
}
