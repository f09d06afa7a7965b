use std::collections::BTreeMap;
use std::time::Duration;

use wire::{Calls, Outcome, Workload};

use super::pace::{NUMAFLOW_LAG_VARIATION_US, falls_behind};
use super::*;
use crate::outcome::Ledger;
use crate::outcome::example::trial;

/// Two good windows of 100 events each, with these outcomes.
fn ended(outcomes: &[(Outcome, u64)]) -> TrialOutcome {
    let mut trial = trial(&[1_000, 1_000]);
    trial.outcomes = outcomes.iter().copied().collect();
    let ok = trial.outcomes.get(&Outcome::Ok).copied().unwrap_or(0);
    trial.ledger = Some(Ledger {
        offered: 200,
        ok,
        failed: 200 - ok,
        ..Ledger::default()
    });
    if let Some(account) = &mut trial.call_account {
        account.answered = ok;
    }
    trial
}

fn text(trial: &TrialOutcome) -> String {
    Verdict::of(trial).text()
}

#[test]
fn two_windows_with_short_tails_suffice() {
    assert_eq!(text(&trial(&[100_000, 100_000])), "kept up");
    assert_eq!(text(&trial(&[100_000, 140_000])), "kept up");
    assert_eq!(text(&trial(&[100_000])), "undecided, 2 windows would decide");
    assert_eq!(text(&trial(&[499_000, 499_000, 499_000])), "kept up");
    assert_eq!(
        text(&trial(&[500_000, 500_000, 500_000])),
        "undecided, 4 windows would decide"
    );
    assert_eq!(text(&trial(&[500_000; 4])), "kept up", "long, but steadily");
}

#[test]
fn a_tail_that_climbs_is_undecided_until_the_windows_are_enough() {
    // Load 1.16 of windows of one second.
    let climbing: Vec<u64> = (1..=8).map(|window| window * 160_000).collect();
    assert_eq!(text(&trial(&climbing[..2])), "undecided, 4 windows would decide");
    assert_eq!(text(&trial(&climbing[..3])), "undecided, 4 windows would decide");
    assert_eq!(text(&trial(&climbing[..4])), "fell behind");
    assert_eq!(text(&trial(&climbing)), "fell behind");
}

#[test]
fn a_tail_that_climbs_in_every_window_above_its_capacity_is_never_green() {
    let slowly: Vec<u64> = (1..=8).map(|window| window * 20_000).collect();
    let mut outcome = trial(&slowly);
    assert_eq!(text(&outcome), "kept up", "within the tolerated growth");
    outcome.prediction.load_factor = 1.02;
    assert_eq!(text(&outcome), "undecided, 9 windows would decide");
    let mut pausing = slowly.clone();
    pausing[7] = pausing[6];
    let mut pausing = trial(&pausing);
    pausing.prediction.load_factor = 1.02;
    assert_eq!(text(&pausing), "kept up");
}

#[test]
fn windows_that_differ_need_more_windows() {
    let noisy = [100_000, 300_000, 120_000, 350_000];
    let Verdict {
        kind,
        windows_needed: Some(needed),
        ..
    } = Verdict::of(&trial(&noisy))
    else {
        panic!()
    };
    assert!(kind == Kind::Undecided && (5..40).contains(&needed), "{needed}");
    let many: Vec<u64> = noisy.iter().cycle().take(2 * needed as usize).copied().collect();
    assert_eq!(text(&trial(&many)), "kept up");
}

/// A backlog that the UDF does not see, as it has stopped reading.
#[test]
fn a_lag_that_grows_behind_short_tails_is_not_kept_up() {
    let mut outcome = trial(&[10_000; 3]);
    for (window, late_us) in outcome.windows.iter_mut().zip([300_000, 600_000, 900_000]) {
        window.measured.as_mut().unwrap().result_lag_us = late_us;
    }
    assert_eq!(text(&outcome), "undecided, 4 windows would decide");
}

#[test]
fn growing_lag_is_falling_behind() {
    let second = 1_000_000.0;
    let falls = |lags: &[u32], variation| {
        let lags: Vec<f64> = lags.iter().map(|lag| f64::from(*lag)).collect();
        falls_behind(&lags, second, variation)
    };
    assert!(
        !falls(&[100, 100, 100, 900_000], 0.0),
        "one slow window at the end"
    );
    assert!(!falls(&[5_000_000; 4], 0.0), "late, but steadily");
    assert!(falls(&[100_000, 200_000, 300_000, 400_000], 0.0));
    assert!(
        !falls(&[100_000, 104_000, 108_000, 112_000], 0.0),
        "within the tolerance"
    );
    assert!(falls(&[1_000_001], 0.0) && !falls(&[999_999], 0.0));
    assert!(!falls(&[400_000, 500_000], 0.0), "too few to tell a growth");
}

#[test]
fn normal_variation_of_the_lag_is_not_growth() {
    let (window, variation) = (2_000_000.0, NUMAFLOW_LAG_VARIATION_US);
    let stepping = [1_500_000.0, 1_600_000.0, 2_500_000.0, 2_600_000.0];
    assert!(falls_behind(&stepping, window, 0.0) && !falls_behind(&stepping, window, variation));
    assert!(
        !falls_behind(&[3_900_000.0], window, variation) && falls_behind(&[4_100_000.0], window, variation)
    );
    let growing = [2_000_000.0, 4_000_000.0, 6_000_000.0, 8_000_000.0];
    assert!(falls_behind(&growing, window, variation));
}

/// Lags as they were measured in a cluster, of windows of 10 s.
#[test]
fn numaflows_varying_lag_leaves_a_trial_decided() {
    let mut outcome = trial(&[4_200, 3_500, 4_500, 4_500, 4_900]);
    outcome.trial.settings.window = Duration::from_secs(10);
    let instruments = outcome.instruments.as_mut().unwrap();
    instruments.engine.insert("numaflow_udf_read".to_owned(), 500);
    let lags = [627_000, 1_093_000, 963_000, 1_026_000, 2_099_000];
    for (window, lag_us) in outcome.windows.iter_mut().zip(lags) {
        window.measured.as_mut().unwrap().result_lag_us = lag_us;
    }
    assert_eq!(text(&outcome), "kept up");
    outcome.windows.truncate(2);
    assert_eq!(text(&outcome), "kept up", "the tails are by the UDF's clock");
}

#[test]
fn failed_calls_decide_before_anything_else() {
    let refused = ended(&[(Outcome::Refused, 200)]);
    assert_eq!(text(&refused), "calls failed: 100 % of 200, refused");
    let some = ended(&[
        (Outcome::Ok, 150),
        (Outcome::BadStatus, 10),
        (Outcome::Timeout, 40),
    ]);
    assert_eq!(text(&some), "calls failed: 25 % of 200, mostly timeout");
    assert!(!Verdict::of(&some).judges_prediction());
    let mut censored = some.clone();
    censored.windows[0].measured = None;
    assert_eq!(Verdict::of(&censored).kind, Kind::CallsFailed);
    let few = ended(&[(Outcome::Ok, 198), (Outcome::BadBody, 2)]);
    assert_eq!(text(&few), "kept up, 1.0 % of calls failed");
    assert!(Verdict::of(&few).judges_prediction());
}

#[test]
fn failures_that_the_plan_asks_for_are_no_fault() {
    let mut all = ended(&[(Outcome::BadStatus, 200)]);
    all.trial.settings.fail_status = 0.4;
    (all.trial.settings.fail_reset, all.trial.settings.fail_hang) = (Some(0.3), Some(0.3));
    assert_eq!(text(&all), "kept up, 100 % of calls failed, as the plan asks");
    assert!(!Verdict::of(&all).judges_prediction());
    // 5 % are drawn at random: 18 of 200 may be, 30 may not.
    let mut drawn = ended(&[(Outcome::Ok, 182), (Outcome::BadStatus, 18)]);
    drawn.trial.settings.fail_status = 0.05;
    assert_eq!(Verdict::of(&drawn).kind, Kind::KeptUp);
    let mut more = ended(&[(Outcome::Ok, 170), (Outcome::BadStatus, 30)]);
    more.trial.settings.fail_status = 0.05;
    assert_eq!(Verdict::of(&more).kind, Kind::CallsFailed);
    // What max_failed says is meant exactly.
    more.trial.settings.max_failed = Some(0.15);
    assert_eq!(text(&more), "kept up, 15 % of calls failed, as the plan allows");
    more.trial.settings.max_failed = Some(0.14);
    assert_eq!(Verdict::of(&more).kind, Kind::CallsFailed);
}

#[test]
fn what_the_udf_says_must_agree_with_what_the_endpoint_served() {
    let served = |count| {
        let mut outcome = trial(&[1_000, 1_000]);
        outcome.instruments.as_mut().unwrap().endpoint_served = Some(count);
        outcome
    };
    assert_eq!(
        text(&served(0)),
        "not measured: the endpoint served 0 calls for 200 events"
    );
    assert_eq!(
        text(&served(199)),
        "not measured: the endpoint served 199 calls for 200 events"
    );
    assert_eq!(text(&served(200)), "kept up");
    // A window more may have been called while the counts were read.
    assert_eq!(text(&served(300)), "kept up");
    assert_eq!(
        text(&served(301)),
        "not measured: the endpoint served 301 calls, and the UDF made 300 attempts at most"
    );
    let mut reconnected = served(301);
    reconnected.call_account.as_mut().unwrap().reconnects = 1;
    assert_eq!(text(&reconnected), "kept up");
    let mut old = served(100);
    old.call_account = None;
    assert_eq!(
        Verdict::of(&old).kind,
        Kind::NotMeasured,
        "an older journal has the outcomes"
    );
    old.instruments.as_mut().unwrap().endpoint_served = Some(10_000);
    assert_eq!(Verdict::of(&old).kind, Kind::KeptUp, "but no attempts");
}

#[test]
fn calls_that_cannot_be_compared_are_said_to_be_unchecked() {
    let served = |count, change: &dyn Fn(&mut TrialOutcome)| {
        let mut outcome = trial(&[1_000, 1_000]);
        outcome.instruments.as_mut().unwrap().endpoint_served = count;
        change(&mut outcome);
        text(&outcome)
    };
    let unchecked = "kept up, calls not checked";
    assert_eq!(served(None, &|_| {}), unchecked, "one's own service");
    assert_eq!(
        served(Some(0), &|outcome| outcome.trial.settings.workload =
            Workload::Cpu),
        unchecked
    );
    assert_eq!(
        served(Some(0), &|outcome| outcome.trial.settings.calls =
            Some(Calls::None)),
        unchecked
    );
    let some = |outcome: &mut TrialOutcome| outcome.trial.settings.calls = Some(Calls::Some);
    assert_eq!(served(Some(30), &some), unchecked);
    assert_eq!(
        served(Some(0), &some),
        "not measured: the endpoint served 0 calls for 200 events"
    );
}

#[test]
fn without_records_the_endpoints_account_decides() {
    let foreign = |served, failed, unanswered| {
        let mut outcome = trial(&[1_000, 1_000]);
        (outcome.outcomes, outcome.ledger, outcome.call_account) = (BTreeMap::new(), None, None);
        let instruments = outcome.instruments.as_mut().unwrap();
        instruments.endpoint_served = served;
        instruments.endpoint_failed = failed;
        instruments.endpoint_unanswered = unanswered;
        text(&outcome)
    };
    assert_eq!(foreign(Some(200), Some(0), Some(0)), "kept up");
    assert_eq!(
        foreign(Some(200), Some(60), Some(0)),
        "calls failed: 30 % of 200, bad answers"
    );
    assert_eq!(
        foreign(Some(20), Some(0), Some(180)),
        "calls failed: 90 % of 200, unanswered"
    );
    assert_eq!(
        foreign(Some(0), Some(0), Some(0)),
        "not measured: the endpoint served 0 calls for 200 events"
    );
    assert_eq!(
        foreign(None, None, None),
        "kept up, failures unknown, calls not checked"
    );
    assert_eq!(foreign(Some(200), None, None), "kept up, failures unknown");
}

#[test]
fn the_worst_repeat_is_the_cells_verdict() {
    let good = trial(&[1_000, 1_000]);
    let single = trial(&[1_000]);
    let refused = ended(&[(Outcome::Refused, 200)]);
    let partly = ended(&[(Outcome::Ok, 100), (Outcome::Refused, 100)]);
    let mut failed = good.clone();
    failed.end = TrialEnd::Failed {
        reason: "it died".to_owned(),
    };
    let worst = |repeats: &[&TrialOutcome]| {
        let verdicts: Vec<Verdict> = repeats.iter().map(|outcome| Verdict::of(outcome)).collect();
        Verdict::worst(&verdicts)
    };
    assert_eq!(worst(&[]).kind, Kind::Failed);
    assert_eq!(worst(&[&good, &good]).text(), "kept up");
    assert_eq!(
        worst(&[&good, &single]).text(),
        "undecided, 2 windows would decide, 1 of 2 trials"
    );
    assert_eq!(
        worst(&[&partly, &good, &refused]).text(),
        "calls failed: 100 % of 200, refused, 2 of 3 trials"
    );
    let worst = worst(&[&failed, &refused]);
    assert_eq!(
        (worst.text().as_str(), worst.marked().as_str()),
        ("failed: it died, 1 of 2 trials", "✗ failed, 1 of 2 trials")
    );
}

#[test]
fn a_ledger_that_does_not_balance_is_no_measurement() {
    let mut outcome = trial(&[1_000, 1_000]);
    outcome.ledger.as_mut().unwrap().ok -= 1;
    assert_eq!(text(&outcome), "not measured: the ledger does not balance");
}

#[test]
fn kinds_are_ordered_from_best_to_worst() {
    assert!(Kind::ALL.is_sorted());
    let failures = Kind::ALL.map(Kind::is_failure);
    assert_eq!(failures, [false, false, false, false, true, true, true]);
}
