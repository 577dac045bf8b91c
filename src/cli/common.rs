//! Options that every subcommand shares.

use std::io::{ErrorKind, Write, stdout};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::ensure;
use burn::tensor::Device;

use super::options::GENERAL;
use super::shell;
use crate::config::{self, RunConfig};
use crate::device::{self, Choice};

/// What `--device` says if nothing is said.
const AUTO: &str = "auto";

/// Options that may stand before or after the subcommand.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = GENERAL)]
pub struct Common {
    /// CPU threads; default: all that the process may use (cgroups and SLURM are obeyed)
    #[arg(long, global = true, value_name = "N")]
    pub threads: Option<usize>,
    /// Seed of everything random; the same seed gives the same result
    #[arg(long, global = true, value_name = "N")]
    pub seed: Option<u64>,
    /// Where networks run: auto, cpu, or wgpu[:INDEX], vulkan[:INDEX], cuda[:INDEX] where compiled in (see hmorph info);
    /// several with commas between them share each batch of a training
    #[arg(long, global = true, default_value = AUTO, value_name = "DEVICE")]
    pub device: String,
    /// Compose tensor operations from burn's own, without kernels of its own: slow, to check a result
    #[arg(long, global = true)]
    pub reference_ops: bool,
    /// Print errors only
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Replace results that exist
    #[arg(long, global = true)]
    pub force: bool,
}

/// What `--device` came to in this process.
static TAKEN: OnceLock<String> = OnceLock::new();

impl Common {
    /// Starts the thread pool; call once, before any work.
    pub fn start_threads(&self) -> anyhow::Result<()> {
        if self.threads == Some(0) {
            anyhow::bail!("--threads 0: expected at least 1");
        }
        rayon::ThreadPoolBuilder::new()
            .num_threads(self.threads.unwrap_or_else(device::available_threads))
            .build_global()?;
        Ok(())
    }

    /// The device that `--device` names; says once why it is not a GPU where that was left to the program.
    pub fn device(&self) -> anyhow::Result<Device> {
        if self.device.contains(',') {
            anyhow::bail!(
                "--device {}: expected one device; only trainings share their work",
                self.device
            );
        }
        let (device, _) = self.devices()?;
        Ok(device)
    }

    /// [`Self::device`] for a training: the first of the devices, and the others.
    pub fn devices(&self) -> anyhow::Result<(Device, Vec<Device>)> {
        let choices: Vec<Choice> = self
            .device
            .split(',')
            .map(device::choose)
            .collect::<Result<_, _>>()?;
        let names: Vec<&str> = choices.iter().map(|choice| choice.name.as_str()).collect();
        let first = TAKEN.set(names.join(",")).is_ok();
        for reason in choices.iter().filter_map(|choice| choice.fallback.as_ref()) {
            if first {
                self.say(format!("note: networks run on the CPU: {reason}"));
            }
        }
        let mut devices = choices.into_iter().map(|choice| choice.device);
        let first = devices.next().expect("a text has at least one part");
        Ok((first, devices.collect()))
    }

    /// Those of these options that are not at their defaults, as words for a shell, the seed left out.
    pub fn options(&self) -> Vec<String> {
        let mut words = Vec::new();
        if let Some(threads) = self.threads {
            words.extend(["--threads".into(), threads.to_string()]);
        }
        if self.device != AUTO {
            words.extend(["--device".into(), shell::quoted(&self.device)]);
        }
        let flags = [
            ("--reference-ops", self.reference_ops),
            ("--quiet", self.quiet),
            ("--force", self.force),
        ];
        let set = flags.into_iter().filter(|(_, set)| *set);
        words.extend(set.map(|(flag, _)| flag.to_string()));
        words
    }

    /// The device that was taken, as `--device` takes it; what `--device` says where none was needed.
    pub fn device_name(&self) -> &str {
        TAKEN.get().unwrap_or(&self.device)
    }

    /// Prints a line about the progress of the work, unless `--quiet`.
    pub fn say(&self, line: impl AsRef<str>) {
        if !self.quiet {
            print(line);
        }
    }
}

/// The settings of a run.
#[derive(Debug, Clone, clap::Args)]
pub struct SettingsArgs {
    /// Preset name (see `hmorph config`) or TOML file
    #[arg(long, value_name = "NAME|FILE")]
    pub config: String,
    /// Override one setting; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
}

impl SettingsArgs {
    /// The settings with their overrides, `--seed` among them.
    ///
    /// # Errors
    /// Those of [`config::load`].
    pub fn load(&self, common: &Common) -> anyhow::Result<RunConfig> {
        let mut settings: RunConfig = config::load(&self.config, &self.overrides)?;
        if let Some(seed) = common.seed {
            settings.seed = seed;
        }
        Ok(settings)
    }
}

/// Set where standard output has lost a line.
static LOST: AtomicBool = AtomicBool::new(false);

/// Prints a line of results. A closed pipe or a full disk behind standard output does not end the work; of the disk the
/// exit code tells.
pub fn print(line: impl AsRef<str>) {
    let printed = writeln!(stdout(), "{}", line.as_ref());
    if printed.is_err_and(|error| error.kind() != ErrorKind::BrokenPipe) {
        LOST.store(true, Ordering::Relaxed);
    }
}

/// Whether everything that was printed has arrived, as far as anybody listened.
///
/// # Errors
/// A line that could not be written.
pub fn check_printed() -> anyhow::Result<()> {
    let flushed = stdout().flush();
    let broken = flushed.is_err_and(|error| error.kind() != ErrorKind::BrokenPipe);
    ensure!(
        !broken && !LOST.load(Ordering::Relaxed),
        "standard output could not be written; is a disk full?"
    );
    Ok(())
}
