//! One cell of a plan: everything that its processes must be told.

use std::num::NonZeroU64;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use wire::{Delay, StartRule, StrategyKind, Workload};

/// One run of the pipeline with one set of settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Names the trial within its plan, the same on every run: levels of the axes and the repeat.
    pub id: String,
    /// Which repeat of its cell this is, from 0.
    pub repeat: u32,
    /// What is asked.
    pub settings: TrialSettings,
}

/// Everything that its processes must be told. Durations are written as text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrialSettings {
    /// Events per second.
    pub rpu: NonZeroU64,
    /// Number of keys.
    pub keys: NonZeroU64,
    /// Exponent of the keys' Zipf distribution; 0 gives every key the same share.
    pub key_skew: f64,
    /// Size of a message's payload in bytes; 0 for the smallest.
    pub payload_size: usize,
    /// Delay of the endpoint, or processor time per event for the workload `cpu`.
    pub io_delay: Delay,
    /// How calls are scheduled.
    pub strategy: StrategyKind,
    /// When they may begin.
    pub start_rule: StartRule,
    /// What they do.
    pub workload: Workload,
    /// Calls in flight at once; 1 for `sequential` (per key and window).
    pub max_workers: NonZeroU64,
    /// Timeout of one attempt.
    #[serde(with = "wire::duration_text")]
    pub timeout: Duration,
    /// Attempts after the first.
    pub retries: u32,
    /// Whether `cpu` work under `async` is moved off the runtime's threads.
    pub cpu_offload: bool,
    /// Events that may wait in the UDF.
    pub max_waiting: NonZeroU64,
    /// Calls the endpoint serves at once; unlimited where absent.
    pub capacity: Option<NonZeroU64>,
    /// Share of calls (0 to 1) that the endpoint answers with status 500.
    pub fail_status: f64,
    /// Length of a window.
    #[serde(with = "wire::duration_text")]
    pub window: Duration,
    /// How long a read waits for its batch to fill.
    #[serde(with = "wire::duration_text")]
    pub read_timeout: Duration,
    /// Windows that are run first and not measured.
    pub warmup: u32,
    /// Windows that are measured.
    pub windows: u32,
    /// Seed of keys, failures and random delays.
    pub seed: u64,
}

impl TrialSettings {
    /// Events that are due in one window.
    pub fn events_per_window(&self) -> u64 {
        (self.rpu.get() as f64 * self.window.as_secs_f64()).round() as u64
    }
}
