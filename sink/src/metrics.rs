//! Prometheus metrics: records and events that came out of the pipeline, and their result lag.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::{Registry, Unit};
use vertex::metrics::DurationHistogram;
use wire::{Outcome, SinkLine};

/// The metrics of one process. Clones share their counts.
#[derive(Debug, Clone)]
pub struct Metrics {
    records: Counter,
    duplicate_records: Counter,
    unreadable_records: Counter,
    dropped_lines: Counter,
    events: Family<[(&'static str, &'static str); 1], Counter>,
    result_lag: DurationHistogram,
}

impl Metrics {
    /// Nothing counted yet.
    pub fn new() -> Self {
        let events = Family::default();
        for outcome in Outcome::ALL {
            // Exported as 0 from the start, so that the first of its kind is a rise.
            drop(events.get_or_create(&[("outcome", outcome.name())]));
        }
        Self {
            records: Counter::default(),
            duplicate_records: Counter::default(),
            unreadable_records: Counter::default(),
            dropped_lines: Counter::default(),
            events,
            result_lag: DurationHistogram::default(),
        }
    }

    /// Counts a record whose line is written; `window_end_ms` is since the epoch. The events and the lag of a repetition
    /// are not counted again.
    pub fn written(&self, line: &SinkLine, window_end_ms: i64) {
        self.records.inc();
        if line.record.is_none() {
            self.unreadable_records.inc();
        }
        if line.duplicate {
            self.duplicate_records.inc();
            return;
        }
        for (outcome, count) in line.record.iter().flat_map(|record| &record.outcomes) {
            self.events
                .get_or_create(&[("outcome", outcome.name())])
                .inc_by(*count);
        }
        let end_us = u64::try_from(window_end_ms).unwrap_or(0).saturating_mul(1_000);
        self.result_lag
            .observe(Duration::from_micros(line.arrival_us.saturating_sub(end_us)));
    }

    /// Counts lines that are no longer in memory.
    pub fn dropped(&self, lines: u64) {
        self.dropped_lines.inc_by(lines);
    }

    /// Registers all metrics.
    pub fn register(&self, registry: &mut Registry) {
        for (name, help, counter) in [
            ("records", "Lines written, repetitions included", &self.records),
            (
                "duplicate_records",
                "Lines for a window and key that had one",
                &self.duplicate_records,
            ),
            (
                "unreadable_records",
                "Lines whose payload was no record, as with the UDF's result format text",
                &self.unreadable_records,
            ),
            (
                "dropped_lines",
                "Lines written that /records can no longer serve, because newer ones took their place in memory",
                &self.dropped_lines,
            ),
        ] {
            registry.register(name, help, counter.clone());
        }
        registry.register(
            "events",
            "Events of the records by how their call ended, without repetitions",
            self.events.clone(),
        );
        registry.register_with_unit(
            "result_lag",
            "Time from the end of a window to the arrival of its record, without repetitions",
            Unit::Seconds,
            self.result_lag.clone(),
        );
    }
}
