//! Why a row cannot be measured, or the benchmark cannot begin.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// What went wrong while something was measured.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// One of our programs is not there.
    #[error("`{}` is missing: build the programs first, e.g. with `make build`", .0.display())]
    Missing(PathBuf),
    /// A program could not be started, has ended or is not ready.
    #[error(transparent)]
    Launch(#[from] launcher::LaunchError),
    /// The report was not drawn.
    #[error("the report did not end as a success within {patience:?}; its standard error ended with: {tail}")]
    Report {
        /// How long it was awaited.
        patience: Duration,
        /// The end of its standard error.
        tail: String,
    },
    /// The data plane stopped.
    #[error("{reason}; the UDF ended with: {tail}")]
    DataPlane {
        /// Why.
        reason: String,
        /// The end of the UDF's standard error.
        tail: String,
    },
    /// Not enough windows closed in time.
    #[error("only {closed} windows closed within {patience:?}; the UDF ended with: {tail}")]
    Windows {
        /// Windows that closed.
        closed: usize,
        /// How long they were awaited.
        patience: Duration,
        /// The end of the UDF's standard error.
        tail: String,
    },
    /// The results do not tell what was sent.
    #[error("counts differ: {sent} events were sent, results tell of {told}, of which {ok} went well")]
    Counts {
        /// Events of the windows that closed.
        sent: u64,
        /// Events of their results.
        told: u64,
        /// Those of them that ended well.
        ok: u64,
    },
    /// An endpoint or generator does not tell its figures.
    #[error("asking {url}: {reason}")]
    Ask {
        /// What was asked.
        url: String,
        /// Why there is no answer.
        reason: String,
    },
    /// A file or folder.
    #[error("{doing} `{}`: {source}", path.display())]
    File {
        /// What was being done.
        doing: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Nothing can be read of a process.
    #[error("/proc tells nothing of process {0}: processor time is measured on Linux only")]
    Proc(u32),
}
