//! The files: whole or not at all, and always the same.

use std::fs;
use std::path::Path;

use super::reading::Report;
use super::synthetic::{classic, start_rules};

#[test]
fn a_file_that_cannot_be_written_is_named_and_leaves_no_part() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("summary.csv")).unwrap();
    let error = report::write(folder.path(), &classic()).unwrap_err().to_string();
    assert!(
        error.starts_with("cannot write ") && error.contains("summary.csv"),
        "{error}"
    );
    let names: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(
        names
            .iter()
            .all(|name| !name.to_string_lossy().contains("partial")),
        "{names:?}"
    );
    let error = report::write(Path::new("/nowhere/at/all"), &classic())
        .unwrap_err()
        .to_string();
    assert!(error.ends_with("does the folder exist?"), "{error}");
}

#[test]
fn the_same_journal_gives_the_same_files() {
    let (a, b) = (Report::of(&start_rules()), Report::of(&start_rules()));
    assert_eq!(a.page, b.page);
    for name in ["close-tail.svg", "windows.csv", "summary.csv", "summary.md"] {
        assert_eq!(a.file(name), b.file(name), "{name}");
    }
}
