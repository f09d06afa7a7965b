//! Measured latencies as a plan's delay: read once, kept as percentiles, and no file is needed after that.

use std::fs;

use trials::journal::{self, JournalLine};
use trials::outcome::TrialEnd;

use super::run_dir::{RunDir, TINY};

const PERCENTILES: &str = "percentiles(12.5=5ms,37.5=10ms,62.5=10ms,87.5=30ms)";

/// A plan with a file beside it, in a folder that is not the working directory.
fn written(dir: &RunDir, latencies: &str) -> &'static str {
    fs::create_dir_all(dir.path("plans")).unwrap();
    fs::write(dir.path("plans/latencies.txt"), latencies).unwrap();
    let plan = TINY.replace("io_delay: 10ms", "io_delay: trace(latencies.txt)");
    fs::write(
        dir.path("plans/plan.yaml"),
        format!("{plan}axes: {{strategy: [async]}}\n"),
    )
    .unwrap();
    "plans/plan.yaml"
}

#[test]
fn measured_latencies_are_kept_as_percentiles() {
    let dir = RunDir::new();
    let plan = written(&dir, "\u{feff}10\r\n\r\n30ms\r\n5ms\r\n10ms");
    let ended = dir.run(&["run", plan, "--out", "o"]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let outcome = dir.outcomes("o").remove(0);
    assert_eq!(outcome.end, TrialEnd::Completed);
    assert_eq!(outcome.trial.settings.io_delay.to_string(), PERCENTILES);
    let lines = journal::read(&dir.path("o")).unwrap();
    let JournalLine::Run(facts) = &lines[0] else {
        panic!("{lines:?}")
    };
    let fact = &facts.machine["trace file"];
    assert!(fact.starts_with("latencies.txt, 4 lines, FNV-1a "), "{fact}");
    assert!(facts.plan_text.contains(PERCENTILES), "{}", facts.plan_text);

    // The same latencies may go on, in whatever form; others may not.
    written(&dir, "10ms\n30\n5\n10\n");
    let again = dir.run(&["run", plan, "--out", "o", "--resume"]);
    assert_eq!(again.status, Some(0), "{again:?}");
    written(&dir, "10ms\n30ms\n5ms\n20ms\n");
    dir.run(&["run", plan, "--out", "o", "--resume"])
        .assert_refused(&["io_delay", PERCENTILES]);

    // The plan that is kept needs no file.
    fs::remove_dir_all(dir.path("plans")).unwrap();
    let again = dir.run(&["run", "o/plan.yaml", "--out", "again"]);
    assert_eq!(again.status, Some(0), "{again:?}");
    assert_eq!(dir.outcomes("again")[0].trial.settings, outcome.trial.settings);
    dir.assert_nothing_left();
}

#[test]
fn a_file_that_gives_no_delay_is_refused_before_anything_starts() {
    let dir = RunDir::new();
    for (latencies, problem) in [
        ("\n\r\n", "has no line with a latency"),
        ("1ms\nslow\n", "line 2: `slow` is not a duration"),
        ("1ms\n-3\n", "line 2: `-3` is out of range"),
    ] {
        let plan = written(&dir, latencies);
        dir.run(&["run", plan, "--out", "o"]).assert_refused(&[
            "plans/plan.yaml:8: fixed.io_delay: `plans/latencies.txt`: ",
            problem,
        ]);
        assert!(!dir.path("o").exists(), "no journal");
    }
    let fields = ["run", "--strategy", "async", "--rpu", "40", "--io-delay"];
    dir.run(&[&fields[..], &["trace(absent)"]].concat())
        .assert_refused(&["--io-delay: `absent`: cannot be read: No such file"]);
    dir.assert_nothing_left();
}

#[test]
fn predict_takes_a_file_from_the_working_directory() {
    let dir = RunDir::new();
    fs::write(dir.path("latencies.txt"), "10ms\n30ms\n").unwrap();
    let ended = dir.run(&[
        "predict",
        "--strategy",
        "async",
        "--rpu",
        "40",
        "--io-delay",
        "trace(latencies.txt),5ms",
    ]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let figures = "percentiles(25=10ms,75=30ms): mean 20.0 ms, p50 20.0 ms, p99 30.0 ms";
    assert!(ended.stdout.contains(figures), "{}", ended.stdout);
}
