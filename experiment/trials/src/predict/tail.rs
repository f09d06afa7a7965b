//! How long a window's close takes under each start rule.
//!
//! **At close** `C` workers share the window's `N` calls: with a fixed delay `S` they work in `⌈N ÷ C⌉` waves. With a
//! varying delay the waves blur into `N ÷ C × mean`, and the longest of the last calls sticks out.
//!
//! **At arrival.** A source is read for `P` at a time (until the read timeout or until 500 events have come, whichever
//! is first), and the watermark is the smallest event time of a batch. So the batch in which the window ends still
//! holds it open; the next one, `P` later, closes it. The window's last event has arrived with the batch before: it has
//! a start of `P` (or of the time between two events, where that is longer), and `S − P` is left of it.
//!
//! **Bursts.** Events come `b = rpu × P` at once. With equal service times `C` workers take events in turn, so an event
//! ends `S` after it has arrived and its worker is free: `D(n) = max(A(n), D(n − C)) + S`, unrolled
//! `D(n) = max over m of A(n − mC) + (m + 1) S`: D. V. Lindley's recursion ("The theory of queues with a single server",
//! Proc. Cambridge Phil. Soc. 48, 1952) for each worker. Nobody chooses where in a batch the window ends, so the mean over
//! all positions is taken. With a varying delay the last calls are taken to be as long as the longest of those in flight.
//! What a stalled close holds back is not followed.

use wire::StrategyKind;

use super::{CANNOT_FROM, Crew, READ_BATCH, Service};
use crate::trial::TrialSettings;

/// Positions of the window's end within a read batch over which the mean is taken.
const PHASES: u32 = 32;

/// Events of one worker that are followed back from the window's last one. More only matter where a worker is within
/// 0.001 % of its capacity for a hundred thousand calls; the tail is then understated.
const MOST_FOLLOWED: f64 = 100_000.0;

/// The tail in seconds where all calls begin at close.
pub(super) fn at_close(settings: &TrialSettings, service: &Service, crew: &Crew) -> f64 {
    if service.varying.is_none() {
        return crew.most_events * service.mean_s;
    }
    let each = (settings.window.as_secs_f64() / crew.step_s).max(1.0);
    let last_calls = match settings.strategy {
        StrategyKind::Sequential => 1.0,
        _ => crew.in_flight.min(settings.events_per_window() as f64),
    };
    (each - 1.0) * service.mean_s + service.longest_of(last_calls)
}

/// The tail in seconds where calls begin at arrival: the mean over the positions of the window's end in its batch.
pub(super) fn at_arrival(settings: &TrialSettings, service: &Service, crew: &Crew) -> f64 {
    let period_s = period_s(settings);
    let sum: f64 = (0..PHASES)
        .map(|phase| {
            let phase_s = period_s * (f64::from(phase) + 0.5) / f64::from(PHASES);
            at_arrival_with_phase(settings, service, crew, phase_s)
        })
        .sum();
    sum / f64::from(PHASES)
}

/// The same where the batch in which the window ends is complete `phase_s` after that end.
pub(super) fn at_arrival_with_phase(
    settings: &TrialSettings,
    service: &Service,
    crew: &Crew,
    phase_s: f64,
) -> f64 {
    let period_s = period_s(settings);
    let gap_s = 1.0 / settings.rpu.get() as f64;
    // When the event arrives that was due so long before the window's end; the end itself is time 0.
    let arrival_s = |before_s: f64| phase_s - period_s * ((before_s + phase_s) / period_s + 1e-9).floor();
    let last_s = arrival_s(gap_s);
    // The next window's first event, due at 0, comes in the batch of phase_s; if that batch holds our last event too,
    // the batch after it closes the window.
    let close_s = if last_s >= phase_s {
        phase_s + period_s
    } else {
        phase_s
    };
    let longest_s = service.longest_of(settings.rpu.get() as f64 * service.mean_s);
    let mut end_s = last_s + longest_s;
    let followed = if service.mean_s < CANNOT_FROM * crew.step_s {
        MOST_FOLLOWED.min(settings.window.as_secs_f64() / crew.step_s - 1e-9)
    } else {
        0.0 // It falls behind without bound: no tail is a prediction.
    };
    let mut ahead: u32 = 1;
    while f64::from(ahead) < followed {
        let before_s = gap_s + f64::from(ahead) * crew.step_s;
        let waited_for_s = f64::from(ahead) * service.mean_s + longest_s;
        // No event comes later than a period after it was due: from here on nothing can end later.
        if period_s - before_s + waited_for_s <= end_s && service.mean_s <= crew.step_s {
            break;
        }
        end_s = end_s.max(arrival_s(before_s) + waited_for_s);
        ahead += 1;
    }
    (end_s - close_s).max(0.0)
}

/// The time that one read of the source takes, in seconds.
pub(super) fn period_s(settings: &TrialSettings) -> f64 {
    let full_s = f64::from(READ_BATCH) / settings.rpu.get() as f64;
    settings.read_timeout.as_secs_f64().min(full_s)
}
