//! The spatial transformer: linear sampling at displaced positions.

mod atomic;
mod corners;

use cubecl::prelude::*;

use super::{Buffer, argument, batch, channels, empty, extent, grid, units, zeros};
use crate::kernels::warp::Border;
pub use atomic::exchange_sums;
use atomic::{AddBits, AddFloat, AtomicSum, adds_floats};
use corners::{Corners, Places, PlacesLaunch, share, sign};
pub(super) use corners::{finite, position};

/// `image(x + flow(x))` on the grid of `flow`; see [`crate::ops::warp()`].
pub fn linear(image: Buffer, flow: Buffer, border: Border) -> Buffer {
    sampled(&image, &flow, border, false)
}

/// `u(x) + u(x + u(x))`, in one pass.
pub fn squaring(u: &Buffer, border: Border) -> Buffer {
    sampled(u, u, border, true)
}

fn sampled(image: &Buffer, flow: &Buffer, border: Border, plus_flow: bool) -> Buffer {
    let [d, h, w] = extent(flow);
    let out = empty(image, [batch(image), channels(image), d, h, w]);
    let (count, dim) = units(image, sites(flow));
    unsafe {
        forward::launch_unchecked(
            &image.client,
            count,
            dim,
            argument(image),
            argument(flow),
            argument(&out),
            places(image, flow),
            channels(flow),
            border == Border::Edge,
            plus_flow,
        );
    }
    out
}

/// Gradients of [`linear`] with respect to image and flow, as far as they are wanted.
///
/// The image's is scattered with atomic additions, whose order, and so whose rounding, changes from run to run.
pub fn linear_grad(
    [image, flow]: [Buffer; 2],
    grad: Buffer,
    border: Border,
    wanted: [bool; 2],
) -> [Option<Buffer>; 2] {
    let of_image = wanted[0].then(|| {
        let shape: [usize; 5] = image.meta.shape().dims();
        let out = zeros(&image, shape);
        scatter(&image, &flow, &grad, &out, border);
        out
    });
    let of_flow = wanted[1].then(|| slopes(&image, &flow, &grad, border, false));
    [of_image, of_flow]
}

/// Gradient of [`squaring`], whose three parts are summed in one buffer.
pub fn squaring_grad(u: &Buffer, grad: &Buffer, border: Border) -> Buffer {
    let out = slopes(u, u, grad, border, true);
    scatter(u, u, grad, &out, border);
    out
}

/// Gradient with respect to the flow; `plus_grad` adds that of the result.
fn slopes(image: &Buffer, flow: &Buffer, grad: &Buffer, border: Border, plus_grad: bool) -> Buffer {
    let shape: [usize; 5] = flow.meta.shape().dims();
    let out = empty(flow, shape);
    let (count, dim) = units(flow, sites(flow));
    unsafe {
        flow_gradient::launch_unchecked(
            &flow.client,
            count,
            dim,
            argument(image),
            argument(flow),
            argument(grad),
            argument(&out),
            places(image, flow),
            channels(flow),
            border == Border::Edge,
            plus_grad,
        );
    }
    out
}

/// Adds the gradient with respect to the image to `out`.
fn scatter(image: &Buffer, flow: &Buffer, grad: &Buffer, out: &Buffer, border: Border) {
    let (count, dim) = units(flow, sites(flow));
    let launch = match adds_floats(image) {
        true => image_gradient::launch_unchecked::<AddFloat>,
        false => image_gradient::launch_unchecked::<AddBits>,
    };
    unsafe {
        launch(
            &flow.client,
            count,
            dim,
            argument(flow),
            argument(grad),
            argument(out),
            places(image, flow),
            channels(flow),
            border == Border::Edge,
        );
    }
}

fn places(image: &Buffer, flow: &Buffer) -> PlacesLaunch {
    let [from, to] = [image, flow].map(|buffer| grid(extent(buffer)));
    PlacesLaunch::new(from, to, channels(image), sites(flow))
}

/// Samples of all items of the batch.
fn sites(flow: &Buffer) -> usize {
    batch(flow) * extent(flow).iter().product::<usize>()
}

#[cube(launch_unchecked)]
fn forward(
    image: &[f32],
    flow: &[f32],
    out: &mut [f32],
    places: Places,
    #[comptime] components: usize,
    #[comptime] edge: bool,
    #[comptime] plus_flow: bool,
) {
    let site = ABSOLUTE_POS;
    if site >= places.sites {
        terminate!();
    }
    let corners = Corners::new(flow, site, &places, components, edge);
    let voxels = places.to.voxels();
    let item = site / voxels;
    for c in 0..places.channels {
        let channel = item * places.channels + c;
        let base = channel * places.from.voxels();
        let here = channel * voxels + site % voxels;
        let mut sum = 0.0f32;
        if comptime!(plus_flow) {
            sum = flow[here];
        }
        #[unroll]
        for corner in 0..8usize {
            sum += image[base + corners.index[corner]] * corners.weight(corner);
        }
        out[here] = sum;
    }
}

#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)] // What a launch passes one by one.
fn flow_gradient(
    image: &[f32],
    flow: &[f32],
    grad: &[f32],
    out: &mut [f32],
    places: Places,
    #[comptime] components: usize,
    #[comptime] edge: bool,
    #[comptime] plus_grad: bool,
) {
    let site = ABSOLUTE_POS;
    if site >= places.sites {
        terminate!();
    }
    let corners = Corners::new(flow, site, &places, components, edge);
    let voxels = places.to.voxels();
    let item = site / voxels;
    let mut along_d = 0.0f32;
    let mut along_h = 0.0f32;
    let mut along_w = 0.0f32;
    for c in 0..places.channels {
        let channel = item * places.channels + c;
        let base = channel * places.from.voxels();
        let upstream = grad[channel * voxels + site % voxels];
        #[unroll]
        for corner in 0..8usize {
            let value = image[base + corners.index[corner]] * corners.counts[corner] * upstream;
            let by_d = share(corners.d, comptime!(corner / 4));
            let by_h = share(corners.h, comptime!(corner / 2 % 2));
            let by_w = share(corners.w, comptime!(corner % 2));
            along_d += sign(comptime!(corner / 4)) * value * by_h * by_w;
            along_h += sign(comptime!(corner / 2 % 2)) * value * by_d * by_w;
            along_w += sign(comptime!(corner % 2)) * value * by_d * by_h;
        }
    }
    along_d *= corners.moves_d;
    along_h *= corners.moves_h;
    along_w *= corners.moves_w;
    let first = item * components * voxels + site % voxels;
    let h = first + comptime!(components - 2) * voxels;
    let w = first + comptime!(components - 1) * voxels;
    if comptime!(plus_grad) {
        along_d += grad[first];
        along_h += grad[h];
        along_w += grad[w];
    }
    if comptime!(components == 3) {
        out[first] = along_d;
    }
    out[h] = along_h;
    out[w] = along_w;
}

#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)] // What a launch passes one by one.
fn image_gradient<A: AtomicSum>(
    flow: &[f32],
    grad: &[f32],
    out: &mut [Atomic<A::Cell>],
    places: Places,
    #[comptime] components: usize,
    #[comptime] edge: bool,
) {
    let site = ABSOLUTE_POS;
    if site >= places.sites {
        terminate!();
    }
    let corners = Corners::new(flow, site, &places, components, edge);
    let voxels = places.to.voxels();
    let item = site / voxels;
    for c in 0..places.channels {
        let channel = item * places.channels + c;
        let base = channel * places.from.voxels();
        let upstream = grad[channel * voxels + site % voxels];
        #[unroll]
        for corner in 0..8usize {
            let part = upstream * corners.weight(corner);
            if part != 0.0 {
                A::add(&mut out[base + corners.index[corner]], part);
            }
        }
    }
}
