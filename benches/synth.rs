//! Milliseconds per synthetic pair on one core and on all: `cargo bench --bench synth`.

use std::time::Instant;

use hmorph::synth::{LabelSource, SynthConfig, make_pair};
use hmorph::volume::{Affine, Dimension, Geometry, LabelMap};

fn main() {
    for (dimension, shape) in [
        (Dimension::Two, [160, 192, 1]),
        (Dimension::Two, [256, 256, 1]),
        (Dimension::Three, [48, 64, 48]),
        (Dimension::Three, [96, 112, 96]),
        (Dimension::Three, [160, 192, 224]),
    ] {
        for threads in [1, 0] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            let pool = pool.expect("threads can be started");
            let shapes = pool.install(|| median_ms(&LabelSource::Shapes, dimension, shape));
            let maps = LabelSource::Maps(vec![blocks(dimension, shape)]);
            let given = pool.install(|| median_ms(&maps, dimension, shape));
            let threads = pool.current_num_threads();
            println!(
                "{shape:?} {threads} threads: {shapes:.1} ms from shapes, {given:.1} ms from maps"
            );
        }
    }
}

/// Median over some pairs, after one to warm up.
fn median_ms(source: &LabelSource, dimension: Dimension, shape: [usize; 3]) -> f64 {
    let config = SynthConfig::default();
    let runs = if shape.iter().product::<usize>() > 1_000_000 {
        3
    } else {
        9
    };
    let mut times: Vec<f64> = (0..=runs)
        .map(|index| {
            let start = Instant::now();
            let pair = make_pair(&config, source, dimension, shape, 1, index);
            std::hint::black_box(pair.expect("the default config is valid"));
            start.elapsed().as_secs_f64() * 1e3
        })
        .skip(1)
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
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
