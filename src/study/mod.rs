//! A study: many runs that differ in what they train on, measured on the same held-out pairs.
//!
//! [`StudyConfig`] spans the grid, [`plan`] makes [`Job`]s of it, whose results come together in a tidy table, and
//! [`summary`] and [`figures`] say what they mean. Training and measuring is the caller's.

mod base;
mod checks;
mod condition;
mod config;
pub mod figures;
mod folds;
mod images;
mod job;
pub mod report;
mod row;
pub mod summary;
mod uncertainty;

pub use checks::check_images;
pub use condition::{Condition, shifted};
pub use config::{Paradigm, StudyConfig, WeightsChoice};
pub use images::{GRID, read_images};
pub use job::{Arm, Job, Pretraining, plan};
pub use row::{CellFacts, StudyRow, collect, read};
