//! UDFs that die, hang, or return something other than records.

use std::fs;
use std::process::Command;

use tests::binary;
use trials::outcome::TrialEnd;

use super::run_dir::{RunDir, processes_with, text, tiny, wait_for, wait_until};

#[test]
fn a_udf_that_dies_fails_its_trial_and_says_how() {
    let dir = RunDir::new();
    let plan = dir.plan(&tiny("async"));
    let udf = "echo 'no such module' >&2; exit 7";
    let ended = dir.run(&["run", text(&plan), "--out", "o", "--udf-command", udf]);
    assert_eq!(ended.status, Some(1), "{ended:?}");
    let last = ended.stderr.lines().last().unwrap();
    assert!(last.contains("1 of 1 trials failed"), "{ended:?}");
    let TrialEnd::Failed { reason } = dir.outcomes("o").remove(0).end else {
        panic!("{ended:?}")
    };
    for word in ["udf", "exit status: 7", "no such module"] {
        assert!(reason.contains(word), "{reason}");
    }
    assert!(!reason.contains('\n'));
    assert!(dir.path("o/report.html").exists());

    // A failed trial is run again; its plan is another's no longer than its journal.
    let udf = text(&binary("udf")).to_owned();
    let resumed = dir.run(&[
        "run",
        text(&plan),
        "--out",
        "o",
        "--resume",
        "--udf-command",
        &udf,
    ]);
    assert_eq!(resumed.status, Some(0), "{resumed:?}");
    assert_eq!(dir.outcomes("o").len(), 2);
    // Now that a trial counts, no other UDF may go on.
    dir.run(&["run", text(&plan), "--out", "o", "--resume"])
        .assert_refused(&["--out", "another udf"]);
    let other = dir.plan(&tiny("thread-pool"));
    dir.run(&["run", text(&other), "--out", "o", "--resume"])
        .assert_refused(&[
            "--out",
            "the plan `tiny` has changed since",
            "strategy async → thread-pool",
        ]);
    dir.assert_nothing_left();
}

#[test]
fn a_udf_that_is_killed_while_it_works_fails_its_trial() {
    let dir = RunDir::new();
    let plan = dir.plan(&tiny("async").replace("windows: 1", "windows: 40"));
    // The shell takes it down once it has been called; its input is handed on, because a shell in the background has none.
    let udf = format!(
        "exec 3<&0; {} <&3 & read line < {}; kill -9 $!; exit 9",
        text(&binary("udf")),
        text(&dir.path("now"))
    );
    assert!(
        Command::new("mkfifo")
            .arg(dir.path("now"))
            .status()
            .unwrap()
            .success()
    );
    let (mut child, mut lines) = dir.start(&["run", text(&plan), "--out", "o", "--udf-command", &udf]);
    wait_for(&mut lines, "trial 1/1");
    wait_until(|| {
        processes_with(&dir.mark())
            .iter()
            .any(|line| line.contains("--stats-listen"))
    });
    fs::write(dir.path("now"), "\n").unwrap();
    wait_for(&mut lines, "✗ failed: udf ended unexpectedly (exit status: 9)");
    assert!(
        lines
            .map(Result::unwrap)
            .any(|line| line.contains("1 of 1 trials failed"))
    );
    assert_eq!(child.wait().unwrap().code(), Some(1));
    dir.assert_nothing_left();
}

#[test]
fn a_udf_that_is_never_ready_fails_its_trial() {
    let dir = RunDir::new();
    let plan = dir.plan(&tiny("async"));
    let args = [
        "run",
        text(&plan),
        "--out",
        "o",
        "--patience",
        "1s",
        "--udf-command",
        "exec cat",
    ];
    let ended = dir.run(&args);
    assert_eq!(ended.status, Some(1), "{ended:?}");
    let TrialEnd::Failed { reason } = dir.outcomes("o").remove(0).end else {
        panic!("{ended:?}")
    };
    let words = [
        "--udf-command",
        "no server-info file within 1s",
        "SERVER_INFO (`",
        "/udf-info`)",
        "SOCKET",
    ];
    for words in words {
        assert!(reason.contains(words), "{reason}");
    }
    dir.assert_nothing_left();
}

#[test]
fn the_lines_of_a_udf_that_fails_are_kept_and_shown_once() {
    let dir = RunDir::new();
    let plan = dir.plan(&tiny("async"));
    let traceback = "Traceback (most recent call last):\n  File \"udf.py\", line 3\n    raise ValueError(7)\nValueError: 7";
    let udf = format!("printf '%s\\n' '{traceback}' >&2; exit 1");
    let ended = dir.run(&["run", text(&plan), "--out", "o", "--udf-command", &udf]);
    assert_eq!(ended.status, Some(1), "{ended:?}");
    let shown = "  ✗ failed: udf ended unexpectedly (exit status: 1) (";
    let at = ended.stderr.find(shown).unwrap_or_else(|| panic!("{ended:?}"));
    let lines: Vec<&str> = ended.stderr[at..].lines().skip(1).take(4).collect();
    let indented: Vec<String> = traceback.lines().map(|line| format!("    {line}")).collect();
    assert_eq!(lines, indented);
    let all = ended.stdout.clone() + &ended.stderr;
    assert_eq!(all.matches("ValueError: 7").count(), 1, "{ended:?}");
    let page = fs::read_to_string(dir.path("o/report.html")).unwrap();
    assert!(
        page.contains("line 3\n    raise ValueError(7)\nValueError: 7"),
        "its lines are on the page"
    );
    dir.assert_nothing_left();
}

#[test]
fn results_that_are_no_records_are_timed_from_outside() {
    let dir = RunDir::new();
    let plan = dir.plan(&tiny("async"));
    let udf = format!("{} --result-format text", text(&binary("udf")));
    let ended = dir.run(&["run", text(&plan), "--out", "o", "--udf-command", &udf]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let outcome = dir.outcomes("o").remove(0);
    assert_eq!((&outcome.end, &outcome.ledger), (&TrialEnd::Completed, &None));
    for window in &outcome.windows {
        let measured = window.measured.as_ref().unwrap();
        assert_eq!((measured.keys, measured.events), (2, 20));
        assert_eq!(Some(measured.close_tail_us), measured.stream_tail_us);
        assert!(measured.execution_time_us >= 500_000, "{measured:?}");
    }
    dir.assert_nothing_left();
}

#[test]
fn results_beside_the_records_leave_the_trial_and_its_ledger_whole() {
    let dir = RunDir::new();
    let plan = dir.plan(&tiny("async"));
    let udf = format!("exec {} --records beside", text(&binary("udf")));
    let ended = dir.run(&["run", text(&plan), "--out", "o", "--udf-command", &udf]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let outcome = dir.outcomes("o").remove(0);
    assert_eq!(outcome.end, TrialEnd::Completed);
    let ledger = outcome.ledger.unwrap();
    assert!(
        ledger.balances() && ledger.ok > 0 && ledger.lost == 0,
        "{ledger:?}"
    );
    let keys = outcome
        .windows
        .iter()
        .map(|window| window.measured.as_ref().unwrap().keys);
    assert!(
        keys.clone().count() > 0 && keys.max() == Some(2),
        "{:?}",
        outcome.windows
    );
    assert_eq!(outcome.instruments.unwrap().engine["sink_duplicates"], 0);
    dir.assert_nothing_left();
}
