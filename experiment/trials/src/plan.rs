//! A plan: fixed settings and axes with their levels, written in YAML, become the trials of an experiment.
//! Whatever cannot be run is refused here, with line and field, before anything starts.

mod file;
mod grid;
mod reference;
#[cfg(test)]
mod tests;
mod yaml;

use std::fmt;
use std::num::NonZeroUsize;
use std::time::Duration;

use crate::trial::{Trial, TrialSettings};
use file::PlanFile;
pub use reference::{page, schema};

/// The most trials that a plan may have.
pub const MAX_TRIALS: usize = 10_000;

/// What starting, connecting and cleaning up takes per trial, for the estimate of a plan's duration.
const AROUND_A_TRIAL: Duration = Duration::from_secs(2);

/// A plan that can be run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Its name.
    pub name: String,
    /// Length of a window.
    pub window: Duration,
    /// How long a read waits for its batch to fill.
    pub read_timeout: Duration,
    /// Windows of each trial that are run first and not measured.
    pub warmup: u32,
    /// Windows of each trial that are measured.
    pub windows: u32,
    /// How often each cell is run.
    pub repeats: u32,
    /// How long after its windows a trial may still wait for results; see [`Plan::time_limit`].
    pub cut_off: Duration,
    /// The order in which its trials are run.
    pub order: Order,
    /// Seed of the order and, with the repeat added, of each trial.
    pub seed: u64,
    trials: Vec<Trial>,
}

/// The order in which trials are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The first axis changes slowest; repeats come after the whole grid.
    AsWritten,
    /// Shuffled with the plan's seed, the same on every run.
    Shuffled,
}

/// Why a plan cannot be run.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("{file}:{refusal}")]
pub struct PlanError {
    /// Name of the file.
    pub file: String,
    /// Where in the file, and why.
    pub refusal: Refusal,
}

/// A line of a plan, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Line of the file, from 1.
    pub line: usize,
    /// Path of the field, such as `axes.rpu[1]`; empty where it is the whole file.
    pub field: String,
    /// What is wrong with it, and what to do.
    pub problem: String,
}

impl Refusal {
    fn at(line: usize, field: &str, problem: impl ToString) -> Self {
        Self {
            line,
            field: field.to_owned(),
            problem: problem.to_string(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, field, problem } = self;
        match field.as_str() {
            "" => write!(f, "{line}: {problem}"),
            field => write!(f, "{line}: {field}: {problem}"),
        }
    }
}

impl Plan {
    /// Reads a plan for this machine: defaults that depend on the number of cores take it from here.
    /// `file_name` is only named in errors.
    ///
    /// # Errors
    /// [`PlanError`] with the line and the field, in one line.
    pub fn parse(text: &str, file_name: &str) -> Result<Self, PlanError> {
        let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Self::parse_for(text, file_name, cores)
    }

    /// Reads a plan for a machine with so many cores.
    ///
    /// # Errors
    /// [`PlanError`] with the line and the field, in one line.
    pub fn parse_for(text: &str, file_name: &str, cores: NonZeroUsize) -> Result<Self, PlanError> {
        Self::read(text, cores).map_err(|refusal| PlanError {
            file: file_name.to_owned(),
            refusal,
        })
    }

    fn read(text: &str, cores: NonZeroUsize) -> Result<Self, Refusal> {
        let written = PlanFile::read(&yaml::read(text)?)?;
        let trials = grid::trials(&written, cores)?;
        // Settings of the whole plan are the same in all trials, but for the seed, to which each repeat adds one.
        let first = trials.iter().find(|trial| trial.repeat == 0);
        let Some(first) = first.map(|trial| trial.settings.clone()) else {
            return Err(Refusal::at(1, "axes", "the plan has no trials"));
        };
        Ok(Self {
            seed: first.seed,
            name: written.name,
            window: first.window,
            read_timeout: first.read_timeout,
            warmup: first.warmup,
            windows: first.windows,
            repeats: written.repeats,
            cut_off: written.cut_off,
            order: written.order,
            trials,
        })
    }

    /// Its trials in the order in which they are run.
    pub fn trials(&self) -> Vec<Trial> {
        self.trials.clone()
    }

    /// How long after its first window began a trial is cut off: all its windows and [`Plan::cut_off`].
    pub fn time_limit(&self) -> Duration {
        self.window * (self.warmup + self.windows) + self.cut_off
    }

    /// About how long the whole plan takes if every trial keeps up: per trial its windows, the one that is not
    /// measured, half a window of waiting for a boundary, and starting and cleaning up.
    pub fn duration(&self) -> Duration {
        let trial = self.window * (self.warmup + self.windows + 1) + self.window / 2 + AROUND_A_TRIAL;
        trial.saturating_mul(u32::try_from(self.trials.len()).unwrap_or(u32::MAX))
    }

    /// A number that is the same for plans that ask the same: name, trials and cut-off; layout, comments and order
    /// do not matter.
    pub fn hash(&self) -> u64 {
        let mut trials: Vec<String> = self
            .trials
            .iter()
            .map(|trial| format!("{}:{}", trial.id, meaning(&trial.settings)))
            .collect();
        trials.sort_unstable();
        fnv1a(format!("{}\n{:?}\n{}", self.name, self.cut_off, trials.join("\n")).as_bytes())
    }
}

/// The settings as text: equal texts are equal trials.
fn meaning(settings: &TrialSettings) -> String {
    serde_json::to_string(settings).unwrap_or_else(|_| format!("{settings:?}"))
}

/// FNV-1a, 64 bits: unlike the standard library's hashes it never changes.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
