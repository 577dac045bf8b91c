//! The page of many registrations.

use serde::Serialize;

use super::template;
use crate::error::Result;

/// A table of pairs that leads to the page of each.
#[derive(Debug, Clone, Serialize)]
pub struct Index {
    pub title: String,
    /// Titles of the columns of numbers.
    pub columns: Vec<String>,
    pub rows: Vec<IndexRow>,
}

/// A pair.
#[derive(Debug, Clone, Serialize)]
pub struct IndexRow {
    pub id: String,
    /// Where its page and its picture are, relative to the table; nothing where there is none.
    pub report: Option<String>,
    pub picture: Option<String>,
    /// done or failed.
    pub status: String,
    /// Empty unless it failed.
    pub error: String,
    /// A number per column, as it is shown; empty where there is none.
    pub numbers: Vec<String>,
}

impl Index {
    /// The page, to be sorted by any column.
    ///
    /// # Errors
    /// None but those of the template.
    pub fn page(&self) -> Result<String> {
        template::render(&template::INDEX, self)
    }
}
