//! What a trial will do, by Little's law and queueing arithmetic, before it runs.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What is expected of a trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// RPU × delay ÷ workers: the share of its capacity that a strategy needs (for `sequential`, of its keys).
    pub load_factor: f64,
    /// Calls that must be in flight at once to keep up (Little's law: RPU × delay).
    pub needed_in_flight: f64,
    /// Expected close tail of a window, µs; absent where the strategy cannot keep up and the tail grows without bound.
    pub close_tail_us: Option<u64>,
    /// The verdict.
    pub verdict: Verdict,
    /// Why, in one sentence.
    pub why: String,
}

impl Prediction {
    /// The expected close tail of a window.
    pub fn close_tail(&self) -> Option<Duration> {
        self.close_tail_us.map(Duration::from_micros)
    }
}

/// Whether a strategy will keep up with its rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It has capacity to spare.
    KeepsUp,
    /// It is at the edge: small disturbances add up.
    Critical,
    /// It falls behind further with every window.
    Cannot,
}
