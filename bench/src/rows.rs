//! The rows of the table: each a small function over the common setting-up.

mod calls;

use clap::ValueEnum;

use crate::error::BenchError;
use crate::line::Line;
use crate::programs::Programs;

/// Which row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Row {
    /// `async` calls without delay: events a second, processor time of an event
    Async,
}

/// What every row needs.
#[derive(Debug)]
pub struct Bench {
    /// The programs.
    pub programs: Programs,
    /// Rounds of each comparison.
    pub rounds: usize,
    /// Multiplies how long each round measures.
    pub scale: f64,
}

impl Bench {
    /// How long a round measures, from what it would in a full run.
    pub fn time(&self, seconds: f64) -> std::time::Duration {
        std::time::Duration::from_secs_f64(seconds * self.scale)
    }
}

impl Row {
    /// As it is chosen.
    pub fn name(self) -> &'static str {
        match self {
            Self::Async => "async",
        }
    }

    /// What it measures, in one line.
    pub fn about(self) -> String {
        let value = self.to_possible_value();
        let help = value.as_ref().and_then(|value| value.get_help());
        help.map_or(String::new(), ToString::to_string)
    }

    /// Measures it.
    ///
    /// # Errors
    /// Where it cannot be measured.
    pub async fn run(self, bench: &Bench) -> Result<Vec<Line>, BenchError> {
        match self {
            Self::Async => calls::without_delay(bench).await,
        }
    }
}
