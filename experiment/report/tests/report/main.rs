//! Reports of synthetic runs with a known outcome.

#![allow(clippy::unwrap_used)]

mod charts;
mod figures;
mod files;
mod page;
mod reading;
mod repeats;
mod sentences;
mod synthetic;
mod verdicts;

use std::time::Duration;

use synthetic::{Behaviour, settings, trial};
use trials::outcome::TrialOutcome;
use wire::StrategyKind;

fn kept(strategy: StrategyKind, rpu: u64, delay: &str, tail_ms: u64) -> TrialOutcome {
    trial(
        settings(strategy, rpu, delay),
        0,
        &Behaviour::KeepsUp(Duration::from_millis(tail_ms)),
    )
}

/// Takes the randomness out of the close tails.
fn exactly(mut outcome: TrialOutcome, tail: Duration) -> TrialOutcome {
    for measure in outcome
        .windows
        .iter_mut()
        .filter_map(|window| window.measured.as_mut())
    {
        measure.close_tail_us = tail.as_micros() as u64;
    }
    outcome
}
