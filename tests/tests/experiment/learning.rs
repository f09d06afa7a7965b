//! `predict --from`: what a real run measured stands in place of what a prediction assumes, and the report explains each
//! row by it.

use std::num::NonZeroUsize;
use std::time::Duration;

use serde_json::Value;
use tests::binary;
use trials::journal;
use trials::learn::{Learned, explain};
use trials::outcome::PackedLatencies;
use wire::Delay;

use super::own_endpoint::Own;
use super::run_dir::{RunDir, text};

/// Ten calls at a time to an endpoint that serves five, all at the close: half of the latency is the wait for it.
const LIMITED: &str = "
name: limited
window: 500ms
read_timeout: 50ms
warmup: 1
windows: 4
cut_off: 3s
fixed: {rpu: 40, io_delay: 20ms, strategy: thread-pool, start_rule: at-close, max_workers: 10, capacity: 5}
";

fn predicted(dir: &RunDir, args: &[&str]) -> Value {
    let ended = dir.run(&[&["predict"], args, &["--format", "json"]].concat());
    assert_eq!(ended.status, Some(0), "{ended:?}");
    serde_json::from_str(&ended.stdout).unwrap()
}

#[test]
fn a_run_teaches_the_time_of_a_call_without_its_waits_and_is_explained_by_all_of_it() {
    let dir = RunDir::new();
    let plan = dir.plan(LIMITED);
    let run = dir.run(&["run", text(&plan), "--out", "o"]);
    assert_eq!(run.status, Some(0), "{run:?}");

    let outcome = dir.outcomes("o").remove(0);
    let millis = |duration: Duration| duration.as_secs_f64() * 1e3;
    let mean = |latencies: &PackedLatencies| millis(latencies.open().mean().unwrap());
    let instruments = outcome.instruments.as_ref().unwrap();
    let given = mean(instruments.endpoint_given.as_ref().unwrap());
    let excess = mean(instruments.endpoint_excess.as_ref().unwrap());
    assert!(
        given - excess > 25.0,
        "most calls waited for the endpoint: {given} {excess}"
    );
    assert!(outcome.slot_wait.open().max().unwrap() > Duration::from_millis(20));
    let lines = journal::read(&dir.path("o")).unwrap();
    let learned = Learned::from_run(&lines, "o").unwrap();
    let assumptions = learned.assumptions(&outcome.trial.settings);
    let overhead = millis(assumptions.call_overhead);
    let beyond = mean(&outcome.latency) - (given - excess);
    assert!((overhead - beyond).abs() < 1e-3, "{overhead} {beyond}");
    assert!(
        assumptions.batch_time < Duration::from_millis(100),
        "{assumptions:?}"
    );
    let reads = instruments.engine["read_batches"];
    assert!(
        (10..=70).contains(&reads),
        "{reads} reads of 50 ms in 2.5 s and what follows"
    );

    // The same by the command; a plan's delay is its own.
    let learnt = predicted(&dir, &[text(&plan), "--from", "o"]);
    assert_eq!(learnt["learned"], "1 trial of o");
    let trial = &learnt["trials"][0];
    assert_eq!(trial["settings"]["io_delay"], "20ms");
    let cores = NonZeroUsize::new(learnt["cores"].as_u64().unwrap() as usize).unwrap();
    let expected = learned.predict(&outcome.trial.settings, cores);
    // As text, since reading a number back may change its last digit.
    let expected: Value = serde_json::from_str(&serde_json::to_string(&expected).unwrap()).unwrap();
    assert_eq!(trial["prediction"], expected);
    assert_ne!(
        trial["prediction"],
        predicted(&dir, &[text(&plan)])["trials"][0]["prediction"]
    );
    let said = dir.run(&["predict", text(&plan), "--from", "o"]);
    assert!(said.stdout.contains("Predicted by 1 trial of o."), "{said:?}");
    // Flags alone need no delay.
    let flags = [
        "--strategy",
        "async",
        "--rpu",
        "40",
        "--max-workers",
        "9",
        "--from",
        "o",
    ];
    assert_eq!(
        predicted(&dir, &flags)["trials"][0]["settings"]["io_delay"],
        "20ms"
    );

    // The report.
    let explained = explain(&[&outcome], cores).unwrap();
    let csv = std::fs::read_to_string(dir.path("o/summary.csv")).unwrap();
    let tail = explained.close_tail_us.unwrap();
    assert!(
        csv.contains(&format!(",{tail},")),
        "explained_close_tail_us: {csv}"
    );
    let json: Value =
        serde_json::from_str(&std::fs::read_to_string(dir.path("o/summary.json")).unwrap()).unwrap();
    assert_eq!(
        json["cells"][0]["explained"]["close_tail_us"],
        explained.close_tail_us.unwrap()
    );
    assert_eq!(
        json["cells"][0]["predicted"]["close_tail_us"],
        outcome.prediction.close_tail_us.unwrap()
    );
    let markdown = std::fs::read_to_string(dir.path("o/summary.md")).unwrap();
    assert!(markdown.contains("| explained |"), "{markdown}");
}

#[test]
fn the_delay_of_a_service_of_ones_own_is_learned_from_its_latencies() {
    let own = Own::start(&["--io-delay", "30ms"]);
    let dir = RunDir::new();
    let plan = dir.plan(
        "
name: own
window: 500ms
read_timeout: 50ms
warmup: 0
windows: 4
cut_off: 3s
fixed: {rpu: 40, io_delay: 30ms, strategy: async, max_workers: 50}
",
    );
    let url = format!("http://{}", own.address);
    let run = dir.run(&["run", text(&plan), "--out", "o", "--endpoint-url", &url]);
    assert_eq!(run.status, Some(0), "{run:?}");
    // A plan that says something else of it.
    let other = [
        "--strategy",
        "async",
        "--rpu",
        "40",
        "--io-delay",
        "1s",
        "--from",
        "o",
    ];
    let learnt = predicted(&dir, &other);
    let delay: Delay = learnt["trials"][0]["settings"]["io_delay"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let median = delay.quantile(0.5);
    assert!(
        (Duration::from_millis(29)..Duration::from_millis(45)).contains(&median),
        "{delay}"
    );
    let said = dir.run(&[&["predict"], &other[..]].concat());
    assert!(
        said.stdout.contains("the delay is what they measured: "),
        "{said:?}"
    );
}

#[test]
fn a_folder_that_teaches_nothing_is_refused() {
    let dir = RunDir::new();
    let least = [
        "predict",
        "--strategy",
        "async",
        "--rpu",
        "1",
        "--io-delay",
        "1ms",
        "--from",
    ];
    let from = |folder: &str| dir.run(&[&least[..], &[folder]].concat());
    let missing = from("nowhere");
    assert_eq!(missing.status, Some(2), "{missing:?}");
    assert!(missing.stderr.contains("nowhere") && missing.stderr.lines().count() == 1);
    // Every trial of this run failed.
    let plan = dir.plan(LIMITED);
    let run = dir.run(&["run", text(&plan), "--out", "o", "--udf-command", "exit 7"]);
    assert_eq!(run.status, Some(1), "{run:?}");
    from("o").assert_refused(&[
        "--from: `o`: none of its trials has calls",
        "choose a run that kept up",
    ]);
}

#[test]
fn kept_runs_teach_and_are_drawn_again() {
    let results = concat!(env!("CARGO_MANIFEST_DIR"), "/../results");
    for name in [
        "2026-11-23-classic",
        "2026-11-24-original-cluster",
        "2026-11-27-postgres",
    ] {
        let dir = RunDir::new();
        std::fs::copy(
            format!("{results}/{name}/journal.jsonl"),
            dir.path("journal.jsonl"),
        )
        .unwrap();
        let drawn = dir.command(&["report", "."]).output().unwrap();
        assert!(drawn.status.success(), "{name}: {drawn:?}");
        let markdown = std::fs::read_to_string(dir.path("summary.md")).unwrap();
        // Cells of which no call succeeded record no latency.
        assert_eq!(
            markdown.contains("| not recorded |"),
            !name.ends_with("postgres"),
            "{name}"
        );
        let learnt = dir.run(&[
            "predict",
            "--strategy",
            "async",
            "--rpu",
            "10",
            "--io-delay",
            "1ms",
            "--from",
            ".",
        ]);
        assert_eq!(learnt.status, Some(0), "{name}: {learnt:?}");
        assert_eq!(
            learnt.stdout.contains("the delay is what they measured"),
            name.ends_with("postgres"),
            "{learnt:?}"
        );
    }
    assert!(binary("experiment").exists());
}
