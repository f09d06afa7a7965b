//! Results of runs that end.

use std::fs;
use std::time::Duration;

use trials::outcome::TrialEnd;

use super::run_dir::{RunDir, text, tiny};

#[test]
fn a_plan_becomes_records_a_balanced_ledger_and_a_report() {
    let dir = RunDir::new();
    let plan = dir.plan(&tiny("async, process-pool").replace("windows: 1", "windows: 2"));
    let ended = dir.run(&["run", text(&plan)]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("report.html"), "{ended:?}");
    for file in [
        "report.html",
        "close-tail.svg",
        "windows.csv",
        "summary.csv",
        "summary.md",
    ] {
        assert!(
            fs::metadata(dir.path("out/tiny").join(file)).unwrap().len() > 100,
            "{file}"
        );
    }

    let outcomes = dir.outcomes("out/tiny");
    assert_eq!(outcomes.len(), 2);
    for outcome in &outcomes {
        assert_eq!(outcome.end, TrialEnd::Completed);
        let ledger = outcome.ledger.as_ref().unwrap();
        assert!(ledger.balances(), "{ledger:?}");
        assert_eq!(
            (ledger.late, ledger.failed, ledger.lost, ledger.repeated),
            (0, 0, 0, 0),
            "{ledger:?}"
        );
        assert!(
            (60..=80).contains(&ledger.ok),
            "three windows of 20, perhaps the one after them: {ledger:?}"
        );

        let starts: Vec<u64> = outcome
            .windows
            .iter()
            .map(|window| window.window_start_ms)
            .collect();
        assert_eq!(starts[0] % 500, 0, "a trial begins on a window boundary");
        assert_eq!(starts, [starts[0], starts[0] + 500, starts[0] + 1_000]);
        let warmup: Vec<bool> = outcome.windows.iter().map(|window| window.warmup).collect();
        assert_eq!(warmup, [true, false, false]);
        let mut filling_us = 0;
        for window in &outcome.windows {
            let measured = window.measured.as_ref().unwrap();
            assert_eq!(
                (measured.keys, measured.events, measured.ok, measured.failed),
                (2, 20, 20, 0)
            );
            assert!(
                measured.close_tail_us < measured.execution_time_us,
                "{measured:?}"
            );
            filling_us += measured.execution_time_us - measured.close_tail_us;
            assert!(
                measured.stream_tail_us.unwrap() < measured.execution_time_us,
                "{measured:?}"
            );
            assert!(measured.result_lag_us > 0, "{measured:?}");
        }
        // A busy machine reads a window's first event late, which shortens the measured filling. Half of three
        // seconds is enough to show that execution times contain it, because a close tail is a few calls long.
        assert!(
            filling_us > 3 * 500_000 / 2,
            "execution times contain the filling: {:?}",
            outcome.windows
        );
        assert_eq!(
            outcome.latency.open().count(),
            40,
            "the measured windows' calls, not those of the warm-up"
        );
        assert!(outcome.latency.open().quantile(0.0).unwrap() >= Duration::from_millis(10));
        assert_eq!(outcome.slot_wait.open().count(), 40);
        let instruments = outcome.instruments.as_ref().unwrap();
        assert!(instruments.endpoint_served.unwrap() >= 60, "{instruments:?}");
        assert_eq!(instruments.endpoint_repeats, Some(0));
        let cost = outcome.cost.as_ref().unwrap();
        assert!(
            cost.calls >= 60 && cost.peak_memory_bytes > 1_000_000 && cost.peak_threads > 1,
            "{cost:?}"
        );
    }
    let threads = |index: usize| outcomes[index].cost.as_ref().unwrap().peak_threads;
    assert!(
        threads(1) >= 50,
        "the pool's children are counted: {}",
        threads(1)
    );

    let again = dir.run(&["report", "out/tiny"]);
    assert_eq!(again.status, Some(0), "{again:?}");
    assert_eq!(
        again.stdout, ended.stdout,
        "the report is drawn from the journal alone"
    );
    dir.assert_nothing_left();
}

#[test]
fn an_unkeyed_reduce_has_one_record_for_each_window_and_its_ledger_balances() {
    let dir = RunDir::new();
    let plan = tiny("async, sequential")
        .replace("keys: 2", "keys: 5, keyed: false")
        .replace(", max_workers: 50", "")
        .replace("windows: 1", "windows: 2");
    let plan = dir.plan(&plan);
    let ended = dir.run(&["run", text(&plan)]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let outcomes = dir.outcomes("out/tiny");
    assert_eq!(outcomes.len(), 2);
    for outcome in &outcomes {
        assert_eq!(outcome.end, TrialEnd::Completed);
        let ledger = outcome.ledger.as_ref().unwrap();
        assert!(ledger.balances(), "{ledger:?}");
        assert_eq!(
            (ledger.late, ledger.failed, ledger.lost, ledger.repeated),
            (0, 0, 0, 0),
            "{ledger:?}"
        );
        assert!((60..=80).contains(&ledger.ok), "{ledger:?}");
        for window in &outcome.windows {
            let measured = window.measured.as_ref().unwrap();
            assert_eq!(
                (measured.keys, measured.events, measured.ok),
                (1, 20, 20),
                "one record of all five keys"
            );
        }
        assert_eq!(outcome.trial.settings.keyed, Some(false));
    }
    dir.assert_nothing_left();
}

#[test]
fn a_trial_that_cannot_keep_up_is_cut_off_and_its_windows_censored() {
    let dir = RunDir::new();
    // Twenty sequential calls of 250 ms need five seconds for a window of half a second.
    let plan = "
name: overload
window: 500ms
read_timeout: 50ms
warmup: 0
windows: 2
cut_off: 1s
fixed: {rpu: 40, keys: 1, io_delay: 250ms, strategy: sequential, start_rule: at-arrival}
";
    let plan = dir.plan(plan);
    let ended = dir.run(&["run", text(&plan), "--out", "o"]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let outcomes = dir.outcomes("o");
    assert_eq!(outcomes[0].end, TrialEnd::CutOff);
    assert_eq!(outcomes[0].windows.len(), 2);
    assert!(outcomes[0].windows.iter().all(|window| window.measured.is_none()));
    let ledger = outcomes[0].ledger.as_ref().unwrap();
    assert!(ledger.balances(), "{ledger:?}");
    assert_eq!((ledger.ok, ledger.lost, ledger.late), (0, 0, 0), "{ledger:?}");
    assert!(ledger.open >= 40, "all that was sent: {ledger:?}");
    assert!(outcomes[0].cost.is_some());
    dir.assert_nothing_left();
}

#[test]
fn failures_of_the_endpoint_are_data() {
    let dir = RunDir::new();
    let plan = dir.plan(&tiny("async").replace("max_workers: 50", "max_workers: 50, fail_status: 1"));
    let ended = dir.run(&["run", text(&plan), "--out", "o"]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let ledger = dir.outcomes("o").remove(0).ledger.unwrap();
    assert!(
        ledger.balances() && ledger.ok == 0 && ledger.failed >= 40,
        "{ledger:?}"
    );
}

#[test]
fn predictions_fit_a_terminal_of_120_columns() {
    let dir = RunDir::new();
    let plans = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .join("plans");
    let plans = fs::read_dir(plans).unwrap().map(|entry| entry.unwrap().path());
    let plans: Vec<_> = plans
        .filter(|path| path.extension().is_some_and(|ext| ext == "yaml"))
        .collect();
    assert!(plans.len() >= 4, "{plans:?}");
    for plan in plans {
        let predicted = dir.run(&["predict", text(&plan), "-v", "--scale", "1000000"]);
        assert_eq!(predicted.status, Some(0), "{predicted:?}");
        for line in predicted.stdout.lines() {
            assert!(line.chars().count() <= 120, "{}: {line}", plan.display());
        }
    }
}

#[test]
fn too_few_keys_for_a_rate_are_said_with_the_number_that_would_do() {
    let dir = RunDir::new();
    let plan = dir.plan(
        "name: few\nfixed: {rpu: 1000, keys: 1000, io_delay: 100ms, strategy: thread-pool, max_workers: 100}\n",
    );
    let scaled = dir.run(&["predict", text(&plan), "--scale", "1000000"]);
    let words = scaled.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        words.contains("1,000 keys are too few") && words.contains("8,000 keys would do (--scale-keys)"),
        "{scaled:?}"
    );
    let enough = dir.run(&[
        "predict",
        text(&plan),
        "--scale",
        "1000000",
        "--scale-keys",
        "8000",
    ]);
    assert!(!enough.stdout.contains("cannot"), "{enough:?}");
}

#[test]
fn predictions_help_and_completions_need_no_run() {
    let dir = RunDir::new();
    let plan = dir.plan(&tiny("async, thread-pool"));
    let predicted = dir.run(&["predict", text(&plan)]);
    assert_eq!(predicted.status, Some(0), "{predicted:?}");
    let lines: Vec<&str> = predicted.stdout.lines().collect();
    assert_eq!(
        lines[0].split_whitespace().collect::<Vec<_>>(),
        ["trial", "verdict", "load", "in", "flight", "close", "tail", "p99"]
    );
    assert!(
        lines[1].starts_with("strategy=async,repeat=0        keeps up  "),
        "{predicted:?}"
    );
    assert_eq!(
        lines[3..],
        [
            "",
            "2 trials: about 4 s on this machine, or 3 min with --engine cluster."
        ]
    );
    let reasons = dir.run(&["predict", text(&plan), "-v"]);
    assert_eq!(
        reasons.stdout.matches("    40 calls a second, each of ").count(),
        2,
        "{reasons:?}"
    );
    for (args, word) in [
        (&["--help"][..], "Examples"),
        (&["run", "--help"], "--udf-command"),
        (&["--version"], env!("CARGO_PKG_VERSION")),
        (&["completions", "bash"], "--resume"),
    ] {
        let ended = dir.run(args);
        assert!(
            ended.status == Some(0) && ended.stdout.contains(word),
            "{ended:?}"
        );
    }
    assert!(!dir.path("out").exists());
}

#[test]
fn a_plan_that_needs_more_memory_than_may_wait_says_so_before_it_starts() {
    let dir = RunDir::new();
    // 20 events of 2,000 bytes each wait for the close.
    let greedy = tiny("async").replace(
        "max_workers: 50",
        "max_workers: 50, start_rule: at-close, payload_size: 2000, max_waiting_bytes: 30000",
    );
    let plan = dir.plan(&greedy);
    let said = "max_waiting_bytes: the events of a window that wait for its close need 39.1 KiB in trial `strategy=async,repeat=0`, and 29.3 KiB \
                may wait: reading will stop, and calls begin before the close (1 of 1 trials). Raise max_waiting_bytes, or \
                lower payload_size, rpu or window";
    let predicted = dir.run(&["predict", text(&plan)]);
    assert_eq!(
        (predicted.status, predicted.stderr.trim_end()),
        (Some(0), said),
        "{predicted:?}"
    );
    let ended = dir.run(&["run", text(&plan)]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    assert_eq!(ended.stderr.lines().next(), Some(said), "{ended:?}");
    let ledger = dir.outcomes("out/tiny")[0].ledger.clone().unwrap();
    assert!(ledger.balances() && ledger.lost == 0, "{ledger:?}");

    let plan = dir.plan(&greedy.replace("30000", "100000"));
    let predicted = dir.run(&["predict", text(&plan)]);
    assert_eq!(
        (predicted.status, predicted.stderr.as_str()),
        (Some(0), ""),
        "{predicted:?}"
    );
    dir.assert_nothing_left();
}
