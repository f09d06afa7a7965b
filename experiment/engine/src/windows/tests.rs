//! Measurements of hand-made records.

use std::time::Duration;

use proptest::prelude::*;
use wire::Ranges;

use super::*;

const MINUTES: i64 = 10 * 60 * 1_000_000;

/// Arrivals of the window from 10,000 s to 10,010 s, with clocks of UDF and sink that are off by the given microseconds:
/// first event at the start, close of book at the end, result 300 ms later, at the sink 2 ms later.
fn arrivals(udf_off_us: i64, sink_off_us: i64) -> Arrivals {
    let udf = |at_us: u64| at_us.checked_add_signed(udf_off_us).unwrap();
    let record = |key: &str, result_us: u64| -> PackedRecord {
        let record = serde_json::json!({
            "process": 1, "window_start_ms": 10_000_000, "window_end_ms": 10_010_000, "keys": [key],
            "settings": {
                "strategy": "async", "start_rule": "at-arrival", "workload": "http", "max_workers": 1,
                "io_delay": "0", "timeout": "1s", "retries": 0, "cpu_offload": false,
            },
            "events": 1, "outcomes": {"ok": 1}, "seen": {},
            "first_arrival_us": udf(10_000_000_000), "last_arrival_us": udf(10_009_000_000),
            "close_us": udf(10_010_000_000), "result_us": udf(result_us),
        });
        PackedRecord::from(&serde_json::from_value::<WindowRecord>(record).unwrap())
    };
    Arrivals {
        lines: 2,
        duplicates: 0,
        others: 0,
        other_duplicates: 0,
        last_us: 10_010_302_000u64.checked_add_signed(sink_off_us).unwrap(),
        records: vec![record("a", 10_010_100_000), record("b", 10_010_300_000)],
    }
}

fn opened(arrivals: &Arrivals) -> Vec<WindowRecord> {
    let opened: Vec<WindowRecord> = arrivals.records.iter().filter_map(PackedRecord::open).collect();
    assert_eq!(opened.len(), arrivals.records.len(), "each can be opened");
    opened
}

#[test]
fn a_packed_record_opens_as_it_was() {
    let mut record = opened(&arrivals(0, 0)).remove(0);
    for micros in [0, 1, 999, 131_072, 86_400_000_000] {
        record.latency.record(Duration::from_micros(micros));
        record.slot_wait.record(Duration::from_micros(micros / 3));
    }
    record.seen.insert(u64::MAX, Ranges::span(0, u64::MAX - 1));
    (record.process, record.attempts) = (u64::MAX, u64::MAX);
    record.keys = vec!["a".to_owned(), "\"b\n".to_owned()];
    let packed = PackedRecord::from(&record);
    assert_eq!(&*packed.key, "a:\"b\n");
    assert_eq!(packed.open(), Some(record));
}

#[test]
fn clocks_that_differ_change_the_result_lag_alone() {
    let of = |udf_off_us, sink_off_us| {
        let arrivals = arrivals(udf_off_us, sink_off_us);
        measure(&arrivals, &opened(&arrivals), None, 10_000_000, 10_000).unwrap()
    };
    let same = of(0, 0);
    assert_eq!(
        (same.close_tail_us, same.execution_time_us, same.result_lag_us),
        (300_000, 10_300_000, 302_000)
    );
    for (udf_off_us, sink_off_us, result_lag_us) in [
        (MINUTES, 0, 302_000),
        (-MINUTES, 0, 302_000),
        (0, MINUTES, 600_302_000),
        (0, -MINUTES, 0),
        (MINUTES, -MINUTES, 0),
        (-MINUTES, MINUTES, 600_302_000),
    ] {
        let expected = WindowMeasure {
            result_lag_us,
            ..same.clone()
        };
        assert_eq!(
            of(udf_off_us, sink_off_us),
            expected,
            "{udf_off_us} {sink_off_us}"
        );
    }
}

/// Records of one window of two processes whose clocks are off by these microseconds. The first serves `a` and `c`, the
/// second `b`; each process closes its keys by its own clock.
fn of_two_processes(first_off_us: i64, second_off_us: i64) -> Vec<WindowRecord> {
    let of = |process: u64, key: &str, off_us: i64, first_us: u64, close_us: u64, result_us: u64| {
        let at = |at_us: u64| at_us.checked_add_signed(off_us).unwrap();
        let mut record = opened(&arrivals(0, 0)).remove(0);
        (record.process, record.keys, record.events) = (process, vec![key.to_owned()], close_us % 10);
        record.first_arrival_us = at(10_000_000_000 + first_us);
        record.close_us = at(10_010_000_000 + close_us);
        record.result_us = at(10_010_000_000 + result_us);
        record
    };
    vec![
        of(1, "a", first_off_us, 0, 1_003, 41_003),
        of(2, "b", second_off_us, 500, 2_005, 90_005),
        of(1, "c", first_off_us, 700, 3_007, 61_007),
    ]
}

#[test]
fn partitions_are_measured_each_by_its_own_clock_and_the_longest_counts() {
    let measured = measure(
        &arrivals(0, 0),
        &of_two_processes(0, 3_000_000),
        None,
        10_000_000,
        10_000,
    );
    let measured = measured.unwrap();
    assert_eq!(
        (
            measured.close_tail_us,
            measured.execution_time_us,
            measured.events
        ),
        (88_000, 10_089_505, 15)
    );
    let shares: Vec<_> = measured
        .processes
        .iter()
        .map(|share| (share.process, share.keys, share.events, share.close_tail_us))
        .collect();
    assert_eq!(shares, [(1, 2, 10, 60_004), (2, 1, 5, 88_000)]);
}

proptest! {
    #[test]
    fn no_measure_depends_on_how_far_the_clocks_of_two_partitions_differ(
        first_off_us in -MINUTES..MINUTES,
        second_off_us in -MINUTES..MINUTES,
    ) {
        let of = |records: &[WindowRecord]| measure(&arrivals(0, 0), records, None, 10_000_000, 10_000);
        prop_assert_eq!(of(&of_two_processes(first_off_us, second_off_us)), of(&of_two_processes(0, 0)));
    }
}

#[test]
fn one_process_has_no_shares() {
    let arrivals = arrivals(0, 0);
    let measured = measure(&arrivals, &opened(&arrivals), None, 10_000_000, 10_000).unwrap();
    assert_eq!(measured.processes, []);
    let json = serde_json::to_string(&measured).unwrap();
    assert!(!json.contains("processes"), "{json}");
    assert_eq!(serde_json::from_str::<WindowMeasure>(&json).unwrap(), measured);
}

#[test]
fn sums_of_extreme_records_saturate() {
    let arrivals = arrivals(0, 0);
    let mut records = opened(&arrivals);
    for record in &mut records {
        (record.events, record.reading_stopped) = (u64::MAX, u64::MAX);
        record.outcomes.values_mut().for_each(|count| *count = u64::MAX);
    }
    let measured = measure(&arrivals, &records, None, 10_000_000, 10_000).unwrap();
    assert_eq!(
        (measured.events, measured.ok, measured.reading_stopped),
        (u64::MAX, u64::MAX, u64::MAX)
    );
}

#[test]
fn results_beside_the_records_count_as_lines_and_not_as_keys() {
    let line = |record: Option<WindowRecord>, duplicate| SinkLine {
        process: 1,
        line: 0,
        arrival_us: 5,
        id: String::new(),
        keys: vec!["a".to_owned()],
        event_time_ms: 10_009_999,
        duplicate,
        record,
        text: None,
        bytes: None,
    };
    let record = || opened(&arrivals(0, 0)).pop();
    let of = |lines: Vec<SinkLine>| {
        let mut by_window = ByWindow::new();
        lines
            .into_iter()
            .for_each(|line| add_line(&mut by_window, line, 10_000));
        let of = &by_window[&10_000_000];
        (of.lines, of.keys(), of.results().1, records_missing(&by_window))
    };
    let results = || vec![line(None, false), line(None, true)];
    assert_eq!(of(results()), (2, 1, 1, true));
    let beside = || [results(), vec![line(record(), false)]].concat();
    assert_eq!(of(beside()), (3, 1, 0, false));
    assert_eq!(
        of([beside(), vec![line(record(), true)]].concat()),
        (4, 1, 1, false)
    );
}
