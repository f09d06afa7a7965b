//! Verdicts of runs that would once have been the best of all: nothing was called, or too little was seen.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use tests::binary;
use trials::verdict::{Kind, Verdict};

use super::run_dir::{Ended, RunDir, TINY, text};

const GOOD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\npong\n";

/// The verdict on the only trial, which must be said in the live line, the table, `summary.md` and `summary.csv`.
fn verdict(dir: &RunDir, ended: &Ended) -> Verdict {
    let outcomes = dir.outcomes("o");
    assert_eq!(outcomes.len(), 1);
    let verdict = Verdict::of(&outcomes[0]);
    let marked = verdict.marked();
    let live = ended.stderr.lines().any(|line| line.contains(&marked));
    assert!(live && ended.stdout.contains(&marked), "{marked}: {ended:?}");
    for file in ["summary.md", "report.html"] {
        let text = fs::read_to_string(dir.path("o").join(file)).unwrap();
        assert!(text.contains(&verdict.brief()), "{file}: {marked}");
    }
    let status = if verdict.kind.is_failure() { 1 } else { 0 };
    assert_eq!(ended.status, Some(status), "{ended:?}");
    verdict
}

/// Whether `summary.csv` calls the prediction right or wrong.
fn prediction_is_judged(dir: &RunDir) -> bool {
    let summary = fs::read_to_string(dir.path("o/summary.csv")).unwrap();
    let (names, row) = summary.split_once('\n').unwrap();
    // Without what is quoted, as it may have commas of its own.
    let unquoted: String = row.split('"').step_by(2).collect();
    let at = names
        .split(',')
        .position(|name| name == "verdict_agrees")
        .unwrap();
    !unquoted.split(',').nth(at).unwrap().is_empty()
}

/// An endpoint that handles each connection, by its number from 0, until `serve` returns `false`; then nobody listens.
fn serving(serve: impl Fn(usize, &mut TcpStream) -> bool + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for number in 0.. {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]);
            if !serve(number, &mut stream) {
                return;
            }
        }
    });
    url
}

fn run(dir: &RunDir, plan: &str, args: &[&str]) -> Ended {
    let plan = dir.plan(plan);
    dir.run(&[&["run", text(&plan), "--out", "o"], args].concat())
}

fn async_plan(fixed: &str) -> String {
    format!(
        "{}axes: {{strategy: [async]}}\n",
        TINY.replace("max_workers: 50", &format!("max_workers: 50{fixed}"))
    )
}

#[test]
fn an_endpoint_that_leaves_after_the_probe_fails_the_calls() {
    let dir = RunDir::new();
    let url = serving(|_, stream| {
        stream.write_all(GOOD).unwrap();
        false
    });
    let ended = run(&dir, &async_plan(""), &["--endpoint-url", &url]);
    let verdict = verdict(&dir, &ended);
    assert_eq!(verdict.kind, Kind::CallsFailed, "{verdict:?}");
    let calls = verdict.calls.unwrap();
    assert_eq!(calls.failed, calls.events);
    assert!(calls.events >= 40 && !calls.others, "{calls:?}");
    assert!(verdict.reason.starts_with("100 % of "), "{}", verdict.reason);
    let last = ended.stderr.lines().last().unwrap();
    assert!(last.contains("1 of 1 trials have failed calls"), "{last}");
    assert!(!prediction_is_judged(&dir));
    dir.assert_nothing_left();
}

#[test]
fn a_timeout_below_the_delay_fails_the_calls() {
    let dir = RunDir::new();
    let plan = async_plan(", timeout: 1ms").replace("io_delay: 10ms", "io_delay: 80ms");
    let verdict = verdict(&dir, &run(&dir, &plan, &[]));
    assert_eq!(verdict.kind, Kind::CallsFailed, "{verdict:?}");
    assert!(
        verdict.reason.starts_with("100 % of ") && verdict.reason.ends_with(", timeout"),
        "{}",
        verdict.reason
    );
    assert!(!prediction_is_judged(&dir));
    let outcome = dir.outcomes("o").remove(0);
    let failed = outcome.failed_latency.unwrap().open().count();
    assert_eq!((outcome.latency.open().count(), failed), (0, 20));
    // It found nothing out, so that it is run again.
    run(&dir, &plan, &["--resume"]);
    assert_eq!(dir.outcomes("o").len(), 2);
}

/// One call in any of 4 strategies would keep its window open for 30 s.
#[test]
fn a_backend_that_never_answers_stalls_no_window_of_a_second() {
    let dir = RunDir::new();
    let plan = "name: hangs
window: 1s
read_timeout: 50ms
warmup: 0
windows: 3
max_failed: 50%
fixed: {rpu: 20, io_delay: 0, keys: 3, fail_hang: 100%, close_deadline: 500ms}
axes:
  strategy: [sequential, {strategy: async, max_workers: 8}, {strategy: thread-pool, max_workers: 8}, {strategy: process-pool, max_workers: 2}]
";
    let ended = run(&dir, plan, &[]);
    assert_eq!(ended.status, Some(1), "{ended:?}");
    let outcomes = dir.outcomes("o");
    assert_eq!(outcomes.len(), 4, "{ended:?}");
    for outcome in outcomes {
        let strategy = outcome.trial.settings.strategy;
        let verdict = Verdict::of(&outcome);
        assert_eq!(verdict.kind, Kind::CallsFailed, "{strategy}: {verdict:?}");
        assert_eq!(verdict.reason, "100 % of 60, missed", "{strategy}");
        for window in &outcome.windows {
            let measured = window.measured.as_ref().expect("each window has its results");
            let tail = Duration::from_micros(measured.close_tail_us);
            // Beyond the deadline only what a busy machine may take.
            let bounds = Duration::from_millis(500)..Duration::from_millis(2_500);
            assert!(bounds.contains(&tail), "{strategy}: {tail:?}");
        }
        let prediction = &outcome.prediction;
        // And 20 µs for each of 3 keys.
        assert_eq!(
            prediction.close_tail_us,
            Some(500_060),
            "{strategy}: {prediction:?}"
        );
    }
    dir.assert_nothing_left();
}

#[test]
fn answers_that_are_all_404_fail_the_calls() {
    let dir = RunDir::new();
    let url = serving(|number, stream| {
        let missing = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        let _ = stream.write_all(if number == 0 { GOOD } else { missing });
        true
    });
    let verdict = verdict(&dir, &run(&dir, &async_plan(""), &["--endpoint-url", &url]));
    assert_eq!(verdict.kind, Kind::CallsFailed, "{verdict:?}");
    assert!(verdict.reason.ends_with(", bad-status"), "{}", verdict.reason);
    assert!(!prediction_is_judged(&dir));
}

#[test]
fn failures_that_the_plan_asks_for_are_said_and_do_not_fail_the_run() {
    let dir = RunDir::new();
    let verdict = verdict(&dir, &run(&dir, &async_plan(", fail_status: 1"), &[]));
    assert!(!verdict.kind.is_failure(), "{verdict:?}");
    let remark = "100 % of calls failed, as the plan asks".to_owned();
    assert_eq!(verdict.remarks, [remark]);
    assert!(!prediction_is_judged(&dir));
}

#[test]
fn a_plan_says_how_many_calls_may_fail() {
    let dir = RunDir::new();
    let plan = async_plan(", timeout: 1ms").replace("io_delay: 10ms", "io_delay: 80ms");
    let verdict = verdict(&dir, &run(&dir, &format!("{plan}max_failed: 100%\n"), &[]));
    assert!(!verdict.kind.is_failure(), "{verdict:?}");
    assert_eq!(verdict.remarks, ["100 % of calls failed, as the plan allows"]);
}

/// Ten workers are given 11.6 calls at once: each window's tail is longer by 16 % of the window.
#[test]
fn three_windows_above_the_capacity_are_undecided() {
    let dir = RunDir::new();
    let plan = "
name: climbing
window: 2s
read_timeout: 50ms
warmup: 0
windows: 3
fixed: {rpu: 58, keys: 1, io_delay: 200ms, max_workers: 10, strategy: thread-pool}
";
    let verdict = verdict(&dir, &run(&dir, plan, &[]));
    assert_eq!(
        verdict.text(),
        "undecided, 4 windows would decide",
        "{:?}",
        dir.outcomes("o")[0].windows
    );
    assert!(!prediction_is_judged(&dir));
}

#[test]
fn a_udf_that_makes_no_call_has_not_been_measured() {
    // Our UDF computes instead of calling, and its records say that all went well.
    let computes = format!("{} --workload cpu --io-delay 0", text(&binary("udf")));
    let without_records = format!("{computes} --result-format text");
    for udf in [&computes, &without_records] {
        let dir = RunDir::new();
        let ended = run(&dir, &async_plan(""), &["--udf-command", udf]);
        let verdict = verdict(&dir, &ended);
        assert_eq!(verdict.kind, Kind::NotMeasured, "{verdict:?}");
        assert!(
            verdict.reason.starts_with("the endpoint served 0 calls for "),
            "{}",
            verdict.reason
        );
        assert!(
            ended.stdout.starts_with("plan's label"),
            "its strategy is what the plan calls it: {ended:?}"
        );
        assert!(!prediction_is_judged(&dir));
    }
}

#[test]
fn calls_that_are_not_checked_are_said_beside_the_mark() {
    let computes = format!("{} --workload cpu --io-delay 0", text(&binary("udf")));
    let dir = RunDir::new();
    let plan = format!("{}calls: none\n", async_plan(""));
    let none = verdict(&dir, &run(&dir, &plan, &["--udf-command", &computes]));
    assert_eq!(none.remarks, ["calls not checked"], "{none:?}");

    let dir = RunDir::new();
    let url = serving(|_, stream| {
        let _ = stream.write_all(GOOD);
        true
    });
    let silent = format!("{} --result-format text", text(&binary("udf")));
    let args = ["--endpoint-url", &url, "--udf-command", &silent];
    let unknown = verdict(&dir, &run(&dir, &async_plan(""), &args));
    assert_eq!(
        unknown.remarks,
        ["failures unknown", "calls not checked"],
        "{unknown:?}"
    );
}

/// The text of our UDF says nothing of its calls; our endpoint counts those that it failed.
#[test]
fn without_records_the_endpoint_says_which_calls_failed() {
    let dir = RunDir::new();
    let plan = format!("{}max_failed: 10%\n", async_plan(", fail_status: 1"));
    let silent = format!("{} --result-format text", text(&binary("udf")));
    let verdict = verdict(&dir, &run(&dir, &plan, &["--udf-command", &silent]));
    assert_eq!(verdict.kind, Kind::CallsFailed, "{verdict:?}");
    let words = (&verdict.reason[..9], verdict.calls.unwrap().commonest);
    assert_eq!(words, ("100 % of ", Some("bad answers")));
}

/// Twenty sequential calls of 250 ms need five seconds for a window of half a second.
#[test]
fn windows_without_a_result_are_a_finding_that_judges_the_prediction() {
    let dir = RunDir::new();
    let plan = "
name: overload
window: 500ms
read_timeout: 50ms
warmup: 0
windows: 1
cut_off: 500ms
fixed: {rpu: 40, keys: 1, io_delay: 250ms, strategy: sequential}
";
    let verdict = verdict(&dir, &run(&dir, plan, &[]));
    assert_eq!(verdict.text(), "no result in 1 of 1 windows");
    assert!(prediction_is_judged(&dir));
}
