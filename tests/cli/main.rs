//! The program as its users see it: its files, its messages and its exit codes.

#[path = "../support/golden.rs"]
mod golden;
#[path = "../support/scans.rs"]
mod scans;
#[path = "../support/studies.rs"]
mod studies;
mod support;
#[path = "../support/training.rs"]
mod training;

mod apply;
mod apply_files;
mod batch;
mod batch_folders;
mod channels;
mod eval;
mod frames;
mod import;
mod info;
mod interchange;
mod landmarks;
mod linear;
mod real;
mod refine;
mod refusals;
mod register;
mod report;
mod study;
mod synth;
mod transforms;
