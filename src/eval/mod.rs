//!

mod memory;

pub use memory::peak_memory_bytes;
