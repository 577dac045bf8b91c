//! Interchange with SimpleITK, ANTsPy and greedy, both ways (`interchange.py`).
//!
//! Needs a Python with these packages, named by `HMORPH_TEST_PYTHON`; skipped without it. What they make of hmorph's
//! files, and hmorph of theirs, is also in `golden/volume` in small, which is always tested.

use std::path::Path;
use std::process::Command;

#[test]
fn other_programs_agree() {
    let Some(python) = std::env::var_os("HMORPH_TEST_PYTHON") else {
        eprintln!("skipped: HMORPH_TEST_PYTHON is not set");
        return;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/interchange.py");
    let output = Command::new(python)
        .arg(script)
        .arg(env!("CARGO_BIN_EXE_hmorph"))
        .output()
        .unwrap();
    let report = String::from_utf8_lossy(&output.stdout);
    eprintln!("{report}");
    assert!(
        output.status.success(),
        "{report}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
