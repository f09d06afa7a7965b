use std::collections::BTreeMap;
use std::num::NonZeroU64;

use proptest::prelude::*;

use super::*;
use crate::journal::RunFacts;
use crate::outcome::{Cost, Instruments, TrialEnd, example};

const CORES: NonZeroUsize = NonZeroUsize::new(2).unwrap();

const fn micros(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

fn packed(durations: impl IntoIterator<Item = Duration>) -> PackedLatencies {
    let mut latencies = Latencies::new();
    for one in durations {
        latencies.record(one);
    }
    latencies.into()
}

/// A trial of equal calls: what the endpoint was asked for, what a call waited for its capacity, and what it took beyond.
fn trial(id: &str, delay: Duration, wait: Duration, overhead: Duration) -> TrialOutcome {
    let mut outcome = example::trial(&[1_000; 10]);
    outcome.trial.id = id.to_owned();
    outcome.trial.settings.io_delay = Delay::Fixed(delay);
    outcome.latency = packed([delay + wait + overhead; 100]);
    // Seconds in which calls waited for a slot are not part of it.
    outcome.slot_wait = packed([Duration::from_secs(3); 100]);
    let instruments = outcome.instruments.as_mut().unwrap();
    instruments.endpoint_given = Some(packed([delay + wait; 100]));
    instruments.endpoint_excess = Some(packed([Duration::ZERO; 100]));
    outcome
}

fn lines(outcomes: impl IntoIterator<Item = TrialOutcome>) -> Vec<JournalLine> {
    let facts = RunFacts {
        plan_name: String::new(),
        plan_text: String::new(),
        trials: 1,
        engine: "local".to_owned(),
        started_us: 0,
        machine: BTreeMap::from([("cores".to_owned(), CORES.to_string())]),
        command: String::new(),
        references: Vec::new(),
        search: None,
    };
    let trials = outcomes.into_iter().map(Box::new).map(JournalLine::Trial);
    [JournalLine::Run(facts)].into_iter().chain(trials).collect()
}

fn learned(outcomes: impl IntoIterator<Item = TrialOutcome>) -> Learned {
    Learned::from_run(&lines(outcomes), "out/x").unwrap()
}

fn instruments(outcome: &mut TrialOutcome) -> &mut Instruments {
    outcome.instruments.as_mut().unwrap()
}

/// Whether two times are the same but for the precision of a histogram at some 20 ms.
fn near(a: Duration, b: Duration) -> bool {
    a.abs_diff(b) <= micros(20)
}

#[test]
fn neither_the_wait_for_a_slot_nor_that_for_capacity_is_learned() {
    let outcome = trial("a", micros(20_000), micros(500_000), micros(700));
    let settings = outcome.trial.settings.clone();
    let learned = learned([outcome]);
    let overhead = learned.assumptions(&settings).call_overhead;
    assert!(overhead.abs_diff(micros(700)) < micros(600), "{overhead:?}");
    assert_eq!(learned.delay(), Some(&Delay::Fixed(micros(20_000))));
    assert!(!learned.is_of_service());
    assert_eq!(learned.settings(&settings), settings, "a plan's delay is its own");
    assert_eq!(learned.source(), "1 trial of out/x");
}

#[test]
fn a_journal_without_the_endpoints_account_says_what_is_certain() {
    let older = |change: fn(&mut TrialOutcome)| {
        let mut outcome = trial("a", micros(20_000), Duration::ZERO, micros(900));
        instruments(&mut outcome).endpoint_given = None;
        change(&mut outcome);
        let settings = outcome.trial.settings.clone();
        learned([outcome]).assumptions(&settings).call_overhead
    };
    let assumed = Assumptions::default().call_overhead;
    assert!(near(older(|_| {}), micros(900)));
    let limited = older(|outcome| outcome.trial.settings.capacity = Limit(NonZeroU64::new(5)));
    assert_eq!(limited, assumed, "calls may have waited");
    let varying = older(|outcome| {
        outcome.trial.settings.io_delay = Delay::Uniform(Duration::ZERO, micros(40_000));
    });
    assert_eq!(varying, assumed, "a sample's median is not the delay's");
}

#[test]
fn the_most_similar_trial_is_the_one_that_counts() {
    let of = |id: &str, strategy, start_rule, workers: u64, overhead| {
        let mut outcome = trial(id, micros(20_000), Duration::ZERO, overhead);
        let settings = &mut outcome.trial.settings;
        (settings.strategy, settings.start_rule) = (strategy, start_rule);
        settings.rpu = NonZeroU64::new(500).unwrap();
        settings.max_workers = NonZeroU64::new(workers).unwrap();
        outcome
    };
    use StartRule::{AtArrival, AtClose};
    use StrategyKind::{Async, ProcessPool, ThreadPool};
    let all = [
        of("a", Async, AtClose, 10, micros(400)),
        of("b", Async, AtClose, 300, micros(4_000)),
        of("c", Async, AtArrival, 10, micros(300)),
        of("d", ThreadPool, AtClose, 10, micros(1_000)),
        of("e", ThreadPool, AtClose, 10, micros(2_000)),
    ];
    let learned = learned(all);
    let overhead = |strategy, start_rule, workers| {
        let asked = of("x", strategy, start_rule, workers, Duration::ZERO);
        learned.assumptions(&asked.trial.settings).call_overhead
    };
    assert!(near(overhead(Async, AtClose, 20), micros(400)));
    assert!(near(overhead(Async, AtClose, 200), micros(4_000)));
    assert!(near(overhead(Async, AtArrival, 200), micros(300)));
    assert!(
        near(overhead(ThreadPool, AtClose, 10), micros(1_500)),
        "the mean of equals"
    );
    assert!(
        near(overhead(ThreadPool, AtArrival, 10), micros(1_500)),
        "its strategy"
    );
    assert!(
        near(overhead(ProcessPool, AtClose, 300), micros(4_000)),
        "its start rule"
    );
}

#[test]
fn batch_and_key_times_are_learned() {
    let mut outcome = trial("a", micros(1_000), Duration::ZERO, micros(400));
    outcome.trial.settings.rpu = NonZeroU64::new(100).unwrap();
    outcome.trial.settings.start_rule = StartRule::AtArrival;
    for window in &mut outcome.windows {
        let measure = window.measured.as_mut().unwrap();
        (measure.keys, measure.close_tail_us) = (20, 3_000);
    }
    // 10 s in 190 reads of 50 ms each.
    instruments(&mut outcome).engine =
        BTreeMap::from([("read".to_owned(), 1_000), (READ_BATCHES.to_owned(), 190)]);
    let settings = outcome.trial.settings.clone();
    let assumptions = learned([outcome.clone()]).assumptions(&settings);
    assert_eq!(assumptions.key_time, micros(150));
    assert_eq!(assumptions.batch_time.as_micros(), 2_631);

    // Reads that were full, or that stopped, do not show it; nor is it known of an older run.
    let assumed = Assumptions::default();
    let batch_time = |change: fn(&mut TrialOutcome)| {
        let mut outcome = outcome.clone();
        change(&mut outcome);
        learned([outcome]).assumptions(&settings).batch_time
    };
    let full = batch_time(|outcome| outcome.trial.settings.rpu = NonZeroU64::new(10_000).unwrap());
    let unsent = batch_time(|outcome| {
        let ledger = outcome.ledger.as_mut().unwrap();
        (ledger.offered, ledger.unsent) = (ledger.offered + 7, 7);
    });
    let older = batch_time(|outcome| instruments(outcome).engine.clear());
    assert_eq!([full, unsent, older], [assumed.batch_time; 3]);
    // A call that is under way at the close is no time of a key.
    outcome.latency = packed([micros(40_000); 10]);
    assert_eq!(
        learned([outcome]).assumptions(&settings).key_time,
        assumed.key_time
    );
}

#[test]
fn processor_time_is_learned_of_a_burst_or_of_a_busy_program() {
    let mut outcome = trial("a", micros(20_000), Duration::ZERO, micros(400));
    let settings = &mut outcome.trial.settings;
    settings.start_rule = StartRule::AtClose;
    settings.strategy = StrategyKind::Async;
    settings.rpu = NonZeroU64::new(100).unwrap();
    settings.max_workers = NonZeroU64::new(100).unwrap();
    settings.keys = NonZeroU64::MIN;
    outcome.ended_us = 10 * example::SECOND;
    outcome.cost = Some(Cost {
        cpu_us: 90_000,
        calls: 1_000,
        peak_memory_bytes: 0,
        peak_threads: 0,
    });
    for window in &mut outcome.windows {
        window.measured.as_mut().unwrap().close_tail_us = 25_420;
    }
    let settings = outcome.trial.settings.clone();
    let learned_of = |outcome: &TrialOutcome| {
        learned([outcome.clone()])
            .assumptions(&settings)
            .call_processor_time
    };
    // 5 ms of two cores for 100 calls.
    assert!(learned_of(&outcome).abs_diff(micros(100)) < micros(1));
    // In rounds, the close says nothing of it, and an idle program's cost neither.
    outcome.trial.settings.max_workers = NonZeroU64::new(10).unwrap();
    assert_eq!(learned_of(&outcome), Assumptions::default().call_processor_time);
    outcome.cost.as_mut().unwrap().cpu_us = 8_000_000;
    assert_eq!(learned_of(&outcome), micros(8_000));
}

#[test]
fn the_delay_of_a_service_is_of_the_trials_that_did_not_wait_for_it() {
    let of = |id: &str, shortest: u64| {
        let mut outcome = trial(id, Duration::ZERO, Duration::ZERO, Duration::ZERO);
        instruments(&mut outcome).endpoint_served = None;
        outcome.latency = packed((0..1_000).map(|i| micros(shortest + i * 10)));
        outcome
    };
    let learned = learned([of("a", 20_000), of("b", 20_500), of("crowded", 80_000)]);
    assert!(learned.is_of_service());
    let delay = learned.delay().unwrap();
    assert!(near(delay.quantile(0.5), micros(24_950)), "{delay}");
    assert!(delay.quantile(1.0) < micros(31_000), "{delay}");
    let plan = trial("x", micros(5), Duration::ZERO, Duration::ZERO)
        .trial
        .settings;
    assert_eq!(
        learned.settings(&plan).io_delay,
        *delay,
        "a plan's delay is not the service's"
    );
    assert_eq!(
        learned.assumptions(&plan).call_overhead,
        Assumptions::default().call_overhead,
        "that of a service is part of its delay"
    );
}

#[test]
fn nothing_is_learned_where_nothing_was_measured() {
    let mut failed = trial("a", micros(1), Duration::ZERO, micros(1));
    failed.end = TrialEnd::Failed {
        reason: "no udf".to_owned(),
    };
    let mut silent = trial("b", micros(1), Duration::ZERO, micros(1));
    silent.latency = PackedLatencies::default();
    assert_eq!(
        Learned::from_run(&lines([failed, silent]), "out/x"),
        Err(LearnError::NoCalls)
    );
    assert_eq!(Learned::from_calls(&Latencies::new(), "http://s"), None);
}

#[test]
fn a_trial_is_explained_by_its_own_calls() {
    let mut outcome = trial("a", micros(100_000), Duration::ZERO, micros(5_000));
    let settings = &mut outcome.trial.settings;
    settings.strategy = StrategyKind::ThreadPool;
    settings.start_rule = StartRule::AtClose;
    settings.max_workers = NonZeroU64::new(20).unwrap();
    settings.rpu = NonZeroU64::new(100).unwrap();
    // 100 calls in 5 rounds of 105 ms.
    let explained = explain(&[&outcome], CORES).unwrap();
    let tail = explained.close_tail().unwrap();
    assert!((micros(520_000)..micros(530_000)).contains(&tail), "{tail:?}");

    // Ten of them at once at the endpoint, which a plan may hide: the calls lasted nearly twice as long.
    outcome.trial.settings.capacity = Limit(NonZeroU64::new(10));
    outcome.latency = packed([micros(190_000); 100]);
    let limited = explain(&[&outcome], CORES).unwrap();
    let tail = limited.close_tail().unwrap();
    assert!((micros(940_000)..micros(960_000)).contains(&tail), "{tail:?}");
    assert!(
        (0.94..0.97).contains(&limited.load_factor),
        "{}",
        limited.load_factor
    );
    outcome.trial.settings.capacity = Limit(None);
    assert_eq!(explain(&[&outcome], CORES), Some(limited));

    outcome.latency = PackedLatencies::default();
    assert_eq!(explain(&[&outcome], CORES), None, "not recorded");
    assert_eq!(explain(&[], CORES), None);
}

#[test]
fn a_computation_is_explained_by_its_processor_time() {
    let mut outcome = trial("a", micros(1_000), Duration::ZERO, Duration::ZERO);
    let settings = &mut outcome.trial.settings;
    settings.workload = Workload::Cpu;
    settings.start_rule = StartRule::AtClose;
    settings.strategy = StrategyKind::ProcessPool;
    settings.max_workers = NonZeroU64::new(2).unwrap();
    settings.rpu = NonZeroU64::new(100).unwrap();
    assert_eq!(explain(&[&outcome], CORES), None, "its cost was not measured");
    outcome.cost = Some(Cost {
        cpu_us: 3_000_000,
        calls: 1_000,
        peak_memory_bytes: 0,
        peak_threads: 0,
    });
    // 50 rounds of 3 ms.
    let tail = explain(&[&outcome], CORES).unwrap().close_tail().unwrap();
    assert!((micros(149_000)..micros(155_000)).contains(&tail), "{tail:?}");
}

proptest! {
    #[test]
    fn what_was_put_in_is_what_is_learned(delay in 1_000u64..200_000, wait in 0u64..100_000, overhead in 0u64..20_000) {
        let outcome = trial("a", micros(delay), micros(wait), micros(overhead));
        let settings = outcome.trial.settings.clone();
        let learned = learned([outcome]).assumptions(&settings).call_overhead;
        // Histograms are precise to 0.1 %.
        let off = micros(2) + micros(delay + wait + overhead) / 500;
        prop_assert!(learned.abs_diff(micros(overhead)) <= off, "{learned:?}");
    }
}
