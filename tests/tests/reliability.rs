//! `docs/reliability.md` names tests: each of them is there, so that no promise outlives its test.

#![allow(clippy::unwrap_used, reason = "shared functions of tests are tests too")]

use std::path::Path;

/// What else has an underscore and stands between backticks: settings, and a kind of storage.
const SETTINGS: [&str; 3] = ["max_workers", "max_waiting", "no_store"];

/// The text of all sources in a folder and those below it.
fn sources(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn every_test_that_is_named_is_there() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let mut text = String::new();
    for folder in [
        "tests/tests",
        "tests/cluster",
        "wire/src",
        "udf",
        "dataplane",
        "sink/src",
        "experiment",
        "generator",
    ] {
        sources(&root.join(folder), &mut text);
    }
    let page = std::fs::read_to_string(root.join("docs/reliability.md")).unwrap();
    let named = |name: &&str| {
        let is_name = name
            .chars()
            .all(|c| c == '_' || c.is_ascii_lowercase() || c.is_ascii_digit());
        is_name && name.contains('_') && !SETTINGS.contains(name)
    };
    let functions = page.split('`').skip(1).step_by(2).filter(named);
    let steps = page.split('"').skip(1).step_by(2);
    let functions: Vec<String> = functions.map(|name| format!("fn {name}(")).collect();
    let steps: Vec<String> = steps.map(|name| format!("\"{name}\"")).collect();
    assert!(
        functions.len() > 50 && steps.len() > 5,
        "{} and {}",
        functions.len(),
        steps.len()
    );
    let missing: Vec<&String> = functions
        .iter()
        .chain(&steps)
        .filter(|name| !text.contains(*name))
        .collect();
    assert!(missing.is_empty(), "named, but not there: {missing:#?}");
}
