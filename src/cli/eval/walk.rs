//! Pairs one after another, until a signal comes.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::eval::Populations;

/// What became of pairs.
pub(super) struct Walk<T> {
    /// In the order of the list, without those that failed.
    pub found: Vec<T>,
    /// What is wrong with those that failed, in the order of the list.
    pub failures: Vec<String>,
    /// Pairs that were left when a signal came.
    pub left: usize,
}

/// Measures pairs with these `fixed` images, those of one image after each other. `measure` is told the number of the pair in
/// the list and gives its name, too; one that fails does not keep the others from being measured.
pub(super) fn walk<T>(
    fixed: &[String],
    stop: &AtomicBool,
    say: impl Fn(String),
    mut measure: impl FnMut(usize) -> (String, anyhow::Result<T>),
) -> Walk<T> {
    let mut met = Vec::new();
    for number in Populations::order(fixed.iter().cloned()) {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let (name, measured) = measure(number);
        let failed = if measured.is_ok() { "" } else { "  failed" };
        let (done, count) = (met.len() + 1, fixed.len());
        say(format!("{done:>4} of {count}  {name}{failed}"));
        met.push((
            number,
            measured.map_err(|error| format!("pair {name}: {error:#}")),
        ));
    }
    met.sort_by_key(|(number, _)| *number);
    let mut walk = Walk {
        left: fixed.len() - met.len(),
        found: Vec::new(),
        failures: Vec::new(),
    };
    for (_, measured) in met {
        match measured {
            Ok(measured) => walk.found.push(measured),
            Err(failure) => walk.failures.push(failure),
        }
    }
    walk
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_list_as_far_as_they_came() {
        let fixed = ["a", "b", "a", "b", "a"].map(String::from);
        let stop = AtomicBool::new(false);
        let mut order = Vec::new();
        let said = RefCell::new(Vec::new());
        let say = |line: String| said.borrow_mut().push(line);
        let walked = walk(&fixed, &stop, say, |number| {
            order.push(number);
            stop.store(order.len() == 4, Ordering::Relaxed);
            let measured = match number {
                2 => Err(anyhow::anyhow!("no image")),
                _ => Ok(number),
            };
            (format!("p{number}"), measured)
        });
        assert_eq!(order, [0, 2, 4, 1]);
        assert_eq!((walked.found, walked.left), (vec![0, 1, 4], 1));
        assert_eq!(walked.failures, ["pair p2: no image"]);
        assert_eq!(said.borrow()[1], "   2 of 5  p2  failed");
    }
}
