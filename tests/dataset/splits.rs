//! What is asked of the splits of a study.

use std::fs;

use hmorph::dataset::{Dataset, Split};

use crate::studies::{config, load, small_study};

#[test]
fn a_split_is_measured_without_images_in_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    small_study(at, 4);
    let rows = "s0/t1.nii.gz,a,test\ns1/t1.nii.gz,b,test\ns2/t1.nii.gz,c,validation\n";
    fs::write(at.join("study.csv"), format!("image,subject,split\n{rows}")).unwrap();
    let text = "manifest = '@/study.csv'\nn_train = 3\n";
    let measured = |split| Dataset::load_to_measure(&config(at, text), 1, split);
    let data = measured(Split::Test).unwrap();
    assert_eq!(data.validation_pairs(Split::Test, 9, 0).len(), 2);
    // What is measured, and all that a training needs, must be there.
    let validation = measured(Split::Validation).unwrap_err().to_string();
    assert!(
        validation.contains("the validation split has one subject")
            && validation.lines().count() == 1,
        "{validation}"
    );
    let all = load(at, text).unwrap_err().to_string();
    for part in [
        "the train split has no images",
        "n_train = 3, but the training split has 0 subjects",
        "the validation split has one subject",
    ] {
        assert!(all.contains(part), "{all}");
    }
}
