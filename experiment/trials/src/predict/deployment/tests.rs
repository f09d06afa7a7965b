use proptest::prelude::*;
use wire::StrategyKind;

use super::*;

fn number(value: u64) -> NonZeroU64 {
    NonZeroU64::new(value).unwrap()
}

fn settings(keys: u64, delay: &str, start_rule: StartRule) -> TrialSettings {
    TrialSettings {
        rpu: number(100),
        keys: number(keys),
        io_delay: delay.parse().unwrap(),
        strategy: StrategyKind::Async,
        start_rule,
        workload: Workload::Http,
        max_workers: number(10_000),
        window: Duration::from_secs(10),
        read_timeout: Duration::from_millis(200),
        warmup: 1,
        windows: 13,
        seed: 1,
        ..TrialSettings::defaults().unwrap()
    }
}

#[test]
fn a_pod_of_two_cores_is_bound_by_them() {
    // 2 cores × 0.7 ÷ 140 µs = 10,000 a second, less the 100 µs of 10 s that the key's close takes.
    let carried = pod(&settings(1, "0", StartRule::AtArrival), &Limits::default());
    assert_eq!(carried.bound, Bound::Processor);
    assert!((9_990..=10_000).contains(&carried.rate), "{carried:?}");
    let half = Limits {
        cores: number(1),
        ..Limits::default()
    };
    let less = pod(&settings(1, "0", StartRule::AtArrival), &half);
    assert!(less.rate.abs_diff(carried.rate / 2) <= 5, "{less:?}");
}

#[test]
fn calls_of_a_second_are_bound_by_their_slots() {
    // 10,000 in flight ÷ 1.0003 s × 0.9.
    let limits = Limits {
        udf_time: Duration::from_micros(1),
        data_plane_time: Duration::from_micros(1),
        ..Limits::default()
    };
    let carried = pod(&settings(1, "1s", StartRule::AtArrival), &limits);
    assert_eq!((carried.rate, carried.bound), (8_997, Bound::Slots));
    // At close 10,000 in flight take at most eight whole waves in nine seconds.
    let carried = pod(&settings(1, "1s", StartRule::AtClose), &limits);
    assert_eq!(carried.bound, Bound::Buffer, "{carried:?}");
    assert!(carried.rate < 8_000);
}

#[test]
fn closing_a_key_takes_its_time() {
    // 9 s ÷ 100 µs = 90,000 keys are all that one pod can close.
    let of = |keys| pod(&settings(keys, "0", StartRule::AtArrival), &Limits::default());
    assert!(of(80_000).rate > 1_000);
    assert_eq!((of(90_100).rate, of(90_100).bound), (0, Bound::Close));
}

#[test]
fn more_partitions_than_keys_are_of_no_use() {
    let needed = |keys| {
        deployment(
            &settings(keys, "0", StartRule::AtArrival),
            &Limits::default(),
            number(1_000_000),
        )
    };
    assert_eq!(needed(1), Err(Bound::Processor));
    assert_eq!(needed(50), Err(Bound::Processor));
    let deployment = needed(1_000_000).unwrap();
    // 100 would do if keys fell evenly and closed in no time: each partition has some 9,000, which close for 0.9 s.
    assert_eq!(deployment.partitions, 114);
    assert!(
        (9_000.0..9_200.0).contains(&deployment.busiest_rate),
        "{deployment:?}"
    );
    // 1,000,000 ÷ (2 × 0.7 ÷ 85 µs) = 60.7; (1,000,000 + 100,000 results) × 3 ÷ 50,000 = 66.
    assert_eq!((deployment.source_pods, deployment.jetstream_servers), (61, 66));
    assert!((deployment.in_flight - 300.0).abs() < 1.0);
}

#[test]
fn a_busy_key_keeps_its_partition_busy() {
    let skewed = TrialSettings {
        key_skew: 1.2,
        ..settings(1_000, "0", StartRule::AtArrival)
    };
    let fraction = busiest_key_fraction(1_000, 1.2);
    let fits = |rate| deployment(&skewed, &Limits::default(), number(rate)).is_ok();
    assert!(fits((9_000.0 / fraction) as u64) && !fits((11_000.0 / fraction) as u64));
}

fn any_settings() -> impl Strategy<Value = TrialSettings> {
    (
        (1u64..200_000, 0f64..2.0, 0u64..3_000, 1u64..20_000),
        (
            proptest::sample::select(StrategyKind::ALL),
            any::<bool>(),
            any::<bool>(),
            1u64..60,
        ),
    )
        .prop_map(
            |((keys, skew, delay_ms, workers), (strategy, at_close, cpu, window))| TrialSettings {
                key_skew: skew,
                strategy,
                max_workers: number(workers),
                workload: if cpu { Workload::Cpu } else { Workload::Http },
                window: Duration::from_secs(window),
                ..settings(
                    keys,
                    &format!("{delay_ms}ms"),
                    if at_close {
                        StartRule::AtClose
                    } else {
                        StartRule::AtArrival
                    },
                )
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_pod_carries_its_rate_and_no_more(settings in any_settings()) {
        let limits = Limits::default();
        let carried = pod(&settings, &limits);
        if carried.rate > 0 {
            prop_assert_eq!(exceeded(&settings, &limits, carried.rate), None);
        }
        prop_assert_eq!(exceeded(&settings, &limits, carried.rate + 1), Some(carried.bound));
        prop_assert!(carried.rate as f64 <= MAX_PROCESSOR_UTILIZATION * 2.0 / 140e-6 + 1.0);
    }

    #[test]
    fn a_deployment_carries_its_rate(settings in any_settings(), rate in 1u64..3_000_000) {
        let limits = Limits::default();
        if let Ok(found) = deployment(&settings, &limits, number(rate)) {
            prop_assert!((1..=settings.keys.get()).contains(&found.partitions));
            prop_assert_eq!(exceeded_by_busiest(&settings, &limits, number(rate), found.partitions), None);
            prop_assert!(found.busiest_rate * found.partitions as f64 >= rate as f64 * 0.999_999);
            prop_assert!(found.source_pods as f64 * source_rate(&limits) >= rate as f64);
            prop_assert!(found.jetstream_servers >= 3);
        }
    }

    #[test]
    fn the_busiest_partition_has_at_least_an_even_fraction(keys in 1u64..1_000_000, skew in 0f64..2.0, n in 1u64..10_000) {
        let settings = TrialSettings { key_skew: skew, ..settings(keys, "0", StartRule::AtArrival) };
        let fraction = busiest_partition_fraction(&settings, n);
        prop_assert!(fraction <= 1.0 && fraction >= 1.0 / n as f64 * 0.999_999);
        prop_assert!(fraction >= busiest_key_fraction(keys, skew).min(1.0) * 0.999_999);
    }
}
