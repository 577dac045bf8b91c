//! Times of the sampling and pooling kernels at 160 x 192 x 160: `cargo bench --bench kernels`.
//!
//! Prints the median and the least of several runs, in milliseconds. `RAYON_NUM_THREADS=1` gives the
//! time of one core; words after `--` choose the kernels whose names contain one of them.

use std::hint::black_box;
use std::time::Instant;

use hmorph::kernels::diffusion::{Differences, Norm};
use hmorph::kernels::exponential::Exponential;
use hmorph::kernels::oracle::random::uniform;
use hmorph::kernels::warp::{self, Border, Shape};
use hmorph::kernels::{Extent, boxsum, field, jacobian, pool, resize, squares, upsample};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const FULL: Extent = [160, 192, 160];
const HALF: Extent = [80, 96, 80];
const RUNS: usize = 9;

/// Runs `kernel` if its name was asked for.
fn time<T>(name: &str, mut kernel: impl FnMut() -> T) {
    let mut words = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .peekable();
    if words.peek().is_some() && !words.any(|word| name.contains(&word)) {
        return;
    }
    let mut times = [0.0; RUNS];
    black_box(kernel());
    for time in &mut times {
        let start = Instant::now();
        black_box(kernel());
        *time = start.elapsed().as_secs_f64() * 1e3;
    }
    times.sort_by(f64::total_cmp);
    println!("{name:<44} {:8.1} {:8.1}", times[RUNS / 2], times[0]);
}

/// A smooth random field of some voxels, as registration makes them.
fn smooth(channels: usize, extent: Extent, amplitude: f32) -> Vec<f32> {
    let coarse = uniform(1, channels * 6 * 7 * 6, amplitude);
    resize::linear(&coarse, channels, [6, 7, 6], extent, 1.0)
}

fn warps(channels: usize, image: &[f32], flow: &[f32]) {
    let name = |what: &str| format!("warp {channels} channel(s), {what}");
    let shape = Shape {
        channels,
        ..Shape::one(FULL, 3, Border::Zeros)
    };
    let forward = || warp::linear(image, flow, &shape);
    time(&name("forward"), forward);
    let grads = |wanted| warp::linear_grad(image, flow, &shape, image, wanted);
    time(&name("gradient of the field"), || grads([false, true]));
    time(&name("gradient of the image"), || grads([true, false]));
    time(&name("nearest"), || warp::nearest(image, flow, &shape));
}

fn main() {
    let threads = format!("{} threads, ms", rayon::current_num_threads());
    println!("{threads:<44} {:>8} {:>8}", "median", "least");
    let voxels: usize = FULL.iter().product();
    let (image, flow) = (uniform(2, 3 * voxels, 1.0), smooth(3, FULL, 6.0));
    warps(1, &image[..voxels], &flow);
    warps(3, &image, &flow);
    let low = smooth(3, HALF, 3.0);
    time("resize 3 channels x2", || {
        resize::linear(&low, 3, HALF, FULL, 2.0)
    });
    time("resize 3 channels x2, gradient", || {
        resize::linear_grad(&flow, 3, HALF, FULL, 2.0)
    });
    time("resize 3 channels x1/2", || {
        resize::linear(&flow, 3, FULL, HALF, 0.5)
    });
    time("resize 3 channels x1/2, gradient", || {
        resize::linear_grad(&low, 3, FULL, HALF, 0.5)
    });
    time("box sum 9", || {
        boxsum::box_sum(&image[..voxels], 1, FULL, [9; 3])
    });
    time("box sum 5", || {
        boxsum::box_sum(&image[..voxels], 1, FULL, [5; 3])
    });
    time("max-pool 3 channels", || {
        pool::max2(&image, 3, FULL, [2; 3])
    });
    let (pooled, argmax) = pool::max2(&image, 3, FULL, [2; 3]);
    time("max-pool 3 channels, gradient", || {
        pool::max2_grad(&pooled, &argmax, 3, FULL, [2; 3])
    });
    time("upsample 3 + concatenate 2", || {
        upsample::nearest_concat(&low, HALF, 3, &image[..2 * voxels], FULL, 2, 1)
    });
    let joined = uniform(3, 5 * voxels, 1.0);
    time("upsample 3 + concatenate 2, gradient", || {
        upsample::nearest_concat_grad(&joined, HALF, 3, FULL, 2, 1)
    });
    let exponential = Exponential {
        shape: Shape::fields(HALF, 1, 3, Border::Edge),
        squarings: 7,
        sign: 1.0,
    };
    time("scaling and squaring, 7 steps at half size", || {
        exponential.displacement(&low)
    });
    time("scaling and squaring, gradient", || {
        exponential.grad(&low, &low)
    });
    let differences = Differences {
        extent: FULL,
        weights: &[[1e-6; 3]; 3],
        norm: Norm::L2,
    };
    time("diffusion", || differences.sums(&flow));
    time("diffusion, gradient", || {
        let mut grad = vec![0.0; flow.len()];
        differences.add_gradient(&flow, &[1.0], &mut grad);
        grad
    });
    let (moved, fixed) = (&image[..voxels], &image[voxels..2 * voxels]);
    time("mean squared difference", || {
        squares::mean_difference(moved, fixed, 1)
    });
    time("mean squared difference, gradient", || {
        squares::mean_difference_grad(moved, fixed, &[1.0], [true, false])
    });
    time("compose", || {
        field::compose(&flow, &flow, 3, FULL, Border::Zeros)
    });
    time("invert to 0.01 voxels", || {
        field::invert(&flow, 3, FULL, 30, 0.01)
    });
    time("Jacobian determinant", || {
        jacobian::determinant(&flow, 3, FULL)
    });
}
