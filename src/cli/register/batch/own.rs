//! Files beside the folders of pairs: those of an earlier run are written again, nobody else's are.

use std::io::Read;
use std::path::Path;

use crate::error::{Error, Result};
use crate::register::RECORD;
use crate::volume::folder_of;

/// Refuses to write where a file lies that is not `ours`, unless `force` replaces it; an input is replaced in no case.
///
/// # Errors
/// A file of the user's own.
pub fn check<'a>(
    path: &Path,
    ours: fn(&Path) -> bool,
    mut inputs: impl Iterator<Item = &'a Path>,
    force: bool,
) -> Result<()> {
    let Ok(place) = path.canonicalize() else {
        return Ok(());
    };
    let problem = if inputs.any(|input| input.canonicalize().is_ok_and(|input| input == place)) {
        "is an input of this command and would be replaced by its results; choose another folder with -o"
    } else if !force && !ours(path) {
        "exists and is no result of such a command; choose another folder with -o, or replace it with --force"
    } else {
        return Ok(());
    };
    Err(Error::file(path, problem))
}

/// Whether this is a table of results.
pub fn is_table(path: &Path) -> bool {
    begins(path, "id,status,error")
}

/// Whether this is the page that leads to the pairs.
pub fn is_page(path: &Path) -> bool {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.contains("<table class=\"pairs\">") && text.contains("<footer><p>hmorph ")
}

/// Whether this is the image of all moved volumes: folders of frames are beside it, and it is not that of a single pair.
pub fn is_series(path: &Path) -> bool {
    let folder = folder_of(path);
    let beside = folder.read_dir().into_iter().flatten().flatten();
    let mut frames =
        beside.filter(|entry| entry.file_name().to_string_lossy().starts_with("frame-"));
    frames.any(|frame| frame.path().join(RECORD).is_file()) && !folder.join(RECORD).exists()
}

fn begins(path: &Path, start: &str) -> bool {
    let mut found = vec![0; start.len()];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut found));
    read.is_ok() && found == start.as_bytes()
}

#[cfg(test)]
mod tests {
    use super::super::{index, table};
    use super::*;

    #[test]
    fn only_our_own_files_are_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let [results, page, moved] = ["results.csv", "index.html", "moved.nii.gz"].map(path);
        table::write(&results, &[]).unwrap();
        index::write(&page, "pairs.csv", &[]).unwrap();
        std::fs::write(&moved, "").unwrap();
        std::fs::create_dir(path("frame-0000")).unwrap();
        std::fs::write(path("frame-0000/run.json"), "{}").unwrap();
        let refused = |force| {
            let ours = [is_table, is_page, is_series];
            let files = [&results, &page, &moved];
            [0, 1, 2].map(|n| check(files[n], ours[n], std::iter::empty(), force).is_err())
        };
        assert_eq!(refused(false), [false; 3]);
        // The results of a single pair, and files of the user's own.
        std::fs::write(path("run.json"), "{}").unwrap();
        std::fs::write(&results, "id,status\n1,single\n").unwrap();
        std::fs::write(&page, "<html>My page</html>").unwrap();
        assert_eq!(refused(false), [true; 3]);
        assert_eq!(refused(true), [false; 3]);
        std::fs::remove_file(&results).unwrap();
        assert_eq!(refused(false), [false, true, true]);
    }

    #[test]
    fn an_input_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("results.csv");
        table::write(&list, &[]).unwrap();
        let same = folder.path().join(".").join("results.csv");
        let error = check(&list, is_table, [same.as_path()].into_iter(), true);
        assert!(error.unwrap_err().to_string().contains("an input"));
    }
}
