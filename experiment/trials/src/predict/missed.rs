//! The share of a window's events that are missed at its close deadline, where it can be computed.
//!
//! **Equal calls.** An event's end is that of `tail`'s recursion, which grows with the order of arrival: a binary search
//! finds the first event that ends too late. **Varying or hanging calls** that wait for no worker are each missed with
//! the probability that a call lasts longer than from its event's arrival to the deadline. With waits there is no figure.

use wire::{StartRule, StrategyKind};

use super::tail::{self, Batches};
use super::{CRITICAL_FROM, Model};

/// Positions of the window's end within a read batch that are averaged.
const PHASES: u32 = 16;

/// Events of a window whose chance is computed, where calls vary.
const SAMPLES: u32 = 128;

/// `None` if it cannot be computed.
pub(super) fn share(model: &Model<'_>, deadline_s: f64) -> Option<f64> {
    let Model {
        settings,
        service,
        servers,
        ..
    } = model;
    let has_unequal_keys = settings.strategy == StrategyKind::Sequential && settings.key_skew != 0.0;
    if has_unequal_keys {
        return None;
    }
    let share = match (settings.start_rule, service.is_fixed()) {
        (StartRule::AtClose, true) => {
            let rounds = (deadline_s / service.mean_s + 1e-9).floor();
            1.0 - rounds / servers.max_events
        }
        (StartRule::AtClose, false) => {
            (servers.max_events <= 1.0).then(|| service.lasts_longer_than(deadline_s))?
        }
        (StartRule::AtArrival, is_fixed) => {
            let load = service.mean_s / servers.interval_s;
            let waits = load >= CRITICAL_FROM || settings.strategy == StrategyKind::Sequential;
            if !is_fixed && waits {
                return None;
            }
            let of_phase = |phase| {
                let batches = Batches::at(model, (f64::from(phase) + 0.5) / f64::from(PHASES));
                match is_fixed {
                    true => late(model, &batches, deadline_s),
                    false => by_chance(model, &batches, deadline_s),
                }
            };
            (0..PHASES).map(of_phase).sum::<f64>() / f64::from(PHASES)
        }
    };
    Some(share.clamp(0.0, 1.0))
}

/// The share of equal calls that end too late.
fn late(model: &Model<'_>, batches: &Batches, deadline_s: f64) -> f64 {
    let Model {
        settings,
        service,
        servers,
        ..
    } = model;
    let events = settings.events_per_window().max(1);
    let last_s = batches.close_s() + deadline_s;
    // Whether the event is late that is the `before`-th from the window's end.
    let is_late = |before: u64| {
        let before_s = before as f64 * batches.gap_s;
        let earlier = ((settings.window.as_secs_f64() - before_s) / servers.interval_s + 1e-9).floor();
        let steps = earlier.max(0.0) + 0.5;
        tail::end_s(batches, service, servers, before_s, service.mean_s, steps) > last_s
    };
    // From the last event on, the first that is not late.
    let (mut late, mut in_time) = (0, events + 1);
    while in_time - late > 1 {
        let middle = late + (in_time - late) / 2;
        if is_late(middle) {
            late = middle;
        } else {
            in_time = middle;
        }
    }
    late as f64 / events as f64
}

/// The share of calls of varying length that end too late, if each begins at its event's arrival.
fn by_chance(model: &Model<'_>, batches: &Batches, deadline_s: f64) -> f64 {
    let window_s = model.settings.window.as_secs_f64();
    let chance = |sample| {
        let before_s = window_s * (f64::from(sample) + 0.5) / f64::from(SAMPLES);
        let from_arrival_s = batches.close_s() - batches.arrival_s(before_s);
        model.service.lasts_longer_than(from_arrival_s + deadline_s)
    };
    (0..SAMPLES).map(chance).sum::<f64>() / f64::from(SAMPLES)
}
