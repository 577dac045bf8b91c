//! Stand-ins until `volume` resamples and reorients.

use crate::error::{Error, Result};
use crate::volume::{Affine, Geometry, Image, LabelMap, Volume};

fn missing<T>() -> Result<T> {
    Err(Error::invalid(
        "resampling is not available yet; use align = \"centre\" on images of one orientation",
    ))
}

pub fn reorient<T>(_: &Volume<T>, _: &str) -> Result<Volume<T>> {
    missing()
}

pub fn image_to(_: &Image, _: &Geometry) -> Result<Image> {
    missing()
}

pub fn labels_to(_: &LabelMap, _: &Geometry) -> Result<LabelMap> {
    missing()
}

pub fn orientation(affine: &Affine) -> String {
    let linear = affine.linear();
    let letter = |axis: usize| {
        let world = linear.column(axis).iamax();
        if linear[(world, axis)] < 0.0 {
            ["L", "P", "I"][world]
        } else {
            ["R", "A", "S"][world]
        }
    };
    [0, 1, 2].map(letter).concat()
}
