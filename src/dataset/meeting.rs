//! Whether images that make pairs meet where their headers put them; where they do not, the moving one would be black.

use super::config::Align;
use super::item::Loaded;
use super::listing::Listing;
use super::pairing::{Group, Pairing};
use super::problems::Problems;
use super::split::Split;
use crate::volume::{Geometry, overlap};

/// Why two images do not meet.
#[derive(Clone, Copy)]
enum Apart {
    Places,
    /// Of 2-D images.
    Planes,
}

/// Reports the images of the `needed` splits that lie apart from those that they make pairs with.
pub(super) fn check(
    listing: &Listing,
    loaded: &[Option<Loaded>],
    align: Align,
    needed: &[Split],
    problems: &mut Problems,
) {
    let images = Images { listing, loaded };
    let mut report = |with: usize, others: &[usize]| images.report(with, others, align, problems);
    match align {
        Align::Centre => {}
        Align::Affine => {
            let all: Vec<usize> = (0..listing.entries.len()).collect();
            report(listing.reference, &all);
        }
        Align::Header => {
            let groups = listing.groups.iter().zip(Split::USED);
            for (group, _) in groups.filter(|(_, split)| needed.contains(split)) {
                for (with, others) in meetings(group, &listing.pairing) {
                    report(with, &others);
                }
            }
        }
    }
}

/// The images of a group beside the one that each of them has to meet. Where any two may make a pair, that is the first.
fn meetings(group: &Group, pairing: &Pairing) -> Vec<(usize, Vec<usize>)> {
    let members = group.members();
    match pairing {
        Pairing::Atlas(atlas) => vec![(*atlas, members.to_vec())],
        Pairing::Listed(_) => {
            let pairs = group.all(pairing).into_iter();
            pairs.map(|(fixed, moving)| (fixed, vec![moving])).collect()
        }
        Pairing::BetweenSubjects | Pairing::Any => {
            let first = members.first();
            first
                .map(|&first| (first, members.to_vec()))
                .into_iter()
                .collect()
        }
    }
}

struct Images<'a> {
    listing: &'a Listing,
    loaded: &'a [Option<Loaded>],
}

impl Images<'_> {
    /// A line for each image that lies apart from the image `with`; one line for all if they are most of them, since then it is
    /// that one which lies elsewhere, or all do.
    fn report(&self, with: usize, others: &[usize], align: Align, problems: &mut Problems) {
        let apart = others
            .iter()
            .filter_map(|&other| Some((other, self.apart(with, other, align)?)));
        let apart: Vec<(usize, Apart)> = apart.collect();
        match apart.as_slice() {
            [(other, why), more @ ..] if !more.is_empty() && 2 * apart.len() >= others.len() => {
                let more = format!(" (and so for {} more)", more.len());
                problems.push(self.line([with, *other], *why, &more));
            }
            _ => {
                let lines = apart
                    .iter()
                    .map(|(other, why)| self.line([*other, with], *why, ""));
                lines.for_each(|line| problems.push(line));
            }
        }
    }

    /// Why two images do not meet, if they do not. Images of another dimension are reported by the grid of the study.
    fn apart(&self, with: usize, other: usize, align: Align) -> Option<Apart> {
        let [with, other] = [self.grid(with)?, self.grid(other)?];
        if with.dimension != other.dimension {
            return None;
        }
        match overlap(with, other) {
            Err(_) => Some(Apart::Planes),
            Ok(false) if align == Align::Header => Some(Apart::Places),
            Ok(_) => None,
        }
    }

    fn grid(&self, number: usize) -> Option<&Geometry> {
        let loaded = self.loaded.get(number)?.as_ref()?;
        Some(&loaded.prepared.image.geometry)
    }

    fn line(&self, images: [usize; 2], why: Apart, more: &str) -> String {
        let [one, other] = images.map(|number| {
            let place = self.grid(number).map(Geometry::extent);
            let file = self.listing.entries[number].image.display();
            format!("{file} at {}", place.unwrap_or_default())
        });
        match why {
            Apart::Places => format!(
                "{one} does not overlap {other} in the world{more}; check their headers, or set data.align = \"affine\" or \
                 \"centre\""
            ),
            Apart::Planes => format!(
                "{one} lies in a plane that is not parallel to that of {other}{more}; check their headers, or set data.align = \
                 \"centre\""
            ),
        }
    }
}
