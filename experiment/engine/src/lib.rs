//! The interface of an engine, which runs trials, and the run loop that uses it.
//!
//! # Layout
//!
//! - crate root: the trait [`Engine`], its error, [`TrialProgress`] and [`Observation`].
//! - [`run_loop`]: runs the trials of a plan and writes each outcome to the journal.
//! - [`windows`]: computes a trial's measurements from its records.
//! - [`sequence`]: finds missing and repeated lines by their numbers.

#![allow(
    missing_docs,
    reason = "used by this workspace only: a name that says what it holds needs no second sentence"
)]

pub mod run_loop;
pub mod sequence;
pub mod windows;

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use trials::outcome::{CallAccount, Cost, Instruments, Ledger, TrialEnd, WindowResult};
use trials::trial::Trial;
use wire::{Latencies, OutcomeCounts};

/// Why an engine cannot be set up, or a trial cannot be run to its end.
#[derive(Debug)]
pub struct EngineError {
    /// Whether a setting is wrong, as opposed to a failure.
    pub wrong_use: bool,
    source: Box<dyn Error + Send + Sync>,
}

impl EngineError {
    pub fn new(wrong_use: bool, source: impl Error + Send + Sync + 'static) -> Self {
        Self {
            wrong_use,
            source: Box::new(source),
        }
    }
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

/// Transparent: message and source are those of the wrapped error.
impl Error for EngineError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.source()
    }
}

/// Runs trials, one at a time.
#[async_trait]
pub trait Engine: Send + Sync {
    /// Name on the command line and in the journal.
    fn name(&self) -> &'static str;

    /// Checks, once and before the first trial, whether these trials can be run.
    ///
    /// # Errors
    /// Returns an error if a precondition of all trials is not met, or if a trial has a setting that this engine does not
    /// support.
    async fn check(&self, trials: &[Trial], progress: &dyn TrialProgress) -> Result<(), EngineError>;

    /// Expected duration of a trial, set-up included, for estimating the time left.
    fn expected(&self, trial: &Trial) -> Duration;

    /// Facts of the place where trials run, by name, in addition to those of this machine.
    async fn facts(&self) -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    /// Runs one trial to its end. Dropping the future abandons the trial and ends its processes on this machine;
    /// [`Engine::finish`] removes what it left elsewhere.
    ///
    /// # Errors
    /// Returns an error if the trial could not be run to its end. The next trial may still succeed.
    async fn run(&mut self, trial: &Trial, progress: &dyn TrialProgress) -> Result<Observation, EngineError>;

    /// The reason if no further trial can be run. Called after each trial.
    fn stopped(&self) -> Option<EngineError> {
        None
    }

    /// Removes what the run has left. Called once, after the last trial or after an interruption. Takes a bounded time.
    ///
    /// # Errors
    /// Returns an error if something could not be removed.
    async fn finish(&mut self, _progress: &dyn TrialProgress) -> Result<(), EngineError> {
        Ok(())
    }
}

/// Receives the progress of a trial.
pub trait TrialProgress: Send + Sync {
    /// `closed` of `all` windows, warm-up windows included, have a result.
    fn windows(&self, closed: u32, all: u32);

    /// A line for the terminal.
    fn note(&self, line: &str);
}

/// The measurements of a trial that ran to its end; see [`trials::outcome::TrialOutcome`] for the fields.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    pub end: TrialEnd,
    pub windows: Vec<WindowResult>,
    pub ledger: Option<Ledger>,
    pub outcomes: OutcomeCounts,
    pub latency: Latencies,
    pub failed_latency: Option<Latencies>,
    pub slot_wait: Latencies,
    pub instruments: Option<Instruments>,
    pub cost: Option<Cost>,
    pub call_account: Option<CallAccount>,
}
