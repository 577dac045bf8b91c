//! Milliseconds per synthetic pair on one core and on all: `cargo bench --bench synth`; on a device beside that:
//! `cargo bench --bench synth -- --device auto` (or wgpu, cuda, cpu, as `hmorph --device` takes it).
//!
//! A device's pairs are made as in training, with labels and without the true field. Their time is that of many in a row,
//! until the last is there: the host is ahead of a GPU.

use std::time::Instant;

use burn::tensor::Device;
use hmorph::render::DeviceEngine;
use hmorph::synth::{LabelSource, Recipe, SynthConfig};
use hmorph::volume::{Affine, Dimension, Geometry, LabelMap};

fn main() {
    let device = device();
    for (dimension, shape) in [
        (Dimension::Two, [160, 192, 1]),
        (Dimension::Two, [256, 256, 1]),
        (Dimension::Three, [48, 64, 48]),
        (Dimension::Three, [64, 64, 64]),
        (Dimension::Three, [96, 112, 96]),
        (Dimension::Three, [160, 192, 224]),
    ] {
        let blocks = ("blocks".into(), blocks(dimension, shape));
        let maps = LabelSource::of_maps(&[blocks]).expect("labels");
        let sources = [("shapes", &LabelSource::Shapes), ("maps", &maps)];
        for threads in [1, 0] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            let pool = pool.expect("threads can be started");
            let [shapes, given] =
                sources.map(|(_, source)| pool.install(|| median_ms(source, dimension, shape)));
            let threads = pool.current_num_threads();
            println!(
                "{shape:?} {threads} threads: {shapes:.1} ms from shapes, {given:.1} ms from maps"
            );
        }
        if let Some(device) = &device {
            let [shapes, given] =
                sources.map(|(_, source)| device_ms(source, dimension, shape, device));
            println!("{shape:?} device: {shapes:.1} ms from shapes, {given:.1} ms from maps");
        }
    }
}

/// What `--device NAME` stands for.
fn device() -> Option<Device> {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--device");
    arguments.next()?;
    let name = arguments.next().expect("--device takes a name");
    let choice = hmorph::device::choose(&name).expect("the device is there");
    Some(choice.device)
}

/// Median over some pairs, after one to warm up.
fn median_ms(source: &LabelSource, dimension: Dimension, shape: [usize; 3]) -> f64 {
    let config = SynthConfig::default();
    let mut times: Vec<f64> = (0..=runs(shape))
        .map(|index| {
            let start = Instant::now();
            let pair = recipe(&config, source, dimension, shape, index).pair();
            std::hint::black_box(pair.expect("the default config is valid"));
            start.elapsed().as_secs_f64() * 1e3
        })
        .skip(1)
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Mean over some pairs in a row, after some to warm up.
fn device_ms(
    source: &LabelSource,
    dimension: Dimension,
    shape: [usize; 3],
    device: &Device,
) -> f64 {
    let config = SynthConfig::default();
    let engine = DeviceEngine::new(device);
    let pairs = |first: u64| {
        let start = Instant::now();
        let mut last = None;
        for index in first..first + runs(shape) {
            let recipe = recipe(&config, source, dimension, shape, index);
            let pair = recipe.make(&engine).expect("the default config is valid");
            last = Some((pair.fixed, pair.moving));
        }
        let (fixed, moving) = last.expect("there is a pair");
        // One voxel of each, which comes when all is done.
        for image in [fixed, moving] {
            let voxel = image.slice([0..1, 0..1, 0..1, 0..1, 0..1]);
            std::hint::black_box(voxel.into_scalar::<f32>());
        }
        start.elapsed().as_secs_f64() * 1e3 / runs(shape) as f64
    };
    pairs(0);
    pairs(runs(shape))
}

fn runs(shape: [usize; 3]) -> u64 {
    match shape.iter().product::<usize>() > 1_000_000 {
        true => 3,
        false => 9,
    }
}

fn recipe<'a>(
    config: &'a SynthConfig,
    source: &'a LabelSource,
    dimension: Dimension,
    shape: [usize; 3],
    index: u64,
) -> Recipe<'a> {
    Recipe {
        config,
        source,
        dimension,
        shape,
        seed: 1,
        index,
    }
}

/// A label map of eight boxes.
fn blocks(dimension: Dimension, shape: [usize; 3]) -> LabelMap {
    let [ni, nj, nk] = shape.map(|n| n.div_ceil(2));
    let label = |(i, j, k): (usize, usize, usize)| (i / ni * 4 + j / nj * 2 + k / nk) as i32;
    LabelMap {
        data: ndarray::Array3::from_shape_fn(shape, label),
        geometry: Geometry::new(shape, dimension, Affine::identity()),
    }
}
