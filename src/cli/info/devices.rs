//! `hmorph info` without files: what `--device` can name here.

use serde_json::{Value, json};

use crate::cli::common::print;
use crate::device::{self, Gpu};
use crate::ops::device_memory;

/// A device that `--device` can name.
struct Row {
    name: String,
    kind: String,
    /// Bytes; what is free where it is the machine's own.
    memory: Option<u64>,
    adapter: String,
}

/// Prints the devices, and which of them `auto` takes.
pub fn run(json: bool) {
    let taken = device::automatic();
    let rows: Vec<Row> = std::iter::once(cpu())
        .chain(device::gpus().iter().map(gpu))
        .collect();
    if json {
        for row in &rows {
            print(facts(row, &taken.name).to_string());
        }
        return;
    }
    print(line("device", "kind", "memory", "adapter"));
    for row in &rows {
        let memory = row.memory.map_or("unknown".into(), gigabytes);
        print(line(&row.name, &row.kind, &memory, &row.adapter));
    }
    let reason = taken
        .fallback
        .map_or(String::new(), |why| format!(": {why}"));
    print(format!("auto takes {}{reason}", taken.name));
}

fn cpu() -> Row {
    Row {
        name: "cpu".into(),
        kind: "CPU".into(),
        memory: device::available_memory(),
        adapter: format!("{} threads", device::available_threads()),
    }
}

fn gpu(gpu: &Gpu) -> Row {
    // Drivers in software are not always sound, and are used where they are named only.
    let (adapter, memory) = match gpu.kind.is_physical().then(|| gpu.start()) {
        Some(Ok(adapter)) => (adapter, device_memory(&gpu.device)),
        Some(Err(problem)) => (problem.to_string(), None),
        None => ("not started".into(), None),
    };
    Row {
        name: gpu.name.clone(),
        kind: gpu.kind.to_string(),
        memory,
        adapter,
    }
}

fn facts(row: &Row, taken: &str) -> Value {
    json!({
        "device": row.name, "kind": row.kind, "memory_bytes": row.memory, "adapter": row.adapter,
        "auto": row.name == taken,
    })
}

fn line(name: &str, kind: &str, memory: &str, adapter: &str) -> String {
    format!("{name:<11}{kind:<16}{memory:>10}  {adapter}")
}

fn gigabytes(bytes: u64) -> String {
    format!("{:.1} GB", bytes as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_is_always_listed() {
        let row = cpu();
        let facts = facts(&row, "cpu");
        assert_eq!(
            (&facts["device"], &facts["auto"]),
            (&"cpu".into(), &true.into())
        );
        assert!(row.adapter.ends_with("threads"), "{}", row.adapter);
    }

    #[test]
    fn columns_stand_below_each_other() {
        let head = line("device", "kind", "memory", "adapter");
        let row = line(
            "vulkan:0",
            "discrete GPU",
            &gigabytes(84_987_740_160),
            "NVIDIA",
        );
        assert_eq!(row, "vulkan:0   discrete GPU       85.0 GB  NVIDIA");
        assert_eq!(head.find("adapter"), row.find("NVIDIA"));
    }
}
