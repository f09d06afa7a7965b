//! Thresholds: what is not met ends with exit status 3, and is said wherever a reader looks.

use std::fs;

use serde_json::Value;

use super::run_dir::{Ended, RunDir, TINY, text};

fn plan(thresholds: &[&str], fixed: &str) -> String {
    let lines: String = thresholds.iter().map(|one| format!("  - '{one}'\n")).collect();
    let rest = TINY.replace("max_workers: 50", &format!("max_workers: 50{fixed}"));
    let rest = rest.replace("windows: 1\n", "windows: 3\n");
    format!("{rest}axes: {{strategy: [async]}}\nthresholds:\n{lines}")
}

fn run(dir: &RunDir, plan: &str, args: &[&str]) -> Ended {
    let plan = dir.plan(plan);
    dir.run(&[&["run", text(&plan), "--out", "o"], args].concat())
}

/// What came of each threshold by `summary.json`, after checking that the other outputs say the same.
fn found(dir: &RunDir, ended: &Ended) -> Vec<(String, String)> {
    let json: Value = serde_json::from_slice(&fs::read(dir.path("o/summary.json")).unwrap()).unwrap();
    let markdown = fs::read_to_string(dir.path("o/summary.md")).unwrap();
    let page = fs::read_to_string(dir.path("o/report.html")).unwrap();
    let thresholds = json["cells"][0]["thresholds"].as_array().unwrap();
    let found: Vec<(String, String)> = thresholds
        .iter()
        .map(|one| ["text", "status"].map(|field| one[field].as_str().unwrap().to_owned()))
        .map(|[text, status]| (text, status))
        .collect();
    for (threshold, status) in &found {
        let mark = match status.as_str() {
            "met" => "✓",
            "missed" => "✗",
            _ => "?",
        };
        for (place, text) in [("live line", &ended.stderr), ("table", &ended.stdout)] {
            assert!(
                text.contains(&format!("{mark} {threshold}")),
                "{place}: {ended:?}"
            );
        }
        let shown = format!("{mark} {status}");
        assert!(
            markdown.contains(&shown) && page.contains(&shown),
            "{threshold}: {status}"
        );
    }
    let met = found.iter().filter(|(_, status)| status == "met").count();
    assert!(page.contains(&format!(
        "<dt>thresholds met</dt><dd>{met} of {}</dd>",
        found.len()
    )));
    assert_eq!(json["thresholds"]["met"].as_u64(), Some(met as u64));
    found
}

fn all(status: &str, thresholds: &[&str]) -> Vec<(String, String)> {
    thresholds
        .iter()
        .map(|one| ((*one).to_owned(), status.to_owned()))
        .collect()
}

#[test]
fn every_form_is_met_and_missed_by_a_real_run() {
    let dir = RunDir::new();
    let met = [
        "close_tail < 30s",
        "close_tail median < 30s",
        "result_lag mean <= 1m",
        "execution_time{strategy=async} p50 > 1us",
        "latency p95 < 30s",
        "slot_wait p90 < 30s",
        "failed < 1%",
        "unsent < 50%",
        "late <= 0",
        "lost <= 0",
        "memory < 1GiB",
        "cpu_per_call < 1s",
        "ledger balances",
    ];
    let ended = run(&dir, &plan(&met, ""), &[]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    assert_eq!(found(&dir, &ended), all("met", &met));

    let kept = dir.path("kept");
    fs::rename(dir.path("o"), &kept).unwrap();
    let change = format!("close_tail p50 < +100000% vs {}", kept.display());
    let ended = run(&dir, &plan(&[&change], ""), &[]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    assert_eq!(found(&dir, &ended), all("met", &[&change]));

    fs::remove_dir_all(dir.path("o")).unwrap();
    let change = format!("close_tail p50 < -100% vs {}", kept.display());
    let missed = [
        "close_tail < 1us",
        "latency median < 1us",
        "execution_time p50 >= 1h",
        "slot_wait max > 1h",
        "failed > 1%",
        "memory < 1MiB",
        "cpu_per_call < 1ns",
        &change,
    ];
    let ended = run(&dir, &plan(&missed, ""), &[]);
    assert_eq!(ended.status, Some(3), "{ended:?}");
    let error = "experiment: 8 of 8 thresholds are not met, the first: close_tail < 1us: ";
    assert!(ended.stderr.contains(error), "{ended:?}");
    assert_eq!(found(&dir, &ended), all("missed", &missed));
}

#[test]
fn too_few_windows_are_undecided_which_is_not_met() {
    let dir = RunDir::new();
    let ended = run(
        &dir,
        &plan(&[], "").replace("thresholds:\n", ""),
        &["--threshold", "close_tail p95 < 30s"],
    );
    assert_eq!(ended.status, Some(3), "{ended:?}");
    assert_eq!(found(&dir, &ended), all("undecided", &["close_tail p95 < 30s"]));
    assert!(ended.stderr.contains("needs 20 windows, has "), "{ended:?}");
}

#[test]
fn failed_calls_miss_their_threshold_and_fail_no_trial() {
    let dir = RunDir::new();
    let failing = plan(&["failed < 1%"], ", fail_status: 50%");
    let ended = run(&dir, &failing, &[]);
    assert_eq!(ended.status, Some(3), "{ended:?}");
    assert_eq!(found(&dir, &ended), all("missed", &["failed < 1%"]));
    assert!(ended.stdout.contains("✗ calls failed"), "{ended:?}");
    fs::remove_dir_all(dir.path("o")).unwrap();
    let ended = run(&dir, &failing.replace("failed < 1%", "failed < 99%"), &[]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
}

#[test]
fn a_trial_that_fails_counts_before_a_threshold() {
    let dir = RunDir::new();
    let ended = run(
        &dir,
        &plan(&["close_tail < 1us"], ""),
        &["--udf-command", "exit 7", "--patience", "2s"],
    );
    assert_eq!(ended.status, Some(1), "{ended:?}");
}

#[test]
fn a_threshold_that_cannot_be_judged_is_refused_before_anything_runs() {
    let dir = RunDir::new();
    for (threshold, problem) in [
        (
            "close_tail p95 < +10% vs nowhere",
            "thresholds: vs nowhere: `nowhere` holds no journal",
        ),
        (
            "close_tail p95 < 1",
            "thresholds[0]: `1` is no bound of `close_tail`: write a duration like `1.2s`",
        ),
        ("close_tail{rpu=99999} < 1s", "chooses none of the plan's cells"),
    ] {
        let ended = run(&dir, &plan(&[threshold], ""), &[]);
        assert_eq!(ended.status, Some(2), "{ended:?}");
        assert!(
            ended.stderr.contains(problem) && ended.stderr.lines().count() == 1,
            "{ended:?}"
        );
        assert!(!dir.path("o").exists());
    }
}
