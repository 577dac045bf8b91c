//! How much memory a GPU has.

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

/// Bytes of memory of a GPU: none, since the program was built without.
#[cfg(not(feature = "gpu"))]
pub fn device_memory(_: &Device) -> Option<u64> {
    None
}
