//! Checks the outcome of the run: every event accounted for, every window full, no drift.

use std::time::Duration;

use trials::outcome::{TrialEnd, TrialOutcome, WindowMeasure};

/// Events of one window: 1,000 per second for ten seconds.
const EVENTS: u64 = 10_000;

/// How late events may be sent; a schedule that drifts would be later with every window.
const LATENESS: Duration = Duration::from_millis(50);

/// How much longer a window's close tail may be at the end than at the start, with calls of 100 ms and read batches
/// of 200 ms on a busy machine.
const TAIL: Duration = Duration::from_millis(200);

/// The checks that failed; prints all of them.
pub fn check(outcome: &TrialOutcome, windows: u64) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut must = |is: bool, what: String| {
        println!("{} {what}", if is { "ok   " } else { "WRONG" });
        if !is {
            wrong.push(what);
        }
    };
    must(
        outcome.end == TrialEnd::Completed,
        format!("end: {:?}", outcome.end),
    );
    let measured: Vec<&WindowMeasure> = outcome
        .windows
        .iter()
        .filter_map(|window| window.measured.as_ref())
        .collect();
    let full = measured
        .iter()
        .filter(|window| (window.events, window.ok) == (EVENTS, EVENTS))
        .count() as u64;
    must(
        full == windows,
        format!("windows of exactly {EVENTS} events, all ok: {full} of {windows}"),
    );
    match &outcome.ledger {
        Some(ledger) => {
            let others = (ledger.late, ledger.failed, ledger.lost, ledger.repeated);
            must(ledger.balances() && others == (0, 0, 0, 0), format!("{ledger:?}"));
        }
        None => must(false, "there is no ledger".to_owned()),
    }
    match &outcome.instruments {
        Some(instruments) => {
            let lateness = instruments.generator_lateness.open();
            let late = lateness.quantile(0.99).unwrap_or_default();
            let most = lateness.max().unwrap_or_default();
            must(
                late < LATENESS,
                format!("lateness of the schedule: p99 {late:?}, at most {most:?}"),
            );
            must(
                instruments.endpoint_repeats == Some(0),
                format!("repeated calls: {:?}", instruments.endpoint_repeats),
            );
        }
        None => must(false, "there are no instruments".to_owned()),
    }
    let tenth = measured.len().div_ceil(10);
    let tail = |windows: &[&WindowMeasure]| {
        let mut tails: Vec<u64> = windows.iter().map(|window| window.close_tail_us).collect();
        tails.sort_unstable();
        Duration::from_micros(tails.get(tails.len() / 2).copied().unwrap_or_default())
    };
    let (first, last) = (
        tail(&measured[..tenth]),
        tail(&measured[measured.len() - tenth..]),
    );
    must(
        last < first + TAIL,
        format!("close tail, median: {first:?} in the first tenth, {last:?} in the last"),
    );
    if let Some(cost) = &outcome.cost {
        let per_call = cost.cpu_us as f64 / cost.calls.max(1) as f64;
        println!(
            "      processor: {per_call:.1} µs a call; the UDF's highest memory: {} bytes",
            cost.peak_memory_bytes
        );
    }
    wrong
}
