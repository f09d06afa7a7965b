//! Where a trial runs: one trait, one implementation per place. The run loop knows nothing else of them.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use wire::{Latencies, OutcomeCounts};

use trials::outcome::{Cost, Instruments, Ledger, TrialEnd, WindowResult};
use trials::trial::Trial;

pub mod run;
pub mod sequence;
pub mod windows;

/// Why an engine cannot be set up, or a trial not be run to its end.
#[derive(Debug)]
pub struct EngineError {
    /// Whether a setting is wrong, in contrast to something that failed.
    pub wrong_use: bool,
    source: Box<dyn Error + Send + Sync>,
}

impl EngineError {
    /// An engine's own error; `wrong_use` where a setting is wrong.
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

/// Transparent: its text and its cause are those of the engine's error.
impl Error for EngineError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.source()
    }
}

/// Runs trials, one at a time.
#[async_trait]
pub trait Engine: Send + Sync {
    /// Its name on the command line and in the journal.
    fn name(&self) -> &'static str;

    /// Whether these trials can be run at all; asked once, before the first of them.
    ///
    /// # Errors
    /// Where something that all of them need is not there, or one asks for what this engine cannot give.
    async fn check(&self, trials: &[Trial], progress: &dyn TrialProgress) -> Result<(), EngineError>;

    /// How long a trial takes if it keeps up, set-up included: for telling the time left.
    fn expected(&self, trial: &Trial) -> Duration;

    /// Facts of where the trials run that the machine's own facts do not have, by name.
    async fn facts(&self) -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    /// Runs one trial to its end. Dropping the future abandons the trial and ends whatever was
    /// started for it on this machine; what is elsewhere ends with [`Engine::finish`].
    ///
    /// # Errors
    /// Where the trial could not be run to its end; the next one may still succeed.
    async fn run(&mut self, trial: &Trial, progress: &dyn TrialProgress) -> Result<Observation, EngineError>;

    /// Why no more trials can be run, where that is so: asked after each of them.
    fn stopped(&self) -> Option<EngineError> {
        None
    }

    /// Takes away what is left of the run: called once, after the last trial or when the run was interrupted in the
    /// midst of one. It takes a bounded time.
    ///
    /// # Errors
    /// Where something is left.
    async fn finish(&mut self, _progress: &dyn TrialProgress) -> Result<(), EngineError> {
        Ok(())
    }
}

/// Hears how far a trial is.
pub trait TrialProgress: Send + Sync {
    /// `closed` windows of `all`, warm-up windows included, have given their results.
    fn windows(&self, closed: u32, all: u32);

    /// A line for whoever watches the run, beside what is shown of the windows.
    fn note(&self, line: &str);
}

/// What an engine has seen of a trial that ran to its end.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// Completed or cut off.
    pub end: TrialEnd,
    /// Its windows in order: warm-up windows, then measured ones.
    pub windows: Vec<WindowResult>,
    /// Where every event went; absent where the UDF does not emit records that name event numbers.
    pub ledger: Option<Ledger>,
    /// Calls of all windows by how they ended.
    pub outcomes: OutcomeCounts,
    /// Latency of the attempts in the measured windows.
    pub latency: Latencies,
    /// Waiting for a slot in the measured windows.
    pub slot_wait: Latencies,
    /// How exact the instruments were.
    pub instruments: Option<Instruments>,
    /// What the UDF cost; absent where it cannot be measured.
    pub cost: Option<Cost>,
}
