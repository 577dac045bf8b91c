//! How many random starts of real pairs end where the best start ends: `cargo bench --bench robustness`.
//!
//! Reads the sets of the folder that `HMORPH_TEST_DATA` names; `SET...` and `--starts N` after `--` choose. A start places
//! the moving image by a random map: rotated by up to 45 degrees, shifted by up to half the field of view, zoomed by 0.8
//! to 1.25. It succeeds if no corner of the fixed image's content ends further than 2 voxels from where it ends when the
//! headers, unchanged, start the registration.

use std::path::{Path, PathBuf};
use std::time::Instant;

use hmorph::linear::{Masked, Settings, Start, register};
use hmorph::volume::{Affine, Dimension, Geometry, Image, VoxelPoint, read_image};
use nalgebra::{Matrix4, Rotation3, Unit, Vector3};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Folder of images and which of its files, in the order of their names, make pairs (fixed, moving).
const SETS: [(&str, &[[usize; 2]]); 4] = [
    ("lpba40_2mm/images", &[[0, 1], [0, 4], [0, 7]]),
    ("hippocampus_msd/images", &[[0, 4], [2, 8], [6, 12]]),
    ("oasis_trt20_2d/images", &[[0, 1], [2, 5], [3, 7]]),
    ("lpba40_2d_axial/images", &[[0, 1], [0, 4], [0, 7]]),
];

/// Voxels (the mean size of an axis) that a result may differ by.
const TOLERANCE: f64 = 2.0;

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    let option = arguments.iter().position(|argument| argument == "--starts");
    let starts = option.map_or(200, |at| arguments[at + 1].parse().expect("--starts N"));
    let wanted = &arguments[..option.unwrap_or(arguments.len())];
    let Some(folder) = std::env::var_os("HMORPH_TEST_DATA").map(PathBuf::from) else {
        eprintln!("skipped: HMORPH_TEST_DATA is not set");
        return;
    };
    for (set, pairs) in SETS {
        if wanted.is_empty() || wanted.iter().any(|name| set.starts_with(name.as_str())) {
            measure(&folder.join(set), set, pairs, starts);
        }
    }
}

fn measure(folder: &Path, set: &str, pairs: &[[usize; 2]], starts: usize) {
    let entries = std::fs::read_dir(folder).expect("the set is there");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let pairs: Vec<Pair> = pairs
        .iter()
        .map(|pair| Pair::read(pair.map(|n| &files[n])))
        .collect();
    let mut seconds = Vec::new();
    let mut distances = Vec::new();
    for start in 0..starts {
        let pair = &pairs[start % pairs.len()];
        let mut rng = ChaCha8Rng::seed_from_u64(start as u64);
        let before = Instant::now();
        distances.push(pair.distance(&random_map(&pair.fixed.geometry, &mut rng)));
        seconds.push(before.elapsed().as_secs_f64());
    }
    let near = distances.iter().filter(|&&d| d <= TOLERANCE).count();
    for values in [&mut seconds, &mut distances] {
        values.sort_by(f64::total_cmp);
    }
    println!(
        "{set}: {near} of {starts} starts ({:.1} %) end within {TOLERANCE} voxels; median {:.2} voxels, {:.2} s",
        100.0 * near as f64 / starts as f64,
        distances[starts / 2],
        seconds[starts / 2]
    );
}

struct Pair {
    fixed: Image,
    moving: Image,
    best: Matrix4<f64>,
}

impl Pair {
    fn read(files: [&PathBuf; 2]) -> Self {
        let [fixed, moving] = files.map(|file| read_image(file).expect("the set is readable"));
        let best = found(&fixed, &moving);
        Self {
            fixed,
            moving,
            best,
        }
    }

    /// Voxels between the results with the moving image where it is and where `map` places it.
    fn distance(&self, map: &Matrix4<f64>) -> f64 {
        let mut elsewhere = self.moving.clone();
        elsewhere.geometry.affine = Affine(map * self.moving.geometry.affine.0);
        let matrix = map.try_inverse().expect("random maps have an inverse")
            * found(&self.fixed, &elsewhere);
        let grid = &self.fixed.geometry;
        let axes = grid.dimension.axes();
        let size = grid.spacing()[..axes]
            .iter()
            .product::<f64>()
            .powf(1.0 / axes as f64);
        // The middle half of the field of view, where the content is.
        let corners = (0..8_u8).map(|corner| {
            let voxel = Vector3::from_fn(|axis, _| {
                let share = if corner >> axis & 1 == 1 { 0.75 } else { 0.25 };
                (grid.shape[axis] - 1) as f64 * share
            });
            let place = grid.affine.to_world(VoxelPoint(voxel)).0.push(1.0);
            (matrix * place - self.best * place).norm() / size
        });
        corners.fold(0.0, f64::max)
    }
}

fn found(fixed: &Image, moving: &Image) -> Matrix4<f64> {
    let [fixed, moving] = [fixed, moving].map(|image| Masked { image, mask: None });
    let settings = Settings {
        start: Start::Auto { headers: true },
        ..Settings::default()
    };
    // A start that ends in an error counts as one that ends elsewhere.
    register(fixed, moving, &settings).map_or(Matrix4::zeros(), |found| found.matrix)
}

/// About the middle of the grid.
fn random_map(grid: &Geometry, rng: &mut ChaCha8Rng) -> Matrix4<f64> {
    let uniform = |rng: &mut ChaCha8Rng, low: f64, high: f64| rng.random_range(low..high);
    let axis = match grid.dimension {
        Dimension::Two => Vector3::z(),
        Dimension::Three => loop {
            let vector = Vector3::from_fn(|_, _| uniform(rng, -1.0, 1.0));
            if (0.1..1.0).contains(&vector.norm()) {
                break vector;
            }
        },
    };
    let angle = uniform(rng, -45.0, 45.0).to_radians();
    let zoom = uniform(rng, 0.8, 1.25);
    let middle = grid
        .affine
        .to_world(VoxelPoint(Vector3::from(
            grid.shape.map(|n| (n as f64 - 1.0) / 2.0),
        )))
        .0;
    let axes = grid.dimension.axes();
    let along = Vector3::from_fn(|n, _| {
        let extent = grid.shape[n] as f64 / 2.0;
        if n < axes {
            uniform(rng, -extent, extent)
        } else {
            0.0
        }
    });
    let shift = grid.affine.linear() * along;
    let linear = Rotation3::from_axis_angle(&Unit::new_normalize(axis), angle).into_inner() * zoom;
    Affine::from_parts(linear, middle + shift - linear * middle).0
}
