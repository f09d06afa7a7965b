//! Runs `plans/soak.yaml` with the real `experiment` and watches its processes from outside. Prints all values, and
//! fails if memory or descriptors grow, the schedule drifts or an event is not accounted for. It is not part of `make
//! test`, because it takes half an hour and needs the machine for itself.

// Clippy's exception for tests does not apply to a program without the usual harness.
#![allow(clippy::unwrap_used)]

mod outcome;
mod watch;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use tests::binary;
use trials::journal::{self, JournalLine};
use trials::outcome::TrialOutcome;

use crate::watch::Watched;

/// The length of the run without `DURATION`.
const DURATION: Duration = Duration::from_secs(30 * 60);

/// Length of the plan's windows.
const WINDOW: Duration = Duration::from_secs(10);

/// Time until caches are filled and connections open. In a shorter run, its first sixth.
const SETTLES: Duration = Duration::from_secs(5 * 60);

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("soak: {sentence}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let duration = match std::env::var("DURATION") {
        Ok(text) if !text.is_empty() => {
            wire::parse_duration(&text).map_err(|error| format!("DURATION: {error}"))?
        }
        _ => DURATION,
    };
    let windows = duration.as_secs() / WINDOW.as_secs();
    if windows < 6 {
        return Err(format!(
            "DURATION: {duration:?} is less than six windows of {WINDOW:?}"
        ));
    }
    let folder = tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
    let temporary = folder.path().join("tmp");
    let plan = plan(folder.path(), windows)?;
    fs::create_dir(&temporary).map_err(|error| error.to_string())?;
    let out = folder.path().join("out");
    let mut child = Command::new(programs()?.join("experiment"))
        .args([
            "run".as_ref(),
            plan.as_os_str(),
            "--out".as_ref(),
            out.as_os_str(),
        ])
        .env("TMPDIR", &temporary)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| format!("cannot start the experiment: {error}"))?;
    let watched = watch::until_ended(&mut child);
    let status = child.wait().map_err(|error| error.to_string())?;
    let settles = SETTLES.min(duration / 6);
    let mut wrong = watched.check(settles, windows);
    if !status.success() {
        wrong.push(format!("the experiment ended with {status}"));
    }
    match outcome(&out) {
        Some(outcome) => wrong.extend(outcome::check(&outcome, windows)),
        None => wrong.push("there is no outcome".to_owned()),
    }
    wrong.extend(left(&watched, &temporary));
    match wrong.as_slice() {
        [] => {
            println!("soak: all as it should be");
            Ok(())
        }
        wrong => Err(format!(
            "{} of these is wrong:\n  {}",
            wrong.len(),
            wrong.join("\n  ")
        )),
    }
}

/// The optimised programs in `SOAK_BINARIES`, or those built beside this one.
fn programs() -> Result<PathBuf, String> {
    let folder = match std::env::var_os("SOAK_BINARIES") {
        Some(folder) => PathBuf::from(folder),
        None => binary("experiment").parent().unwrap().to_owned(),
    };
    fs::canonicalize(&folder).map_err(|error| format!("{}: {error}", folder.display()))
}

/// The plan with this number of windows, the first of them for warming up.
fn plan(folder: &Path, windows: u64) -> Result<PathBuf, String> {
    let text = include_str!("../../plans/soak.yaml");
    let changed = text.replace("\nwindows: 179\n", &format!("\nwindows: {}\n", windows - 1));
    let path = folder.join("soak.yaml");
    fs::write(&path, changed).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path)
}

fn outcome(out: &Path) -> Option<TrialOutcome> {
    let lines = journal::read(out).ok()?;
    lines.into_iter().find_map(|line| match line {
        JournalLine::Trial(outcome) => Some(*outcome),
        JournalLine::Run(_) => None,
    })
}

/// Processes and temporary files that outlived the run.
fn left(watched: &Watched, temporary: &Path) -> Vec<String> {
    let processes = watched.ids().filter(|id| tests::process::runs(*id));
    let files = fs::read_dir(temporary).into_iter().flatten().flatten();
    processes
        .map(|id| format!("process {id} still runs"))
        .chain(files.map(|file| format!("{} is left", file.path().display())))
        .collect()
}
