//! Comparisons: two UDFs in rounds, two kept runs, and what a user could get wrong.

use std::fs;

use serde_json::Value;
use tests::binary;

use super::run_dir::{Ended, RunDir, TINY, signal, text};

/// Windows of half a second whose calls start at the close, so that the close tail is the delay.
fn plan() -> String {
    let one = TINY.replace("windows: 1\n", "windows: 2\n");
    one.replace(
        "max_workers: 50",
        "max_workers: 50, start_rule: at-close, strategy: async",
    )
}

/// Our UDF with a delay of its own.
fn udf(delay: &str) -> String {
    format!("IO_DELAY={delay} exec {}", binary("udf").display())
}

fn compare(dir: &RunDir, args: &[&str]) -> Ended {
    dir.run(&[&["compare"], args].concat())
}

fn in_rounds(dir: &RunDir, old: &str, new: &str, args: &[&str]) -> Ended {
    let plan = dir.plan(&plan());
    let (old, new) = (udf(old), udf(new));
    let given = [
        text(&plan),
        "--udf-command",
        &old,
        "--udf-command",
        &new,
        "--rounds",
        "3",
        "--out",
        "o",
    ];
    compare(dir, &[&given, args].concat())
}

fn finding(dir: &RunDir) -> (String, f64) {
    let json: Value = serde_json::from_slice(&fs::read(dir.path("o/comparison.json")).unwrap()).unwrap();
    let cell = &json["cells"][0];
    (
        cell["finding"].as_str().unwrap().to_owned(),
        cell["change"]["by"].as_f64().unwrap(),
    )
}

#[test]
fn a_slower_udf_is_worse_and_fails_a_build() {
    let dir = RunDir::new();
    let ended = in_rounds(&dir, "10ms", "200ms", &["--fail-on", "worse"]);
    assert_eq!(ended.status, Some(3), "{ended:?}");
    let (finding, by) = finding(&dir);
    assert!(finding == "worse" && by > 3.0, "{finding}, {by}");
    assert!(ended.stdout.contains("✗ worse"), "{ended:?}");
    assert!(
        ended
            .stderr
            .ends_with("experiment: of 1 cells 1 are worse and 0 undecided\n"),
        "{ended:?}"
    );
    for name in ["first", "second"] {
        assert!(dir.path("o").join(name).join("report.html").exists());
        assert_eq!(dir.outcomes(&format!("o/{name}")).len(), 3);
    }
    let markdown = fs::read_to_string(dir.path("o/comparison.md")).unwrap();
    assert!(markdown.contains("| ✗ worse |"), "{markdown}");

    // The other way round, as kept runs, in each format.
    let back = |format: &str| {
        compare(
            &dir,
            &["o/second", "o/first", "--fail-on", "worse", "--format", format],
        )
    };
    for (format, shown) in [
        ("text", "✓ better"),
        ("markdown", "| ✓ better |"),
        ("json", "\"finding\": \"better\""),
    ] {
        let ended = back(format);
        assert_eq!(ended.status, Some(0), "{ended:?}");
        assert!(ended.stdout.contains(shown), "{ended:?}");
    }
    // Everything is there: nothing is run again.
    let again = in_rounds(&dir, "10ms", "200ms", &["--resume", "--fail-on", "worse"]);
    assert_eq!(again.status, Some(3), "{again:?}");
    assert!(again.stderr.starts_with("0 trials, "), "{again:?}");
    dir.assert_nothing_left();
}

#[test]
fn undecided_fails_only_where_that_is_asked_for() {
    let dir = RunDir::new();
    let plan = dir.plan(&plan());
    let same = udf("10ms");
    let two = [
        text(&plan),
        "--udf-command",
        &same,
        "--udf-command",
        &same,
        "--rounds",
        "2",
        "--out",
        "o",
    ];
    let ended = compare(&dir, &[&two[..], &["--fail-on", "worse"]].concat());
    assert_eq!(ended.status, Some(0), "{ended:?}");
    assert!(
        ended.stdout.contains("? undecided: needs 3 rounds, has 2"),
        "{ended:?}"
    );
    let kept = ["o/first", "o/second", "--fail-on", "undecided"];
    let ended = compare(&dir, &kept);
    assert_eq!(ended.status, Some(3), "{ended:?}");
    let ended = compare(&dir, &["o/first", "o/second", "--metric", "cpu_per_call"]);
    assert!(ended.stdout.contains("too little processor time"), "{ended:?}");
}

#[test]
fn an_interrupted_comparison_is_continued() {
    let dir = RunDir::new();
    let plan = dir.plan(&plan());
    let same = udf("10ms");
    let args = [
        "compare",
        text(&plan),
        "--udf-command",
        &same,
        "--udf-command",
        &same,
        "--rounds",
        "3",
        "--out",
        "o",
    ];
    let (mut child, mut lines) = dir.start(&args);
    let third = lines
        .by_ref()
        .find(|line| line.as_ref().unwrap().starts_with("trial 3/6"));
    assert!(third.is_some());
    signal(&child, "INT");
    let left: Vec<String> = lines.map(Result::unwrap).collect();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{left:?}");
    assert!(
        left.last()
            .unwrap()
            .ends_with("4 trials are missing, finished ones are kept; continue with --resume"),
        "{left:?}"
    );
    let done = || dir.outcomes("o/first").len() + dir.outcomes("o/second").len();
    assert_eq!(done(), 2);
    let refused = dir.run(&args);
    assert_eq!(refused.status, Some(2), "{refused:?}");
    let ended = dir.run(&[&args[..], &["--resume"]].concat());
    assert_eq!((ended.status, done()), (Some(0), 6), "{ended:?}");
    dir.assert_nothing_left();
}

#[test]
fn wrong_uses_are_refused_in_one_line() {
    let dir = RunDir::new();
    let plan = dir.plan(&plan());
    let plan = text(&plan);
    compare(&dir, &[plan]).assert_refused(&["--udf-command: give two with a plan, the old UDF first, not 0"]);
    compare(&dir, &[plan, "--udf-command", "a"]).assert_refused(&["--udf-command: give two", "not 1"]);
    compare(&dir, &["."]).assert_refused(&["`.`: is one folder", "second run"]);
    compare(&dir, &["nowhere", "nothing"]).assert_refused(&["`nowhere` holds no journal"]);
    compare(&dir, &["a", "b", "--rounds", "3"]).assert_refused(&["--rounds: has an effect with a plan only"]);
    let both = ["--udf-command", "a", "--udf-command", "b"];
    compare(&dir, &[&["nowhere.yaml"][..], &both].concat())
        .assert_refused(&["cannot read the plan `nowhere.yaml`"]);
    assert!(!dir.path("out").exists());
}
