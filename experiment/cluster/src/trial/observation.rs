//! Turns the evidence of a trial in the cluster into an observation. Pure.

use std::collections::{BTreeMap, BTreeSet};

use wire::{EndpointStats, GeneratorStats, WindowRecord};

use engine::Observation;
use engine::windows::{
    ByWindow, calls, cost, end, instruments, measure, merge, open, window_ms, window_starts,
};
use trials::ledger::{Closed, Drops, Timetable, balance, balance_by_time};
use trials::outcome::WindowResult;
use trials::trial::TrialSettings;
use vertex::cost::Usage;

/// Everything that was read during a trial.
pub(super) struct Evidence<'a> {
    /// When event 0 was due, milliseconds since the epoch: the start of the first window.
    pub t0_ms: u64,
    /// Records that have arrived at the sink.
    pub arrivals: ByWindow,
    /// The starts of the windows that have a record of every key.
    pub complete: BTreeSet<u64>,
    pub generator: GeneratorStats,
    /// Absent if the calls went elsewhere.
    pub endpoint: Option<EndpointStats>,
    /// Events that Numaflow dropped.
    pub dropped: u64,
    /// Numaflow's own metrics, by name.
    pub metrics: BTreeMap<String, u64>,
    /// What the UDF used; absent if it has no metrics.
    pub usage: Option<Usage>,
    /// Events that make counters incomplete, in words.
    pub voided: Vec<String>,
    /// With the user's own payloads: what decides which event has which time.
    pub timetable: Option<Timetable<'a>>,
}

/// Makes the observation.
pub(super) fn observe(settings: &TrialSettings, evidence: Evidence<'_>) -> Observation {
    let Evidence {
        t0_ms,
        arrivals,
        complete,
        generator,
        endpoint,
        dropped,
        metrics,
        usage,
        voided,
        timetable,
    } = evidence;
    let window_ms = window_ms(settings);
    let opened = open(&arrivals);
    let windows: Vec<WindowResult> = window_starts(settings, t0_ms)
        .into_iter()
        .zip(0u32..)
        .map(|(window_start_ms, index)| WindowResult {
            index,
            warmup: index < settings.warmup,
            window_start_ms,
            measured: arrivals
                .get(&window_start_ms)
                .zip(opened.get(&window_start_ms))
                .filter(|_| complete.contains(&window_start_ms))
                .and_then(|(arrivals, records)| measure(arrivals, records, None, window_start_ms, window_ms)),
        })
        .collect();
    let mut records: Vec<WindowRecord> = opened.into_values().flatten().collect();
    let merged = merge(&records, settings, t0_ms);
    let closed = closed(&records, &complete, &generator);
    let (drops, closed) = (Drops::Counted(dropped), Closed::Cells(&closed));
    let mut ledger = match timetable {
        Some(timetable) => balance_by_time(&generator, drops, &mut records, closed, timetable),
        None => balance(&generator, drops, &records, closed),
    };
    ledger.errors.extend(voided);
    let calls = calls(endpoint.as_ref(), &records, settings);
    Observation {
        end: end(&windows),
        windows,
        ledger: Some(ledger),
        outcomes: merged.outcomes,
        latency: merged.latency,
        failed_latency: merged.failed_latency,
        slot_wait: merged.slot_wait,
        call_account: merged.account,
        cost: usage.map(|usage| cost(usage, calls)),
        instruments: Some(instruments(generator, endpoint, &arrivals, metrics)),
    }
}

/// The windows and keys that can give no more records: those of complete windows, and those before a later window with a
/// record of the same partition, because Numaflow closes the windows of a partition in order. A partition is known by its
/// processes, and they by the keys that they have in common; a key without any record may belong to any of them.
fn closed(
    records: &[WindowRecord],
    complete: &BTreeSet<u64>,
    generator: &GeneratorStats,
) -> BTreeSet<(u64, String)> {
    let mut last_of_process: BTreeMap<u64, u64> = BTreeMap::new();
    for record in records {
        let last = last_of_process.entry(record.process).or_default();
        *last = record.window_start_ms.max(*last);
    }
    let mut last_of_key: BTreeMap<String, u64> = BTreeMap::new();
    for record in records {
        let last = last_of_key.entry(record.keys.join(":")).or_default();
        *last = last_of_process
            .get(&record.process)
            .copied()
            .unwrap_or(0)
            .max(*last);
    }
    let slowest = last_of_key.values().copied().min().unwrap_or(0);
    let mut closed = BTreeSet::new();
    for window in &generator.windows {
        let start_ms = window.window_start_ms;
        for key in window.numbers.keys() {
            let last = last_of_key.get(key).copied().unwrap_or(slowest);
            if start_ms < last || complete.contains(&start_ms) {
                closed.insert((start_ms, key.clone()));
            }
        }
    }
    closed
}

#[cfg(test)]
mod tests;
