use std::time::Duration;

use super::*;
use crate::outcome::example::{SECOND, trial};

const TWO: NonZeroUsize = NonZeroUsize::new(2).unwrap();

/// A trial of ten one-second windows whose result lags are these, in milliseconds.
fn lags(of: impl Fn(u64) -> u64) -> TrialOutcome {
    let mut outcome = trial(&[10_000; 10]);
    for (index, window) in (0..).zip(&mut outcome.windows) {
        window.measured.as_mut().unwrap().result_lag_us = of(index) * 1_000;
    }
    outcome
}

fn answer(outcome: &TrialOutcome, objective: &[&str]) -> (Answer, String) {
    let objective: Vec<Threshold> = objective.iter().map(|text| text.parse().unwrap()).collect();
    let judged = judgement(&[outcome], &objective, TWO).unwrap();
    (judged.answer, judged.reason)
}

#[test]
fn the_slope_of_the_lag_decides_by_both_ends_of_its_interval() {
    for (slope, expected) in [
        (0, Answer::Sustained),
        (15, Answer::Sustained),
        (30, Answer::NotSustained),
        (200, Answer::NotSustained),
    ] {
        let outcome = lags(|index| 300 + slope * index + index % 3);
        assert_eq!(answer(&outcome, &[]).0, expected, "{slope} ms per window");
    }
    // As much noise as growth.
    let noisy = lags(|index| 300 + 18 * index + [0, 90, 10, 120, 40, 70, 100, 5, 60, 110][index as usize]);
    let (found, reason) = answer(&noisy, &[]);
    assert_eq!(found, Answer::Undecided);
    assert!(reason.starts_with("the lag may grow by "), "{reason}");
    // A lag above a window that does not grow is sustained; one slow window is no growth.
    assert_eq!(answer(&lags(|_| 1_500), &[]).0, Answer::Sustained);
    assert_eq!(
        answer(
            &lags(|index| if index == 6 { 2_000 } else { 100 + index % 2 }),
            &[]
        )
        .0,
        Answer::Sustained
    );
    let (few, reason) = answer(&trial(&[1_000; 3]), &[]);
    assert_eq!(
        (few, reason.as_str()),
        (Answer::Undecided, "3 windows are too few")
    );
}

#[test]
fn a_window_without_a_result_or_unsent_events_are_not_sustained() {
    let mut outcome = lags(|_| 100);
    outcome.windows[9].measured = None;
    assert_eq!(
        answer(&outcome, &[]),
        (Answer::NotSustained, "no result of 1 of 10 windows".to_owned())
    );
    // What the last read may have left: 100 events a second, reads of 50 ms.
    let mut outcome = lags(|_| 100);
    let ledger = outcome.ledger.as_mut().unwrap();
    (ledger.unsent, ledger.offered) = (5, ledger.offered + 5);
    assert_eq!(answer(&outcome, &[]).0, Answer::Sustained);
    let ledger = outcome.ledger.as_mut().unwrap();
    (ledger.unsent, ledger.offered) = (6, ledger.offered + 1);
    assert_eq!(
        answer(&outcome, &[]),
        (Answer::NotSustained, "6 events unsent".to_owned())
    );
}

#[test]
fn the_objective_must_hold_too() {
    let outcome = lags(|_| 100);
    assert_eq!(answer(&outcome, &["close_tail max < 11ms"]).0, Answer::Sustained);
    let (missed, reason) = answer(&outcome, &["close_tail median < 10ms"]);
    assert_eq!(
        (missed, reason.as_str()),
        (Answer::NotSustained, "close_tail median < 10ms: 10.0 ms")
    );
    let (open, reason) = answer(&outcome, &["close_tail p95 < 1s"]);
    assert_eq!(open, Answer::Undecided);
    assert!(reason.contains("needs 20 windows, has 10"), "{reason}");
    let needed = |text: &str| windows_needed(&[text.parse().unwrap()]);
    let texts = [
        "close_tail p95 < 1s",
        "close_tail p99 < 1s",
        "close_tail max < 1s",
        "latency p99 < 1s",
        "failed < 1%",
    ];
    assert_eq!(texts.map(needed), [20, 100, 10, 10, 10]);
}

#[test]
fn a_trial_that_found_nothing_out_is_no_answer() {
    let mut outcome = lags(|_| 100);
    outcome.ledger.as_mut().unwrap().lost = 1;
    let none = judgement(&[&outcome], &[], TWO).unwrap_err();
    assert_eq!(
        (none.reason.as_str(), none.failed),
        ("not measured: the ledger does not balance", false)
    );
    let mut outcome = lags(|_| 100);
    outcome.end = crate::outcome::TrialEnd::Failed {
        reason: "no ports".to_owned(),
    };
    assert!(judgement(&[&outcome], &[], TWO).unwrap_err().failed);
}

/// Noise of a third of a window leaves ten windows undecided; four repeats decide.
#[test]
fn repeats_decide_together() {
    let noise = |seed: u64| {
        move |index: u64| {
            let draw = wire::splitmix64(seed, index) % 300;
            (draw, 300 + draw)
        }
    };
    let trials: Vec<TrialOutcome> = (0..4)
        .map(|seed| lags(move |index| noise(seed)(index).1))
        .collect();
    let of = |count: usize| {
        let trials: Vec<&TrialOutcome> = trials.iter().take(count).collect();
        judgement(&trials, &[], TWO).unwrap().answer
    };
    assert_eq!([of(1), of(4)], [Answer::Undecided, Answer::Sustained]);
    // Of what is overloaded they say so, whatever the levels that they began at.
    let behind: Vec<TrialOutcome> = (0..4)
        .map(|seed| lags(move |index| 500 * seed + 32 * index + noise(seed)(index).0))
        .collect();
    let all: Vec<&TrialOutcome> = behind.iter().collect();
    assert_eq!(judgement(&all, &[], TWO).unwrap().answer, Answer::NotSustained);
}

#[test]
fn an_overloaded_trial_tells_by_how_much() {
    // Of what a growth of 2 % is the limit of.
    let overload = |outcome: &TrialOutcome| {
        let overload = judgement(&[outcome], &[], TWO).unwrap().overload;
        overload.map(|overload| (overload * 1.02 * 1e6).round() / 1e6)
    };
    // At 1.5 times its capacity a window takes half a window longer than it lasts.
    let half = lags(|index| 500 * (index + 1));
    assert_eq!(overload(&half), Some(1.5));
    assert_eq!(overload(&lags(|_| 100)), None);
    // At ten times it, one window gives its result, and the rest is cut off.
    let cut = |results: usize| {
        let mut outcome = lags(|index| 9_000 * (index + 1));
        for window in &mut outcome.windows[results..] {
            window.measured = None;
        }
        (outcome.started_us, outcome.ended_us) = (0, 16 * SECOND);
        outcome
    };
    assert_eq!(overload(&cut(2)), Some(10.0));
    assert_eq!(overload(&cut(1)), Some(10.0));
    assert_eq!(overload(&cut(0)), Some(16.0), "at least");
}

#[test]
fn the_limit_is_called_by_what_set_it() {
    let latencies = |of: Duration| {
        let mut latencies = wire::Latencies::new();
        (0..100).for_each(|_| latencies.record(of));
        PackedLatencies::from(latencies)
    };
    let ms = Duration::from_millis;
    let behind = || {
        let mut outcome = lags(|index| 100 + 100 * index);
        outcome.trial.settings.io_delay = "20ms".parse().unwrap();
        outcome.latency = latencies(ms(21));
        outcome.ended_us = 12 * SECOND;
        outcome
    };
    let limit = |outcome: &TrialOutcome| judgement(&[outcome], &[], TWO).unwrap().limit.unwrap();
    assert_eq!(limit(&behind()), Limit::Unknown);
    let mut one = behind();
    one.slot_wait = latencies(ms(50));
    assert_eq!(limit(&one), Limit::Strategy);
    one.latency = latencies(ms(40));
    assert_eq!(limit(&one), Limit::Endpoint, "one of the user's own");
    // Ours tells whether it had room.
    one.trial.settings.capacity = wire::settings::Limit(std::num::NonZeroU64::new(8));
    for (peak, expected) in [(8, Limit::Endpoint), (7, Limit::Cores)] {
        one.instruments.as_mut().unwrap().endpoint_peak_in_flight = Some(peak);
        assert_eq!(limit(&one), expected, "{peak} in flight");
    }
    one.trial.settings.capacity = wire::settings::Limit(None);
    assert_eq!(limit(&one), Limit::Cores);
    let mut one = behind();
    one.slot_wait = latencies(Duration::ZERO);
    assert_eq!(limit(&one), Limit::DataPlane);
    let ledger = one.ledger.as_mut().unwrap();
    (ledger.unsent, ledger.offered) = (600, ledger.offered + 600);
    assert_eq!(limit(&one), Limit::Generator);
    one.cost = Some(crate::outcome::Cost {
        cpu_us: 20 * SECOND,
        calls: 1_000,
        peak_memory_bytes: 0,
        peak_threads: 1,
    });
    assert_eq!(limit(&one), Limit::Cores);
}
