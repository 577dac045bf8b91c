//! What `hmorph register --pairs` finds where its results go.

use hmorph::volume::read_labels;

use crate::batch::{batch, list, study, text};
use crate::support::one_line_error;

#[test]
fn files_of_ones_own_are_not_replaced_unless_forced_and_inputs_never() {
    let bench = study();
    let (out, own) = (bench.path("out"), "my table");
    std::fs::create_dir(&out).unwrap();
    for name in ["results.csv", "index.html"] {
        std::fs::write(out.join(name), own).unwrap();
        let error = one_line_error(&mut batch(&bench, "--pairs pairs.csv -o out"));
        assert!(error.contains(name) && error.contains("--force"), "{error}");
        assert_eq!(std::fs::read_to_string(out.join(name)).unwrap(), own);
        std::fs::remove_file(out.join(name)).unwrap();
    }
    assert_eq!(out.read_dir().unwrap().count(), 0, "nothing was begun");
    std::fs::write(out.join("index.html"), own).unwrap();
    text(batch(&bench, "--pairs pairs.csv -o out --force"));
    let page = std::fs::read_to_string(out.join("index.html")).unwrap();
    assert_ne!(page, own);
    // What it has written itself is written again.
    text(batch(&bench, "--pairs pairs.csv -o out"));
    std::fs::rename(bench.path("pairs.csv"), bench.path("results.csv")).unwrap();
    for force in ["", "--force"] {
        let arguments = format!("--pairs results.csv -o . {force}");
        let error = one_line_error(&mut batch(&bench, &arguments));
        assert!(error.contains("an input of this command"), "{error}");
    }
}

#[test]
fn a_result_that_lacks_a_file_is_made_again() {
    let bench = study();
    text(batch(&bench, "--pairs pairs.csv -o out"));
    let picture = bench.path("out/ac/qc.png");
    std::fs::remove_file(&picture).unwrap();
    let error = one_line_error(&mut batch(&bench, "--pairs pairs.csv -o out --fill 3"));
    assert!(error.contains("other settings"), "{error}");
    assert!(!picture.exists());
    let again = text(batch(&bench, "--pairs pairs.csv -o out"));
    assert!(again.contains("2 of them done before"), "{again}");
    assert!(picture.is_file());
}

#[test]
fn labels_of_the_moving_images_alone_are_moved() {
    let bench = study();
    list(&bench, "atlas.csv", &["a,b,,b_seg,ab", "c,b,,b_seg,cb"]);
    text(batch(&bench, "--pairs atlas.csv -o out"));
    for id in ["ab", "cb"] {
        let moved = bench.path("out").join(id).join("moved_labels.nii.gz");
        let labels = read_labels(moved).unwrap();
        assert_eq!(labels.data.iter().max(), Some(&4), "{id}");
    }
}
