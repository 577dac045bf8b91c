//! A GPU that fails: burn panics then, here that becomes an error.

use std::any::Any;
use std::cell::Cell;
use std::collections::VecDeque;
use std::panic::{
    AssertUnwindSafe, PanicHookInfo, catch_unwind, resume_unwind, set_hook, take_hook,
};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use crate::error::{Error, Result};

/// The crates that drive GPUs, by how their names begin. They panic in the thread of a device, too.
const DRIVERS: [&str; 5] = ["cubecl", "wgpu", "cudarc", "burn-cubecl", "burn-fusion"];
/// How the panic of a tensor begins whose values cannot be read, since work on it failed earlier.
const UNREADABLE: &str = "Error while reading data";
/// How the panic of an operation begins whose kernels cannot index a tensor.
const TOO_MANY: &str = "too many values for a GPU";
/// How CubeCL says that a tensor is larger than the device allocates at once.
const TOO_BIG: &str = "can't allocate buffer of size";
/// What takes less memory.
const REMEDIES: &str = "fewer pairs a step (train.batch), train.mixed_precision or train.gradient_checkpointing = true, \
     larger voxels (data.spacing in training, --network-spacing in registration), or --device cpu";
/// Of a driver's message, characters that are shown at most.
const SHOWN: usize = 240;

/// Panics whose messages are kept, at most: far more than fail at once.
const KEPT: usize = 64;

/// The panics that devices caused, in any thread.
static FAILURES: Mutex<Failures> = Mutex::new(Failures {
    count: 0,
    last: VecDeque::new(),
});

thread_local! {
    /// What the last panic of this thread said, if a device caused it.
    static OWN: Cell<Option<String>> = const { Cell::new(None) };
}

/// What devices said in panics.
struct Failures {
    /// All of them.
    count: usize,
    /// Messages of the last ones. They stay, since other jobs may be about to look for theirs.
    last: VecDeque<String>,
}

impl Failures {
    fn add(&mut self, text: String) {
        if self.last.len() == KEPT {
            self.last.pop_front();
        }
        self.last.push_back(text);
        self.count += 1;
    }

    /// The messages after the first `count`, as far as they are kept.
    fn since(&self, count: usize) -> Vec<String> {
        let old = self.last.len().saturating_sub(self.count - count);
        self.last.iter().skip(old).cloned().collect()
    }
}

/// Runs `work` on the device that `--device` names so. Where the device fails, nothing is printed and the panic
/// ends here; any other panic goes on.
///
/// A panic is known by this thread, or by what it says if it came from another one that `work` waited for. Several
/// threads may be guarded at once; what else has failed since the start only helps to say why.
///
/// # Errors
/// A device that fails, with what to try.
pub fn guard<T>(device: &str, work: impl FnOnce() -> T) -> Result<T> {
    listen();
    let before = failures().count;
    OWN.set(None);
    let payload = match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => return Ok(done),
        Err(payload) => payload,
    };
    let mut said = failures().since(before);
    said.extend(OWN.take());
    if text(&*payload).is_some_and(|text| said.iter().any(|known| known == text)) {
        return Err(Error::invalid(describe(device, &said)));
    }
    resume_unwind(payload)
}

/// Has panics that a device causes kept rather than printed.
fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let print = take_hook();
        set_hook(Box::new(move |info| {
            let failure = failure(info);
            match &failure {
                Some(text) => failures().add(text.clone()),
                None => print(info),
            }
            // A thread that is ending has no place for it any more, and nobody who would ask.
            let _ = OWN.try_with(|own| own.set(failure));
        }));
    });
}

fn failures() -> MutexGuard<'static, Failures> {
    FAILURES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The message of a panic that a device caused.
fn failure(info: &PanicHookInfo<'_>) -> Option<String> {
    let text = text(info.payload())?;
    let in_driver = info
        .location()
        .is_some_and(|place| belongs_to_driver(place.file()));
    (in_driver || is_known(text)).then(|| text.to_string())
}

/// Whether a panic outside of drivers is a device's by what it says.
fn is_known(text: &str) -> bool {
    [UNREADABLE, TOO_MANY]
        .iter()
        .any(|start| text.starts_with(start))
}

/// Whether a source file is one of a driver's: its path holds the name of the crate.
fn belongs_to_driver(file: &str) -> bool {
    file.split(['/', '\\'])
        .any(|part| DRIVERS.iter().any(|name| part.starts_with(name)))
}

fn text(payload: &(dyn Any + Send)) -> Option<&str> {
    let owned = payload.downcast_ref::<String>().map(String::as_str);
    owned.or_else(|| payload.downcast_ref::<&'static str>().copied())
}

/// One line on what failed, and what to try.
fn describe(device: &str, failures: &[String]) -> String {
    let lines = || failures.iter().flat_map(|text| text.lines());
    if let Some(line) = lines().find(|line| line.starts_with(TOO_MANY)) {
        return format!("--device {device}: {line}");
    }
    if let Some(line) = lines().find(|line| line.contains(TOO_BIG)) {
        return format!(
            "--device {device}: a tensor is larger than this device allocates at once ({}); try {REMEDIES}",
            shortened(line)
        );
    }
    if let Some(line) = lines().find(|line| is_about_memory(line)) {
        return format!(
            "--device {device}: out of memory ({}); try {REMEDIES}",
            shortened(line)
        );
    }
    let first = failures.first().map_or("", String::as_str);
    format!(
        "--device {device}: the device failed ({}); try another that `hmorph info` lists, or --device cpu",
        shortened(cause(first))
    )
}

fn is_about_memory(line: &str) -> bool {
    let line = line.to_lowercase();
    [
        "out of memory",
        "out-of-memory",
        "out of device memory",
        "outofmemory",
        "not enough memory",
        "maximum buffer size",
    ]
    .iter()
    .any(|part| line.contains(part))
}

/// The line below the last "Caused by", or else the first one.
fn cause(failure: &str) -> &str {
    let last = failure.rsplit("Caused by:").next().unwrap_or(failure);
    last.trim().lines().next().unwrap_or_default()
}

fn shortened(line: &str) -> String {
    line.trim().chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_fails_ends_in_one_line() {
        let failing = || -> u8 {
            panic!(
                "Error while reading data: An error happened\nCaused by:\n  An IO error happened\nCaused by:\n  out of \
                 device memory allocating 70 bytes\n  0: a frame"
            )
        };
        let problem = guard("wgpu:7", failing).unwrap_err().to_string();
        let expected = "--device wgpu:7: out of memory (out of device memory allocating 70 bytes); try fewer pairs";
        assert!(problem.starts_with(expected), "{problem}");
        assert_eq!(problem.lines().count(), 1, "{problem}");
    }

    #[test]
    fn a_tensor_too_large_at_once_is_told_from_too_little_memory() {
        let said = ["can't allocate buffer of size: 2147483648\n  0: a frame".to_string()];
        let problem = describe("wgpu:0", &said);
        let expected = "--device wgpu:0: a tensor is larger than this device allocates at once (can't allocate buffer of \
                        size: 2147483648); try fewer pairs";
        assert!(problem.starts_with(expected), "{problem}");
        assert!(problem.contains("--network-spacing"), "{problem}");
    }

    #[test]
    fn a_tensor_that_kernels_cannot_index_says_what_to_do() {
        let said = "too many values for a GPU: a tensor has 3000000000; try fewer pairs";
        assert!(is_known(said) && !is_known("a mistake"));
        let problem = describe("cuda", &[said.to_string()]);
        assert_eq!(problem, format!("--device cuda: {said}"));
    }

    #[test]
    fn other_panics_go_on() {
        let guarded = || guard("wgpu:7", || -> u8 { panic!("a mistake") });
        let payload = catch_unwind(guarded).unwrap_err();
        assert_eq!(text(&*payload), Some("a mistake"));
        assert_eq!(guard("wgpu:7", || 3).unwrap(), 3);
    }

    /// What a tensor says whose device is gone.
    fn gone() -> u8 {
        panic!("Error while reading data: gone")
    }

    #[test]
    fn jobs_that_fail_at_once_all_end_in_an_error() {
        struct Meanwhile(fn());
        impl Drop for Meanwhile {
            fn drop(&mut self) {
                self.0();
            }
        }
        let failed = guard("wgpu:7", || {
            // While this panic is on its way, another job catches one that says the same.
            let _other = Meanwhile(|| {
                let job = std::thread::spawn(|| guard("wgpu:7", gone));
                assert!(job.join().unwrap().is_err());
            });
            gone()
        });
        assert!(failed.is_err());
    }

    #[test]
    fn a_device_may_fail_in_a_thread_that_is_waited_for() {
        let waiting = || -> u8 {
            let ended = std::thread::spawn(gone).join();
            ended.unwrap_or_else(|payload| resume_unwind(payload))
        };
        assert!(guard("wgpu:7", waiting).is_err());
    }

    #[test]
    fn the_last_messages_are_kept() {
        let mut failures = Failures {
            count: 0,
            last: VecDeque::new(),
        };
        for n in 0..KEPT + 3 {
            failures.add(n.to_string());
        }
        assert_eq!(failures.since(KEPT + 3), Vec::<String>::new());
        assert_eq!(failures.since(KEPT + 2), [(KEPT + 2).to_string()]);
        assert_eq!(failures.since(0).len(), KEPT);
        assert_eq!(failures.since(0)[0], "3");
    }

    #[test]
    fn what_failed_is_told_from_its_causes() {
        let lost = "Error while reading data: An error\nCaused by:\n  Unknown: the GPU went away\nBacktrace:\n";
        let said = describe("cuda", &[lost.to_string()]);
        assert!(said.contains("(Unknown: the GPU went away)"), "{said}");
        // A read that fails afterwards tells less than the thread of the device.
        let torn = "Error while reading data: torn down".to_string();
        let said = describe("wgpu", &["wgpu error: Out of Memory".to_string(), torn]);
        assert!(said.contains("(wgpu error: Out of Memory)"), "{said}");
    }

    #[test]
    fn drivers_are_known_by_their_files() {
        assert!(belongs_to_driver(
            "/home/me/.cargo/registry/src/index.crates.io-1/cubecl-wgpu-0.11.3/src/runtime.rs"
        ));
        assert!(belongs_to_driver("vendor\\wgpu-core\\src\\device.rs"));
        assert!(!belongs_to_driver("src/ops/conv.rs"));
        assert!(!belongs_to_driver(
            "/registry/burn-tensor-0.22.1/src/tensor/api/base.rs"
        ));
    }
}
