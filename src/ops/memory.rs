//! How much memory a GPU has, and how much of it a tensor may take.

use burn::tensor::Device;

/// Bytes of memory of a GPU, which is started for that, where its driver tells; `None` for the CPU.
pub fn device_memory(device: &Device) -> Option<u64> {
    let [memory, _] = limits(device);
    memory
}

/// Bytes of the largest tensor of 32-bit floats that a GPU allocates at once and kernels can index; `None` for the CPU.
pub fn largest_tensor(device: &Device) -> Option<u64> {
    let [_, tensor] = limits(device);
    tensor
}

/// Bytes of all memory and of the largest tensor.
#[cfg(feature = "gpu")]
fn limits(device: &Device) -> [Option<u64>; 2] {
    use burn::backend::DispatchDevice;
    match device.as_dispatch() {
        DispatchDevice::Cube(device) => {
            let client = device.client();
            let memory = &client.properties().memory;
            let indexed = (size_of::<f32>() * super::gpu::MOST_VALUES) as u64;
            [memory.max_memory(), Some(memory.max_page_size.min(indexed))]
        }
        _ => [None; 2],
    }
}

/// A program that was built without GPUs knows of none.
#[cfg(not(feature = "gpu"))]
fn limits(_: &Device) -> [Option<u64>; 2] {
    [None; 2]
}
