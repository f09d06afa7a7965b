//! From what was seen of a trial to what is kept of it: windows measured or censored, merged histograms, ledger.
//! No clock and no process here.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use wire::{Clock, EndpointStats, GeneratorStats, Latencies, OutcomeCounts, WindowRecord, Workload};

use super::watch::{Arrivals, Closing, Seen};
use crate::cost::Usage;
use crate::engine::Observation;
use crate::ledger;
use crate::outcome::{Cost, Instruments, TrialEnd, WindowMeasure, WindowResult};
use crate::trial::TrialSettings;

/// What a trial left behind when its data plane had stopped.
pub(super) struct Evidence {
    /// The clock that the data plane's stamps are read by.
    pub clock: Clock,
    /// When event 0 was due, milliseconds since the epoch: the start of the first window.
    pub t0_ms: u64,
    /// What was seen.
    pub seen: Seen,
    /// The generator's account, read after the last read.
    pub generator: GeneratorStats,
    /// Our endpoint's account; absent where the calls went to the user's own.
    pub endpoint: Option<EndpointStats>,
    /// What the UDF used.
    pub usage: Option<Usage>,
    /// The data plane's own counts, by name.
    pub counts: BTreeMap<String, u64>,
    /// When the data plane was told to stop.
    pub stopped: Instant,
}

/// How long after its window's stream has ended a result may be on its way to the sink, beside the sink's reads;
/// what has not arrived by then is lost, not open.
const ON_ITS_WAY: Duration = Duration::from_secs(1);

/// The starts of a trial's windows, milliseconds since the epoch: warm-up windows, then measured ones.
pub(super) fn window_starts(settings: &TrialSettings, t0_ms: u64) -> Vec<u64> {
    let window_ms = window_ms(settings);
    (0..u64::from(settings.warmup) + u64::from(settings.windows))
        .map(|i| t0_ms + i * window_ms)
        .collect()
}

/// The length of a trial's windows in milliseconds.
pub(super) fn window_ms(settings: &TrialSettings) -> u64 {
    u64::try_from(settings.window.as_millis())
        .unwrap_or(u64::MAX)
        .max(1)
}

/// Draws everything up.
pub(super) fn assemble(settings: &TrialSettings, evidence: Evidence) -> Observation {
    let Evidence {
        clock,
        t0_ms,
        seen,
        generator,
        endpoint,
        usage,
        counts,
        stopped,
    } = evidence;
    let window_ms = window_ms(settings);
    let windows: Vec<WindowResult> = window_starts(settings, t0_ms)
        .into_iter()
        .zip(0u32..)
        .map(|(window_start_ms, index)| {
            let complete = seen.complete(window_start_ms);
            let parts = seen
                .closings
                .get(&window_start_ms)
                .zip(seen.arrivals.get(&window_start_ms));
            let measured = parts
                .filter(|_| complete)
                .map(|(closing, arrivals)| measure(closing, arrivals, &clock, window_start_ms, window_ms));
            WindowResult {
                index,
                warmup: index < settings.warmup,
                window_start_ms,
                measured,
            }
        })
        .collect();

    let on_its_way = ON_ITS_WAY + settings.read_timeout * 2;
    let given_up = |closing: &Closing| stopped.saturating_duration_since(closing.eof) > on_its_way;
    let ended = seen
        .closings
        .iter()
        .filter(|(start, closing)| seen.complete(**start) || given_up(closing));
    let closed: BTreeSet<u64> = ended.map(|(start, _)| *start).collect();
    let records: Vec<WindowRecord> = seen
        .arrivals
        .values()
        .flat_map(|arrivals| arrivals.records.iter().cloned())
        .collect();
    let first_measured_ms = t0_ms + u64::from(settings.warmup) * window_ms;
    let end_ms = t0_ms + (u64::from(settings.warmup) + u64::from(settings.windows)) * window_ms;
    let of_trial = records.iter().filter(|record| record.window_start_ms < end_ms);
    let (outcomes, latency, slot_wait) = merge(of_trial, first_measured_ms);

    // Results without records name no events: nothing can be found by number.
    let records_missing = seen
        .arrivals
        .values()
        .any(|arrivals| arrivals.lines > arrivals.records.len() as u64);
    let ledger = (!records_missing).then(|| ledger::balance(&generator, &seen.late, &records, &closed));

    let censored = windows.iter().any(|window| window.measured.is_none());
    let attempts = records.iter().map(|record| record.attempts).sum();
    let calls = match &endpoint {
        Some(endpoint) if settings.workload == Workload::Http => endpoint.served,
        _ => attempts,
    };
    Observation {
        end: if censored {
            TrialEnd::CutOff
        } else {
            TrialEnd::Completed
        },
        windows,
        ledger,
        outcomes,
        latency,
        slot_wait,
        cost: usage.map(|usage| Cost {
            cpu_us: usage.cpu_us,
            calls,
            peak_memory_bytes: usage.peak_memory_bytes,
            peak_threads: usage.peak_threads,
        }),
        instruments: Some(instruments(generator, endpoint, &seen, counts)),
    }
}

/// Over all keys of a window. Without records of ours, execution time and close tail are those of the data plane:
/// start of the window (when its first event is due) → EOF, and half-close → EOF.
fn measure(
    closing: &Closing,
    arrivals: &Arrivals,
    clock: &Clock,
    start_ms: u64,
    window_ms: u64,
) -> WindowMeasure {
    let records = &arrivals.records;
    let first_us = records.iter().map(|record| record.first_arrival_us).min();
    let close_us = records.iter().map(|record| record.close_us).min();
    let result_us = records.iter().map(|record| record.result_us).max();
    let (half_close_us, eof_us) = (clock.stamp_us(closing.half_close), clock.stamp_us(closing.eof));
    let (start_us, end_us) = (start_ms * 1_000, (start_ms + window_ms) * 1_000);
    let sum = |of: fn(&WindowRecord) -> u64| records.iter().map(of).sum::<u64>();
    let stream_tail_us = eof_us.saturating_sub(half_close_us);
    WindowMeasure {
        keys: arrivals.lines - arrivals.duplicates.min(arrivals.lines),
        events: if records.is_empty() {
            closing.events
        } else {
            sum(|record| record.events)
        },
        ok: sum(WindowRecord::ok),
        failed: sum(WindowRecord::failed),
        execution_time_us: result_us
            .unwrap_or(eof_us)
            .saturating_sub(first_us.unwrap_or(start_us)),
        close_tail_us: match (close_us, result_us) {
            (Some(close_us), Some(result_us)) => result_us.saturating_sub(close_us),
            _ => stream_tail_us,
        },
        stream_tail_us: Some(stream_tail_us),
        result_lag_us: arrivals.last_us.saturating_sub(end_us),
        peak_in_flight: records
            .iter()
            .map(|record| record.peak_in_flight)
            .max()
            .unwrap_or(0),
        reading_stopped: sum(|record| record.reading_stopped),
    }
}

/// Outcomes of all records; histograms of those from `first_measured_ms` on.
fn merge<'a>(
    records: impl Iterator<Item = &'a WindowRecord>,
    first_measured_ms: u64,
) -> (OutcomeCounts, Latencies, Latencies) {
    let (mut outcomes, mut latency, mut slot_wait) =
        (OutcomeCounts::new(), Latencies::new(), Latencies::new());
    for record in records {
        for (outcome, count) in &record.outcomes {
            *outcomes.entry(*outcome).or_default() += count;
        }
        if record.window_start_ms >= first_measured_ms {
            latency.merge(&record.latency);
            slot_wait.merge(&record.slot_wait);
        }
    }
    (outcomes, latency, slot_wait)
}

fn instruments(
    generator: GeneratorStats,
    endpoint: Option<EndpointStats>,
    seen: &Seen,
    counts: BTreeMap<String, u64>,
) -> Instruments {
    let mut engine = counts;
    let duplicates = seen.arrivals.values().map(|arrivals| arrivals.duplicates).sum();
    engine.insert("sink_duplicates".to_owned(), duplicates);
    engine.insert("late_undecoded".to_owned(), seen.late_undecoded);
    engine.insert("nacked".to_owned(), generator.nacked);
    Instruments {
        generator_lateness: generator.lateness,
        overdue: generator.overdue,
        endpoint_served: endpoint.as_ref().map(|endpoint| endpoint.served),
        endpoint_peak_in_flight: endpoint.as_ref().map(|endpoint| endpoint.peak_in_flight),
        endpoint_repeats: endpoint.as_ref().map(|endpoint| endpoint.repeats.values().sum()),
        endpoint_excess: endpoint.map(|endpoint| endpoint.delay.excess),
        engine,
    }
}

#[cfg(test)]
mod tests;
