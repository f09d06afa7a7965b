//! Processes of a trial that are killed: the trial fails with their name, and the plan continues.

use std::fs;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};
use trials::outcome::TrialEnd;

use super::run_dir::{RunDir, text, tiny, wait_for, wait_until};

/// The process with this name whose environment contains the mark.
fn process(mark: &str, name: &str) -> Option<Pid> {
    fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
        let environment = fs::read(entry.path().join("environ")).ok()?;
        let program = fs::read_link(entry.path().join("exe")).ok()?;
        let found = program.file_name() == Path::new(name).file_name()
            && String::from_utf8_lossy(&environment).contains(mark);
        let id = entry.file_name().to_str()?.parse().ok()?;
        found.then(|| Pid::from_raw(id)).flatten()
    })
}

#[test]
fn a_killed_process_fails_its_trial_by_name_and_the_next_one_runs() {
    for name in ["endpoint", "generator", "sink"] {
        let dir = RunDir::new();
        let plan = dir.plan(&tiny("async, thread-pool"));
        let (mut child, mut lines) = dir.start(&["run", text(&plan), "--out", "o"]);
        wait_for(&mut lines, "trial 1/2");
        // Only after the last process has been started, so that none is still starting.
        wait_until(|| process(&dir.mark(), "udf").is_some());
        kill_process(process(&dir.mark(), name).unwrap(), Signal::KILL).unwrap();
        assert!(
            lines
                .map(Result::unwrap)
                .any(|line| line.contains("1 of 2 trials failed")),
            "{name}"
        );
        assert_eq!(child.wait().unwrap().code(), Some(1), "{name}");
        let outcomes = dir.outcomes("o");
        let ends: Vec<&TrialEnd> = outcomes.iter().map(|outcome| &outcome.end).collect();
        let [TrialEnd::Failed { reason }, TrialEnd::Completed] = ends[..] else {
            panic!("{name}: {ends:?}")
        };
        eprintln!("{name}: {reason}");
        assert!(
            reason.contains(name) && reason.contains("signal: 9"),
            "{name}: {reason}"
        );
        dir.assert_nothing_left();
    }
}
