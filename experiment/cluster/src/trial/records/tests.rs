use proptest::prelude::*;
use wire::{Latencies, Ranges, SentWindow};

use super::*;

/// A line with the record of a window of key `a` that ends with this event time.
fn line(process: u64, line: u64, event_time_ms: i64) -> String {
    let record = serde_json::json!({
        "process": 1, "window_start_ms": event_time_ms - 999, "window_end_ms": event_time_ms + 1, "keys": ["a"],
        "settings": {
            "strategy": "async", "start_rule": "at-arrival", "workload": "http", "max_workers": 1,
            "io_delay": "0", "timeout": "1s", "retries": 0, "cpu_offload": false,
        },
        "events": 0, "outcomes": {}, "seen": {},
        "first_arrival_us": 1, "last_arrival_us": 1, "close_us": 2, "result_us": 3,
    });
    let line = serde_json::json!({
        "process": process, "line": line, "arrival_us": 5, "id": format!("id-{line}"), "keys": ["a"],
        "event_time_ms": event_time_ms, "duplicate": false, "record": record,
    });
    line.to_string()
}

fn generator(keys: &[&str]) -> GeneratorStats {
    let numbers = keys.iter().map(|key| ((*key).to_owned(), Ranges::span(0, 4)));
    GeneratorStats {
        generator: 1,
        t0_us: Some(10_000_000),
        t0_ns: Some(10_000_000_000),
        now_us: 0,
        offered: 0,
        sent: 0,
        acked: 0,
        nacked: 0,
        overdue: 0,
        lateness: Latencies::new(),
        windows: vec![SentWindow {
            window_start_ms: 10_000,
            numbers: numbers.collect(),
        }],
    }
}

#[test]
fn only_lines_of_a_sink_count() {
    let records = Records::new(1_000);
    for text in [
        "2026-11-23T20:00:00Z  INFO sink: ready",
        r#"{"timestamp":"2026-11-23T20:00:00Z","level":"INFO","fields":{"message":"ready"}}"#,
        r#"{"process":1,"line":7}"#,
        "",
    ] {
        records.take(text).unwrap();
    }
    records.take(&line(1, 0, 10_999)).unwrap();
    let arrivals = records.arrivals();
    assert_eq!(arrivals.keys().copied().collect::<Vec<_>>(), [10_000]);
    assert_eq!(arrivals[&10_000].lines, 1);
}

#[test]
fn a_missing_line_is_named() {
    let records = Records::new(1_000);
    records.take(&line(1, 0, 10_999)).unwrap();
    let gap = records.take(&line(1, 2, 10_999)).unwrap_err();
    assert!(gap.to_string().starts_with("line 1 of sink is missing"), "{gap}");
}

/// An answer of `/records` of a sink with these lines, of which those before `oldest` are gone.
fn answer(process: u64, oldest: u64, next: u64, from: u64) -> String {
    let kept = KeptLines {
        process,
        oldest,
        next,
    };
    let lines = (from.max(oldest)..next).map(|number| line(process, number, 10_999) + "\n");
    serde_json::to_string(&kept).unwrap() + "\n" + &lines.collect::<String>()
}

#[test]
fn answers_of_the_sinks_memory_that_overlap_count_each_line_once() {
    let records = Records::new(1_000);
    let mut process = None;
    for (oldest, next, from) in [(0, 0, 0), (0, 3, 0), (2, 5, 0), (5, 9, 5), (9, 9, 9)] {
        let kept = records
            .take_answer(&answer(7, oldest, next, from), &mut process)
            .ok();
        let expected = KeptLines {
            process: 7,
            oldest,
            next,
        };
        assert_eq!((kept, process), (Some(Some(expected)), Some(7)));
    }
    assert_eq!(records.arrivals()[&10_000].lines, 9);
}

#[test]
fn lines_that_left_the_sinks_memory_unread_are_named_even_if_none_came_after_them() {
    for next in [5, 6] {
        let records = Records::new(1_000);
        let mut process = None;
        records
            .take_answer(&answer(7, 0, 2, 0), &mut process)
            .ok()
            .unwrap();
        match records.take_answer(&answer(7, 5, next, 2), &mut process) {
            Err(ReadError::Fatal(gap)) => {
                assert!(gap.to_string().starts_with("lines 2 to 4 of sink"), "{gap}");
            }
            _ => panic!("no gap"),
        }
        assert_eq!(records.arrivals()[&10_000].lines, 2);
    }
}

#[test]
fn another_process_of_the_sink_is_noticed_and_then_read_from_its_first_line() {
    let records = Records::new(1_000);
    let mut process = None;
    let mut kept = |process_now, next, from| {
        let kept = records.take_answer(&answer(process_now, 0, next, from), &mut process);
        kept.ok().unwrap().map(|kept| kept.process)
    };
    assert_eq!(kept(7, 4, 0), Some(7));
    assert_eq!(kept(8, 2, 4), None);
    process = None;
    let kept = records
        .take_answer(&answer(8, 0, 2, 0), &mut process)
        .ok()
        .unwrap();
    assert_eq!((kept.unwrap().process, records.arrivals()[&10_000].lines), (8, 6));
}

#[test]
fn a_result_beside_the_record_is_a_line_and_completes_no_window() {
    let records = Records::new(1_000);
    let complete = || records.complete(&[10_000], &generator(&["a"])).len();
    let mut result: SinkLine = serde_json::from_str(&line(1, 0, 10_999)).unwrap();
    (result.record, result.text) = (None, Some("done".to_owned()));
    records.take(&serde_json::to_string(&result).unwrap()).unwrap();
    assert_eq!((complete(), records.missing()), (0, true));
    records.take(&line(1, 1, 10_999)).unwrap();
    assert_eq!((complete(), records.arrivals()[&10_000].lines), (1, 2));
}

#[test]
fn a_window_is_complete_with_a_record_of_every_key() {
    let records = Records::new(1_000);
    let complete = |keys: &[&str]| records.complete(&[10_000], &generator(keys)).len();
    records.take(&line(1, 0, 10_999)).unwrap();
    assert_eq!((complete(&["a"]), complete(&["a", "b"])), (1, 0));
    assert_eq!(records.complete(&[11_000], &generator(&["a"])).len(), 0);
}

proptest! {
    #[test]
    fn no_answer_of_the_sinks_memory_panics(text in "\\PC{0,200}") {
        let records = Records::new(1_000);
        prop_assert!(!matches!(records.take_answer(&text, &mut None), Ok(Some(_))));
    }

    /// Any text that is not a line of the sink's output is ignored.
    #[test]
    fn no_line_panics(text in "\\PC{0,200}") {
        let records = Records::new(1_000);
        prop_assert!(records.take(&text).is_ok());
        prop_assert_eq!(records.arrivals().len(), 0);
    }

    #[test]
    fn a_changed_line_is_taken_or_refused_by_name(at in any::<prop::sample::Index>(), byte: u8) {
        let mut bytes = line(1, 0, 10_999).into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let records = Records::new(1_000);
        let taken = records.take(&String::from_utf8_lossy(&bytes));
        let lines: u64 = records.arrivals().values().map(|arrivals| arrivals.lines).sum();
        match taken {
            Ok(()) => prop_assert!(lines <= 1),
            Err(ClusterEngineError::SinkGap { expected: 0, .. }) => prop_assert_eq!(lines, 0),
            Err(other) => prop_assert!(false, "{other}"),
        }
        let arrivals = records.arrivals();
        let opened = windows::open(&arrivals);
        for (start_ms, arrivals) in arrivals {
            prop_assert_eq!(opened[&start_ms].len(), arrivals.records.len(), "whatever was read can be opened");
            let _ = windows::measure(&arrivals, &opened[&start_ms], None, start_ms, 1_000);
            let _ = records.complete(&[start_ms], &generator(&["a"]));
        }
    }

    /// However often the stream breaks and whatever else is in the log, every line counts once.
    #[test]
    fn a_log_that_is_read_again_counts_once(count in 1u64..30, breaks in proptest::collection::vec(0usize..60, 0..5)) {
        let log: Vec<String> = (0..count)
            .flat_map(|number| [line(9, number, 10_999), format!("noise {number}")])
            .collect();
        let records = Records::new(1_000);
        for end in breaks.into_iter().chain([log.len()]) {
            for text in &log[..end.min(log.len())] {
                records.take(text).unwrap();
            }
        }
        prop_assert_eq!(records.arrivals()[&10_000].lines, count);
    }
}
