//! What has become of the pairs so far.

use std::path::PathBuf;

use anyhow::bail;

use super::plan::Task;
use super::table::{self, Outcome};
use crate::error::Result;

/// The table as it grows.
pub struct Results {
    pub path: PathBuf,
    /// Of every task, in their order; nothing where it waits.
    pub outcomes: Vec<Option<Outcome>>,
}

impl Results {
    /// # Errors
    /// Refusals of the operating system.
    pub fn write(&self, tasks: &[Task]) -> Result<()> {
        table::write(&self.path, &self.ended(tasks))
    }

    /// The tasks that have come to an end.
    pub fn ended<'a>(&'a self, tasks: &'a [Task]) -> Vec<(&'a Task, &'a Outcome)> {
        let all = tasks.iter().zip(&self.outcomes);
        all.filter_map(|(task, outcome)| Some((task, outcome.as_ref()?)))
            .collect()
    }

    /// Numbers of the tasks that are still to do.
    pub fn waiting(&self) -> Vec<usize> {
        let tasks = 0..self.outcomes.len();
        tasks
            .filter(|&task| self.outcomes[task].is_none())
            .collect()
    }

    /// # Errors
    /// A pair that is not registered.
    pub fn check(&self, tasks: &[Task]) -> anyhow::Result<()> {
        let (waiting, all) = (self.waiting().len(), tasks.len());
        if waiting > 0 {
            bail!(
                "stopped; {waiting} of {all} pairs are left, and the same command goes on with them"
            );
        }
        let ended = self.ended(tasks);
        let failed: Vec<&str> = ended
            .iter()
            .filter(|(_, outcome)| matches!(outcome, Outcome::Failed(_)))
            .map(|(task, _)| task.id.as_str())
            .collect();
        match failed[..] {
            [] => Ok(()),
            [first, ..] => bail!(
                "{} of {all} pairs failed ({first} first); {} says why, and the same command tries them again",
                failed.len(),
                self.path.display()
            ),
        }
    }
}
