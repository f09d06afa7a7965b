//! Why a row cannot be measured, or the benchmark cannot begin.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    #[error("`{}` is missing: build the programs first, e.g. with `make build`", .0.display())]
    Missing(PathBuf),
    /// A program could not be started, has ended or is not ready.
    #[error(transparent)]
    Launch(#[from] launcher::LaunchError),
    #[error("the report did not end as a success within {patience:?}; its standard error ended with: {tail}")]
    Report {
        /// How long the benchmark waited for it.
        patience: Duration,
        /// The tail of its standard error.
        tail: String,
    },
    #[error("{reason}; the UDF ended with: {tail}")]
    DataPlane {
        reason: String,
        /// The tail of the UDF's standard error.
        tail: String,
    },
    #[error("only {closed} windows closed within {patience:?}; the UDF ended with: {tail}")]
    Windows {
        /// Windows that closed.
        closed: usize,
        /// How long the benchmark waited for them.
        patience: Duration,
        /// The tail of the UDF's standard error.
        tail: String,
    },
    /// The results do not report the events that were sent.
    #[error("counts differ: {sent} events were sent, results report {reported}, of which {ok} succeeded")]
    Counts {
        /// Events of the windows that closed.
        sent: u64,
        /// Events in their results.
        reported: u64,
        /// Events in their results that succeeded.
        ok: u64,
    },
    /// Endpoint or generator did not return its statistics.
    #[error("polling {url}: {reason}")]
    Request { url: String, reason: String },
    #[error("{doing} `{}`: {source}", path.display())]
    File {
        doing: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// `/proc` has no entry for a process.
    #[error("/proc has no entry for process {0}: processor time is measured on Linux only")]
    Proc(u32),
}
