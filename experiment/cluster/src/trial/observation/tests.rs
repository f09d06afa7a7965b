use std::num::NonZeroU64;
use std::time::Duration;

use wire::{
    Delay, Latencies, Outcome, PayloadKeys, Ranges, SentWindow, Settings, SinkLine, StartRule, StrategyKind,
    WindowRecord, Workload,
};

use super::*;
use engine::windows;
use trials::outcome::TrialEnd;

const T0_MS: u64 = 100_000;

fn settings() -> TrialSettings {
    let number = |number| NonZeroU64::new(number).unwrap();
    TrialSettings {
        rpu: number(20),
        keys: number(2),
        io_delay: Delay::ZERO,
        strategy: StrategyKind::Async,
        start_rule: StartRule::AtArrival,
        workload: Workload::Http,
        max_workers: number(10),
        max_waiting: number(1_000),
        window: Duration::from_secs(1),
        read_timeout: Duration::from_millis(100),
        warmup: 1,
        windows: 2,
        seed: 0,
        ..TrialSettings::defaults().unwrap()
    }
}

/// The record of a key's ten events of window `index` without the first `missing`; its result comes 30 ms after the close.
fn record(key: &str, index: u64, missing: u64) -> WindowRecord {
    let start_ms = T0_MS + index * 1_000;
    WindowRecord {
        process: 1,
        window_start_ms: start_ms,
        window_end_ms: start_ms + 1_000,
        keys: vec![key.to_owned()],
        settings: Settings {
            strategy: StrategyKind::Async,
            start_rule: StartRule::AtArrival,
            workload: Workload::Http,
            max_workers: 10,
            io_delay: Delay::ZERO,
            timeout: Duration::from_secs(30),
            retries: 0,
            cpu_offload: false,
        },
        events: 10 - missing,
        outcomes: [(Outcome::Ok, 10 - missing)].into(),
        attempts: 10 - missing,
        reconnects: 0,
        seen: BTreeMap::from([(1, Ranges::span(index * 10 + missing, index * 10 + 9))]),
        repeated: 0,
        undecoded: 0,
        latency: Latencies::new(),
        failed_latency: None,
        slot_wait: Latencies::new(),
        peak_in_flight: 3,
        reading_stopped: 0,
        first_arrival_us: start_ms * 1_000,
        last_arrival_us: start_ms * 1_000,
        close_us: (start_ms + 1_300) * 1_000,
        result_us: (start_ms + 1_330) * 1_000,
        format: wire::RECORD_FORMAT,
        named: BTreeMap::new(),
        unnumbered: 0,
        unnumbered_ns: Vec::new(),
        failure: None,
    }
}

/// Four windows of two keys were sent, and these records have arrived.
fn evidence(records: &[WindowRecord], complete: &[u64], dropped: u64) -> Evidence<'static> {
    let sent = |index: u64| SentWindow {
        window_start_ms: T0_MS + index * 1_000,
        numbers: ["a", "b"]
            .map(|key| (key.to_owned(), Ranges::span(index * 10, index * 10 + 9)))
            .into(),
    };
    let mut arrivals = ByWindow::new();
    for (number, record) in (0u64..).zip(records) {
        let line = SinkLine {
            process: 1,
            line: number,
            arrival_us: record.result_us + 200_000,
            id: number.to_string(),
            keys: record.keys.clone(),
            event_time_ms: record.window_end_ms as i64 - 1,
            duplicate: false,
            record: Some(record.clone()),
            text: None,
            bytes: None,
        };
        windows::add_line(&mut arrivals, line, 1_000);
    }
    Evidence {
        t0_ms: T0_MS,
        arrivals,
        complete: complete.iter().map(|index| T0_MS + index * 1_000).collect(),
        generator: GeneratorStats {
            generator: 1,
            t0_us: Some(T0_MS * 1_000),
            t0_ns: Some(T0_MS * 1_000_000),
            now_us: 0,
            offered: 80,
            sent: 80,
            acked: 80,
            nacked: 0,
            overdue: 0,
            lateness: Latencies::new(),
            windows: (0..4).map(sent).collect(),
        },
        endpoint: None,
        dropped,
        metrics: BTreeMap::from([("numaflow_udf_read".to_owned(), 80)]),
        usage: None,
        voided: Vec::new(),
        timetable: None,
    }
}

/// Offered, late, ok, open, lost.
fn places(observation: &Observation) -> [u64; 5] {
    let ledger = observation.ledger.as_ref().unwrap();
    assert!(ledger.balances(), "{ledger:?}");
    [ledger.offered, ledger.late, ledger.ok, ledger.open, ledger.lost]
}

fn all(windows: u64) -> Vec<WindowRecord> {
    (0..windows)
        .flat_map(|index| ["a", "b"].map(|key| record(key, index, 0)))
        .collect()
}

#[test]
fn own_events_that_were_replayed_are_found_by_their_time() {
    let settings = settings();
    let mut keys = PayloadKeys::default();
    (keys.names, keys.of_payloads) = (vec!["a".to_owned(), "b".to_owned()], vec![0, 1]);
    let mut records = all(3);
    // The first three of a key in the second window: two a second of 20, 100 ms apart.
    let replayed = records
        .iter_mut()
        .find(|record| record.window_start_ms == T0_MS + 1_000);
    let replayed = replayed.unwrap();
    replayed.seen = BTreeMap::from([(1, Ranges::span(13, 19))]);
    replayed.unnumbered = 3;
    let time_ns = |number: u64| i64::try_from(T0_MS * 1_000_000 + number * 100_000_000).unwrap();
    replayed.unnumbered_ns = (10..13).map(time_ns).collect();
    for own in [true, false] {
        let mut evidence = evidence(&records, &[0, 1, 2], 0);
        evidence.timetable = own.then_some(Timetable {
            settings: &settings,
            payload_keys: Some(&keys),
        });
        let observation = observe(&settings, evidence);
        let lost = if own { 0 } else { 3 };
        assert_eq!(places(&observation), [80, 0, 60 - lost, 20, lost]);
        assert_eq!(observation.ledger.unwrap().replayed, 3 - lost);
    }
}

#[test]
fn a_trial_with_every_record_is_completed() {
    let observation = observe(&settings(), evidence(&all(3), &[0, 1, 2], 0));
    assert_eq!(observation.end, TrialEnd::Completed);
    assert_eq!(places(&observation), [80, 0, 60, 20, 0]);
    let measured = observation.windows[1].measured.clone().unwrap();
    assert_eq!((measured.keys, measured.events, measured.ok), (2, 20, 20));
    assert_eq!((measured.close_tail_us, measured.stream_tail_us), (30_000, None));
    assert_eq!(measured.result_lag_us, 530_000);
    assert!(observation.windows[0].warmup);
    let instruments = observation.instruments.unwrap();
    assert_eq!(instruments.engine["numaflow_udf_read"], 80);
}

#[test]
fn what_is_in_no_record_is_late_as_far_as_numaflow_dropped_it_and_lost_beyond() {
    let mut records = all(3);
    records[0] = record("a", 0, 4);
    let observation = observe(&settings(), evidence(&records, &[0, 1, 2], 3));
    assert_eq!(places(&observation), [80, 3, 56, 20, 1]);
}

#[test]
fn a_window_with_half_of_its_records_is_open_until_a_later_one_has_some() {
    let mut records = all(2);
    records.push(record("a", 2, 0));
    let observation = observe(&settings(), evidence(&records, &[0, 1], 0));
    assert_eq!(observation.end, TrialEnd::CutOff);
    assert_eq!(observation.windows[2].measured, None);
    assert_eq!(places(&observation), [80, 0, 50, 30, 0]);
    records.push(record("a", 3, 0));
    let observation = observe(&settings(), evidence(&records, &[0, 1], 0));
    assert_eq!(places(&observation), [80, 0, 60, 10, 10]);
}

#[test]
fn a_partition_that_is_ahead_closes_no_window_of_the_others() {
    // The partition of `a` is three windows further than that of `b`, whose window 1 has not closed.
    let mut records: Vec<WindowRecord> = (0..4).map(|index| record("a", index, 0)).collect();
    let mut of_b = record("b", 0, 0);
    of_b.process = 2;
    records.push(of_b.clone());
    let observation = observe(&settings(), evidence(&records, &[0], 0));
    assert_eq!(places(&observation), [80, 0, 50, 30, 0], "open, not lost");
    // Its process was restarted, and the new one has closed window 3.
    (of_b.process, of_b.window_start_ms) = (3, T0_MS + 3_000);
    of_b.window_end_ms = T0_MS + 4_000;
    of_b.seen = BTreeMap::from([(1, Ranges::span(30, 39))]);
    records.push(of_b);
    let observation = observe(&settings(), evidence(&records, &[0, 3], 0));
    assert_eq!(places(&observation), [80, 0, 60, 0, 20], "lost with the restart");
}

#[test]
fn the_close_tail_of_a_trial_is_the_longest_of_its_partitions() {
    let seconds = 5_000_000;
    let mut records = all(3);
    for record in records.iter_mut().filter(|record| record.keys == ["b"]) {
        record.process = 2;
        // A clock that is five seconds ahead, and a close that takes 70 ms.
        for stamp in [
            &mut record.first_arrival_us,
            &mut record.close_us,
            &mut record.result_us,
        ] {
            *stamp += seconds;
        }
        record.result_us += 40_000;
    }
    let observation = observe(&settings(), evidence(&records, &[0, 1, 2], 0));
    for window in &observation.windows {
        let measured = window.measured.as_ref().unwrap();
        assert_eq!((measured.close_tail_us, measured.keys), (70_000, 2));
        let tails: Vec<u64> = measured.processes.iter().map(|p| p.close_tail_us).collect();
        assert_eq!(tails, [30_000, 70_000]);
    }
    assert_eq!(places(&observation), [80, 0, 60, 20, 0]);
}

#[test]
fn a_restarted_pod_is_on_record() {
    let voided = vec!["the udf pod restarted".to_owned()];
    let observation = observe(
        &settings(),
        Evidence {
            voided: voided.clone(),
            ..evidence(&all(3), &[0, 1, 2], 0)
        },
    );
    let ledger = observation.ledger.unwrap();
    assert_eq!(ledger.errors, voided);
    assert!(!ledger.balances());
}
