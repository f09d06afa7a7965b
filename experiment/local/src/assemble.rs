//! From what was seen of a trial to what is kept of it: windows measured or censored, merged histograms, ledger.
//! No clock and no process here.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use wire::{Clock, EndpointStats, GeneratorStats, WindowRecord};

use super::watch::{Closing, Seen};
use ::engine::Observation;
use ::engine::windows::{
    Stream, calls, cost, end, instruments, measure, merge, open, records_missing, window_ms, window_starts,
};
use trials::ledger::{self, Drops};
use trials::outcome::WindowResult;
use trials::trial::TrialSettings;
use vertex::cost::Usage;

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

/// Draws everything up.
pub(super) fn assemble(settings: &TrialSettings, evidence: Evidence) -> Observation {
    let Evidence {
        clock,
        t0_ms,
        seen,
        generator,
        endpoint,
        usage,
        mut counts,
        stopped,
    } = evidence;
    counts.insert("late_undecoded".to_owned(), seen.late_undecoded);
    let window_ms = window_ms(settings);
    let opened = open(&seen.arrivals);
    let windows: Vec<WindowResult> = window_starts(settings, t0_ms)
        .into_iter()
        .zip(0u32..)
        .map(|(window_start_ms, index)| {
            let complete = seen.complete(window_start_ms);
            let parts = seen
                .closings
                .get(&window_start_ms)
                .zip(seen.arrivals.get(&window_start_ms))
                .zip(opened.get(&window_start_ms));
            let measured = parts
                .filter(|_| complete)
                .and_then(|((closing, arrivals), records)| {
                    let stream = Stream {
                        events: closing.events,
                        half_close_us: clock.stamp_us(closing.half_close),
                        eof_us: clock.stamp_us(closing.eof),
                    };
                    measure(arrivals, records, Some(stream), window_start_ms, window_ms)
                });
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
    let records: Vec<WindowRecord> = opened.into_values().flatten().collect();
    let (outcomes, latency, slot_wait) = merge(&records, settings, t0_ms);
    let ledger = (!records_missing(&seen.arrivals)).then(|| {
        let drops = Drops::Named(&seen.late);
        ledger::balance(&generator, drops, &records, &closed)
    });

    let calls = calls(endpoint.as_ref(), &records, settings);
    Observation {
        end: end(&windows),
        windows,
        ledger,
        outcomes,
        latency,
        slot_wait,
        cost: usage.map(|usage| cost(usage, calls)),
        instruments: Some(instruments(generator, endpoint, &seen.arrivals, counts)),
    }
}

#[cfg(test)]
mod tests;
