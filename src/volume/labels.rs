//! What a label map holds.

use std::collections::BTreeSet;

/// The labels among these voxels, without background.
pub fn distinct_labels<'a>(voxels: impl IntoIterator<Item = &'a i32>) -> BTreeSet<i32> {
    let mut found = BTreeSet::new();
    let mut last = 0;
    voxels.into_iter().for_each(|&label| {
        // Neighbours mostly share a label.
        if label != last {
            found.insert(label);
            last = label;
        }
    });
    found.remove(&0);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_label_is_found_once_and_background_is_none() {
        let maps = [[5, 5, 0, -3], [0, 5, 7, 7]];
        let found = distinct_labels(maps.iter().flatten());
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [-3, 5, 7]);
        assert!(distinct_labels(&[0, 0]).is_empty());
    }
}
