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

/// The names of all fields of a JSON text, without those whose keys are data.
fn fields(value: &serde_json::Value, names: &mut std::collections::BTreeSet<String>) {
    match value {
        serde_json::Value::Object(object) => {
            for (name, value) in object {
                names.insert(name.clone());
                match (name.as_str(), value.as_object()) {
                    ("machine" | "settings" | "calls", _) => {}
                    ("metrics", Some(metrics)) => metrics.values().for_each(|metric| fields(metric, names)),
                    _ => fields(value, names),
                }
            }
        }
        serde_json::Value::Array(all) => all.iter().for_each(|one| fields(one, names)),
        _ => {}
    }
}

#[test]
fn every_field_of_the_json_files_is_documented() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/ci.md");
    let page = fs::read_to_string(page).unwrap();
    let mut lines = classic();
    if let trials::journal::JournalLine::Run(facts) = &mut lines[0] {
        facts.plan_text =
            "name: classic\nthresholds: ['close_tail p95 < 1s', 'close_tail < 1s', 'ledger balances']\n"
                .to_owned();
    }
    let report = Report::of(&lines);
    let summary = serde_json::from_str(&report.file("summary.json")).unwrap();
    let outcomes: Vec<_> = lines
        .iter()
        .filter_map(|line| match line {
            trials::journal::JournalLine::Trial(outcome) => Some(outcome.as_ref()),
            trials::journal::JournalLine::Run(_) => None,
        })
        .collect();
    let machine = std::collections::BTreeMap::new();
    let side = trials::comparison::Side {
        outcomes: &outcomes,
        machine: &machine,
    };
    let (metric, design) = (
        trials::metric::Metric::CloseTail,
        trials::comparison::Design::Kept,
    );
    let comparison = report::comparison::Comparison {
        metric,
        design,
        margin: 0.1,
        from: "a".to_owned(),
        to: "b".to_owned(),
        cells: trials::comparison::compare(metric, side, side, design, 0.1),
    };
    let comparison = serde_json::from_str(&comparison.json()).unwrap();
    let mut names = std::collections::BTreeSet::new();
    fields(&summary, &mut names);
    fields(&comparison, &mut names);
    assert!(names.len() > 30, "{names:?}");
    let missing: Vec<&String> = names
        .iter()
        .filter(|name| !page.contains(&format!("`{name}`")) && !page.contains(&format!("`.{name}`")))
        .filter(|name| !["cells", "thresholds", "from", "to"].contains(&name.as_str()))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
    for metric in trials::metric::Metric::ALL {
        assert!(
            page.contains(&format!("`{}`", metric.name())),
            "{}",
            metric.name()
        );
    }
}
