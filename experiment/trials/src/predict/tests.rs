use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::num::NonZeroU64;

use proptest::prelude::*;
use wire::settings::{Deadline, Limit};

use super::*;

fn nonzero(number: u64) -> NonZeroU64 {
    NonZeroU64::new(number).unwrap()
}

fn cores() -> NonZeroUsize {
    NonZeroUsize::new(2).unwrap()
}

fn cell(strategy: StrategyKind, workers: u64, rpu: u64, delay: &str, start_rule: StartRule) -> TrialSettings {
    TrialSettings {
        rpu: nonzero(rpu),
        keys: nonzero(1),
        io_delay: delay.parse().unwrap(),
        strategy,
        start_rule,
        workload: Workload::Http,
        max_workers: nonzero(workers),
        window: Duration::from_secs(10),
        read_timeout: Duration::from_millis(200),
        warmup: 1,
        windows: 13,
        seed: 1,
        ..TrialSettings::defaults().unwrap()
    }
}

fn of(settings: &TrialSettings) -> Prediction {
    predict(settings, cores())
}

/// Asserts verdict, load factor (±1 %, ±0.01) and tail (±1 % and ±2 ms).
fn expect(settings: &TrialSettings, verdict: Verdict, load: f64, tail_s: Option<f64>) {
    let prediction = of(settings);
    assert_eq!(prediction.verdict, verdict, "{prediction:?}");
    let close = |got: f64, wanted: f64, slack: f64| (got - wanted).abs() <= wanted * 0.01 + slack;
    assert!(close(prediction.load_factor, load, 0.01), "{prediction:?}");
    match (prediction.close_tail(), tail_s) {
        (None, None) => {}
        (Some(got), Some(wanted)) => assert!(close(got.as_secs_f64(), wanted, 0.002), "{prediction:?}"),
        _ => panic!("{prediction:?}"),
    }
}

use StartRule::{AtArrival, AtClose};
use StrategyKind::{Async, ProcessPool, Sequential, ThreadPool};
use Verdict::{Cannot, Critical, KeepsUp};

#[test]
fn the_classic_grid() {
    for rpu in [10, 100] {
        let load = rpu as f64 / 10.0 * 0.003;
        expect(
            &cell(Sequential, 1, rpu, "0", AtArrival),
            KeepsUp,
            load,
            Some(0.0),
        );
        expect(
            &cell(ThreadPool, 100, rpu, "200us", AtArrival),
            KeepsUp,
            0.0,
            Some(0.0),
        );
    }
    expect(&cell(Sequential, 1, 10, "1s", AtArrival), Cannot, 10.0, None);
    expect(&cell(Sequential, 1, 100, "1s", AtArrival), Cannot, 100.0, None);
    expect(&cell(Async, 1_000, 10, "1s", AtClose), KeepsUp, 0.1, Some(1.0));
    expect(&cell(Async, 1_000, 100, "1s", AtClose), KeepsUp, 0.1, Some(1.03));
    for pool in [ThreadPool, ProcessPool] {
        expect(&cell(pool, 100, 10, "1s", AtArrival), KeepsUp, 0.1, Some(0.8));
        let at_its_limit = cell(pool, 100, 100, "1s", AtArrival);
        expect(&at_its_limit, Critical, 1.0, None);
        // Measured: 0.75 to 1 s with calls of 5 ms more. Calls of the next window take turns with those of the closing one,
        // whose last calls so wait for a round more.
        let growth_us = of(&at_its_limit).growth_per_window_us.unwrap();
        assert!((600_000..1_000_000).contains(&growth_us), "{growth_us}");
        expect(&cell(pool, 100, 100, "1s", AtClose), Critical, 1.0, Some(10.0));
    }
    // A client's default limit of 100 connections costs ten seconds a window.
    expect(&cell(Async, 100, 100, "1s", AtClose), Critical, 1.0, Some(10.0));
}

#[test]
fn start_rules() {
    expect(&cell(Async, 1_000, 100, "1s", AtArrival), KeepsUp, 0.1, Some(0.8));
    expect(
        &cell(ThreadPool, 200, 100, "1s", AtArrival),
        KeepsUp,
        0.5,
        Some(0.8),
    );
    expect(
        &cell(ThreadPool, 200, 100, "1s", AtClose),
        KeepsUp,
        0.5,
        Some(5.0),
    );
    expect(
        &cell(Async, 1_000, 100, "100ms", AtArrival),
        KeepsUp,
        0.01,
        Some(0.0),
    );
    expect(
        &cell(Async, 1_000, 100, "100ms", AtClose),
        KeepsUp,
        0.01,
        Some(0.13),
    );
    // A slow source: the next event comes later than the next read.
    expect(&cell(Async, 1_000, 1, "1.5s", AtArrival), KeepsUp, 0.0, Some(0.5));
    // 500 events fill a read batch in 100 ms.
    expect(
        &cell(Async, 10_000, 5_000, "1s", AtArrival),
        KeepsUp,
        0.5,
        Some(0.9),
    );
    // Capacity is there, but each close stalls the pod for longer than a window.
    expect(&cell(Async, 1_000, 10, "11s", AtClose), Cannot, 1.1, None);
    expect(&cell(Async, 1_000, 10, "11s", AtArrival), Cannot, 0.11, None);
}

#[test]
fn an_unkeyed_reduce_has_one_key_whatever_the_events_have() {
    for strategy in [Sequential, Async, ThreadPool] {
        for skew in [0.0, 1.0] {
            let mut unkeyed = cell(strategy, 10, 4, "1s", AtClose);
            unkeyed.keys = nonzero(5);
            unkeyed.key_skew = skew;
            unkeyed.keyed = Some(false);
            let one = cell(strategy, 10, 4, "1s", AtClose);
            assert_eq!(of(&unkeyed), of(&one), "{strategy}");
        }
    }
    let mut keyed = cell(Sequential, 1, 4, "1s", AtClose);
    keyed.keys = nonzero(5);
    assert_eq!(of(&keyed).verdict, KeepsUp);
    keyed.keyed = Some(false);
    assert_eq!(of(&keyed).verdict, Cannot);
}

#[test]
fn keys_help_only_a_sequential_strategy() {
    let keys = |mut settings: TrialSettings, keys: u64, skew: f64| {
        settings.keys = nonzero(keys);
        settings.key_skew = skew;
        settings
    };
    expect(
        &keys(cell(Sequential, 1, 4, "1s", AtArrival), 1, 0.0),
        Cannot,
        4.0,
        None,
    );
    let five = of(&keys(cell(Sequential, 1, 4, "1s", AtArrival), 5, 0.0));
    assert_eq!(
        (five.verdict, (five.load_factor * 100.0).round()),
        (KeepsUp, 80.0)
    );
    expect(
        &keys(cell(Sequential, 1, 4, "1s", AtClose), 5, 0.0),
        KeepsUp,
        0.8,
        Some(8.0),
    );
    expect(
        &keys(cell(Sequential, 1, 4, "1s", AtClose), 5, 1.0),
        Cannot,
        1.8,
        None,
    );
    for keys_count in [1, 5] {
        expect(
            &keys(cell(ThreadPool, 40, 4, "1s", AtClose), keys_count, 0.0),
            KeepsUp,
            0.1,
            Some(1.0),
        );
    }
}

#[test]
fn processor_capacity_and_failures_bound_what_workers_can_do() {
    let mut cpu = cell(ThreadPool, 32, 500, "1ms", AtArrival);
    cpu.workload = Workload::Cpu;
    assert_eq!((of(&cpu).load_factor, of(&cpu).verdict), (0.25, KeepsUp));
    cpu.rpu = nonzero(3_000);
    assert_eq!((of(&cpu).load_factor, of(&cpu).verdict), (1.5, Cannot));

    let mut limited = cell(Async, 1_000, 100, "1s", AtArrival);
    limited.capacity = Limit(Some(nonzero(50)));
    expect(&limited, Cannot, 2.0, None);

    // Without delay it is the processor that bounds the rate.
    expect(&cell(Async, 1_000, 100, "0", AtClose), KeepsUp, 0.003, Some(0.03));
    assert_eq!(of(&cell(Async, 100_000, 100_000, "0", AtArrival)).verdict, Cannot);

    let mut runs_out = cell(Async, 1_000, 10, "1h", AtArrival);
    runs_out.timeout = Duration::from_secs(2);
    runs_out.retries = 1;
    expect(&runs_out, KeepsUp, 0.04, Some(3.8));
    assert!(
        of(&runs_out).why.ends_with("; every call times out after 2 s."),
        "{}",
        of(&runs_out).why
    );

    let mut failing = cell(ThreadPool, 100, 10, "1s", AtArrival);
    failing.fail_status = 0.5;
    failing.retries = 1;
    assert!((of(&failing).load_factor - 0.15).abs() < 0.001);
    failing.fail_status = 0.2;
    (failing.fail_reset, failing.fail_body) = (Some(0.2), Some(0.1));
    assert!(
        (of(&failing).load_factor - 0.15).abs() < 0.001,
        "however they fail"
    );
    failing.fail_status_code = Some(404);
    assert!(
        (of(&failing).load_factor - 0.13).abs() < 0.001,
        "a status that is not retried takes one attempt: {}",
        of(&failing).load_factor
    );

    let mut hanging = cell(Async, 10_000, 100, "100ms", AtClose);
    hanging.fail_hang = Some(0.01);
    hanging.timeout = Duration::from_secs(2);
    let hanging = of(&hanging);
    assert!((hanging.needed_in_flight - 11.93).abs() < 0.01, "{hanging:?}");
    assert!(
        (hanging.close_tail().unwrap().as_secs_f64() - 2.03).abs() < 0.01,
        "{hanging:?}"
    );
}

#[test]
fn a_varying_delay_is_predicted_by_its_longest_calls() {
    let exponential = of(&cell(Async, 10_000, 100, "exponential(100ms)", AtClose));
    let tail_s = exponential.close_tail().unwrap().as_secs_f64();
    // The median of the longest of 1,000, and up to 30 ms in which the processor sends them.
    let longest_s = 0.1 * (1_000.0 / 2f64.ln()).ln();
    assert!((longest_s..longest_s + 0.03).contains(&tail_s), "{tail_s}");
    assert!((exponential.needed_in_flight - 10.03).abs() < 0.001);
    let pool = of(&cell(ThreadPool, 20, 100, "uniform(50ms,150ms)", AtClose));
    let tail_s = pool.close_tail().unwrap().as_secs_f64();
    assert!((5.0..5.2).contains(&tail_s), "{tail_s}");
}

#[test]
fn the_reason_is_one_sentence_with_the_numbers() {
    let why = |settings: &TrialSettings| of(settings).why;
    assert_eq!(
        why(&cell(Sequential, 1, 10, "1s", AtArrival)),
        "10 calls a second, each of 1.00 s, need 10 in flight on average; the limit is 1 and the load 1,000 % of the capacity: \
         it falls behind by 90.0 s with every window of 10 s."
    );
    assert_eq!(
        why(&cell(Async, 1_000, 100, "1s", AtArrival)),
        "100 calls a second, each of 1.00 s, need 100 in flight on average; the limit is 1,000 and the load 10 % of the capacity: \
         the last events arrive one read batch (201 ms) before the close, and calls end 799 ms after it."
    );
    assert_eq!(
        why(&cell(Async, 1_000, 10, "0", AtArrival)),
        "10 calls a second, each of 300 µs, need 0.003 in flight on average; the limit is 1,000 and the load 0.03 % of the capacity: \
         the last events arrive one read batch (201 ms) before the close, so all calls end before it."
    );
    assert_eq!(
        why(&cell(Async, 1_000, 100, "1s", AtClose)),
        "100 calls a second, each of 1.00 s, need 100 in flight on average; the limit is 1,000 and the load 10 % of the capacity: \
         the 1,000 calls of a window begin at its close and take 1.03 s."
    );
    assert!(
        why(&cell(ThreadPool, 100, 100, "1s", AtArrival))
            .contains("100 % of the capacity: there is no spare capacity, and it falls behind by ")
    );
    assert!(
        why(&cell(Async, 1_000, 10, "11s", AtClose)).contains(
            "falls behind by 1.00 s with every window of 10 s, as nothing is read while one closes"
        )
    );
}

/// The same pool by brute force: batches come, free workers take events in order, and the last end is found.
fn simulated(model: &Model<'_>, workers: u64, phase_s: f64) -> f64 {
    let (settings, service_s) = (model.settings, model.service.mean_s);
    let (rpu, period_s) = (settings.rpu.get() as f64, model.period_s());
    let mut free: BinaryHeap<Reverse<u64>> = (0..workers).map(|_| Reverse(0)).collect();
    let nanos = |seconds: f64| ((seconds + 100.0) * 1e9).round() as u64; // times before the window's end are negative
    let batch_end = |due_s: f64| phase_s + ((due_s - phase_s) / period_s - 1e-9).ceil() * period_s;
    let events = settings.events_per_window();
    let (mut last_arrival_s, mut last_end) = (0.0, 0);
    for before in (1..=events).rev() {
        last_arrival_s = batch_end(-(before as f64) / rpu);
        let Some(Reverse(free_at)) = free.pop() else {
            panic!("no workers")
        };
        let end = free_at.max(nanos(last_arrival_s)) + (service_s * 1e9).round() as u64;
        last_end = last_end.max(end);
        free.push(Reverse(end));
    }
    let first_of_next_s = batch_end(0.0);
    let close_s = if last_arrival_s < first_of_next_s - 1e-9 {
        first_of_next_s
    } else {
        first_of_next_s + period_s
    };
    last_end.saturating_sub(nanos(close_s)) as f64 / 1e9
}

#[test]
fn the_first_windows_of_a_pool_at_its_limit_are_those_of_a_measured_run() {
    let mut pool = cell(ThreadPool, 50, 100, "500ms", AtArrival);
    pool.window = Duration::from_secs(5);
    let assumptions = Assumptions::default();
    let model = Model::new(&pool, 2.0, &assumptions);
    let tails_s = simulation::first_tails_s(&model, 3);
    for (predicted_s, measured_s) in tails_s.iter().zip([0.398, 0.879, 1.368]) {
        assert!((predicted_s - measured_s).abs() < 0.03, "{tails_s:?}");
    }
    assert_eq!(tails_s.len(), 3);
}

#[test]
fn long_windows_are_predicted_as_their_simulated_ends_say() {
    // 60,000 calls of a window by 1,000 workers take 60 rounds, of which the last few are simulated.
    let rounds = of(&cell(Async, 1_000, 6_000, "100ms", AtClose));
    let tail_s = rounds.close_tail().unwrap().as_secs_f64();
    assert!((6.01..6.2).contains(&tail_s), "{rounds:?}");
    // The tail depends on the last seconds only.
    let at = |window: u64| {
        let mut settings = cell(Async, 1_000, 100, "lognormal(50=80ms,99=400ms)", AtArrival);
        settings.window = Duration::from_secs(window);
        of(&settings)
    };
    let (short, long) = (at(10), at(3_600));
    let tail_s = |prediction: &Prediction| prediction.close_tail().unwrap().as_secs_f64();
    assert!(
        (tail_s(&short) - tail_s(&long)).abs() < 0.03,
        "{short:?} {long:?}"
    );
    assert!(long.stall_share.unwrap() < 0.001, "{long:?}");
}

#[test]
fn a_close_that_takes_half_of_the_window_or_more_is_warned_of() {
    let with = |delay: &str| of(&cell(Async, 1_000, 10, delay, AtClose));
    let (half, more) = (with("4.9s"), with("6s"));
    assert!(!half.why.contains("stands still"), "{}", half.why);
    assert_eq!(more.verdict, KeepsUp);
    assert!(
        more.why.ends_with(
            "; the pod stands still for 60 % of the time, because it reads nothing while a window closes."
        ),
        "{}",
        more.why
    );
}

#[test]
fn the_tail_of_varying_calls_is_a_distribution_over_the_windows() {
    let tails = |delay: &str| {
        of(&cell(Async, 1_000, 100, delay, AtClose))
            .close_tail_percentiles
            .unwrap()
    };
    let fixed = tails("100ms");
    assert_eq!(fixed.p50_us, fixed.p99_us, "all windows are alike");
    // Of forty windows with 1,000 calls: quantile q of the maximum is the quantile q^(1/1000) of one.
    let varying = tails("lognormal(50=80ms,99=400ms)");
    let delay: Delay = "lognormal(50=80ms,99=400ms)".parse().unwrap();
    for (share, tail_us) in [(0.5f64, varying.p50_us), (0.9, varying.p90_us)] {
        let longest_us = delay.quantile(share.powf(0.001)).as_micros() as f64;
        let ratio = tail_us as f64 / longest_us;
        assert!(
            (0.85..1.15).contains(&ratio),
            "{share}: {tail_us} instead of {longest_us}"
        );
    }
}

/// Whether a tail is at least another one, but for the position of a few windows in their read batches.
fn is_as_long(tail: &Prediction, other: &Prediction) -> bool {
    let micros = |prediction: &Prediction| {
        prediction
            .close_tail_us
            .map_or(f64::INFINITY, |tail_us| tail_us as f64)
    };
    micros(tail) * 1.02 + 5_000.0 >= micros(other)
}

fn any_start_rule() -> impl Strategy<Value = StartRule> {
    prop_oneof![Just(AtArrival), Just(AtClose)]
}

fn strategies() -> impl Strategy<Value = StrategyKind> {
    proptest::sample::select(StrategyKind::ALL)
}

proptest! {
    // Each case simulates hundreds of windows.
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn bursts_are_served_as_in_a_simulation(rpu in 1u64..400, workers in 1u64..60, delay_ms in 1u64..900, phase in 0.01f64..0.99) {
        let settings = cell(ThreadPool, workers, rpu, &format!("{delay_ms}ms"), AtArrival);
        let assumptions = Assumptions::default();
        let model = Model::new(&settings, 2.0, &assumptions);
        prop_assume!(model.service.mean_s / model.servers.interval_s < 1.0);
        let phase_s = phase * model.period_s();
        let predicted = tail::at_arrival_with_phase(&model, 0.5, phase_s);
        let simulated = simulated(&model, workers, phase_s);
        prop_assert!((predicted - simulated).abs() < 1e-6, "{predicted} against {simulated}");
    }

    #[test]
    fn more_load_is_never_better(
        strategy in strategies(), rule in any_start_rule(), keys in 1u64..9,
        rpu in 1u64..1_000, more_rpu in 0u64..1_000, delay_us in 0u64..3_000_000, more_us in 0u64..3_000_000,
    ) {
        let at = |rpu: u64, delay_us: u64| {
            let mut settings = cell(strategy, 50, rpu, &format!("{delay_us}us"), rule);
            settings.keys = nonzero(keys);
            of(&settings)
        };
        let (base, faster, slower) = (at(rpu, delay_us), at(rpu + more_rpu, delay_us), at(rpu, delay_us + more_us));
        prop_assert!(faster.load_factor >= base.load_factor - 1e-9);
        prop_assert!(faster.needed_in_flight >= base.needed_in_flight);
        prop_assert!(slower.load_factor >= base.load_factor);
        prop_assert!(is_as_long(&slower, &base), "{base:?} {slower:?}");
        let rank = |verdict: Verdict| match verdict { KeepsUp => 0, Critical => 1, Cannot => 2 };
        prop_assert!(rank(slower.verdict) >= rank(base.verdict));
        if rule == AtClose {
            prop_assert!(is_as_long(&faster, &base), "{base:?} {faster:?}");
        }
    }

    #[test]
    fn more_workers_are_never_worse(
        rule in any_start_rule(), rpu in 1u64..1_000, delay_us in 0u64..3_000_000, workers in 1u64..300, more in 0u64..300,
    ) {
        let with = |workers: u64| of(&cell(Async, workers, rpu, &format!("{delay_us}us"), rule));
        let (few, many) = (with(workers), with(workers + more));
        prop_assert!(many.load_factor <= few.load_factor);
        prop_assert!(is_as_long(&few, &many), "{few:?} {many:?}");
    }

    #[test]
    fn the_load_is_what_must_be_in_flight_by_littles_law(rpu in 1u64..1_000, delay_us in 1_000u64..3_000_000, workers in 1u64..20) {
        let prediction = of(&cell(ThreadPool, workers, rpu, &format!("{delay_us}us"), AtArrival));
        let in_flight = rpu as f64 * (delay_us as f64 / 1e6 + Assumptions::default().call_overhead.as_secs_f64());
        prop_assert!((prediction.needed_in_flight - in_flight).abs() <= in_flight * 1e-9);
        prop_assert!((prediction.load_factor - in_flight / workers as f64).abs() <= in_flight * 1e-9);
        prop_assert_eq!(prediction.close_tail_us.is_none(), prediction.grows(Duration::from_secs(10)));
        prop_assert!(prediction.close_tail_us.is_some() || prediction.verdict != KeepsUp);
    }

    #[test]
    fn every_possible_trial_has_a_finite_prediction(
        strategy in strategies(), rule in any_start_rule(), rpu in 1u64..=1_000_000, workers in 1u64..=100_000,
        keys in 1u64..=1_000, skew in 0.0f64..10.0, cpu: bool, capacity in proptest::option::of(1u64..1_000),
        delay in "(0|1ns|24h|exponential\\(0\\)|exponential\\(1h\\)|uniform\\(0,24h\\)|lognormal\\(50=80ms,99=400ms\\)|percentiles\\(50=1ms,99=10s\\))",
        fail in 0.0f64..=1.0, retries in 0u32..=100,
    ) {
        let mut settings = cell(strategy, workers, rpu, &delay, rule);
        settings.keys = nonzero(keys);
        settings.key_skew = skew;
        settings.workload = if cpu { Workload::Cpu } else { Workload::Http };
        settings.capacity = Limit(capacity.map(nonzero));
        (settings.fail_status, settings.retries) = (fail, retries);
        let prediction = of(&settings);
        prop_assert!(prediction.load_factor.is_finite() && prediction.load_factor >= 0.0, "{prediction:?}");
        prop_assert!(prediction.stall_share.is_some_and(|share| (0.0..=1.0).contains(&share)), "{prediction:?}");
        if let Some(TailPercentiles { p50_us, p90_us, p95_us, p99_us }) = prediction.close_tail_percentiles {
            prop_assert_eq!(prediction.close_tail_us, Some(p50_us));
            prop_assert!([p50_us, p90_us, p95_us, p99_us].is_sorted(), "{prediction:?}");
        }
        prop_assert!(!prediction.why.contains("NaN") && !prediction.why.contains("inf"), "{prediction:?}");
        let json = serde_json::to_string(&prediction).unwrap();
        prop_assert_eq!(serde_json::from_str::<Prediction>(&json).unwrap().verdict, prediction.verdict);
    }
}

/// Asserts the tail (±2 ms) and the share of missed events (±0.01).
fn expect_missed(mut settings: TrialSettings, deadline_ms: u64, tail_s: f64, share: Option<f64>) {
    settings.close_deadline = Some(Deadline(Some(Duration::from_millis(deadline_ms))));
    let prediction = of(&settings);
    let tail = prediction.close_tail().unwrap().as_secs_f64();
    assert!((tail - tail_s).abs() < 0.002, "{prediction:?}");
    match (prediction.missed_share, share) {
        (None, None) => {}
        (Some(got), Some(wanted)) => assert!((got - wanted).abs() < 0.01, "{prediction:?}"),
        _ => panic!("{prediction:?}"),
    }
}

#[test]
fn a_close_deadline_bounds_the_tail_and_its_share_is_missed() {
    // At close: 1,000 calls of 1 s by 100 workers need ten rounds, of which three end.
    expect_missed(cell(Async, 100, 100, "1s", AtClose), 3_500, 3.5, Some(0.7));
    expect_missed(cell(Async, 1_000, 100, "1s", AtClose), 500, 0.5, Some(1.0));
    expect_missed(cell(Async, 1_000, 100, "1s", AtClose), 2_000, 1.03, Some(0.0));
    let mut keys = cell(Sequential, 1, 4, "1s", AtClose);
    keys.keys = nonzero(5);
    expect_missed(keys.clone(), 3_500, 3.5, Some(5.0 / 8.0));
    keys.key_skew = 1.0;
    expect_missed(keys, 3_500, 3.5, None);
    // At arrival: of 1,000 events, those of the last 400 ms or so have not ended 590 ms after the close.
    expect_missed(cell(Async, 1_000, 100, "1s", AtArrival), 590, 0.59, Some(0.03));
    expect_missed(cell(Async, 1_000, 100, "1s", AtArrival), 900, 0.8, Some(0.0));
    // One worker makes 10 and a few of the 100 calls of a window, and none of them is left to the next.
    expect_missed(cell(Sequential, 1, 10, "1s", AtArrival), 500, 0.5, Some(0.9));
    // Calls of 50 to 150 ms, all at once: half of them last longer than 100 ms.
    expect_missed(
        cell(Async, 1_000, 100, "uniform(50ms,150ms)", AtClose),
        100,
        0.1,
        Some(0.5),
    );
    expect_missed(
        cell(ThreadPool, 20, 100, "uniform(50ms,150ms)", AtClose),
        100,
        0.1,
        None,
    );
}

#[test]
fn calls_that_hang_are_missed_at_the_deadline() {
    for (start_rule, share) in [(AtClose, 0.05), (AtArrival, 0.05)] {
        let mut hanging = cell(Async, 10_000, 100, "10ms", start_rule);
        hanging.fail_hang = Some(0.05);
        expect_missed(hanging, 500, 0.5, Some(share));
    }
    // Three seconds after its arrival a call has timed out: those of the last 2.5 s are missed.
    let mut hanging = cell(Async, 10_000, 100, "10ms", AtArrival);
    hanging.fail_hang = Some(1.0);
    hanging.timeout = Duration::from_secs(3);
    expect_missed(hanging, 500, 0.5, Some(0.23));
}

#[test]
fn a_prediction_with_a_deadline_says_what_is_missed() {
    let why = |mut settings: TrialSettings| {
        settings.close_deadline = Some(Deadline(Some(Duration::from_millis(500))));
        of(&settings)
    };
    let slow = why(cell(Sequential, 1, 10, "1s", AtArrival));
    assert_eq!(slow.verdict, KeepsUp, "its windows end in time");
    assert_eq!((slow.load_factor * 10.0).round(), 100.0);
    assert!(
        slow.why.ends_with("and calls end 90.0 s after it; what has not ended 500 ms after the close is missed: 90 % of the events."),
        "{}",
        slow.why
    );
    let stalls = why(TrialSettings {
        window: Duration::from_millis(500),
        ..cell(Async, 1_000, 10, "11s", AtClose)
    });
    assert_eq!(stalls.verdict, Critical, "its closes take as long as a window");
    let quick = why(cell(Async, 1_000, 10, "0", AtArrival));
    assert_eq!(
        quick,
        Prediction {
            missed_share: Some(0.0),
            ..of(&cell(Async, 1_000, 10, "0", AtArrival))
        }
    );
}
