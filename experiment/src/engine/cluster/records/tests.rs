use proptest::prelude::*;
use wire::{Latencies, Ranges, SentWindow};

use super::*;

fn line(process: u64, line: u64, event_time_ms: i64) -> String {
    let line = SinkLine {
        process,
        line,
        arrival_us: 5,
        id: format!("id-{line}"),
        keys: Vec::new(),
        event_time_ms,
        duplicate: false,
        record: None,
        text: Some("done".to_owned()),
    };
    serde_json::to_string(&line).unwrap()
}

fn generator(keys: &[&str]) -> GeneratorStats {
    let numbers = keys.iter().map(|key| ((*key).to_owned(), Ranges::span(0, 4)));
    GeneratorStats {
        generator: 1,
        t0_us: Some(10_000_000),
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

#[test]
fn results_without_records_are_counted_by_key() {
    let records = Records::new(1_000);
    let complete = |keys: &[&str]| records.complete(&[10_000], &generator(keys)).len();
    records.take(&line(1, 0, 10_999)).unwrap();
    assert_eq!((complete(&["a"]), complete(&["a", "b"])), (1, 0));
    records.take(&line(1, 1, 10_999)).unwrap();
    assert_eq!(complete(&["a", "b"]), 1);
    assert_eq!(records.complete(&[11_000], &generator(&["a"])).len(), 0);
}

proptest! {
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
