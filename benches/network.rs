//! The whole network beside PyTorch on the same cores: `cargo bench --bench network -- --help`.
//!
//! Every measurement is a process of its own, and the sides alternate within each round. PyTorch runs
//! `network_torch.py` twice: as it is, and with an allocator that keeps its buffers.

use std::process::{Command, Stdio};
use std::time::Instant;

use burn::tensor::Device;
use clap::Parser;
use hmorph::dataset::{Batch, Kind, Sample};
use hmorph::eval::peak_memory_bytes;
use hmorph::kernels::oracle::random::uniform;
use hmorph::loss::{Diffusion, LossConfig, Ncc};
use hmorph::model::{Model, ModelConfig};
use hmorph::train::{Adam, BatchTensors, objective};
use hmorph::volume::Dimension;
use ndarray::Array3;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TORCH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/network_torch.py");
const WHAT: [&str; 2] = ["train", "infer"];
const SIDES: [&str; 3] = ["hmorph", "PyTorch", "PyTorch, tuned"];

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
    /// Timed steps of a measurement, after one that warms up
    #[arg(long, default_value_t = 3)]
    steps: usize,
    /// A Python with torch
    #[arg(long, default_value = "python3")]
    python: String,
    /// Measure in this process and print seconds and bytes: train or infer
    #[arg(long, hide = true)]
    worker: Option<String>,
    /// What cargo passes
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let options = Options::parse();
    if let Some(what) = &options.worker {
        let seconds = measure(what, &options);
        println!("{seconds} {}", peak_memory_bytes().unwrap_or(0));
        return;
    }
    println!(
        "{}, batch {}, {} rounds of {} steps, {} threads",
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
    for what in WHAT {
        compare(what, &options);
    }
}

/// Runs every side in turn, and prints a line for each.
fn compare(what: &str, options: &Options) {
    let mut found: [Vec<(f64, f64)>; 3] = Default::default();
    for _ in 0..options.rounds {
        for (side, results) in SIDES.iter().zip(&mut found) {
            results.extend(run(command(side, what, options)));
        }
    }
    let median = |values: &mut Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let mut ours = 0.0;
    for (side, results) in SIDES.iter().zip(&found) {
        if results.is_empty() {
            println!("{what:<8}{side:<16}{:>10}", "not found");
            continue;
        }
        let (mut seconds, mut bytes): (Vec<f64>, Vec<f64>) = results.iter().copied().unzip();
        let (middle, memory) = (median(&mut seconds), median(&mut bytes) / 1e9);
        if *side == SIDES[0] {
            ours = middle;
        }
        let (least, ratio) = (seconds[0], middle / ours);
        println!("{what:<8}{side:<16}{middle:>10.3}{least:>10.3}{ratio:>8.2}{memory:>10.2}");
    }
}

/// The process that measures one side.
fn command(side: &str, what: &str, options: &Options) -> Command {
    let [batch, steps] = [options.batch, options.steps].map(|n| n.to_string());
    if side == SIDES[0] {
        let program = std::env::current_exe().expect("the path of this benchmark");
        let mut command = Command::new(program);
        command.args([
            "--worker",
            what,
            "--size",
            &options.size,
            "--batch",
            &batch,
            "--steps",
            &steps,
        ]);
        return command;
    }
    let mut command = Command::new(&options.python);
    command.args([TORCH, what, &options.size, &batch, &steps]);
    command.env("OMP_NUM_THREADS", rayon::current_num_threads().to_string());
    if side == SIDES[2] {
        for variable in ["MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"] {
            command.env(variable, "34359738368");
        }
    }
    command
}

/// Seconds and bytes that a process prints; `None` where it fails.
fn run(mut command: Command) -> Option<(f64, f64)> {
    let output = command.stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (seconds, bytes) = text.trim().split_once(' ')?;
    Some((seconds.parse().ok()?, bytes.parse().ok()?))
}

/// Median seconds of a step in this process.
fn measure(what: &str, options: &Options) -> f64 {
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
        "train" => Box::new(training(&config, batch)),
        _ => Box::new(inference(&config, batch)),
    };
    let mut seconds: Vec<f64> = (0..=options.steps)
        .map(|_| {
            let started = Instant::now();
            step();
            started.elapsed().as_secs_f64()
        })
        .skip(1)
        .collect();
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

/// Two images of noise: the work does not depend on what they show.
fn pair(shape: [usize; 3], seed: u64) -> Sample {
    let image = |seed| {
        let values = uniform(seed, shape.iter().product(), 1.0);
        Array3::from_shape_vec(shape, values).expect("as many values as voxels")
    };
    Sample {
        kind: Kind::Real,
        fixed_id: "fixed".into(),
        moving_id: "moving".into(),
        fixed: image(2 * seed),
        moving: image(2 * seed + 1),
        fixed_labels: None,
        moving_labels: None,
        field: None,
    }
}

fn training(config: &ModelConfig, batch: Batch) -> impl FnMut() {
    let device = Device::flex();
    let mut model = Model::new(config, 0, &device.clone().autodiff()).expect("a valid network");
    let mut adam = Adam::new(&model, 0.0, 0.0, &[]).expect("valid settings");
    let loss = LossConfig {
        ncc: Some(Ncc::default()),
        diffusion: Some(Diffusion::default()),
        ..LossConfig::default()
    };
    move || {
        let images = BatchTensors::new(&batch, &device);
        let prediction = model.forward(images.moving.clone(), images.fixed.clone());
        let judged =
            objective(&loss, &model, &batch, &images, &prediction, None).expect("finite terms");
        model = adam.step(model.clone(), judged.total.backward(), 1e-4).0;
    }
}

fn inference(config: &ModelConfig, batch: Batch) -> impl FnMut() {
    let device = Device::flex();
    let model = Model::new(config, 0, &device).expect("a valid network");
    move || {
        let images = BatchTensors::new(&batch, &device);
        // The values, not the promise of them.
        let _moved = model.forward(images.moving, images.fixed).moved.into_data();
    }
}
