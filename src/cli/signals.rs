//! Ctrl-C and the signals of batch systems.

use std::io::{IsTerminal, Write, stderr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A flag that Ctrl-C, SIGTERM and SIGHUP set, so that long work can save what it has and stop.
///
/// At a terminal a second signal ends the program at once; batch systems may send one several times. Signals that
/// the caller has the program ignore (`nohup`, background jobs of a script) stay ignored.
pub fn stop_flag() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    let interactive = stderr().is_terminal();
    let ignored = ignored::now();
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) && interactive {
            std::process::exit(1);
        }
        if interactive {
            let notice = "\nstopping as soon as all is saved; once more to stop at once";
            let _ = writeln!(stderr(), "{notice}");
        }
    })?;
    ignored::keep(&ignored);
    Ok(stop)
}

#[cfg(unix)]
mod ignored {
    use libc::{SIG_IGN, SIGHUP, SIGINT, c_int, signal};

    /// The signals that are ignored at present.
    pub fn now() -> Vec<c_int> {
        let ignored = |number: &c_int| {
            // SAFETY: no handler is installed yet, and the old disposition is put back.
            unsafe {
                let before = signal(*number, SIG_IGN);
                signal(*number, before);
                before == SIG_IGN
            }
        };
        [SIGINT, SIGHUP].into_iter().filter(ignored).collect()
    }

    pub fn keep(signals: &[c_int]) {
        for number in signals {
            // SAFETY: ignoring a signal runs no code.
            unsafe { signal(*number, SIG_IGN) };
        }
    }
}

#[cfg(not(unix))]
mod ignored {
    pub fn now() {}

    pub fn keep(_: &()) {}
}
