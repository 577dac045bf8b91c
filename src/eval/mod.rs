//! From registered pairs to tables: a row per pair, structure and measure, before and after, and their
//! summary.
//!
//! Pure functions: whoever runs a model or reads transforms hands them to [`evaluate_pair`] as fields.

mod evaluate;
mod landmarks;
mod pair;
mod population;
mod protocol;
mod result;
mod statistics;
mod structures;
mod summary;
mod table;
mod warp;

pub use evaluate::{Evaluation, evaluate_pair};
pub use landmarks::drawn_landmarks;
pub use pair::{Landmarks, Moved, Options, Pair};
pub use population::Populations;
pub use protocol::Protocol;
pub use result::PairResult;
pub use statistics::{Statistics, quantile};
pub use summary::{SummaryRow, per_pair, structure_names, summarise};
pub use table::{summary_markdown, write_pairs, write_summary};
pub use warp::{moved_image, moved_labels};
