//! One report of everything that is wrong with the data, instead of one error per run.

use crate::error::{Error, Result};

/// Problems found so far, one line each.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<String>);

impl Problems {
    pub fn push(&mut self, problem: impl Into<String>) {
        self.0.push(problem.into());
    }

    /// Notes the error of a failed step and gives back what a successful one made.
    pub fn keep<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.push(error.to_string())).ok()
    }

    /// Takes over the problems of another report.
    pub fn append(&mut self, other: Problems) {
        self.0.extend(other.0);
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// An error that lists every problem, or nothing when there is none.
    pub fn into_result(self) -> Result<()> {
        match self.0.as_slice() {
            [] => Ok(()),
            [one] => Err(Error::invalid(format!("[data] {one}"))),
            all => Err(Error::invalid(format!(
                "[data] has {} problems:\n  {}",
                all.len(),
                all.join("\n  ")
            ))),
        }
    }
}
