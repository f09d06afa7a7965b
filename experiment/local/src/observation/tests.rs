//! Trials written by hand: two keys, windows of one second that begin at second 100, ten events a window and key.

use std::num::NonZeroU64;

use engine::windows::{Arrivals, PackedRecord};
use trials::outcome::{CallAccount, Cost, TrialEnd, WindowMeasure};
use wire::{Delay, DelayStats, Latencies, Outcome, OutcomeCounts, Ranges, SentWindow, Settings, Workload};
use wire::{StartRule, StrategyKind, WindowRecord};

use super::*;

const T0_MS: u64 = 100_000;

fn number(number: u64) -> NonZeroU64 {
    NonZeroU64::new(number).unwrap()
}

fn settings(warmup: u32, windows: u32) -> TrialSettings {
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
        warmup,
        windows,
        seed: 0,
        ..TrialSettings::defaults().unwrap()
    }
}

/// The record of a key's ten events of window `index`: one of them failed, closed 50 ms after the window's end,
/// done `tail_ms` later.
fn record(key: &str, index: u64, tail_ms: u64) -> WindowRecord {
    let start_ms = T0_MS + index * 1_000;
    let close_us = (start_ms + 1_050) * 1_000;
    let mut latency = Latencies::new();
    latency.record(Duration::from_millis(7));
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
        events: 10,
        outcomes: OutcomeCounts::from([(Outcome::Ok, 9), (Outcome::Timeout, 1)]),
        attempts: 10,
        reconnects: 0,
        seen: BTreeMap::from([(1, Ranges::span(index * 10, index * 10 + 9))]),
        repeated: 0,
        undecoded: 0,
        latency,
        failed_latency: Some(Latencies::new()),
        slot_wait: Latencies::new(),
        peak_in_flight: 3 + tail_ms / 100,
        reading_stopped: 0,
        first_arrival_us: start_ms * 1_000 + 2_000,
        last_arrival_us: close_us - 1_000,
        close_us,
        result_us: close_us + tail_ms * 1_000,
        format: wire::RECORD_FORMAT,
        named: BTreeMap::new(),
        unnumbered: 0,
        unnumbered_ns: Vec::new(),
        failure: None,
    }
}

/// A trial of `windows` windows of which the first `closed` have been closed, `ago` before the data plane stopped,
/// with two results each; nothing has arrived.
fn data(windows: u64, closed: u64, ago: Duration) -> TrialData<'static> {
    let start = Instant::now();
    let clock = Clock::anchored(Duration::from_millis(T0_MS), start);
    let stopped = start + Duration::from_secs(60);
    let sent = |index: u64| SentWindow {
        window_start_ms: T0_MS + index * 1_000,
        numbers: ["key-0", "key-1"]
            .map(|key| (key.to_owned(), Ranges::span(index * 10, index * 10 + 9)))
            .into_iter()
            .collect(),
    };
    let mut recorded = Recorded::default();
    for index in 0..closed {
        let eof = stopped - ago;
        let closing = Closing {
            events: 20,
            results: 2,
            half_close: eof - Duration::from_millis(400),
            eof,
        };
        recorded.closings.insert(T0_MS + index * 1_000, closing);
    }
    TrialData {
        clock,
        t0_ms: T0_MS,
        recorded,
        generator: GeneratorStats {
            generator: 1,
            t0_us: Some(T0_MS * 1_000),
            t0_ns: Some(T0_MS * 1_000_000),
            now_us: 0,
            offered: windows * 20,
            sent: windows * 20,
            acked: windows * 20,
            nacked: 0,
            overdue: 0,
            lateness: Latencies::new(),
            windows: (0..windows).map(sent).collect(),
        },
        timetable: None,
        endpoint: Some(EndpointStats {
            served: 33,
            in_flight: 0,
            peak_in_flight: 5,
            failures: BTreeMap::from([("status".to_owned(), 3), ("hang".to_owned(), 4)]),
            abandoned: 5,
            refused: 1,
            repeats: BTreeMap::from([(1, 2)]),
            called: BTreeMap::new(),
            delay: DelayStats {
                asked: Latencies::new(),
                given: Latencies::new(),
                excess: Latencies::new(),
            },
        }),
        usage: Some(Usage {
            cpu_us: 5,
            peak_memory_bytes: 6,
            peak_threads: 7,
        }),
        counts: BTreeMap::new(),
        stopped,
    }
}

fn arrive(data: &mut TrialData, index: u64, records: Vec<WindowRecord>) {
    let start_ms = T0_MS + index * 1_000;
    let last_us = (start_ms + 1_700) * 1_000;
    let lines = records.len() as u64;
    data.recorded.arrivals.insert(
        start_ms,
        Arrivals {
            lines,
            duplicates: 0,
            others: 0,
            other_duplicates: 0,
            last_us,
            records: records.iter().map(PackedRecord::from).collect(),
        },
    );
}

fn both(index: u64) -> Vec<WindowRecord> {
    vec![record("key-0", index, 200), record("key-1", index, 300)]
}

#[test]
fn a_window_is_measured_over_its_keys() {
    let mut data = data(2, 2, Duration::ZERO);
    arrive(&mut data, 0, both(0));
    arrive(&mut data, 1, both(1));
    let observed = observation(&settings(1, 1), data);
    assert_eq!(observed.end, TrialEnd::Completed);
    assert_eq!(
        observed
            .windows
            .iter()
            .map(|window| window.warmup)
            .collect::<Vec<_>>(),
        [true, false]
    );
    let expected = WindowMeasure {
        keys: 2,
        events: 20,
        ok: 18,
        failed: 2,
        execution_time_us: 1_348_000,
        close_tail_us: 300_000,
        stream_tail_us: Some(400_000),
        result_lag_us: 700_000,
        peak_in_flight: 6,
        reading_stopped: 0,
        processes: Vec::new(),
    };
    assert_eq!(observed.windows[1].measured.as_ref(), Some(&expected));
    assert_eq!(
        observed.latency.count(),
        2,
        "the warm-up window's calls are in no histogram"
    );
    assert_eq!(observed.failed_latency.map(|latency| latency.count()), Some(0));
    assert_eq!(
        observed.outcomes,
        OutcomeCounts::from([(Outcome::Ok, 36), (Outcome::Timeout, 4)])
    );
    let account = CallAccount {
        attempts: 40,
        reconnects: 0,
        answered: 36,
    };
    assert_eq!(observed.call_account, Some(account));
    let instruments = observed.instruments.as_ref().unwrap();
    assert_eq!(
        (instruments.endpoint_failed, instruments.endpoint_unanswered),
        (Some(3), Some(6))
    );
    let ledger = observed.ledger.unwrap();
    assert!(
        ledger.balances() && ledger.ok == 36 && ledger.failed == 4,
        "{ledger:?}"
    );
    assert_eq!(
        observed.cost,
        Some(Cost {
            cpu_us: 5,
            calls: 33,
            peak_memory_bytes: 6,
            peak_threads: 7
        })
    );
    assert_eq!(
        observed
            .instruments
            .and_then(|instruments| instruments.endpoint_repeats),
        Some(2)
    );
}

#[test]
fn a_window_without_all_its_results_is_censored() {
    let mut data = data(2, 1, Duration::from_secs(1));
    arrive(&mut data, 0, vec![record("key-0", 0, 200)]);
    let observed = observation(&settings(0, 2), data);
    assert_eq!(observed.end, TrialEnd::CutOff);
    assert!(observed.windows.iter().all(|window| window.measured.is_none()));
    let ledger = observed.ledger.unwrap();
    assert!(ledger.balances(), "{ledger:?}");
    assert_eq!(
        (ledger.ok, ledger.open, ledger.lost),
        (9, 30, 0),
        "the other key's record is on its way"
    );
}

#[test]
fn a_result_that_is_long_overdue_is_lost() {
    let mut data = data(1, 1, Duration::from_secs(5));
    arrive(&mut data, 0, vec![record("key-0", 0, 200)]);
    let ledger = observation(&settings(0, 1), data).ledger.unwrap();
    assert_eq!((ledger.ok, ledger.open, ledger.lost), (9, 0, 10));
}

#[test]
fn events_without_a_number_are_found_by_their_time_if_they_are_the_user_s_own() {
    let settings = settings(0, 1);
    let of_key = |number: u64| i64::try_from(T0_MS * 1_000_000 + number * 100_000_000).unwrap();
    for own in [true, false] {
        let mut replayed = record("key-0", 0, 200);
        // Its last three came back from Numaflow's file.
        replayed.seen = BTreeMap::from([(1, Ranges::span(0, 6))]);
        replayed.unnumbered = 3;
        replayed.unnumbered_ns = (7..10).map(of_key).collect();
        let mut data = data(1, 1, Duration::from_secs(5));
        data.timetable = own.then_some(Timetable {
            settings: &settings,
            payload_keys: None,
        });
        arrive(&mut data, 0, vec![replayed, record("key-1", 0, 200)]);
        let ledger = observation(&settings, data).ledger.unwrap();
        let lost = if own { 0 } else { 3 };
        assert_eq!((ledger.replayed, ledger.lost), (3 - lost, lost), "{ledger:?}");
        assert!(ledger.balances(), "{ledger:?}");
    }
}

#[test]
fn results_without_records_are_timed_by_the_data_plane() {
    let mut data = data(1, 1, Duration::from_secs(58));
    arrive(&mut data, 0, Vec::new());
    data.recorded.arrivals.entry(T0_MS).or_default().lines = 2;
    let observed = observation(&settings(0, 1), data);
    assert_eq!((&observed.end, &observed.ledger), (&TrialEnd::Completed, &None));
    let measured = observed.windows[0].measured.as_ref().unwrap();
    assert_eq!((measured.keys, measured.events, measured.ok), (2, 20, 0));
    assert_eq!(
        (measured.execution_time_us, measured.close_tail_us),
        (2_000_000, 400_000)
    );
}

#[test]
fn a_cpu_trial_counts_its_own_calls() {
    let mut data = data(1, 1, Duration::ZERO);
    arrive(&mut data, 0, both(0));
    let settings = TrialSettings {
        workload: Workload::Cpu,
        ..settings(0, 1)
    };
    assert_eq!(observation(&settings, data).cost.map(|cost| cost.calls), Some(20));
}

#[test]
fn an_endpoint_that_is_not_ours_is_not_measured() {
    let mut data = data(1, 1, Duration::ZERO);
    data.endpoint = None;
    arrive(&mut data, 0, both(0));
    let observed = observation(&settings(0, 1), data);
    let instruments = observed.instruments.unwrap();
    assert_eq!(
        (
            instruments.endpoint_served,
            instruments.endpoint_peak_in_flight,
            instruments.endpoint_repeats,
            instruments.endpoint_excess
        ),
        (None, None, None, None)
    );
    let attempts: u64 = both(0).iter().map(|record| record.attempts).sum();
    assert_eq!(
        observed.cost.map(|cost| cost.calls),
        Some(attempts),
        "the records' own count"
    );
}
