//! The Prometheus metrics of the UDF, and the only place with their names. All windows share them, and counting is one
//! atomic addition, so that it costs a call next to nothing.

use std::array;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use vertex::metrics::DurationHistogram;
use wire::Outcome;

use crate::tally::Ended;

/// The metrics of one process.
#[derive(Debug)]
pub struct Metrics {
    calls: Family<OutcomeLabel, Counter>,
    /// The counters of `calls`, in the order of [`Outcome::ALL`]: no look-up per call.
    by_outcome: [Counter; Outcome::ALL.len()],
    pub(crate) call_duration: DurationHistogram,
    pub(crate) slot_wait: DurationHistogram,
    pub(crate) close_tail: DurationHistogram,
    pub(crate) finish: DurationHistogram,
    pub(crate) calls_in_flight: Gauge,
    pub(crate) windows_open: Gauge,
    pub(crate) events: Counter,
    pub(crate) reading_stopped: Counter,
    pub(crate) results_failed: Counter,
    pub(crate) reconnects: Counter,
    max_workers: Gauge,
    settings: [(&'static str, &'static str); 3],
}

type OutcomeLabel = [(&'static str, &'static str); 1];

/// Adds one to a gauge until it is dropped.
#[derive(Debug)]
pub(crate) struct GaugeGuard(Gauge);

impl Metrics {
    /// Creates the metrics of a process with these settings, all at zero.
    pub fn new(settings: &wire::Settings) -> Self {
        let calls = Family::<OutcomeLabel, Counter>::default();
        let by_outcome =
            array::from_fn(|index| calls.get_or_create_owned(&[("outcome", Outcome::ALL[index].name())]));
        let max_workers = Gauge::default();
        max_workers.set(i64::try_from(settings.max_workers).unwrap_or(i64::MAX));
        Self {
            calls,
            by_outcome,
            call_duration: DurationHistogram::default(),
            slot_wait: DurationHistogram::default(),
            close_tail: DurationHistogram::default(),
            finish: DurationHistogram::default(),
            calls_in_flight: Gauge::default(),
            windows_open: Gauge::default(),
            events: Counter::default(),
            reading_stopped: Counter::default(),
            results_failed: Counter::default(),
            reconnects: Counter::default(),
            max_workers,
            settings: [
                ("strategy", settings.strategy.name()),
                ("start_rule", settings.start_rule.name()),
                ("workload", settings.workload.name()),
            ],
        }
    }

    /// Counts an event that has ended.
    pub(crate) fn ended(&self, ended: &Ended) {
        match ended.named {
            None => drop(self.by_outcome[ended.outcome as usize].inc()),
            Some(name) => drop(self.calls.get_or_create(&[("outcome", name)]).inc()),
        }
    }

    /// Adds all metrics to a registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("calls", "Events by how their call ended", self.calls.clone());
        for (name, help, durations) in [
            (
                "call_duration",
                "Time of a call's last attempt, from its slot to its end",
                &self.call_duration,
            ),
            (
                "slot_wait",
                "Time from when a call might begin to its first slot",
                &self.slot_wait,
            ),
            (
                "close_tail",
                "Time from close of book to the result, of a key and window",
                &self.close_tail,
            ),
            (
                "finish",
                "Time in which the aggregate of a key and window made its messages",
                &self.finish,
            ),
        ] {
            registry.register_with_unit(name, help, Unit::Seconds, durations.clone());
        }
        for (name, help, gauge) in [
            ("calls_in_flight", "Attempts under way", &self.calls_in_flight),
            (
                "max_workers",
                "Calls that may be in flight at once; of sequential, per key and window",
                &self.max_workers,
            ),
            (
                "windows_open",
                "Windows with events and without all their results",
                &self.windows_open,
            ),
        ] {
            registry.register(name, help, gauge.clone());
        }
        for (name, help, counter) in [
            ("events", "Events received", &self.events),
            (
                "reading_stopped",
                "Times that reading stopped because max_waiting events or max_waiting_bytes waited",
                &self.reading_stopped,
            ),
            (
                "results_failed",
                "Keys and windows without a result, because their aggregate panicked or their result is too long",
                &self.results_failed,
            ),
            (
                "reconnects",
                "Requests sent once more because their reused connection ended before a byte of the answer",
                &self.reconnects,
            ),
        ] {
            registry.register(name, help, counter.clone());
        }
        registry.register("settings", "How calls are made", Info::new(self.settings));
    }
}

impl GaugeGuard {
    pub(crate) fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_is_its_index_in_all() {
        for (index, outcome) in Outcome::ALL.iter().enumerate() {
            assert_eq!(*outcome as usize, index);
        }
    }
}
