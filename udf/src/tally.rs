//! What came of the calls of one window and key.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use wire::{Latencies, Outcome, OutcomeCounts};

/// Counts of outcomes and times of calls.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Tally {
    /// Events by how their call ended.
    pub outcomes: OutcomeCounts,
    /// Attempts made.
    pub attempts: u64,
    /// Time of every event's last attempt.
    pub latency: Latencies,
    /// Time from when a call might begin to its first slot.
    pub slot_wait: Latencies,
    /// Highest number of calls in flight at once.
    pub peak_in_flight: u64,
}

/// How the call of one event ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// The last attempt's outcome.
    pub outcome: Outcome,
    /// Attempts made.
    pub attempts: u32,
    /// Time of the last attempt; absent where it panicked, as nobody saw its end.
    pub latency: Option<Duration>,
}

impl Tally {
    /// Counts an event whose call has ended.
    pub fn count(&mut self, ended: Ended) {
        *self.outcomes.entry(ended.outcome).or_default() += 1;
        self.attempts += u64::from(ended.attempts);
        if let Some(latency) = ended.latency {
            self.latency.record(latency);
        }
    }
}

/// Calls in flight, and the highest number of them.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    now: AtomicU64,
    peak: AtomicU64,
}

impl InFlight {
    pub(crate) fn enter(&self) -> InFlightGuard<'_> {
        let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.peak.fetch_max(now, Ordering::Relaxed);
        InFlightGuard(self)
    }

    pub(crate) fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }
}

pub(crate) struct InFlightGuard<'a>(&'a InFlight);

impl Drop for InFlightGuard<'_> {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::Relaxed);
    }
}
