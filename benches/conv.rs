//! Times the convolutions of the registration networks: `cargo bench --bench conv [-- FILTER]`.
//!
//! Prints the median milliseconds and the GFLOP/s of the forward pass, the gradient of the input
//! and the gradient of the weights, on all threads (set RAYON_NUM_THREADS to change that).

use std::hint::black_box;
use std::time::{Duration, Instant};

use hmorph::kernels::conv::{self, ConvSpec};

/// Layers as `(in channels, out channels, input, stride, batch)`.
type Layer = (usize, usize, [usize; 3], usize, usize);

const LAYERS: &[Layer] = &[
    (2, 16, [48, 64, 48], 1, 1),
    (48, 32, [48, 64, 48], 1, 1),
    (34, 16, [48, 64, 48], 1, 1),
    (32, 32, [48, 64, 48], 1, 1),
    (32, 16, [48, 64, 48], 1, 1),
    (16, 16, [48, 64, 48], 1, 1),
    (16, 3, [48, 64, 48], 1, 1),
    (16, 32, [24, 32, 24], 1, 1),
    (64, 32, [24, 32, 24], 1, 1),
    (64, 32, [12, 16, 12], 1, 1),
    (32, 32, [6, 8, 6], 1, 1),
    (32, 32, [3, 4, 3], 1, 1),
    (16, 32, [48, 64, 48], 2, 1),
    (32, 32, [48, 64, 48], 2, 1),
    (32, 32, [64, 64, 64], 1, 1),
    (48, 32, [80, 96, 112], 1, 1),
    (2, 16, [1, 160, 192], 1, 4),
    (48, 32, [1, 160, 192], 1, 4),
    (32, 16, [1, 160, 192], 1, 4),
    (16, 16, [1, 160, 192], 1, 4),
    (16, 2, [1, 160, 192], 1, 4),
    (64, 32, [1, 40, 48], 1, 4),
    (32, 32, [1, 160, 192], 2, 4),
];

fn main() {
    let filter = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    println!("threads: {}", rayon::current_num_threads());
    println!(
        "{:<34}{:>10}{:>8}{:>10}{:>8}{:>10}{:>8}",
        "layer", "fwd ms", "GF/s", "gx ms", "GF/s", "gw ms", "GF/s"
    );
    for layer in LAYERS {
        let (label, spec) = describe(layer);
        if filter.as_ref().is_none_or(|part| label.contains(part)) {
            println!("{label:<34}{}", row(&spec));
        }
    }
}

fn describe(&(in_channels, out_channels, input, stride, batch): &Layer) -> (String, ConvSpec) {
    let [d, h, w] = input;
    let label = format!("{batch}x {in_channels}->{out_channels} {d}x{h}x{w} s{stride}");
    let spec = ConvSpec {
        batch,
        in_channels,
        out_channels,
        input,
        kernel_depth: if d == 1 { 1 } else { 3 },
        stride: [if d == 1 { 1 } else { stride }, stride, stride],
    };
    (label, spec)
}

/// Times of one layer.
fn row(spec: &ConvSpec) -> String {
    let ramp = |len: usize| -> Vec<f32> { (0..len).map(|i| (i % 17) as f32 - 8.0).collect() };
    let (x, w) = (ramp(spec.input_len()), ramp(spec.weights_len()));
    let (b, g) = (ramp(spec.out_channels), ramp(spec.output_len()));
    let mut out = vec![0.0; spec.output_len()];
    let mut grad_x = vec![0.0; spec.input_len()];
    let mut grad_w = vec![0.0; spec.weights_len()];
    let mut grad_b = vec![0.0; spec.out_channels];
    let times = [
        median(|| conv::forward(spec, &x, &w, Some(&b), Some(0.2), black_box(&mut out))),
        median(|| conv::grad_input(spec, &g, &w, black_box(&mut grad_x))),
        median(|| {
            conv::grad_weights(spec, &x, &g, black_box(&mut grad_w), Some(&mut grad_b));
        }),
    ];
    let voxels: usize = spec.output().iter().product();
    let flops = 2.0 * (spec.batch * voxels * spec.weights_len()) as f64;
    let cells = times.map(|ms| format!("{ms:>10.3}{:>8.1}", flops / ms / 1e6));
    cells.concat()
}

/// Median milliseconds over at least 5 runs and 0.3 seconds.
fn median(mut work: impl FnMut()) -> f64 {
    work();
    let mut times = Vec::new();
    let begin = Instant::now();
    while times.len() < 5 || begin.elapsed() < Duration::from_millis(300) {
        let start = Instant::now();
        work();
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
