//! Runs that are killed, interrupted or out of room: what has been written stays, and the run goes on from there.

use std::fs;
use std::process::Command;

use experiment::journal::{self, JournalLine};
use experiment::outcome::TrialEnd;
use tests::binary;

use super::place::{Ended, Place, signal, text, tiny, wait_for};

#[test]
fn a_killed_run_is_resumed_without_repeating_or_losing_a_trial() {
    let place = Place::new();
    let plan = place.plan(&tiny("async, thread-pool"));
    let (mut child, mut lines) = place.start(&["run", text(&plan), "--out", "o"]);
    wait_for(&mut lines, "trial 2/2");
    let other = place.run(&["run", text(&plan), "--out", "o", "--resume"]);
    other.assert_refused(&["--out", "another run"]);
    child.kill().unwrap();
    child.wait().unwrap();
    place.assert_nothing_runs();
    let first = place.outcomes("o");
    assert_eq!(first.len(), 1);

    // As if the kill had come while a line was being written.
    let journal = place.path("o/journal.jsonl");
    let mut bytes = fs::read(&journal).unwrap();
    bytes.extend_from_slice(br#"{"line":"trial","trial":{"id""#);
    fs::write(&journal, bytes).unwrap();
    place
        .run(&["run", text(&plan), "--out", "o"])
        .assert_refused(&["--out", "--resume"]);

    let resumed = place.run(&["run", text(&plan), "--out", "o", "--resume"]);
    assert_eq!(resumed.status, Some(0), "{resumed:?}");
    assert!(
        resumed.stderr.contains("trial 1/1"),
        "only the second trial is run: {resumed:?}"
    );
    let outcomes = place.outcomes("o");
    assert_eq!(outcomes.len(), 2);
    assert_eq!(outcomes[0], first[0]);
    assert_ne!(outcomes[1].trial.id, outcomes[0].trial.id);
    assert_eq!(outcomes[1].end, TrialEnd::Completed);

    let nothing = place.run(&["run", text(&plan), "--out", "o", "--resume"]);
    assert_eq!(nothing.status, Some(0), "{nothing:?}");
    assert_eq!(place.outcomes("o").len(), 2, "nothing was left to run");
}

#[test]
fn one_interruption_keeps_what_there_is_and_leaves_nothing_running() {
    let place = Place::new();
    let plan = place.plan(&tiny("async, thread-pool"));
    let (mut child, mut lines) = place.start(&["run", text(&plan), "--out", "o"]);
    wait_for(&mut lines, "trial 2/2");
    signal(&child, "INT");
    let last = lines.map(Result::unwrap).last().unwrap();
    assert!(
        last.contains("interrupted") && last.contains("1 trials are missing") && last.contains("--resume"),
        "{last}"
    );
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert_eq!(place.outcomes("o").len(), 1);
    assert!(place.path("o/report.html").exists());
    place.assert_nothing_left();
}

#[test]
fn a_second_interruption_stops_at_once() {
    let place = Place::new();
    let plan = place.plan(&tiny("async"));
    let (mut child, mut lines) = place.start(&["run", text(&plan), "--out", "o"]);
    wait_for(&mut lines, "trial 1/1");
    signal(&child, "INT");
    signal(&child, "TERM");
    let code = child.wait().unwrap().code();
    assert!(
        matches!(code, Some(130 | 1)),
        "130, or 1 where there was nothing left to stop: {code:?}"
    );
    assert_eq!(place.outcomes("o").len(), 0);
    place.assert_nothing_runs();
}

#[test]
fn a_journal_that_cannot_be_written_stops_the_run_intact() {
    let place = Place::new();
    let plan = place.plan(&tiny("async"));
    // A limit on the size of files stands for a full disk: room for the first line, not for the outcome's.
    let script = format!(
        "trap '' XFSZ; ulimit -f 4; exec {} run {} --out o",
        text(&binary("experiment")),
        text(&plan)
    );
    let output = Command::new("sh")
        .args(["-c", &script])
        .current_dir(place.folder.path())
        .env("TMPDIR", place.path("tmp"))
        .output()
        .unwrap();
    let ended = Ended::of(&output);
    assert_eq!(ended.status, Some(1), "{ended:?}");
    let last = ended.stderr.lines().last().unwrap();
    assert!(
        last.contains("cannot write") && last.contains("journal.jsonl"),
        "{ended:?}"
    );
    let lines = journal::read(&place.path("o")).unwrap();
    assert!(matches!(lines.as_slice(), [JournalLine::Run(_)]), "{lines:?}");
    assert!(
        fs::read(place.path("o/journal.jsonl")).unwrap().ends_with(b"\n"),
        "no half line"
    );
    place.assert_nothing_left();
}
