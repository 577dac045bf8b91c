//! Kernels against numbers made by VoxelMorph's PyTorch code (tests/golden, float32).

use hmorph::kernels::exponential::Exponential;
use hmorph::kernels::oracle::check::assert_close;
use hmorph::kernels::oracle::widen;
use hmorph::kernels::warp::{self, Border, Shape};
use hmorph::kernels::{Extent, resize};

use crate::golden::Golden;

/// Relative to the largest magnitude of a tensor. VoxelMorph computes sampling positions through
/// float32 coordinates in [-1, 1], which alone moves them by some 1e-6 voxels.
const VALUES: f64 = 1e-5;
const GRADIENTS: f64 = 1e-4;

fn wide(golden: &Golden, name: &str) -> Vec<f64> {
    widen(golden.values(name))
}

/// Batch, channels and extent.
fn layout(golden: &Golden, name: &str) -> (usize, usize, Extent) {
    let [n, c, extent @ ..] = golden.shape(name);
    (n, c, extent)
}

fn check_warp(name: &str, border: Border) {
    let golden = Golden::open(name);
    let (image, flow) = (golden.values("image"), golden.values("flow"));
    let ((n, c, extent), (_, nf, _)) = (layout(&golden, "image"), layout(&golden, "flow"));
    let shape = Shape {
        items: n,
        channels: c,
        ..Shape::one(extent, nf, border)
    };
    let warped = warp::linear(image, flow, &shape);
    assert_close(&warped, &wide(&golden, "warped_linear"), VALUES);
    if border == Border::Zeros {
        let nearest = warp::nearest(image, flow, &shape);
        assert_close(&nearest, &wide(&golden, "warped_nearest"), 0.0);
    }
    let grad = golden.values("upstream_grad");
    let [of_image, of_flow] = warp::linear_grad(image, flow, &shape, grad, [true; 2]);
    assert_close(&of_image.unwrap(), &wide(&golden, "grad_image"), GRADIENTS);
    assert_close(&of_flow.unwrap(), &wide(&golden, "grad_flow"), GRADIENTS);
}

#[test]
fn warp_with_zeros_outside() {
    check_warp("warp_2d", Border::Zeros);
    check_warp("warp_3d", Border::Zeros);
}

#[test]
fn warp_with_edges() {
    check_warp("warp_edge_2d", Border::Edge);
    check_warp("warp_edge_3d", Border::Edge);
}

#[test]
fn resize_transform() {
    for name in ["resize_transform_2d", "resize_transform_3d"] {
        let golden = Golden::open(name);
        let (n, c, extent) = layout(&golden, "field");
        let axes = 3 - c..3;
        for (expected, factor) in [("half", 0.5), ("double", 2.0)] {
            let mut to = extent;
            axes.clone()
                .for_each(|a| to[a] = (extent[a] as f32 * factor) as usize);
            assert_eq!(layout(&golden, expected).2, to);
            let found = resize::linear(golden.values("field"), n * c, extent, to, factor);
            assert_close(&found, &wide(&golden, expected), VALUES);
        }
    }
}

/// Of the velocity in a file; zeros outside.
fn exponential(golden: &Golden, squarings: usize) -> Exponential {
    let (n, nf, extent) = layout(golden, "velocity");
    Exponential {
        shape: Shape::fields(extent, n, nf, Border::Zeros),
        squarings,
        sign: 1.0,
    }
}

#[test]
fn scaling_and_squaring() {
    for name in ["vecint_2d", "vecint_3d"] {
        let golden = Golden::open(name);
        let velocity = golden.values("velocity");
        for steps in [0, 1, 5, 7] {
            let found = exponential(&golden, steps).displacement(velocity);
            let expected = wide(&golden, &format!("displacement_steps{steps}"));
            assert_close(&found, &expected, VALUES);
        }
        let upstream = golden.values("upstream_grad");
        let grad = exponential(&golden, 7).grad(velocity, upstream);
        assert_close(&grad, &wide(&golden, "grad_velocity_steps7"), GRADIENTS);
    }
}
