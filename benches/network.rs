//! The whole network beside PyTorch on the same cores or the same GPU: `cargo bench --bench network -- --help`.
//!
//! Every measurement is a process of its own, and the sides alternate within each round. PyTorch runs
//! `network_torch.py` twice. On the CPU: as it is, and with an allocator that keeps its buffers. On a GPU: with TF32,
//! and with bfloat16 autocast; the memory is then what the side's pool took of the GPU.

use std::convert::Infallible;
use std::process::Command;
use std::time::Instant;

use burn::tensor::Device;
use clap::Parser;
use hmorph::dataset::{Batch, Sample};
use hmorph::device::{choose, name, peak_memory_bytes};
use hmorph::kernels::oracle::random::uniform;
use hmorph::loss::{Diffusion, LossConfig, Ncc};
use hmorph::model::{Model, ModelConfig, Prediction};
use hmorph::train::{
    Activations, Adam, BatchTensors, ItemWeights, Objective, gradients, objective,
};
use hmorph::volume::Dimension;
use ndarray::Array3;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TORCH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/network_torch.py");
const WHAT: [&str; 2] = ["train", "infer"];
const CPU_SIDES: [&str; 3] = ["hmorph", "PyTorch", "PyTorch, tuned"];
const GPU_SIDES: [&str; 3] = ["hmorph", "PyTorch, TF32", "PyTorch, bf16"];
/// Steps that compile and tune kernels.
const GPU_WARMUP: usize = 5;

/// Times training steps and inference of VoxelMorph's network, beside PyTorch where a Python with torch is found
#[derive(Parser)]
struct Options {
    /// Voxels of an image, such as 160x192x224; two numbers for 2-D
    #[arg(long, default_value = "48x64x48")]
    size: String,
    /// Pairs a step
    #[arg(long, default_value_t = 1)]
    batch: usize,
    /// Measurements of each side
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Timed steps of a measurement
    #[arg(long, default_value_t = 3)]
    steps: usize,
    /// Steps before them; default: 1 on the CPU, 5 on a GPU
    #[arg(long)]
    warmup: Option<usize>,
    /// Where hmorph runs, as for its --device; PyTorch runs on cuda unless this is cpu
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Train hmorph's side with gradient checkpointing
    #[arg(long)]
    checkpointing: bool,
    /// Train hmorph's side with activations in 16 bits
    #[arg(long)]
    mixed: bool,
    /// A Python with torch
    #[arg(long, default_value = "python3")]
    python: String,
    /// The PyTorch side
    #[arg(long, default_value = TORCH)]
    torch_script: String,
    /// Measure in this process and print seconds and bytes: train or infer
    #[arg(long, hide = true)]
    worker: Option<String>,
    /// What cargo passes
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    fn on_gpu(&self) -> bool {
        self.device != "cpu"
    }

    fn sides(&self) -> [&'static str; 3] {
        match self.on_gpu() {
            true => GPU_SIDES,
            false => CPU_SIDES,
        }
    }

    fn activations(&self) -> Activations {
        Activations {
            made_again: self.checkpointing,
            half: self.mixed,
        }
    }

    fn warmup(&self) -> usize {
        let usual = if self.on_gpu() { GPU_WARMUP } else { 1 };
        self.warmup.unwrap_or(usual)
    }
}

fn main() {
    let mut options = Options::parse();
    let choice = choose(&options.device).unwrap_or_else(|problem| {
        eprintln!("{problem}");
        std::process::exit(1)
    });
    let device = choice.device;
    // What `auto` took.
    options.device = choice.name;
    if let Some(what) = &options.worker {
        let (seconds, bytes) = measure(what, &options, &device);
        println!("{seconds} {bytes}");
        return;
    }
    println!(
        "{}, {}, batch {}, {} rounds of {} steps, {} threads",
        name(&device),
        options.size,
        options.batch,
        options.rounds,
        options.steps,
        rayon::current_num_threads()
    );
    println!(
        "{:<8}{:<16}{:>10}{:>10}{:>8}{:>10}",
        "", "", "median s", "least s", "ratio", "peak GB"
    );
    // The options of a training say nothing of inference.
    let training_alone = options.checkpointing || options.mixed;
    for what in WHAT {
        if what == "train" || !training_alone {
            compare(what, &options);
        }
    }
}

/// Runs every side in turn, and prints a line for each.
fn compare(what: &str, options: &Options) {
    let mut found: [Vec<(f64, f64)>; 3] = Default::default();
    for _ in 0..options.rounds {
        for (side, results) in options.sides().iter().zip(&mut found) {
            results.extend(run(command(side, what, options)));
        }
    }
    let median = |values: &mut Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let mut ours = 0.0;
    for (side, results) in options.sides().iter().zip(&found) {
        if results.is_empty() {
            println!("{what:<8}{side:<16}{:>10}", "not found");
            continue;
        }
        let (mut seconds, mut bytes): (Vec<f64>, Vec<f64>) = results.iter().copied().unzip();
        let (middle, memory) = (median(&mut seconds), median(&mut bytes) / 1e9);
        if *side == "hmorph" {
            ours = middle;
        }
        let (least, ratio) = (seconds[0], middle / ours);
        println!("{what:<8}{side:<16}{middle:>10.3}{least:>10.3}{ratio:>8.2}{memory:>10.2}");
    }
}

/// The process that measures one side.
fn command(side: &str, what: &str, options: &Options) -> Command {
    let ours = side == "hmorph";
    let mut command = match ours {
        true => Command::new(std::env::current_exe().expect("the path of this benchmark")),
        false => Command::new(&options.python),
    };
    let device = match (ours, options.on_gpu()) {
        (false, true) => "cuda",
        _ => options.device.as_str(),
    };
    if !ours {
        command.arg(&options.torch_script);
    }
    command.args(["--worker", what, "--size", &options.size]);
    command.args(["--device", device]);
    for (name, count) in [
        ("--batch", options.batch),
        ("--warmup", options.warmup()),
        ("--steps", options.steps),
    ] {
        command.args([name, &count.to_string()]);
    }
    if ours {
        let chosen = [
            (options.checkpointing, "--checkpointing"),
            (options.mixed, "--mixed"),
        ];
        command.args(chosen.iter().filter(|(on, _)| *on).map(|(_, name)| name));
    } else {
        command.env("OMP_NUM_THREADS", rayon::current_num_threads().to_string());
    }
    match side {
        "PyTorch, bf16" => {
            command.arg("--bf16");
        }
        "PyTorch, tuned" => {
            for variable in ["MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"] {
                command.env(variable, "34359738368");
            }
        }
        _ => {}
    }
    command
}

/// Seconds and bytes that a process prints; `None` where it fails, which says why.
fn run(mut command: Command) -> Option<(f64, f64)> {
    let output = command.output().ok()?;
    if !output.status.success() {
        eprintln!("{}", problem(&String::from_utf8_lossy(&output.stderr)));
    }
    let text = String::from_utf8(output.stdout).ok()?;
    let (seconds, bytes) = text.trim().split_once(' ')?;
    Some((seconds.parse().ok()?, bytes.parse().ok()?))
}

/// The line of stderr that says why: after a panic the one below its place, else the last.
fn problem(stderr: &str) -> &str {
    let mut lines = stderr.lines();
    let panic = lines
        .find(|line| line.contains("panicked at"))
        .and(lines.next());
    panic.or(stderr.lines().last()).unwrap_or_default()
}

/// Median seconds of a step in this process, and the most bytes taken: by the process, or of the GPU.
fn measure(what: &str, options: &Options, device: &Device) -> (f64, u64) {
    let size: Vec<usize> = options
        .size
        .split('x')
        .map(|n| n.parse().expect("sizes are whole numbers"))
        .collect();
    let (dimension, shape) = match size[..] {
        [h, w] => (Dimension::Two, [h, w, 1]),
        [d, h, w] => (Dimension::Three, [d, h, w]),
        _ => panic!("--size {}: expected two or three numbers", options.size),
    };
    let pairs: Vec<Sample> = (0..options.batch).map(|n| pair(shape, n as u64)).collect();
    let batch = Batch::from_samples(0, dimension, &pairs).expect("pairs of one size");
    let config = ModelConfig {
        dimension,
        ..ModelConfig::default()
    };
    let mut step: Box<dyn FnMut()> = match what {
        "train" => Box::new(training(
            &config,
            batch,
            device.clone(),
            options.activations(),
        )),
        _ => Box::new(inference(&config, batch, device.clone())),
    };
    let warmup = options.warmup();
    let mut seconds: Vec<f64> = (0..warmup + options.steps)
        .map(|_| {
            let started = Instant::now();
            step();
            device.sync().expect("steps that the device finishes");
            started.elapsed().as_secs_f64()
        })
        .skip(warmup)
        .collect();
    seconds.sort_by(f64::total_cmp);
    // The pool of a GPU keeps what it took.
    let taken = match options.on_gpu() {
        true => device.memory_pool_usage().map(|pool| pool.bytes_reserved),
        false => peak_memory_bytes(),
    };
    (seconds[seconds.len() / 2], taken.unwrap_or(0))
}

/// Two images of noise: the work does not depend on what they show.
fn pair(shape: [usize; 3], seed: u64) -> Sample {
    let image = |seed| {
        let values = uniform(seed, shape.iter().product(), 1.0);
        Array3::from_shape_vec(shape, values).expect("as many values as voxels")
    };
    Sample::of_images(image(2 * seed), image(2 * seed + 1))
}

fn training(
    config: &ModelConfig,
    batch: Batch,
    device: Device,
    activations: Activations,
) -> impl FnMut() {
    let mut model = Model::new(config, 0, &device.clone().autodiff()).expect("a valid network");
    let mut adam = Adam::new(&model, 0.0, 0.0, &[]).expect("valid settings");
    let loss = LossConfig {
        ncc: Some(Ncc::default()),
        diffusion: Some(Diffusion::default()),
        ..LossConfig::default()
    };
    move || {
        let images = BatchTensors::new(&batch, &device);
        let judge = |prediction: &Prediction| -> Result<Objective, Infallible> {
            Ok(objective(
                &loss,
                &model,
                &batch,
                &images,
                prediction,
                ItemWeights::mean(&batch),
            ))
        };
        let Ok((_, grads)) = gradients(&model, &images, activations, judge);
        model = adam.step(model.clone(), grads, 1e-4).0;
    }
}

fn inference(config: &ModelConfig, batch: Batch, device: Device) -> impl FnMut() {
    let model = Model::new(config, 0, &device).expect("a valid network");
    move || {
        let images = BatchTensors::new(&batch, &device);
        // The values, not the promise of them.
        let _moved = model.forward(images.moving, images.fixed).moved.into_data();
    }
}
