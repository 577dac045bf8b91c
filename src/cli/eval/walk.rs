//! Pairs one after another, until a signal comes.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::eval::Populations;

/// What became of pairs.
pub(super) struct Walk<T> {
    /// In the order of the list.
    pub found: Vec<T>,
    /// Pairs that were left when a signal came.
    pub left: usize,
}

/// Measures pairs with these `fixed` images, those of one image after each other; `measure` is told how many are done with
/// the pair, and its number in the list.
///
/// # Errors
/// The first of `measure`.
pub(super) fn walk<T>(
    fixed: &[String],
    stop: &AtomicBool,
    mut measure: impl FnMut(usize, usize) -> anyhow::Result<T>,
) -> anyhow::Result<Walk<T>> {
    let mut found = Vec::new();
    for number in Populations::order(fixed.iter().cloned()) {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        found.push((number, measure(found.len() + 1, number)?));
    }
    found.sort_by_key(|(number, _)| *number);
    Ok(Walk {
        left: fixed.len() - found.len(),
        found: found.into_iter().map(|(_, measured)| measured).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_list_as_far_as_they_came() {
        let fixed = ["a", "b", "a", "b"].map(String::from);
        let stop = AtomicBool::new(false);
        let mut order = Vec::new();
        let walked = walk(&fixed, &stop, |done, number| {
            order.push((done, number));
            stop.store(done == 3, Ordering::Relaxed);
            Ok(number)
        });
        let walked = walked.unwrap();
        assert_eq!(order, [(1, 0), (2, 2), (3, 1)]);
        assert_eq!((walked.found, walked.left), (vec![0, 1, 2], 1));
        stop.store(false, Ordering::Relaxed);
        assert!(
            walk(&fixed, &stop, |_, _| -> anyhow::Result<()> {
                anyhow::bail!("no")
            })
            .is_err()
        );
    }
}
