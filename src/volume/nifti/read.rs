//! Reads NIfTI and Analyze files into a [`RawVolume`].

use std::path::Path;

use super::super::dtype::Endian;
use super::super::format::{Format, header_and_image};
use super::super::raw::{Intent, Layout, RawVolume, Samples, byte_count};
use super::super::source::{Source, Trailing};
use super::super::{Affine, World};
use super::header::{Header, Storage, recognise};
use super::{affine, analyze};
use crate::error::{Error, Result};

const INTENT_VECTOR: i32 = 1007;
const INTENT_DISPLACEMENT_RAS: i32 = 1006;

/// What is to be said about where the grid of a file lies: it has no form, its two forms differ, or one of them is no good.
/// Nothing of other formats and of files that cannot be read.
pub fn geometry_note(path: &Path) -> Option<String> {
    let path = match Format::of(path).ok()? {
        Format::Nifti => path.to_path_buf(),
        Format::NiftiPair => header_and_image(path).ok()?.0,
        _ => return None,
    };
    let (_, header) = read_header(&mut Source::open(&path).ok()?).ok()?;
    match header.storage {
        Storage::Analyze => None,
        Storage::Single | Storage::Pair => affine::note(&header, &header.shape().ok()?),
    }
}

/// Reads a `.nii` or `.nii.gz` file.
pub(crate) fn read_single(path: &Path) -> Result<RawVolume> {
    let mut source = Source::open(path)?;
    let (bytes, header) = read_header(&mut source)?;
    match header.storage {
        Storage::Single => {}
        Storage::Pair => {
            let problem =
                "header of a .hdr/.img pair under the name of a single file; rename it to .hdr";
            return Err(Error::file(path, problem));
        }
        Storage::Analyze => {
            let problem =
                "not NIfTI: the magic 'n+1' is missing; the file is damaged or another format";
            return Err(Error::file(path, problem));
        }
    }
    let at = |problem| Error::file(path, problem);
    let offset = header.data_offset().map_err(at)?;
    let plan = Plan::new(&header, &bytes).map_err(at)?;
    source.skip(
        offset - bytes.len() as u64,
        "the header with its extensions",
    )?;
    plan.read(header.endian, Format::Nifti, source)
}

/// Reads a `.hdr` and `.img` pair, named by either of them.
pub(crate) fn read_pair(path: &Path) -> Result<RawVolume> {
    let (header_path, image_path) = header_and_image(path)?;
    let mut source = Source::open(&header_path)?;
    let (bytes, header) = read_header(&mut source)?;
    let at = |problem| Error::file(&header_path, problem);
    if header.storage == Storage::Single {
        return Err(at(
            "single-file NIfTI under the name of a pair; rename it to .nii".to_string(),
        ));
    }
    let offset = header.data_offset().map_err(at)?;
    let plan = Plan::new(&header, &bytes).map_err(at)?;
    let mut image = Source::open(&image_path)?;
    image.skip(offset, "the gap before the voxels")?;
    plan.read(header.endian, Format::NiftiPair, image)
}

fn read_header(source: &mut Source) -> Result<(Vec<u8>, Header)> {
    let mut bytes = source.take(4, "a NIfTI header")?;
    let start = [bytes[0], bytes[1], bytes[2], bytes[3]];
    let Some((layout, endian)) = recognise(start) else {
        let problem = "not NIfTI: the file does not start with a header size of 348 or 540";
        return Err(Error::file(source.path(), problem));
    };
    bytes.extend(source.take(layout.length as u64 - 4, "the rest of the NIfTI header")?);
    let header = Header::parse(&bytes, layout, endian);
    let header = header.map_err(|problem| Error::file(source.path(), problem))?;
    Ok((bytes, header))
}

/// Everything the header says, checked but for the voxels.
struct Plan {
    volume: RawVolume,
    length: u64,
}

impl Plan {
    fn new(header: &Header, bytes: &[u8]) -> Result<Self, String> {
        let mut shape = header.shape()?;
        let dtype = header.dtype()?;
        let intent = intent_of(header)?;
        let ((affine, world), scale) = match header.storage {
            Storage::Analyze => analyze_meaning(header, bytes, &shape)?,
            _ => (affine::place_of(header, &shape)?, header.scale()?),
        };
        let mut layout = Layout::FirstFastest;
        if intent == Intent::Colour {
            layout = Layout::ChannelsFastest;
            put_channels_last(&mut shape, header.channels())?;
        }
        let length = byte_count(&shape, dtype)?;
        let samples = Samples {
            bytes: Vec::new(),
            dtype,
            endian: header.endian,
            layout,
            scale,
        };
        let volume = RawVolume {
            format: Format::Nifti,
            shape,
            affine,
            world,
            intent,
            frame_step: header.frame_step(),
            samples,
        };
        Ok(Self { volume, length })
    }

    fn read(self, endian: Endian, format: Format, mut source: Source) -> Result<RawVolume> {
        let mut volume = self.volume;
        let what = format!("{} {} voxels", volume.shape_text(), volume.samples.dtype);
        volume.format = format;
        volume.samples.endian = endian;
        volume.samples.bytes = source.take(self.length, &what)?;
        source.finish(Trailing::Refuse)?;
        Ok(volume)
    }
}

type Meaning = ((Affine, World), Option<(f64, f64)>);

fn analyze_meaning(header: &Header, bytes: &[u8], shape: &[usize]) -> Result<Meaning, String> {
    let spacing = affine::spacing(header, shape)?;
    let affine = analyze::affine_of(bytes, header.endian, shape, spacing);
    Ok(((affine, World::ASSUMED), analyze::scale_of(header, bytes)))
}

/// The channels of colours as the fourth axis.
fn put_channels_last(shape: &mut Vec<usize>, channels: usize) -> Result<(), String> {
    if shape.iter().skip(3).any(|&size| size > 1) {
        return Err(format!(
            "a series of colour images ({} axes); split it into one file per image",
            shape.len()
        ));
    }
    shape.resize(3, 1);
    shape.push(channels);
    Ok(())
}

fn intent_of(header: &Header) -> Result<Intent, String> {
    if header.channels() > 1 {
        return Ok(Intent::Colour);
    }
    if header.storage == Storage::Analyze {
        return Ok(Intent::Image);
    }
    match header.intent_code {
        INTENT_VECTOR if header.intent_name.starts_with("NREG_TRANS") => Ok(Intent::Deformation(
            "a NiftyReg transform, whose vectors are RAS; convert it with reg_transform",
        )),
        INTENT_VECTOR if header.intent_name == "Mapping" => Ok(Intent::Deformation(
            "an SPM deformation, which holds positions in mm and no displacements; subtract each voxel's own position, and write \
             it as a field of intent 1006",
        )),
        INTENT_VECTOR => Ok(Intent::Displacement),
        INTENT_DISPLACEMENT_RAS => Ok(Intent::DisplacementRas),
        3000..=3099 => Err("CIFTI connectivity data, not an image on a voxel grid".into()),
        _ => Ok(Intent::Image),
    }
}
