//! The spatial transformer: linear sampling at displaced positions.

use cubecl::features::AtomicUsage;
use cubecl::prelude::*;

use super::{Buffer, Grid, argument, batch, channels, empty, extent, grid, units, zeros};
use crate::kernels::warp::Border;

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
    let float = Type::atomic(f32::elem_type_native());
    let has_float = image
        .client
        .properties()
        .atomic_type_usage(float)
        .contains(AtomicUsage::Add);
    let launch = match has_float {
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

/// Where images and samples lie.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
#[expand(derive(Clone, Copy))]
struct Places {
    /// Of the image.
    from: Grid,
    /// Of the samples.
    to: Grid,
    channels: usize,
    /// Samples of all items of the batch.
    sites: usize,
}

fn places(image: &Buffer, flow: &Buffer) -> PlacesLaunch {
    let [from, to] = [image, flow].map(|buffer| grid(extent(buffer)));
    PlacesLaunch::new(from, to, channels(image), sites(flow))
}

/// Samples of all items of the batch.
fn sites(flow: &Buffer) -> usize {
    batch(flow) * extent(flow).iter().product::<usize>()
}

/// The eight voxels about a sample, one bit an axis; the third axis is the fastest.
#[derive(CubeType)]
struct Corners {
    /// Index in one channel of the image.
    index: Array<usize>,
    /// 1 where the voxel counts, 0 outside of an image with zeros about it.
    counts: Array<f32>,
    /// Distance past the first corner along each axis.
    d: f32,
    h: f32,
    w: f32,
}

#[cube]
impl Corners {
    fn new(
        flow: &[f32],
        site: usize,
        places: &Places,
        #[comptime] components: usize,
        #[comptime] edge: bool,
    ) -> Corners {
        let to = places.to;
        let from = places.from;
        let voxels = to.voxels();
        let here = site % voxels;
        let first = (site / voxels) * components * voxels + here;
        let k = here % to.w;
        let j = (here / to.w) % to.h;
        let i = here / (to.w * to.h);
        // A singleton axis of a 2-D image is never displaced.
        let mut p = i as f32;
        if comptime!(components == 3) {
            p += flow[first];
        }
        let q = j as f32 + flow[first + comptime!(components - 2) * voxels];
        let r = k as f32 + flow[first + comptime!(components - 1) * voxels];
        let known = finite(p) && finite(q) && finite(r);
        let (i0, d) = cell(p, from.d);
        let (j0, h) = cell(q, from.h);
        let (k0, w) = cell(r, from.w);
        let mut index = Array::<usize>::new(8usize);
        let mut counts = Array::<f32>::new(8usize);
        #[unroll]
        for corner in 0..8usize {
            let i = i0 + comptime!((corner / 4) as i32);
            let j = j0 + comptime!((corner / 2 % 2) as i32);
            let k = k0 + comptime!((corner % 2) as i32);
            let (i, inside_d) = clamped(i, from.d);
            let (j, inside_h) = clamped(j, from.h);
            let (k, inside_w) = clamped(k, from.w);
            index[corner] = (i * from.h + j) * from.w + k;
            let mut counted = known;
            if comptime!(!edge) {
                counted = known && inside_d && inside_h && inside_w;
            }
            counts[corner] = select(counted, 1.0f32, 0.0f32);
        }
        Corners {
            index,
            counts,
            d,
            h,
            w,
        }
    }

    /// Share of a corner in the sample.
    fn weight(&self, #[comptime] corner: usize) -> f32 {
        share(self.d, comptime!(corner / 4))
            * share(self.h, comptime!(corner / 2 % 2))
            * share(self.w, comptime!(corner % 2))
            * self.counts[corner]
    }
}

/// The voxel below a position, and how far the position is past it; far outside, where nothing changes, two voxels
/// off at most.
#[cube]
fn cell(position: f32, length: usize) -> (i32, f32) {
    let position = clamp(position, -2.0f32, length as f32 + 1.0);
    let below = position.floor();
    (below as i32, position - below)
}

#[cube]
fn clamped(at: i32, length: usize) -> (usize, bool) {
    let last = length as i32 - 1;
    let inside = at >= 0 && at <= last;
    (clamp(at, 0i32, last) as usize, inside)
}

#[cube]
fn share(fraction: f32, #[comptime] upper: usize) -> f32 {
    let mut share = fraction;
    if comptime!(upper == 0) {
        share = 1.0 - fraction;
    }
    share
}

/// By its exponent: compilers of shaders may assume that no comparison meets what is not a number.
#[cube]
pub(super) fn finite(x: f32) -> bool {
    (x.to_bits() & 0x7f80_0000u32) != 0x7f80_0000u32
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

/// Derivative of [`share`].
#[cube]
fn sign(#[comptime] upper: usize) -> f32 {
    comptime!(if upper == 0 { -1.0f32 } else { 1.0f32 }).runtime()
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

/// How a 32-bit float in memory is added to by many units at once.
#[cube]
trait AtomicSum: Send + Sync + 'static {
    type Cell: Numeric;

    fn add(cell: &mut Atomic<Self::Cell>, value: f32);
}

/// Where the device adds floats.
struct AddFloat;

#[cube]
impl AtomicSum for AddFloat {
    type Cell = f32;

    fn add(cell: &mut Atomic<f32>, value: f32) {
        cell.fetch_add(value);
    }
}

/// Elsewhere: the bits are exchanged until nobody has come between.
struct AddBits;

#[cube]
impl AtomicSum for AddBits {
    type Cell = u32;

    fn add(cell: &mut Atomic<u32>, value: f32) {
        let mut bits = cell.load();
        loop {
            let before = bits;
            let sum = (f32::from_bits(before) + value).to_bits();
            bits = cell.compare_exchange_weak(before, sum);
            if bits == before {
                break;
            }
        }
    }
}
