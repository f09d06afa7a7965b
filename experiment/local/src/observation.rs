//! Computes a trial's observation from what it left behind: windows measured or censored, merged histograms, ledger.
//! Uses no clock and no process.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use engine::Observation;
use engine::windows::{
    Stream, calls, cost, end, instruments, measure, merge, open, records_missing, window_ms, window_starts,
};
use trials::ledger::{Drops, Timetable, balance, balance_by_time};
use trials::outcome::WindowResult;
use trials::trial::TrialSettings;
use vertex::cost::Usage;
use wire::{Clock, EndpointStats, GeneratorStats, WindowRecord};

use crate::recorder::{Closing, Recorded};

/// How long after the end of its window's stream a result may take to the sink, in addition to the sink's reads. A
/// result that has not arrived by then is lost, not open.
const SINK_TIMEOUT: Duration = Duration::from_secs(1);

/// What a trial left behind when its data plane had stopped.
pub(crate) struct TrialData<'a> {
    /// Converts the data plane's instants to timestamps.
    pub clock: Clock,
    /// When event 0 was due, milliseconds since the epoch: the start of the first window.
    pub t0_ms: u64,
    pub recorded: Recorded,
    /// Read after the last event.
    pub generator: GeneratorStats,
    /// With the user's own payloads: what decides which event has which time.
    pub timetable: Option<Timetable<'a>>,
    /// `None` if calls went to the user's own endpoint.
    pub endpoint: Option<EndpointStats>,
    /// The UDF's usage.
    pub usage: Option<Usage>,
    /// The data plane's own counts, by name.
    pub counts: BTreeMap<String, u64>,
    /// When the data plane was asked to stop.
    pub stopped: Instant,
}

pub(crate) fn observation(settings: &TrialSettings, data: TrialData<'_>) -> Observation {
    let opened = open(&data.recorded.arrivals);
    let windows = windows(settings, &data, &opened);
    let closed = closed_windows(settings, &data);
    let TrialData {
        t0_ms,
        recorded,
        generator,
        timetable,
        endpoint,
        usage,
        mut counts,
        ..
    } = data;
    counts.insert("late_undecoded".to_owned(), recorded.late_undecoded);
    let mut records: Vec<WindowRecord> = opened.into_values().flatten().collect();
    let merged = merge(&records, settings, t0_ms);
    let ledger = (!records_missing(&recorded.arrivals)).then(|| {
        let drops = Drops::Named(&recorded.late);
        match timetable {
            Some(timetable) => balance_by_time(&generator, drops, &mut records, &closed, timetable),
            None => balance(&generator, drops, &records, &closed),
        }
    });
    let calls = calls(endpoint.as_ref(), &records, settings);
    Observation {
        end: end(&windows),
        windows,
        ledger,
        outcomes: merged.outcomes,
        latency: merged.latency,
        failed_latency: merged.failed_latency,
        slot_wait: merged.slot_wait,
        call_account: merged.account,
        cost: usage.map(|usage| cost(usage, calls)),
        instruments: Some(instruments(generator, endpoint, &recorded.arrivals, counts)),
    }
}

/// The trial's windows; those without all their results are censored.
fn windows(
    settings: &TrialSettings,
    data: &TrialData<'_>,
    opened: &BTreeMap<u64, Vec<WindowRecord>>,
) -> Vec<WindowResult> {
    let window_ms = window_ms(settings);
    let measured = |window_start_ms: u64| {
        if !data.recorded.complete(window_start_ms) {
            return None;
        }
        let closing = data.recorded.closings.get(&window_start_ms)?;
        let arrivals = data.recorded.arrivals.get(&window_start_ms)?;
        let records = opened.get(&window_start_ms)?;
        let stream = Stream {
            events: closing.events,
            half_close_us: data.clock.stamp_us(closing.half_close),
            eof_us: data.clock.stamp_us(closing.eof),
        };
        measure(arrivals, records, Some(stream), window_start_ms, window_ms)
    };
    window_starts(settings, data.t0_ms)
        .into_iter()
        .zip(0u32..)
        .map(|(window_start_ms, index)| WindowResult {
            index,
            warmup: index < settings.warmup,
            window_start_ms,
            measured: measured(window_start_ms),
        })
        .collect()
}

/// Starts of the windows whose results have all arrived, or should have.
fn closed_windows(settings: &TrialSettings, data: &TrialData<'_>) -> BTreeSet<u64> {
    let patience = SINK_TIMEOUT + settings.read_timeout * 2;
    let is_overdue = |closing: &Closing| data.stopped.saturating_duration_since(closing.eof) > patience;
    let closings = data.recorded.closings.iter();
    closings
        .filter(|(start_ms, closing)| data.recorded.complete(**start_ms) || is_overdue(closing))
        .map(|(start_ms, _)| *start_ms)
        .collect()
}
