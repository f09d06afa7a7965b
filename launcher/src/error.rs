//! Why a program cannot be started or does not become ready.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why a program could not be started, or what went wrong with it.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The system does not start the program.
    #[error("cannot start {process} (`{program}`): {source}")]
    Spawn {
        /// Name of the process.
        process: String,
        /// The program as the command has it.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// The process ended though it should not have.
    #[error("{process} ended unexpectedly ({status}){}{stderr}", if stderr.is_empty() { "" } else { ": " })]
    Died {
        /// Name of the process.
        process: String,
        /// How it ended.
        status: String,
        /// The last lines of its standard error, in one; empty where they are not kept.
        stderr: String,
    },
    /// The process was not ready in time.
    #[error("{process} was not ready after {patience:?}")]
    NotReady {
        /// Name of the process.
        process: String,
        /// How long was waited.
        patience: Duration,
    },
    /// A line of standard output is not what was awaited.
    #[error("{process} wrote `{line}` in place of {awaited}: {source}")]
    Line {
        /// Name of the process.
        process: String,
        /// What was awaited.
        awaited: &'static str,
        /// The line.
        line: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The path of a socket is longer than the system allows.
    #[error("`{}` ({} bytes) is too long for a Unix socket: choose a shorter folder", .0.display(), .0.as_os_str().len())]
    PathTooLong(PathBuf),
}
