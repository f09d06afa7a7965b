//! Why a program cannot be started, ended or is not ready.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The system cannot start the program.
    #[error("cannot start {process} (`{program}`): {source}")]
    Spawn {
        process: String,
        /// The program as the command names it.
        program: String,
        source: io::Error,
    },
    /// The process ended although it should run.
    #[error("{process} ended unexpectedly ({status}){}{stderr}", separator(stderr))]
    Died {
        process: String,
        /// Its exit status or signal.
        status: String,
        /// The last lines of its standard error; empty if they are not kept.
        stderr: String,
    },
    #[error("{process} was not ready after {patience:?}")]
    NotReady {
        process: String,
        /// How long the caller waited.
        patience: Duration,
    },
    /// A line of standard output does not have the expected form.
    #[error("{process} wrote `{line}` in place of {awaited}: {source}")]
    Line {
        process: String,
        /// What was expected.
        awaited: &'static str,
        line: String,
        source: serde_json::Error,
    },
    #[error("`{}` ({} bytes) is too long for a Unix socket: choose a shorter folder", .0.display(), .0.as_os_str().len())]
    PathTooLong(PathBuf),
}

/// What comes before the last lines: one line follows on the same line.
fn separator(stderr: &str) -> &'static str {
    match stderr.lines().count() {
        0 => "",
        1 => ": ",
        _ => "\n",
    }
}
