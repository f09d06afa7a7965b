//! Turns the evidence of a trial in the cluster into an observation. Pure.

use std::collections::{BTreeMap, BTreeSet};

use wire::{EndpointStats, GeneratorStats, WindowRecord};

use engine::Observation;
use engine::windows::{
    ByWindow, calls, cost, end, instruments, measure, merge, open, window_ms, window_starts,
};
use trials::ledger::{self, Drops};
use trials::outcome::WindowResult;
use trials::trial::TrialSettings;
use vertex::cost::Usage;

/// Everything that was read during a trial.
pub(super) struct Evidence {
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
}

/// Makes the observation.
pub(super) fn observe(settings: &TrialSettings, evidence: Evidence) -> Observation {
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
    let records: Vec<WindowRecord> = opened.into_values().flatten().collect();
    let merged = merge(&records, settings, t0_ms);
    let closed = closed(&arrivals, &complete, &generator);
    let mut ledger = ledger::balance(&generator, Drops::Counted(dropped), &records, &closed);
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

/// The windows that can give no more records: complete ones, and those before a window that has a record, because Numaflow
/// closes windows in order.
fn closed(arrivals: &ByWindow, complete: &BTreeSet<u64>, generator: &GeneratorStats) -> BTreeSet<u64> {
    let last = arrivals.keys().next_back().copied().unwrap_or(0);
    let sent = generator.windows.iter().map(|window| window.window_start_ms);
    sent.filter(|start_ms| *start_ms < last || complete.contains(start_ms))
        .collect()
}

#[cfg(test)]
mod tests;
