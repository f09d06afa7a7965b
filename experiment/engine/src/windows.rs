//! Computes a trial's measurements from its records, for every engine: windows, merged histograms, instruments. Uses no
//! clock, process or network.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use trials::outcome::{
    CallAccount, Cost, Instruments, ProcessMeasure, TrialEnd, WindowMeasure, WindowResult,
};
use trials::trial::TrialSettings;
use vertex::cost::Usage;
use wire::{
    EndpointStats, GeneratorStats, Latencies, Outcome, OutcomeCounts, SinkLine, WindowRecord, Workload,
};

/// Arrivals at the sink, by the window's start in milliseconds since the epoch.
pub type ByWindow = BTreeMap<u64, Arrivals>;

/// Arrivals of one window at the sink.
#[derive(Debug, Clone, Default)]
pub struct Arrivals {
    /// Lines, with or without a record.
    pub lines: u64,
    /// Lines that the sink marked as duplicates.
    pub duplicates: u64,
    /// Lines without a record: results of the UDF's own.
    pub others: u64,
    /// Duplicates among those.
    pub other_duplicates: u64,
    /// Arrival of the last line, microseconds since the epoch.
    pub last_us: u64,
    /// Records among the lines.
    pub records: Vec<PackedRecord>,
}

impl Arrivals {
    /// The lines that stand for a key each, and the duplicates among them: the records, or the results of a UDF that makes
    /// no records. Beside its record a key may send any number of results.
    fn results(&self) -> (u64, u64) {
        match self.records.is_empty() {
            true => (self.lines, self.duplicates),
            false => (
                self.lines.saturating_sub(self.others),
                self.duplicates.saturating_sub(self.other_duplicates),
            ),
        }
    }

    fn keys(&self) -> u64 {
        let (lines, duplicates) = self.results();
        lines.saturating_sub(duplicates)
    }
}

/// A record as text. Its decoded histograms take some 100 KB, and a long trial has thousands of records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedRecord {
    /// Its key, the parts joined by `:`.
    pub key: Box<str>,
    text: Box<str>,
}

impl PackedRecord {
    /// Decodes the record.
    pub fn open(&self) -> Option<WindowRecord> {
        // Always `Some`: the text was encoded from a record.
        serde_json::from_str(&self.text).ok()
    }
}

impl From<&WindowRecord> for PackedRecord {
    fn from(record: &WindowRecord) -> Self {
        // Cannot fail: a record has names and numbers only.
        let text = serde_json::to_string(record).unwrap_or_default();
        Self {
            key: record.keys.join(":").into(),
            text: text.into(),
        }
    }
}

/// The close of a window as the data plane measured it. Timestamps are microseconds since the epoch.
#[derive(Debug, Clone, Copy)]
pub struct Stream {
    /// Events sent to the UDF.
    pub events: u64,
    /// End of the input.
    pub half_close_us: u64,
    /// End of the results.
    pub eof_us: u64,
}

/// The starts of a trial's windows, milliseconds since the epoch: warm-up windows, then measured ones.
pub fn window_starts(settings: &TrialSettings, t0_ms: u64) -> Vec<u64> {
    let window_ms = window_ms(settings);
    (0..u64::from(settings.warmup) + u64::from(settings.windows))
        .map(|i| t0_ms + i * window_ms)
        .collect()
}

/// The length of a trial's windows in milliseconds.
pub fn window_ms(settings: &TrialSettings) -> u64 {
    u64::try_from(settings.window.as_millis())
        .unwrap_or(u64::MAX)
        .max(1)
}

/// Number of events due in `windows` windows. Rounded up: with one less the last window might never close.
pub fn events_in(settings: &TrialSettings, windows: u64) -> u64 {
    let per_window_nanos = u128::from(settings.rpu.get()) * settings.window.as_nanos();
    let events = (per_window_nanos * u128::from(windows)).div_ceil(1_000_000_000);
    u64::try_from(events).unwrap_or(u64::MAX)
}

/// Adds a line of the sink to its window.
pub fn add_line(arrivals: &mut ByWindow, line: SinkLine, window_ms: u64) {
    // A result's event time is the last millisecond of its window.
    let end_ms = u64::try_from(line.event_time_ms.saturating_add(1)).unwrap_or(0);
    let arrivals = arrivals.entry(end_ms.saturating_sub(window_ms)).or_default();
    arrivals.lines += 1;
    arrivals.duplicates += u64::from(line.duplicate);
    if line.record.is_none() {
        arrivals.others += 1;
        arrivals.other_duplicates += u64::from(line.duplicate);
    }
    arrivals.last_us = arrivals.last_us.max(line.arrival_us);
    arrivals
        .records
        .extend(line.record.as_ref().map(PackedRecord::from));
}

/// Decodes all records, by the start of their window. Called once, as decoding is expensive.
pub fn open(arrivals: &ByWindow) -> BTreeMap<u64, Vec<WindowRecord>> {
    let opened = |arrivals: &Arrivals| arrivals.records.iter().filter_map(PackedRecord::open).collect();
    arrivals
        .iter()
        .map(|(start_ms, arrivals)| (*start_ms, opened(arrivals)))
        .collect()
}

/// Whether there are results and no record at all, as of a UDF that makes none. Results name no events, so no ledger can be
/// computed.
pub fn records_missing(arrivals: &ByWindow) -> bool {
    let none = arrivals.values().all(|arrivals| arrivals.records.is_empty());
    none && arrivals.values().any(|arrivals| arrivals.lines > 0)
}

/// The records of one process, whose stamps are of one clock.
#[derive(Debug, Default)]
struct OfProcess<'a> {
    keys: BTreeSet<&'a [String]>,
    events: u64,
    /// Earliest arrival, earliest close and latest result; `None` before the first record.
    stamps_us: Option<(u64, u64, u64)>,
}

impl<'a> OfProcess<'a> {
    fn add(&mut self, record: &'a WindowRecord) {
        let (first, close, result) = (record.first_arrival_us, record.close_us, record.result_us);
        self.keys.insert(&record.keys);
        self.events = self.events.saturating_add(record.events);
        self.stamps_us = Some(match self.stamps_us {
            None => (first, close, result),
            Some(old) => (old.0.min(first), old.1.min(close), old.2.max(result)),
        });
    }

    fn execution_time_us(&self) -> u64 {
        self.stamps_us
            .map_or(0, |(first, _, result)| result.saturating_sub(first))
    }

    fn close_tail_us(&self) -> u64 {
        self.stamps_us
            .map_or(0, |(_, close, result)| result.saturating_sub(close))
    }
}

/// The records of each process. Stamps of two processes cannot be compared: the partitions of a reduce are pods, perhaps
/// on two nodes.
fn by_process(records: &[WindowRecord]) -> BTreeMap<u64, OfProcess<'_>> {
    let mut processes: BTreeMap<u64, OfProcess<'_>> = BTreeMap::new();
    for record in records {
        processes.entry(record.process).or_default().add(record);
    }
    processes
}

/// Measures a window over all its keys. Without records the data plane's view is used: execution time is start of the
/// window (when its first event is due) → EOF, close tail is half-close → EOF. `None` if that is unknown too.
pub fn measure(
    arrivals: &Arrivals,
    records: &[WindowRecord],
    stream: Option<Stream>,
    start_ms: u64,
    window_ms: u64,
) -> Option<WindowMeasure> {
    let processes = by_process(records);
    let execution_time_us = processes.values().map(OfProcess::execution_time_us).max();
    let close_tail_us = processes.values().map(OfProcess::close_tail_us).max();
    let (start_us, end_us) = (start_ms * 1_000, (start_ms + window_ms) * 1_000);
    let sum = |of: fn(&WindowRecord) -> u64| records.iter().map(of).fold(0, u64::saturating_add);
    let stream_tail_us = stream.map(|stream| stream.eof_us.saturating_sub(stream.half_close_us));
    let eof_us = stream.map_or(arrivals.last_us, |stream| stream.eof_us);
    let (events, close_tail_us) = match (close_tail_us, stream) {
        (Some(close_tail_us), _) => (sum(|record| record.events), close_tail_us),
        (None, stream) => (stream?.events, stream_tail_us?),
    };
    Some(WindowMeasure {
        keys: arrivals.keys(),
        events,
        ok: sum(WindowRecord::ok),
        failed: sum(WindowRecord::failed),
        execution_time_us: execution_time_us.unwrap_or(eof_us.saturating_sub(start_us)),
        close_tail_us,
        stream_tail_us,
        result_lag_us: arrivals.last_us.saturating_sub(end_us),
        peak_in_flight: records
            .iter()
            .map(|record| record.peak_in_flight)
            .max()
            .unwrap_or(0),
        reading_stopped: sum(|record| record.reading_stopped),
        processes: match processes.len() {
            0 | 1 => Vec::new(),
            _ => processes.iter().map(share).collect(),
        },
    })
}

fn share((process, of): (&u64, &OfProcess<'_>)) -> ProcessMeasure {
    ProcessMeasure {
        process: *process,
        keys: of.keys.len() as u64,
        events: of.events,
        close_tail_us: of.close_tail_us(),
    }
}

/// What records say of the calls, over several windows.
#[derive(Debug, Default)]
pub struct Merged {
    /// Of all windows of the trial.
    pub outcomes: OutcomeCounts,
    /// Of the measured windows, like the following.
    pub latency: Latencies,
    /// `None` if a record does not tell them apart.
    pub failed_latency: Option<Latencies>,
    pub slot_wait: Latencies,
    /// Of all windows, later ones included; `None` without a record.
    pub account: Option<CallAccount>,
}

/// Merges the records of a trial.
pub fn merge(records: &[WindowRecord], settings: &TrialSettings, t0_ms: u64) -> Merged {
    let window_ms = window_ms(settings);
    let first_measured_ms = t0_ms + u64::from(settings.warmup) * window_ms;
    let end_ms = first_measured_ms + u64::from(settings.windows) * window_ms;
    let mut merged = Merged {
        failed_latency: (!records.is_empty()).then(Latencies::new),
        account: records.iter().map(account).reduce(add),
        ..Merged::default()
    };
    for record in records.iter().filter(|record| record.window_start_ms < end_ms) {
        for (outcome, count) in &record.outcomes {
            let sum: &mut u64 = merged.outcomes.entry(*outcome).or_default();
            *sum = sum.saturating_add(*count);
        }
        if record.window_start_ms >= first_measured_ms {
            merged.latency.merge(&record.latency);
            merged.slot_wait.merge(&record.slot_wait);
            merged.failed_latency =
                merged
                    .failed_latency
                    .zip(record.failed_latency.as_ref())
                    .map(|(mut merged, failed)| {
                        merged.merge(failed);
                        merged
                    });
        }
    }
    merged
}

/// What a record says of its calls. An event that could not be read counts as a bad body and was not called.
fn account(record: &WindowRecord) -> CallAccount {
    let of = |outcome| record.outcomes.get(&outcome).copied().unwrap_or(0);
    let bad_bodies = of(Outcome::BadBody).saturating_sub(record.undecoded);
    CallAccount {
        attempts: record.attempts,
        reconnects: record.reconnects,
        answered: of(Outcome::Ok)
            .saturating_add(of(Outcome::BadStatus))
            .saturating_add(bad_bodies),
    }
}

fn add(sum: CallAccount, one: CallAccount) -> CallAccount {
    CallAccount {
        attempts: sum.attempts.saturating_add(one.attempts),
        reconnects: sum.reconnects.saturating_add(one.reconnects),
        answered: sum.answered.saturating_add(one.answered),
    }
}

/// Number of calls: the endpoint's count, or without one the attempts in the records.
pub fn calls(endpoint: Option<&EndpointStats>, records: &[WindowRecord], settings: &TrialSettings) -> u64 {
    match endpoint {
        Some(endpoint) if settings.workload == Workload::Http => endpoint.served,
        _ => records
            .iter()
            .fold(0, |sum, record| sum.saturating_add(record.attempts)),
    }
}

/// Completed, or cut off if a window is censored.
pub fn end(windows: &[WindowResult]) -> TrialEnd {
    match windows.iter().any(|window| window.measured.is_none()) {
        true => TrialEnd::CutOff,
        false => TrialEnd::Completed,
    }
}

pub fn cost(usage: Usage, calls: u64) -> Cost {
    Cost {
        cpu_us: usage.cpu_us,
        calls,
        peak_memory_bytes: usage.peak_memory_bytes,
        peak_threads: usage.peak_threads,
    }
}

/// Combines the statistics of generator, endpoint and sink with the engine's own counts.
pub fn instruments(
    generator: GeneratorStats,
    endpoint: Option<EndpointStats>,
    arrivals: &ByWindow,
    mut engine: BTreeMap<String, u64>,
) -> Instruments {
    let duplicates = arrivals.values().map(|arrivals| arrivals.results().1).sum();
    engine.insert("sink_duplicates".to_owned(), duplicates);
    engine.insert("nacked".to_owned(), generator.nacked);
    Instruments {
        generator_lateness: generator.lateness.into(),
        overdue: generator.overdue,
        endpoint_served: endpoint.as_ref().map(|endpoint| endpoint.served),
        endpoint_peak_in_flight: endpoint.as_ref().map(|endpoint| endpoint.peak_in_flight),
        endpoint_repeats: endpoint.as_ref().map(|endpoint| endpoint.repeats.values().sum()),
        endpoint_failed: endpoint.as_ref().map(EndpointStats::failed),
        endpoint_unanswered: endpoint
            .as_ref()
            .map(|endpoint| endpoint.abandoned.saturating_add(endpoint.refused)),
        endpoint_given: endpoint
            .as_ref()
            .map(|endpoint| endpoint.delay.given.clone().into()),
        endpoint_excess: endpoint.map(|endpoint| endpoint.delay.excess.into()),
        engine,
    }
}
