//! What every engine makes of a trial's records: which windows there are, what was measured of each, merged
//! histograms, the instruments' figures. No clock, no process and no network here.

use std::collections::BTreeMap;

use wire::{EndpointStats, GeneratorStats, Latencies, OutcomeCounts, SinkLine, WindowRecord, Workload};

use trials::outcome::{Cost, Instruments, TrialEnd, WindowMeasure, WindowResult};
use trials::trial::TrialSettings;
use vertex::cost::Usage;

/// What has arrived at the sink, by the start of the window in milliseconds since the epoch.
pub type ByWindow = BTreeMap<u64, Arrivals>;

/// What has arrived at the sink of one window.
#[derive(Debug, Clone, Default)]
pub struct Arrivals {
    /// Lines, records or not.
    pub lines: u64,
    /// Lines that the sink marked as duplicates.
    pub duplicates: u64,
    /// When the last one arrived, microseconds since the epoch.
    pub last_us: u64,
    /// Those that are records of ours.
    pub records: Vec<PackedRecord>,
}

/// A record as the sink wrote it. Open, its histograms take some 100 KB, and a long trial has thousands of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedRecord {
    /// Its key, the parts joined by `:`.
    pub key: Box<str>,
    text: Box<str>,
}

impl PackedRecord {
    /// The record.
    pub fn open(&self) -> Option<WindowRecord> {
        // Always there: the text was made of a record.
        serde_json::from_str(&self.text).ok()
    }
}

impl From<&WindowRecord> for PackedRecord {
    fn from(record: &WindowRecord) -> Self {
        // Names and numbers only, which can always be written.
        let text = serde_json::to_string(record).unwrap_or_default();
        Self {
            key: record.keys.join(":").into(),
            text: text.into(),
        }
    }
}

/// The close of a window as a data plane saw it. Stamps are microseconds since the epoch.
#[derive(Debug, Clone, Copy)]
pub struct Stream {
    /// Events it was given.
    pub events: u64,
    /// When its input ended.
    pub half_close_us: u64,
    /// When its last result had come.
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

/// Events that are due in so many windows, rounded up: with one less the last window might never close.
pub fn events_in(settings: &TrialSettings, windows: u64) -> u64 {
    let per_window_nanos = u128::from(settings.rpu.get()) * settings.window.as_nanos();
    let events = (per_window_nanos * u128::from(windows)).div_ceil(1_000_000_000);
    u64::try_from(events).unwrap_or(u64::MAX)
}

/// Puts a line of the sink where it belongs.
pub fn arrive(arrivals: &mut ByWindow, line: SinkLine, window_ms: u64) {
    // A result's event time is the last millisecond of its window.
    let end_ms = u64::try_from(line.event_time_ms.saturating_add(1)).unwrap_or(0);
    let arrivals = arrivals.entry(end_ms.saturating_sub(window_ms)).or_default();
    arrivals.lines += 1;
    arrivals.duplicates += u64::from(line.duplicate);
    arrivals.last_us = arrivals.last_us.max(line.arrival_us);
    arrivals
        .records
        .extend(line.record.as_ref().map(PackedRecord::from));
}

/// All records, open, by the start of the window that they arrived for: each is opened here and nowhere else.
pub fn open(arrivals: &ByWindow) -> BTreeMap<u64, Vec<WindowRecord>> {
    let opened = |arrivals: &Arrivals| arrivals.records.iter().filter_map(PackedRecord::open).collect();
    arrivals
        .iter()
        .map(|(start_ms, arrivals)| (*start_ms, opened(arrivals)))
        .collect()
}

/// Whether there are results without a record: they name no events, and nothing can be found by number.
pub fn records_missing(arrivals: &ByWindow) -> bool {
    arrivals
        .values()
        .any(|arrivals| arrivals.lines > arrivals.records.len() as u64)
}

/// Over all keys of a window, whose records these are. Without records of ours, execution time and close tail are those of the data plane:
/// start of the window (when its first event is due) → EOF, and half-close → EOF. Nothing where that is unknown too.
pub fn measure(
    arrivals: &Arrivals,
    records: &[WindowRecord],
    stream: Option<Stream>,
    start_ms: u64,
    window_ms: u64,
) -> Option<WindowMeasure> {
    let first_us = records.iter().map(|record| record.first_arrival_us).min();
    let close_us = records.iter().map(|record| record.close_us).min();
    let result_us = records.iter().map(|record| record.result_us).max();
    let (start_us, end_us) = (start_ms * 1_000, (start_ms + window_ms) * 1_000);
    let sum = |of: fn(&WindowRecord) -> u64| records.iter().map(of).fold(0, u64::saturating_add);
    let stream_tail_us = stream.map(|stream| stream.eof_us.saturating_sub(stream.half_close_us));
    let eof_us = stream.map_or(arrivals.last_us, |stream| stream.eof_us);
    let (events, close_tail_us) = match (close_us, result_us, stream) {
        (Some(close_us), Some(result_us), _) => {
            (sum(|record| record.events), result_us.saturating_sub(close_us))
        }
        (_, _, stream) => (stream?.events, stream_tail_us?),
    };
    Some(WindowMeasure {
        keys: arrivals.lines - arrivals.duplicates.min(arrivals.lines),
        events,
        ok: sum(WindowRecord::ok),
        failed: sum(WindowRecord::failed),
        execution_time_us: result_us
            .unwrap_or(eof_us)
            .saturating_sub(first_us.unwrap_or(start_us)),
        close_tail_us,
        stream_tail_us,
        result_lag_us: arrivals.last_us.saturating_sub(end_us),
        peak_in_flight: records
            .iter()
            .map(|record| record.peak_in_flight)
            .max()
            .unwrap_or(0),
        reading_stopped: sum(|record| record.reading_stopped),
    })
}

/// Outcomes of the records of the windows that were asked for; histograms of those that are measured.
pub fn merge(
    records: &[WindowRecord],
    settings: &TrialSettings,
    t0_ms: u64,
) -> (OutcomeCounts, Latencies, Latencies) {
    let window_ms = window_ms(settings);
    let first_measured_ms = t0_ms + u64::from(settings.warmup) * window_ms;
    let end_ms = first_measured_ms + u64::from(settings.windows) * window_ms;
    let (mut outcomes, mut latency, mut slot_wait) =
        (OutcomeCounts::new(), Latencies::new(), Latencies::new());
    for record in records.iter().filter(|record| record.window_start_ms < end_ms) {
        for (outcome, count) in &record.outcomes {
            let sum: &mut u64 = outcomes.entry(*outcome).or_default();
            *sum = sum.saturating_add(*count);
        }
        if record.window_start_ms >= first_measured_ms {
            latency.merge(&record.latency);
            slot_wait.merge(&record.slot_wait);
        }
    }
    (outcomes, latency, slot_wait)
}

/// Calls that were made: by our endpoint's count, or where it has none by the attempts on record.
pub fn calls(endpoint: Option<&EndpointStats>, records: &[WindowRecord], settings: &TrialSettings) -> u64 {
    match endpoint {
        Some(endpoint) if settings.workload == Workload::Http => endpoint.served,
        _ => records
            .iter()
            .fold(0, |sum, record| sum.saturating_add(record.attempts)),
    }
}

/// How a trial ended whose windows are these: completed, or cut off where one is censored.
pub fn end(windows: &[WindowResult]) -> TrialEnd {
    match windows.iter().any(|window| window.measured.is_none()) {
        true => TrialEnd::CutOff,
        false => TrialEnd::Completed,
    }
}

/// What so many calls cost.
pub fn cost(usage: Usage, calls: u64) -> Cost {
    Cost {
        cpu_us: usage.cpu_us,
        calls,
        peak_memory_bytes: usage.peak_memory_bytes,
        peak_threads: usage.peak_threads,
    }
}

/// What generator, endpoint and sink tell of themselves, beside the engine's own counts.
pub fn instruments(
    generator: GeneratorStats,
    endpoint: Option<EndpointStats>,
    arrivals: &ByWindow,
    mut engine: BTreeMap<String, u64>,
) -> Instruments {
    let duplicates = arrivals.values().map(|arrivals| arrivals.duplicates).sum();
    engine.insert("sink_duplicates".to_owned(), duplicates);
    engine.insert("nacked".to_owned(), generator.nacked);
    Instruments {
        generator_lateness: generator.lateness.into(),
        overdue: generator.overdue,
        endpoint_served: endpoint.as_ref().map(|endpoint| endpoint.served),
        endpoint_peak_in_flight: endpoint.as_ref().map(|endpoint| endpoint.peak_in_flight),
        endpoint_repeats: endpoint.as_ref().map(|endpoint| endpoint.repeats.values().sum()),
        endpoint_excess: endpoint.map(|endpoint| endpoint.delay.excess.into()),
        engine,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use std::time::Duration;

    use wire::Ranges;

    use super::*;

    const MINUTES: i64 = 10 * 60 * 1_000_000;

    /// What arrived of the window from 10,000 s to 10,010 s, by the clocks of a UDF and a sink that are off by so many
    /// microseconds: first event at once, close of book at its end, result 300 ms later, at the sink 2 ms later.
    fn arrivals(udf_off_us: i64, sink_off_us: i64) -> Arrivals {
        let udf = |at_us: u64| at_us.checked_add_signed(udf_off_us).unwrap();
        let record = |key: &str, result_us: u64| -> PackedRecord {
            let record = serde_json::json!({
                "process": 1, "window_start_ms": 10_000_000, "window_end_ms": 10_010_000, "keys": [key],
                "settings": {
                    "strategy": "async", "start_rule": "at-arrival", "workload": "http", "max_workers": 1,
                    "io_delay": "0", "timeout": "1s", "retries": 0, "cpu_offload": false,
                },
                "events": 1, "outcomes": {"ok": 1}, "seen": {},
                "first_arrival_us": udf(10_000_000_000), "last_arrival_us": udf(10_009_000_000),
                "close_us": udf(10_010_000_000), "result_us": udf(result_us),
            });
            PackedRecord::from(&serde_json::from_value::<WindowRecord>(record).unwrap())
        };
        Arrivals {
            lines: 2,
            duplicates: 0,
            last_us: 10_010_302_000u64.checked_add_signed(sink_off_us).unwrap(),
            records: vec![record("a", 10_010_100_000), record("b", 10_010_300_000)],
        }
    }

    fn opened(arrivals: &Arrivals) -> Vec<WindowRecord> {
        let opened: Vec<WindowRecord> = arrivals.records.iter().filter_map(PackedRecord::open).collect();
        assert_eq!(opened.len(), arrivals.records.len(), "each can be opened");
        opened
    }

    #[test]
    fn a_packed_record_opens_as_it_was() {
        let mut record = opened(&arrivals(0, 0)).remove(0);
        for micros in [0, 1, 999, 131_072, 86_400_000_000] {
            record.latency.record(Duration::from_micros(micros));
            record.slot_wait.record(Duration::from_micros(micros / 3));
        }
        record.seen.insert(u64::MAX, Ranges::span(0, u64::MAX - 1));
        (record.process, record.attempts) = (u64::MAX, u64::MAX);
        record.keys = vec!["a".to_owned(), "\"b\n".to_owned()];
        let packed = PackedRecord::from(&record);
        assert_eq!(&*packed.key, "a:\"b\n");
        assert_eq!(packed.open(), Some(record));
    }

    #[test]
    fn clocks_that_differ_change_the_result_lag_alone() {
        let of = |udf_off_us, sink_off_us| {
            let arrivals = arrivals(udf_off_us, sink_off_us);
            measure(&arrivals, &opened(&arrivals), None, 10_000_000, 10_000).unwrap()
        };
        let same = of(0, 0);
        assert_eq!(
            (same.close_tail_us, same.execution_time_us, same.result_lag_us),
            (300_000, 10_300_000, 302_000)
        );
        for (udf_off_us, sink_off_us, result_lag_us) in [
            (MINUTES, 0, 302_000),
            (-MINUTES, 0, 302_000),
            (0, MINUTES, 600_302_000),
            (0, -MINUTES, 0),
            (MINUTES, -MINUTES, 0),
            (-MINUTES, MINUTES, 600_302_000),
        ] {
            let expected = WindowMeasure {
                result_lag_us,
                ..same.clone()
            };
            assert_eq!(
                of(udf_off_us, sink_off_us),
                expected,
                "{udf_off_us} {sink_off_us}"
            );
        }
    }

    #[test]
    fn what_records_claim_is_counted_without_overflow() {
        let arrivals = arrivals(0, 0);
        let mut records = opened(&arrivals);
        for record in &mut records {
            (record.events, record.reading_stopped) = (u64::MAX, u64::MAX);
            record.outcomes.values_mut().for_each(|count| *count = u64::MAX);
        }
        let measured = measure(&arrivals, &records, None, 10_000_000, 10_000).unwrap();
        assert_eq!(
            (measured.events, measured.ok, measured.reading_stopped),
            (u64::MAX, u64::MAX, u64::MAX)
        );
    }
}
