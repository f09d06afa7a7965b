//! Checks that every test and file that `docs/reliability.md` names exists, and that each section states what breaks,
//! what is lost and which tests show it.

#![allow(clippy::unwrap_used, reason = "shared functions of tests are tests too")]

use std::path::{Path, PathBuf};

/// Other words with an underscore in backticks: settings, and a kind of storage.
const SETTINGS: [&str; 10] = [
    "retry_statuses",
    "max_waiting_bytes",
    "reading_stopped",
    "udf_reconnects_total",
    "max_answer_bytes",
    "max_message_bytes",
    "max_workers",
    "max_waiting",
    "max_failed",
    "no_store",
];

/// The labels that the section of a fault must have.
const OF_A_FAULT: [&str; 4] = ["**Fault:**", "**Result:**", "**Lost:**", "**Tests:**"];

/// The labels that the section of a threat must have.
const OF_A_THREAT: [&str; 3] = ["**Can:**", "**Cannot:**", "**Tests:**"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn page() -> String {
    std::fs::read_to_string(root().join("docs/reliability.md")).unwrap()
}

/// Appends the text of all sources in a folder and those below it.
fn append_sources(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            append_sources(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}

fn sources() -> String {
    let mut text = String::new();
    append_sources(&root(), &mut text);
    text
}

/// The texts in backticks.
fn quoted(page: &str) -> impl Iterator<Item = &str> {
    page.split('`').skip(1).step_by(2)
}

/// The test functions and the steps of the cluster test that a page names.
fn tests_named(page: &str) -> (Vec<String>, Vec<String>) {
    let is_test = |name: &&str| {
        let is_name = name
            .chars()
            .all(|c| c == '_' || c.is_ascii_lowercase() || c.is_ascii_digit());
        is_name && name.contains('_') && !SETTINGS.contains(name)
    };
    let functions = quoted(page).filter(is_test);
    let steps = page.split('"').skip(1).step_by(2);
    (
        functions.map(|name| format!("fn {name}(")).collect(),
        steps.map(|name| format!("\"{name}\"")).collect(),
    )
}

/// The named tests that do not exist.
fn missing_tests(page: &str, sources: &str) -> Vec<String> {
    let (functions, steps) = tests_named(page);
    let all = functions.into_iter().chain(steps);
    all.filter(|name| !sources.contains(name)).collect()
}

/// The named files and folders of this workspace that do not exist.
fn missing_paths(page: &str) -> Vec<&str> {
    let is_path =
        |name: &&str| name.contains("/src") || name.starts_with("tests/") || name.starts_with("plans/");
    let paths = quoted(page).filter(is_path);
    paths.filter(|path| !root().join(path).exists()).collect()
}

/// The sections of faults and threats, by title.
fn sections(page: &str) -> Vec<(&str, &str)> {
    let bodies = page.split("\n### ").skip(1);
    // The heading of a chapter ends its last section.
    let own = bodies.map(|body| body.split("\n## ").next().unwrap());
    own.map(|section| section.split_once('\n').unwrap()).collect()
}

/// What is missing in the sections: `TITLE: LABEL`, or `TITLE: no test`.
fn gaps(page: &str) -> Vec<String> {
    let mut gaps = Vec::new();
    for (title, section) in sections(page) {
        let labels = match section.contains(OF_A_THREAT[0]) {
            true => OF_A_THREAT.as_slice(),
            false => &OF_A_FAULT,
        };
        let absent = labels.iter().filter(|label| !section.contains(**label));
        gaps.extend(absent.map(|label| format!("{title}: {label}")));
        let tests = section.split_once("**Tests:**").map_or("", |(_, tests)| tests);
        let (functions, steps) = tests_named(tests);
        let elsewhere = ["`make soak`", "those of the chapters above"];
        let named = !functions.is_empty() || !steps.is_empty();
        if !named && !elsewhere.iter().any(|text| tests.contains(text)) {
            gaps.push(format!("{title}: no test"));
        }
    }
    gaps
}

#[test]
fn every_test_that_is_named_is_there() {
    let page = page();
    let (functions, steps) = tests_named(&page);
    assert!(
        functions.len() > 80 && steps.len() > 10,
        "{} and {}",
        functions.len(),
        steps.len()
    );
    let missing = missing_tests(&page, &sources());
    assert!(missing.is_empty(), "named, but not there: {missing:#?}");
}

#[test]
fn every_path_that_is_named_is_there() {
    let page = page();
    assert_eq!(missing_paths(&page), Vec::<&str>::new());
}

#[test]
fn every_section_says_what_breaks_what_is_lost_and_which_test_shows_it() {
    let page = page();
    assert!(sections(&page).len() > 30, "{}", sections(&page).len());
    assert_eq!(gaps(&page), Vec::<String>::new());
}

#[test]
fn a_test_a_path_and_a_section_that_are_not_as_promised_are_found() {
    let sources = "fn a_call_ends() {} \"volumes: kept\"";
    let page = "\n### Good\n**Fault:** **Result:** **Lost:** **Tests:** `a_call_ends`, \"volumes: kept\"\n\
        ## Chapter\n### Bad\n**Fault:** `max_workers` **Result:** `a_call_is_lost` \"volumes: lost\" **Tests:** `wire/src/none.rs`\n\
        ### Threat\n**Can:** **Cannot:** **Tests:** none\n";
    let missing = missing_tests(page, sources);
    assert_eq!(missing, ["fn a_call_is_lost(", "\"volumes: lost\""]);
    assert_eq!(missing_paths(page), ["wire/src/none.rs"]);
    let expected = ["Bad: **Lost:**", "Bad: no test", "Threat: no test"];
    assert_eq!(gaps(page), expected);
}
