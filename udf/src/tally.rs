//! What came of the calls of one window and key.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use wire::{Latencies, Outcome, OutcomeCounts};

use crate::metrics::Metrics;

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

/// Counts the calls of one window and key, both for its record and for the process' metrics.
pub(crate) struct Counting {
    tally: Tally,
    in_flight: Arc<InFlight>,
    metrics: Arc<Metrics>,
}

/// Calls in flight of one window and key, and the highest number of them.
#[derive(Debug)]
pub(crate) struct InFlight {
    now: AtomicU64,
    peak: AtomicU64,
    metrics: Arc<Metrics>,
}

impl Counting {
    pub(crate) fn new(metrics: &Arc<Metrics>) -> Self {
        Self {
            tally: Tally::default(),
            in_flight: Arc::new(InFlight {
                now: AtomicU64::new(0),
                peak: AtomicU64::new(0),
                metrics: Arc::clone(metrics),
            }),
            metrics: Arc::clone(metrics),
        }
    }

    /// Counts an event that has its first slot, and how long it waited for it.
    pub(crate) fn waited(&mut self, wait: Duration) {
        self.tally.slot_wait.record(wait);
        self.metrics.slot_wait.observe(wait);
    }

    /// Counts an event whose call has ended.
    pub(crate) fn ended(&mut self, ended: Ended) {
        *self.tally.outcomes.entry(ended.outcome).or_default() += 1;
        self.tally.attempts += u64::from(ended.attempts);
        self.metrics.ended(ended.outcome);
        if let Some(latency) = ended.latency {
            self.tally.latency.record(latency);
            self.metrics.call_duration.observe(latency);
        }
    }

    /// What counts the attempts that are under way.
    pub(crate) fn in_flight(&self) -> Arc<InFlight> {
        Arc::clone(&self.in_flight)
    }

    pub(crate) fn finish(mut self) -> Tally {
        self.tally.peak_in_flight = self.in_flight.peak.load(Ordering::Relaxed);
        self.tally
    }
}

impl InFlight {
    pub(crate) fn enter(&self) -> InFlightGuard<'_> {
        let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.peak.fetch_max(now, Ordering::Relaxed);
        self.metrics.calls_in_flight.inc();
        InFlightGuard(self)
    }
}

pub(crate) struct InFlightGuard<'a>(&'a InFlight);

impl Drop for InFlightGuard<'_> {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::Relaxed);
        self.0.metrics.calls_in_flight.dec();
    }
}
