//! The close tail of a window under each start rule.
//!
//! **At close** `C` workers share the window's `N` calls. With a fixed delay `S` they take `⌈N ÷ C⌉` rounds. With a
//! varying delay they take `N ÷ C × mean` and the excess of the longest of the last calls.
//!
//! **At arrival.** A source is read in batches of `P` (until the read timeout or 500 events, whichever is first), and the
//! watermark is the smallest event time of a batch. So the batch in which the window ends does not close it; the next
//! one, `P` later, does. The window's last event arrived with the batch before and has been in service for `P` (or the
//! time between two events, if longer), which leaves `S − P`.
//!
//! **Bursts.** `b = rpu × P` events arrive at once. With equal service times `C` workers take events in turn, so an event
//! ends `S` after it has arrived and its worker is free: `D(n) = max(A(n), D(n − C)) + S`, unrolled
//! `D(n) = max over m of A(n − mC) + (m + 1) S`: D. V. Lindley's recursion ("The theory of queues with a single server",
//! Proc. Cambridge Phil. Soc. 48, 1952) for each worker. The window may end anywhere in a batch, so the mean over all
//! positions is taken. With a varying delay the last calls are assumed to be as long as the longest of those in flight.
//! Delays caused by an earlier stalled close are not modelled.

use wire::StrategyKind;

use super::{CANNOT_FROM, READ_BATCH, Servers, Service};
use crate::trial::TrialSettings;

/// Positions of the window's end within a read batch that are averaged.
const PHASES: u32 = 32;

/// Bound of the recursion: events of one worker before the window's last one. More matter only if a worker is within
/// 0.001 % of its capacity for a hundred thousand calls; the tail is then underestimated.
const MAX_STEPS: f64 = 100_000.0;

/// The tail in seconds if calls start at close.
pub(super) fn at_close(settings: &TrialSettings, service: &Service, servers: &Servers) -> f64 {
    if service.is_fixed() {
        return servers.max_events * service.mean_s;
    }
    let each = (settings.window.as_secs_f64() / servers.interval_s).max(1.0);
    let last_calls = match settings.strategy {
        StrategyKind::Sequential => 1.0,
        _ => servers.in_flight.min(settings.events_per_window() as f64),
    };
    (each - 1.0) * service.mean_s + service.longest_of(last_calls)
}

/// The tail in seconds if calls start at arrival: the mean over positions of the window's end in its batch.
pub(super) fn at_arrival(settings: &TrialSettings, service: &Service, servers: &Servers) -> f64 {
    let period_s = period_s(settings);
    let sum: f64 = (0..PHASES)
        .map(|phase| {
            let phase_s = period_s * (f64::from(phase) + 0.5) / f64::from(PHASES);
            at_arrival_with_phase(settings, service, servers, phase_s)
        })
        .sum();
    sum / f64::from(PHASES)
}

/// The tail if the batch in which the window ends is complete `phase_s` after that end.
pub(super) fn at_arrival_with_phase(
    settings: &TrialSettings,
    service: &Service,
    servers: &Servers,
    phase_s: f64,
) -> f64 {
    let period_s = period_s(settings);
    let gap_s = 1.0 / settings.rpu.get() as f64;
    // Arrival of the event that was due `before_s` before the window's end, which is time 0.
    let arrival_s = |before_s: f64| phase_s - period_s * ((before_s + phase_s) / period_s + 1e-9).floor();
    let last_s = arrival_s(gap_s);
    // The next window's first event, due at 0, is in the batch of phase_s. If that batch has this window's last event
    // too, the batch after it closes the window.
    let close_s = if last_s >= phase_s {
        phase_s + period_s
    } else {
        phase_s
    };
    let longest_s = service.longest_of(settings.rpu.get() as f64 * service.mean_s);
    let mut end_s = last_s + longest_s;
    let max_steps = if service.mean_s < CANNOT_FROM * servers.interval_s {
        MAX_STEPS.min(settings.window.as_secs_f64() / servers.interval_s - 1e-9)
    } else {
        0.0 // It falls behind without bound, so no tail is predicted.
    };
    let mut steps: u32 = 1;
    while f64::from(steps) < max_steps {
        let before_s = gap_s + f64::from(steps) * servers.interval_s;
        let waited_for_s = f64::from(steps) * service.mean_s + longest_s;
        // An event arrives at most a period after it was due, so no earlier event can end later.
        if period_s - before_s + waited_for_s <= end_s && service.mean_s <= servers.interval_s {
            break;
        }
        end_s = end_s.max(arrival_s(before_s) + waited_for_s);
        steps += 1;
    }
    (end_s - close_s).max(0.0)
}

/// Duration of one read of the source, in seconds.
pub(super) fn period_s(settings: &TrialSettings) -> f64 {
    let full_s = f64::from(READ_BATCH) / settings.rpu.get() as f64;
    settings.read_timeout.as_secs_f64().min(full_s)
}
