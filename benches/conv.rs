//! Times the convolutions of the registration networks: `cargo bench --bench conv [-- FILTER]`.
//!
//! For the forward pass, the gradient of the input and the gradient of the weights: the median milliseconds, the GFLOP/s
//! of the operations that the definition has, and their share of what the processor reaches on numbers in registers, on
//! all threads (set RAYON_NUM_THREADS to change that). Where Winograd's products are fewer the share may pass 100 %.

use std::hint::black_box;
use std::time::{Duration, Instant};

use hmorph::kernels::conv::{self, ConvSpec, JoinSpec};
use hmorph::kernels::oracle::random::uniform;

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

/// Upsampled, joined and convolved: `(low channels, skip channels, out channels, input, batch)`.
const JOINED: &[(usize, usize, usize, [usize; 3], usize)] = &[
    (32, 16, 32, [48, 64, 48], 1),
    (32, 2, 16, [48, 64, 48], 1),
    (32, 32, 32, [24, 32, 24], 1),
    (32, 16, 32, [80, 96, 112], 1),
    (32, 16, 32, [1, 160, 192], 4),
];

fn main() {
    let filter = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let peak = conv::peak();
    let threads = rayon::current_num_threads();
    println!("{threads} threads, at best {:.0} GFLOP/s", peak / 1e9);
    let columns =
        ["fwd ms", "gx ms", "gw ms"].map(|name| format!("{name:>10}{:>8}{:>6}", "GF/s", "peak"));
    println!("{:<34}{}", "layer", columns.concat());
    for layer in LAYERS {
        let (label, spec) = describe(layer);
        if filter.as_ref().is_none_or(|part| label.contains(part)) {
            println!(
                "{label:<34}{}",
                cells(
                    row(&spec),
                    spec.batch * spec.weights_len(),
                    spec.output(),
                    peak
                )
            );
        }
    }
    for &(low_channels, skip_channels, out_channels, input, batch) in JOINED {
        let [d, h, w] = input;
        let label =
            format!("{batch}x {low_channels}up+{skip_channels}->{out_channels} {d}x{h}x{w}");
        let spec = JoinSpec {
            batch,
            low_channels,
            skip_channels,
            out_channels,
            input,
            kernel_depth: if d == 1 { 1 } else { 3 },
        };
        if filter.as_ref().is_none_or(|part| label.contains(part)) {
            println!(
                "{label:<34}{}",
                cells(joined(&spec), batch * spec.weights_len(), input, peak)
            );
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

fn random(seed: u64, len: usize) -> Vec<f32> {
    uniform(seed, len, 1.0)
}

/// Milliseconds of one layer.
fn row(spec: &ConvSpec) -> [f64; 3] {
    let (x, w) = (random(1, spec.input_len()), random(2, spec.weights_len()));
    let (b, g) = (random(3, spec.out_channels), random(4, spec.output_len()));
    let mut out = vec![0.0; spec.output_len()];
    let mut grad_x = vec![0.0; spec.input_len()];
    let mut grad_w = vec![0.0; spec.weights_len()];
    let mut grad_b = vec![0.0; spec.out_channels];
    [
        median(|| conv::forward(spec, &x, &w, Some(&b), Some(0.2), black_box(&mut out))),
        median(|| conv::grad_input(spec, &g, &w, black_box(&mut grad_x))),
        median(|| {
            conv::grad_weights(spec, &x, &g, black_box(&mut grad_w), Some(&mut grad_b));
        }),
    ]
}

/// [`row`] of a joined layer.
fn joined(spec: &JoinSpec) -> [f64; 3] {
    let [fine, coarse] = [spec.input, spec.low()].map(|e| spec.batch * e.iter().product::<usize>());
    let low = random(1, coarse * spec.low_channels);
    let skip = random(2, fine * spec.skip_channels);
    let (w, b) = (random(3, spec.weights_len()), random(4, spec.out_channels));
    let g = random(5, fine * spec.out_channels);
    let inputs = [&low[..], &skip[..]];
    let mut out = vec![0.0; g.len()];
    let (mut grad_low, mut grad_skip) = (vec![0.0; low.len()], vec![0.0; skip.len()]);
    let (mut grad_w, mut grad_b) = (vec![0.0; w.len()], vec![0.0; b.len()]);
    [
        median(|| conv::joined_forward(spec, inputs, &w, Some(&b), Some(0.2), black_box(&mut out))),
        median(|| {
            conv::joined_grad_input(spec, &g, &w, black_box([&mut grad_low, &mut grad_skip]))
        }),
        median(|| {
            conv::joined_grad_weights(spec, inputs, &g, black_box(&mut grad_w), Some(&mut grad_b));
        }),
    ]
}

/// Milliseconds as columns; every output voxel takes `2 * weights` operations.
fn cells(times: [f64; 3], weights: usize, output: [usize; 3], peak: f64) -> String {
    let operations = 2.0 * (weights * output.iter().product::<usize>()) as f64;
    let cells = times.map(|ms| {
        let speed = operations / ms * 1e3;
        format!(
            "{ms:>10.3}{:>8.1}{:>5.0}%",
            speed / 1e9,
            100.0 * speed / peak
        )
    });
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
