//! What enters the products: `B^T x` of the sources, and `A g` of an output's gradient.

use std::marker::PhantomData;
use std::ops::Range;

use super::super::axis::{Axis, Tap};
use super::super::plan::product;
use super::super::simd::{Simd, Task};
use super::super::slab::Layout;
use super::kernel::{PLANE, PRODUCTS};
use super::products::Products;

/// A term of a transform along one axis: element `a` of the window, plus `sign` times element `b`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Term {
    a: usize,
    b: usize,
    sign: f32,
}

const fn sum(a: usize, b: usize) -> Option<Term> {
    Some(Term { a, b, sign: 1.0 })
}

const fn difference(a: usize, b: usize) -> Option<Term> {
    Some(Term { a, b, sign: -1.0 })
}

const fn one(a: usize) -> Option<Term> {
    Some(Term { a, b: a, sign: 0.0 })
}

/// A transform of the voxels around a pair of outputs into up to four products along each axis.
pub(super) trait Transform<const WINDOW: usize, const MADE: usize>: Send + Sync {
    /// What the products along d are made of, `None` where there is none.
    const DEPTH: [Option<Term>; PRODUCTS];
    /// First voxel of the window along an axis that is transformed.
    const FIRST: usize;
    /// Which products are made.
    const INDEX: [usize; MADE];

    /// The products along h or w.
    fn line<S: Simd>(simd: S, x: [S::V; WINDOW]) -> [S::V; MADE];

    /// What a product along d is made of, given the planes of a position: one plane needs no transform.
    fn depth(planes: usize, z: usize) -> Option<Term> {
        if planes == 1 { one(0) } else { Self::DEPTH[z] }
    }
}

/// `B^T x` of fine channels.
pub(super) struct Fine;

impl Transform<4, 4> for Fine {
    const DEPTH: [Option<Term>; PRODUCTS] = [
        difference(0, 2),
        sum(1, 2),
        difference(2, 1),
        difference(1, 3),
    ];
    const FIRST: usize = 0;
    const INDEX: [usize; 4] = [0, 1, 2, 3];

    #[inline(always)]
    fn line<S: Simd>(simd: S, [x0, x1, x2, x3]: [S::V; 4]) -> [S::V; 4] {
        [
            simd.sub(x0, x2),
            simd.add(x1, x2),
            simd.sub(x2, x1),
            simd.sub(x1, x3),
        ]
    }
}

/// `B^T x` of coarse channels, where x1 = x2; the kernels hold the factor 2 of their sum.
pub(super) struct Coarse;

impl Transform<3, 3> for Coarse {
    const DEPTH: [Option<Term>; PRODUCTS] = [difference(0, 1), one(1), None, difference(1, 2)];
    const FIRST: usize = 0;
    const INDEX: [usize; 3] = [0, 1, 3];

    #[inline(always)]
    fn line<S: Simd>(simd: S, [before, here, after]: [S::V; 3]) -> [S::V; 3] {
        [simd.sub(before, here), here, simd.sub(here, after)]
    }
}

/// `A g` of a gradient, but for the sign of the last product.
pub(super) struct Gradient;

impl Transform<2, 4> for Gradient {
    const DEPTH: [Option<Term>; PRODUCTS] = [one(1), sum(1, 2), difference(1, 2), one(2)];
    /// The window of [`Fine`] begins one voxel before the pair.
    const FIRST: usize = 1;
    const INDEX: [usize; 4] = [0, 1, 2, 3];

    #[inline(always)]
    fn line<S: Simd>(simd: S, [g0, g1]: [S::V; 2]) -> [S::V; 4] {
        [g0, simd.add(g0, g1), simd.sub(g0, g1), g1]
    }
}

/// Where the voxels of a window lie in a slab, from the position.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window<const WINDOW: usize> {
    a: [[usize; WINDOW]; WINDOW],
    b: [[usize; WINDOW]; WINDOW],
    sign: f32,
}

impl<const WINDOW: usize> Window<WINDOW> {
    /// The window of the pair of planes `plane`, for one product along d.
    pub(super) fn new<T: Transform<WINDOW, MADE>, const MADE: usize>(
        layout: &Layout,
        axes: &[Axis; 3],
        plane: usize,
        depth: Term,
    ) -> Self {
        let line: Vec<Tap> = (T::FIRST..T::FIRST + WINDOW)
            .map(|offset| Tap { weight: 0, offset })
            .collect();
        let offsets = |z: usize| {
            let z = [Tap {
                weight: 0,
                offset: z,
            }];
            let all = layout.taps(axes, plane, &product(&z, &line, &line));
            std::array::from_fn(|r| std::array::from_fn(|c| all[r * WINDOW + c]))
        };
        Self {
            a: offsets(depth.a),
            b: offsets(depth.b),
            sign: depth.sign,
        }
    }

    fn furthest(&self) -> usize {
        let all = self.a.iter().chain(&self.b).flatten();
        all.max().copied().unwrap_or(0)
    }
}

/// Transforms channels of a slab.
pub(super) struct Enter<'a, 'b, T, const WINDOW: usize> {
    pub(super) transform: PhantomData<T>,
    pub(super) slab: &'a [f32],
    /// Numbers from one channel of the slab to the next.
    pub(super) channel_stride: usize,
    pub(super) channels: usize,
    pub(super) window: Window<WINDOW>,
    /// In whole vectors.
    pub(super) positions: Range<usize>,
    /// What the channel 0 of the slab is in `out`.
    pub(super) first: usize,
    pub(super) out: &'a mut Products<'b>,
}

impl<T, const WINDOW: usize> Enter<'_, '_, T, WINDOW> {
    #[inline(always)]
    fn enter<S: Simd, const MADE: usize>(self, simd: S)
    where
        T: Transform<WINDOW, MADE>,
    {
        let Self {
            slab,
            window,
            positions,
            out,
            ..
        } = self;
        let (len, stride) = (positions.len(), out.at(1));
        assert!(len.is_multiple_of(S::LANES) && len <= out.pitch);
        assert!(
            self.first + self.channels <= out.channels() && PLANE * stride <= out.values().len()
        );
        let last = self.channels.saturating_sub(1) * self.channel_stride;
        assert!(
            last + window.furthest() + positions.end <= slab.len(),
            "slab too short"
        );
        let sign = simd.splat(window.sign);
        for channel in 0..self.channels {
            for at in (0..len).step_by(S::LANES) {
                // SAFETY: by the checks above every voxel of every window lies in the slab, and `at + LANES` within
                // the pitch of a channel of `out`.
                unsafe {
                    let source = slab
                        .as_ptr()
                        .add(channel * self.channel_stride + positions.start + at);
                    let mut rows = [[simd.splat(0.0); MADE]; WINDOW];
                    for (r, row) in rows.iter_mut().enumerate() {
                        let mut x = [simd.splat(0.0); WINDOW];
                        for (c, x) in x.iter_mut().enumerate() {
                            let a = simd.load(source.add(window.a[r][c]));
                            let b = simd.load(source.add(window.b[r][c]));
                            *x = simd.mul_add(sign, b, a);
                        }
                        *row = T::line(simd, x);
                    }
                    let to = (self.first + channel) * out.pitch + at;
                    let target = out.values_mut().as_mut_ptr().add(to);
                    for c in 0..MADE {
                        let mut column = [simd.splat(0.0); WINDOW];
                        for (value, row) in column.iter_mut().zip(&rows) {
                            *value = row[c];
                        }
                        for (r, &value) in T::line(simd, column).iter().enumerate() {
                            let product = T::INDEX[r] * PRODUCTS + T::INDEX[c];
                            simd.store(target.add(product * stride), value);
                        }
                    }
                }
            }
        }
    }
}

impl Task for Enter<'_, '_, Fine, 4> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        self.enter::<S, 4>(simd);
    }
}

impl Task for Enter<'_, '_, Coarse, 3> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        self.enter::<S, 3>(simd);
    }
}

impl Task for Enter<'_, '_, Gradient, 2> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        self.enter::<S, 4>(simd);
    }
}
