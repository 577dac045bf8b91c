//! How much memory the process has used.

/// Largest resident memory of this process so far, in bytes; `None` where the system does not tell
/// (anything but Linux).
pub fn peak_memory_bytes() -> Option<u64> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    high_water_mark(&std::fs::read_to_string("/proc/self/status").ok()?)
}

/// The line `VmHWM:   1234 kB` of proc(5).
fn high_water_mark(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_status_file() {
        let status = "Name:\thmorph\nVmPeak:\t  999 kB\nVmHWM:\t   5124 kB\n";
        assert_eq!(high_water_mark(status), Some(5124 * 1024));
        assert_eq!(high_water_mark("VmHWM: soon"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn grows_with_what_is_touched() {
        const SIZE: usize = 64 << 20;
        let block = vec![1_u8; SIZE];
        let peak = peak_memory_bytes().unwrap();
        assert!(peak > SIZE as u64, "{peak}");
        assert!(std::hint::black_box(block)[SIZE - 1] == 1);
    }
}
