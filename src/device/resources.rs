//! What this process may use of the machine: threads and memory.

use std::path::Path;

/// Threads this process may use: what SLURM granted, but no more than the operating system allows.
///
/// The standard library obeys the affinity of the process and the CPU quotas of control groups of both versions.
pub fn available_threads() -> usize {
    let present = std::thread::available_parallelism().map_or(1, |n| n.get());
    let granted = granted_threads(|name| std::env::var(name).ok());
    granted.map_or(present, |n| n.min(present))
}

/// CPUs of a task (`--cpus-per-task`), or else of the job on this machine.
fn granted_threads(variable: impl Fn(&str) -> Option<String>) -> Option<usize> {
    ["SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE"]
        .into_iter()
        .find_map(|name| variable(name)?.parse().ok())
        .filter(|&n: &usize| n > 0)
}

/// Bytes of memory this process may still take; `None` where the system does not tell (anything but Linux).
pub fn available_memory() -> Option<u64> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    let free = memory_available(&std::fs::read_to_string("/proc/meminfo").ok()?)?;
    // The limits of a container or a job, where there are some.
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let left = groups_left(Path::new("/sys/fs/cgroup"), &groups);
    Some(left.map_or(free, |left| free.min(left)))
}

/// Largest resident memory of this process so far, in bytes; `None` where the system does not tell
/// (anything but Linux).
pub fn peak_memory_bytes() -> Option<u64> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    high_water_mark(&std::fs::read_to_string("/proc/self/status").ok()?)
}

fn high_water_mark(status: &str) -> Option<u64> {
    bytes_after("VmHWM:", status)
}

/// Where a memory control group says how much it gives and has given, and which line of `memory.stat` counts the file
/// pages it would drop first.
struct GroupFiles {
    limit: &'static str,
    used: &'static str,
    dropped_first: &'static str,
}

const VERSION_1: GroupFiles = GroupFiles {
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    dropped_first: "total_inactive_file ",
};
const VERSION_2: GroupFiles = GroupFiles {
    limit: "memory.max",
    used: "memory.current",
    dropped_first: "inactive_file ",
};

/// What the control groups of cgroups(7) still give: the least over the groups that `own` (`/proc/self/cgroup`) names
/// and all above them. Inside a container the names may be those outside; then its own root answers.
fn groups_left(root: &Path, own: &str) -> Option<u64> {
    let mut left = Vec::new();
    for line in own.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (parts.next(), parts.next()) else {
            continue;
        };
        let (root, files) = match controllers {
            "" => (root.to_path_buf(), VERSION_2),
            _ if controllers.split(',').any(|name| name == "memory") => {
                (root.join("memory"), VERSION_1)
            }
            _ => continue,
        };
        let groups = Path::new(group.trim_start_matches('/')).ancestors();
        left.extend(groups.filter_map(|group| files.left(&root.join(group))));
    }
    left.into_iter().min()
}

impl GroupFiles {
    /// What the group in `folder` still gives; file pages it would drop first count as free.
    fn left(&self, folder: &Path) -> Option<u64> {
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).ok();
        let number = |name: &str| read(name)?.trim().parse::<u64>().ok();
        let (limit, used) = (number(self.limit)?, number(self.used)?);
        let statistics = read("memory.stat").unwrap_or_default();
        let dropped = statistics
            .lines()
            .find_map(|line| line.strip_prefix(self.dropped_first));
        let dropped: u64 = dropped
            .and_then(|number| number.trim().parse().ok())
            .unwrap_or(0);
        Some(limit.saturating_sub(used.saturating_sub(dropped)))
    }
}

fn memory_available(meminfo: &str) -> Option<u64> {
    bytes_after("MemAvailable:", meminfo)
}

/// What a line such as `VmHWM:   1234 kB` of proc(5) says.
fn bytes_after(key: &str, text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_memory_is_read_in_kibibytes() {
        let text = "MemTotal:       16000 kB\nMemFree:  1 kB\nMemAvailable:    8123 kB\n";
        assert_eq!(memory_available(text), Some(8123 * 1024));
        assert_eq!(memory_available("MemAvailable: plenty"), None);
    }

    #[test]
    fn slurm_grants_threads_by_the_task_before_the_job() {
        let granted = |pairs: &[(&str, &str)]| {
            granted_threads(|name| {
                let found = pairs.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| value.to_string())
            })
        };
        let job = ("SLURM_CPUS_ON_NODE", "16");
        assert_eq!(granted(&[("SLURM_CPUS_PER_TASK", "4"), job]), Some(4));
        assert_eq!(granted(&[job]), Some(16));
        assert_eq!(granted(&[("SLURM_CPUS_PER_TASK", "0")]), None);
        assert_eq!(granted(&[]), None);
    }

    #[test]
    fn the_tightest_group_above_the_process_counts() {
        let root = tempfile::tempdir().unwrap();
        let group = |path: &str, files: [(&str, &str); 3]| {
            let folder = root.path().join(path);
            std::fs::create_dir_all(&folder).unwrap();
            for (name, text) in files {
                std::fs::write(folder.join(name), text).unwrap();
            }
        };
        let two = |max, current| {
            let stat = ("memory.stat", "anon 1\ninactive_file 1500\n");
            [("memory.max", max), ("memory.current", current), stat]
        };
        group("job/step", two("max\n", "4000\n"));
        group("job", two("5000\n", "4000\n"));
        group("", two("9000\n", "4000\n"));
        let left = |own: &str| groups_left(root.path(), own);
        assert_eq!(left("0::/job/step\n"), Some(2500));
        // A name from outside of the container.
        assert_eq!(left("0::/docker/0123\n"), Some(6500));
        let one = [
            ("memory.limit_in_bytes", "3000"),
            ("memory.usage_in_bytes", "2000"),
            ("memory.stat", "inactive_file 1\ntotal_inactive_file 500\n"),
        ];
        group("memory/slurm/job", one);
        assert_eq!(left("7:cpu,memory:/slurm/job\n5:cpuset:/\n"), Some(1500));
        assert_eq!(left("5:cpuset:/\n"), None);
    }

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
