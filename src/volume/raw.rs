//! An image file as it was decoded from disk: any number of axes, voxels still as bytes.

use std::sync::atomic::{AtomicBool, Ordering};

use ndarray::Array3;
use rayon::prelude::*;

use super::dtype::{DType, Element, Endian, with_element};
use super::format::Format;
use super::series::FrameStep;
use super::{Affine, Dimension, Geometry, World};

/// Order of the voxels in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::enum_variant_names,
    reason = "they say which axis is the fastest"
)]
pub(crate) enum Layout {
    /// The first axis is fastest, frames last: NIfTI, MGH, Fortran numpy.
    FirstFastest,
    /// The last axis is fastest: C-ordered numpy.
    LastFastest,
    /// The values of one voxel lie together, then the first axis: colours and vectors of MetaImage, NRRD and PNG.
    ChannelsFastest,
}

/// What the numbers mean, as far as the header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Intent {
    Image,
    /// NIfTI vector (intent 1007): displacements in LPS millimetres.
    Displacement,
    /// NIfTI displacement (intent 1006): displacements in RAS millimetres.
    DisplacementRas,
    /// Several values a voxel, of which the file does not say more.
    Channels,
    /// Colours: the fourth axis holds grey and alpha, RGB, or RGBA.
    Colour,
    /// Vectors of another program that are no displacements in millimetres: what they are, and what to do.
    Deformation(&'static str),
}

/// Voxel bytes with what is needed to turn them into numbers.
#[derive(Debug, Clone)]
pub(crate) struct Samples {
    pub bytes: Vec<u8>,
    pub dtype: DType,
    pub endian: Endian,
    pub layout: Layout,
    /// `(slope, intercept)`: value = slope * stored + intercept.
    pub scale: Option<(f64, f64)>,
}

/// A decoded file.
#[derive(Debug, Clone)]
pub(crate) struct RawVolume {
    pub format: Format,
    /// All axes as the header gives them, 1 to 7 of them.
    pub shape: Vec<usize>,
    pub affine: Affine,
    pub world: World,
    pub intent: Intent,
    /// What the fourth axis steps by, where the file says it.
    pub frame_step: Option<FrameStep>,
    pub samples: Samples,
}

impl RawVolume {
    /// The first three axes; those missing have size 1.
    pub fn grid(&self) -> [usize; 3] {
        [0, 1, 2].map(|axis| self.shape.get(axis).copied().unwrap_or(1))
    }

    /// Number of volumes along the fourth and further axes, of colours that of channels.
    pub fn frames(&self) -> usize {
        self.shape.iter().skip(3).product()
    }

    /// `(x, y)` and `(x, y, 1)` are both 2-D; a size of 1 along another axis does not make a 2-D image.
    pub fn geometry(&self) -> Geometry {
        let shape = self.grid();
        let dimension = if shape[2] == 1 {
            Dimension::Two
        } else {
            Dimension::Three
        };
        Geometry {
            world: self.world,
            ..Geometry::new(shape, dimension, self.affine)
        }
    }

    /// `181x217x181x2`, as in messages.
    pub fn shape_text(&self) -> String {
        let sizes: Vec<String> = self.shape.iter().map(usize::to_string).collect();
        sizes.join("x")
    }

    /// One volume, converted by `convert`; the first value for which it gives `None` is the error. Frames count along the
    /// fourth axis first, whatever the order in the file.
    pub fn frame<T: Copy + Default + Send>(
        &self,
        frame: usize,
        convert: impl Fn(f64) -> Option<T> + Sync,
    ) -> Result<Array3<T>, Offending> {
        let frame = self.place_of(frame);
        let grid = self.grid();
        let mut data = vec![T::default(); grid.iter().product()];
        let failed = AtomicBool::new(false);
        with_element!(self.samples.dtype, E => {
            self.fill::<E, T>(frame, &mut data, &|value| convert(value).unwrap_or_else(|| {
                failed.store(true, Ordering::Relaxed);
                T::default()
            }));
        });
        if failed.into_inner() {
            return Err(self.first_offending(frame, &convert));
        }
        Ok(Array3::from_shape_vec(grid, data).expect("one value per voxel"))
    }

    /// Where a frame comes among those of the file.
    fn place_of(&self, frame: usize) -> usize {
        if self.samples.layout != Layout::LastFastest {
            return frame;
        }
        let (mut left, mut place) = (frame, 0);
        for &size in self.shape.iter().skip(3) {
            place = place * size + left % size;
            left /= size;
        }
        place
    }

    /// Row-major output from either layout, in slabs that keep strided reads within cache lines.
    fn fill<E: Element, T: Send>(
        &self,
        frame: usize,
        out: &mut [T],
        convert: &(impl Fn(f64) -> T + Sync),
    ) {
        const ROWS: usize = 16;
        let [_, nj, nk] = self.grid();
        let slab = ROWS * nj * nk;
        out.par_chunks_mut(slab.max(1))
            .enumerate()
            .for_each(|(s, chunk)| {
                let rows = chunk.len() / (nj * nk);
                for j in 0..nj {
                    for k in 0..nk {
                        for r in 0..rows {
                            let index = [s * ROWS + r, j, k];
                            chunk[(r * nj + j) * nk + k] = convert(self.value::<E>(index, frame));
                        }
                    }
                }
            });
    }

    #[inline]
    fn value<E: Element>(&self, [i, j, k]: [usize; 3], frame: usize) -> f64 {
        let [ni, nj, nk] = self.grid();
        let at = match self.samples.layout {
            Layout::FirstFastest => i + ni * (j + nj * (k + nk * frame)),
            Layout::LastFastest => ((i * nj + j) * nk + k) * self.frames() + frame,
            Layout::ChannelsFastest => (i + ni * (j + nj * k)) * self.frames() + frame,
        };
        let stored = E::read(
            &self.samples.bytes[at * E::SIZE..][..E::SIZE],
            self.samples.endian,
        )
        .value();
        match self.samples.scale {
            Some((slope, intercept)) => stored * slope + intercept,
            None => stored,
        }
    }

    fn first_offending<T>(&self, frame: usize, convert: &impl Fn(f64) -> Option<T>) -> Offending {
        let [ni, nj, nk] = self.grid();
        let all = (0..ni * nj * nk).map(|n| [n / (nj * nk), n / nk % nj, n % nk]);
        let mut values = all.map(|index| {
            let value = with_element!(self.samples.dtype, E => self.value::<E>(index, frame));
            Offending { value, index }
        });
        values
            .find(|o| convert(o.value).is_none())
            .expect("a conversion failed before")
    }

    /// Calls `visit` with every value of every frame, in file order.
    pub fn for_each_value(&self, mut visit: impl FnMut(f64)) {
        let Samples {
            bytes,
            dtype,
            endian,
            scale,
            ..
        } = &self.samples;
        with_element!(*dtype, E => for chunk in bytes.chunks_exact(E::SIZE) {
            let stored = E::read(chunk, *endian).value();
            visit(scale.map_or(stored, |(slope, intercept)| stored * slope + intercept));
        });
    }
}

/// A value that cannot be what the caller wants, and where it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Offending {
    pub value: f64,
    pub index: [usize; 3],
}

/// Bytes that voxels of the given sizes take.
///
/// # Errors
/// More than 64 bits can count.
pub(crate) fn byte_count(shape: &[usize], dtype: DType) -> Result<u64, String> {
    let size = dtype.size() as u64;
    let bytes = shape
        .iter()
        .try_fold(size, |n, &size| n.checked_mul(size as u64));
    bytes.ok_or_else(|| "sizes multiply to more than 2^64 bytes; the header is damaged".into())
}
