//! Studies on disk become training pairs.

#[path = "../support/scans.rs"]
mod scans;
#[path = "../support/studies.rs"]
mod studies;

mod align;
mod apart;
mod geometry;
mod load;
mod mixture;
mod splits;
