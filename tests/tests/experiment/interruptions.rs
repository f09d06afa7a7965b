//! Runs that are killed, interrupted or out of space: what was written stays, and the run resumes there.

use std::fs;
use std::process::Command;

use tests::binary;
use trials::journal::{self, JournalLine};
use trials::outcome::TrialEnd;

use super::run_dir::{Ended, RunDir, signal, text, tiny, wait_for};

#[test]
fn a_killed_run_is_resumed_without_repeating_or_losing_a_trial() {
    let dir = RunDir::new();
    let plan = dir.plan(&tiny("async, thread-pool"));
    let (mut child, mut lines) = dir.start(&["run", text(&plan), "--out", "o"]);
    wait_for(&mut lines, "trial 2/2");
    let other = dir.run(&["run", text(&plan), "--out", "o", "--resume"]);
    other.assert_refused(&["--out", "another run"]);
    child.kill().unwrap();
    child.wait().unwrap();
    dir.assert_nothing_runs();
    let first = dir.outcomes("o");
    assert_eq!(first.len(), 1);

    // As after a kill during the writing of a line.
    let journal = dir.path("o/journal.jsonl");
    let mut bytes = fs::read(&journal).unwrap();
    bytes.extend_from_slice(br#"{"line":"trial","trial":{"id""#);
    fs::write(&journal, bytes).unwrap();
    dir.run(&["run", text(&plan), "--out", "o"])
        .assert_refused(&["--out", "--resume"]);

    let resumed = dir.run(&["run", text(&plan), "--out", "o", "--resume"]);
    assert_eq!(resumed.status, Some(0), "{resumed:?}");
    assert!(
        resumed.stderr.contains("trial 1/1"),
        "only the second trial is run: {resumed:?}"
    );
    let outcomes = dir.outcomes("o");
    assert_eq!(outcomes.len(), 2);
    assert_eq!(outcomes[0], first[0]);
    assert_ne!(outcomes[1].trial.id, outcomes[0].trial.id);
    assert_eq!(outcomes[1].end, TrialEnd::Completed);

    let nothing = dir.run(&["run", text(&plan), "--out", "o", "--resume"]);
    assert_eq!(nothing.status, Some(0), "{nothing:?}");
    assert_eq!(dir.outcomes("o").len(), 2, "nothing was left to run");
    // The folder of the killed run was removed by the next one.
    dir.assert_nothing_left();
}

#[test]
fn one_interruption_keeps_what_there_is_and_leaves_nothing_running() {
    for (name, status) in [("INT", 130), ("TERM", 143)] {
        let dir = RunDir::new();
        let plan = dir.plan(&tiny("async, thread-pool"));
        let (mut child, mut lines) = dir.start(&["run", text(&plan), "--out", "o"]);
        wait_for(&mut lines, "trial 2/2");
        signal(&child, name);
        let last = lines.map(Result::unwrap).last().unwrap();
        assert!(
            last.contains("interrupted") && last.contains("1 trial is missing") && last.contains("--resume"),
            "{name}: {last}"
        );
        assert_eq!(child.wait().unwrap().code(), Some(status), "{name}");
        assert_eq!(dir.outcomes("o").len(), 1, "{name}");
        assert!(dir.path("o/report.html").exists(), "{name}");
        dir.assert_nothing_left();
    }
}

#[test]
fn a_second_interruption_stops_at_once() {
    let dir = RunDir::new();
    let plan = dir.plan(&tiny("async"));
    let (mut child, mut lines) = dir.start(&["run", text(&plan), "--out", "o"]);
    wait_for(&mut lines, "trial 1/1");
    signal(&child, "INT");
    signal(&child, "TERM");
    let code = child.wait().unwrap().code();
    assert!(
        matches!(code, Some(143 | 130)),
        "that of the second, or of the first where nothing was left to stop: {code:?}"
    );
    assert_eq!(dir.outcomes("o").len(), 0);
    dir.assert_nothing_runs();
}

/// The experiment under a shell that has set a limit.
fn run_under(dir: &RunDir, limit: &str, args: &[&str]) -> Ended {
    let output = Command::new("sh")
        .args(["-c", &format!("{limit}; exec \"$0\" \"$@\"")])
        .arg(binary("experiment"))
        .args(args)
        .current_dir(dir.folder.path())
        .env("TMPDIR", dir.path("tmp"))
        .output()
        .unwrap();
    Ended::of(&output)
}

#[test]
fn a_plan_that_needs_more_descriptors_than_there_are_fails_in_words() {
    let dir = RunDir::new();
    let plan = dir.plan(&tiny("async").replace("max_workers: 50", "max_workers: 200"));
    let ended = run_under(&dir, "ulimit -n 64", &["run", text(&plan), "--out", "o"]);
    assert_eq!(ended.status, Some(1), "{ended:?}");
    let outcomes = dir.outcomes("o");
    assert_eq!(outcomes.len(), 1);
    let TrialEnd::Failed { reason } = &outcomes[0].end else {
        panic!("{outcomes:?}")
    };
    eprintln!("{reason}");
    for words in ["udf", "max_workers: 200", "this process may have 64", "ulimit -n"] {
        assert!(reason.contains(words), "{reason}");
    }
    assert!(
        ended.stderr.contains(reason.lines().next().unwrap()),
        "it is reported at once: {ended:?}"
    );
    dir.assert_nothing_left();
}

/// Bytes of a block of `ulimit -f`, by POSIX.
const BLOCK: usize = 512;

#[test]
fn a_full_disk_keeps_the_journal_whole_and_the_run_goes_on_when_there_is_room() {
    let dir = RunDir::new();
    let plan = dir.plan(&tiny("async, thread-pool"));
    let first = dir.run(&["run", text(&plan), "--out", "o", "--only", "strategy=async"]);
    assert_eq!(first.status, Some(0), "{first:?}");
    let journal_path = dir.path("o/journal.jsonl");
    let before = fs::read(&journal_path).unwrap();
    let lines: Vec<&[u8]> = before.split_inclusive(|byte| *byte == b'\n').collect();
    assert_eq!(lines.len(), 2);
    assert!(
        lines[1].len() > 3 * BLOCK,
        "an outcome's line needs more room than it is given"
    );

    // A limit on file sizes stands for a full disk: room for the line of the resumed run, which may be somewhat
    // longer than the first one's, and for a part of the second trial's line.
    let room = before.len() + lines[0].len() + BLOCK;
    let limit = format!("trap '' XFSZ; ulimit -f {}", room.div_ceil(BLOCK));
    let ended = run_under(
        &dir,
        &limit,
        &["run", text(&plan), "--out", "o", "--resume", "-v"],
    );
    assert_eq!(ended.status, Some(1), "{ended:?}");
    let lines: Vec<&str> = ended.stderr.lines().collect();
    assert!(
        lines.iter().any(|line| line.contains("window 2/2")),
        "it ran: {ended:?}"
    );
    let errors: Vec<_> = lines
        .iter()
        .filter(|line| line.starts_with("experiment: "))
        .collect();
    assert_eq!(errors.len(), 1, "{ended:?}");
    eprintln!("{}", errors[0]);
    for words in ["cannot write", "journal.jsonl", "are kept", "--resume"] {
        assert!(errors[0].contains(words), "{ended:?}");
    }

    let after = fs::read(&journal_path).unwrap();
    assert!(
        after.starts_with(&before) && after.ends_with(b"\n"),
        "whole lines only"
    );
    let lines = journal::read(&dir.path("o")).unwrap();
    assert!(
        matches!(
            lines.as_slice(),
            [JournalLine::Run(_), JournalLine::Trial(_), JournalLine::Run(_)]
        ),
        "{lines:?}"
    );
    assert_eq!(after.iter().filter(|byte| **byte == b'\n').count(), 3);
    dir.assert_nothing_left();

    let resumed = dir.run(&["run", text(&plan), "--out", "o", "--resume"]);
    assert_eq!(resumed.status, Some(0), "{resumed:?}");
    assert!(resumed.stderr.contains("trial 1/1"), "{resumed:?}");
    let outcomes = dir.outcomes("o");
    assert_eq!(outcomes.len(), 2);
    for outcome in &outcomes {
        assert_eq!(outcome.end, TrialEnd::Completed);
        let ledger = outcome.ledger.as_ref().unwrap();
        assert!(
            ledger.balances() && ledger.ok >= 40 && ledger.lost == 0,
            "{ledger:?}"
        );
    }
    dir.assert_nothing_left();
}
