//! `--from` and `--probe-calls`: what predictions take from an earlier run, or from calls to the user's own service, in place
//! of what they assume.

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use trials::journal;
use trials::learn::Learned;

use crate::failure::Failure;
use crate::probe::{ProbeArgs, probe};
use crate::stop::on_runtime;

#[derive(Debug, clap::Args)]
pub struct LearnArgs {
    /// Folder of an earlier run: predict by the times that it measured of calls, read batches and keys, and, if it called a
    /// service of your own, by its latencies in place of io_delay
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with = "probe_calls",
        help_heading = "Learning"
    )]
    from: Option<PathBuf>,
    #[command(flatten)]
    probe: ProbeArgs,
}

impl LearnArgs {
    /// Learns from a run or a service; `None` if neither is given.
    ///
    /// # Errors
    /// Returns an error if nothing can be learned, or if the service cannot be called.
    pub fn learn(&self) -> Result<Option<Learned>, Failure> {
        match (&self.from, self.probe.probing()?) {
            (Some(folder), _) => learned(folder).map(Some),
            (None, Some(probing)) => {
                on_runtime(|stop| async move { stop.or(probe(&probing)).await }).map(Some)
            }
            (None, None) => Ok(None),
        }
    }
}

/// What the run in a folder measured.
///
/// # Errors
/// Returns an error if there is no journal, or nothing in it that can be learned.
pub fn learned(folder: &Path) -> Result<Learned, Failure> {
    let lines = journal::read(folder)?;
    let name = folder.display().to_string();
    Learned::from_run(&lines, &name).map_err(|error| Failure::wrong_use(anyhow!("--from: `{name}`: {error}")))
}

/// What predictions take from it, in words.
pub fn sentence(learned: &Learned) -> String {
    let source = learned.source();
    match learned.delay().filter(|_| learned.is_of_service()) {
        Some(delay) => format!("Predicted by {source}; the delay is what they measured: {delay}."),
        None => format!("Predicted by {source}."),
    }
}
