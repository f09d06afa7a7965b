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

use super::{CANNOT_FROM, Model, Servers, Service};

/// Positions of the window's end within a read batch that are averaged.
const PHASES: u32 = 32;

/// Bound of the recursion: events of one worker before the window's last one. More matter only if a worker is within
/// 0.001 % of its capacity for a hundred thousand calls; the tail is then underestimated.
const MAX_STEPS: f64 = 100_000.0;

/// The tail in seconds that a `share` of the windows does not exceed, if calls start at close.
pub(super) fn at_close(model: &Model<'_>, share: f64) -> f64 {
    let Model {
        settings,
        service,
        servers,
        ..
    } = model;
    if service.is_fixed() {
        return servers.max_events * service.mean_s;
    }
    let each = (settings.window.as_secs_f64() / servers.interval_s).max(1.0);
    let last_calls = match settings.strategy {
        StrategyKind::Sequential => 1.0,
        _ => servers.in_flight.min(settings.events_per_window() as f64),
    };
    (each - 1.0) * service.mean_s + service.longest_of(last_calls, share)
}

/// The same if calls start at arrival: the mean over positions of the window's end in its batch.
pub(super) fn at_arrival(model: &Model<'_>, share: f64) -> f64 {
    let period_s = model.period_s();
    let sum: f64 = (0..PHASES)
        .map(|phase| {
            let phase_s = period_s * (f64::from(phase) + 0.5) / f64::from(PHASES);
            at_arrival_with_phase(model, share, phase_s)
        })
        .sum();
    sum / f64::from(PHASES)
}

/// The tail if the batch in which the window ends is complete `phase_s` after that end.
pub(super) fn at_arrival_with_phase(model: &Model<'_>, share: f64, phase_s: f64) -> f64 {
    let Model {
        settings,
        service,
        servers,
        ..
    } = model;
    let batches = Batches::new(model, phase_s);
    let longest_s = service.longest_of(settings.rpu.get() as f64 * service.mean_s, share);
    let max_steps = if service.mean_s < CANNOT_FROM * servers.interval_s {
        settings.window.as_secs_f64() / servers.interval_s - 1e-9
    } else {
        0.0 // It falls behind without bound, so no tail is predicted.
    };
    let end_s = end_s(&batches, service, servers, batches.gap_s, longest_s, max_steps);
    (end_s - batches.close_s()).max(0.0)
}

/// The read batches around a window's end, which is time 0.
pub(super) struct Batches {
    /// When the batch in which the window ends is complete.
    phase_s: f64,
    period_s: f64,
    /// Time between two events.
    pub(super) gap_s: f64,
}

impl Batches {
    fn new(model: &Model<'_>, phase_s: f64) -> Self {
        Self {
            phase_s,
            period_s: model.period_s(),
            gap_s: 1.0 / model.settings.rpu.get() as f64,
        }
    }

    /// Those where the window ends at this share of its batch, counted from the batch's end.
    pub(super) fn at(model: &Model<'_>, share: f64) -> Self {
        Self::new(model, model.period_s() * share)
    }

    /// Arrival of the event that was due `before_s` before the window's end.
    pub(super) fn arrival_s(&self, before_s: f64) -> f64 {
        let batches = ((before_s + self.phase_s) / self.period_s + 1e-9).floor();
        self.phase_s - self.period_s * batches
    }

    /// The next window's first event, due at 0, is in the batch of `phase_s`. If that batch has this window's last event
    /// too, the batch after it closes the window.
    pub(super) fn close_s(&self) -> f64 {
        match self.arrival_s(self.gap_s) >= self.phase_s {
            true => self.phase_s + self.period_s,
            false => self.phase_s,
        }
    }
}

/// When the event ends that was due `before_s` before the window's end and takes `longest_s`, if its worker has at most
/// `max_steps` events before it.
pub(super) fn end_s(
    batches: &Batches,
    service: &Service,
    servers: &Servers,
    before_s: f64,
    longest_s: f64,
    max_steps: f64,
) -> f64 {
    let with_steps = |steps: f64| {
        let waited_for_s = steps * service.mean_s + longest_s;
        batches.arrival_s(before_s + steps * servers.interval_s) + waited_for_s
    };
    let mut end_s = batches.arrival_s(before_s) + longest_s;
    if service.mean_s > servers.interval_s {
        // The worker is never idle again, so its first event decides.
        return end_s.max(with_steps((max_steps - 1.0).max(0.0).ceil()));
    }
    let mut steps: u32 = 1;
    while f64::from(steps) < max_steps.min(MAX_STEPS) {
        // An event arrives at most a period after it was due, so no earlier event can end later.
        let due_before_s = before_s + f64::from(steps) * servers.interval_s;
        let waited_for_s = f64::from(steps) * service.mean_s + longest_s;
        if batches.period_s - due_before_s + waited_for_s <= end_s {
            break;
        }
        end_s = end_s.max(with_steps(f64::from(steps)));
        steps += 1;
    }
    end_s
}
