//! Crowds: many events, keys and windows at once, and one key with nearly all of them.

use std::time::Duration;

use futures_util::future::join_all;
use tests::endpoint;
use tests::process::peak_memory_bytes;
use tests::reduce::{Udf, count};
use wire::{Outcome, Ranges, WindowRecord};

/// Bound for each waiting event, in bytes: its payload of some 50 bytes, its place in the backlog and in its queue,
/// and the allocator's overhead. A leak or an extra copy would take ten times as much.
const EVENT_BYTES: u64 = 600;

/// Bound for everything else in the UDF, in bytes: gRPC's windows and the runtime.
const BASE: u64 = 48 * 1024 * 1024;

/// Bound for each key of a window: its task, its channel of the SDK, its tally and its record; 9 KiB were measured.
const KEY_BYTES: u64 = 16 * 1024;

/// Bound for each window: gRPC's buffers of its stream and its key; 43 KiB were measured.
const WINDOW_BYTES: u64 = 96 * 1024;

/// A workload without cost, so that only the crowd is tested.
const FREE: [&str; 4] = ["--workload", "cpu", "--io-delay", "0"];

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_events_pass_through_ten_workers() {
    const EVENTS: u64 = 100_000;
    for strategy in ["async", "thread-pool"] {
        // At close, so that all events wait in memory before the first call starts.
        let flags = [
            "--strategy",
            strategy,
            "--max-workers",
            "10",
            "--start-rule",
            "at-close",
        ];
        let mut udf = Udf::start(&[&FREE[..], &flags].concat(), &[]).await;
        let before = peak_memory_bytes(udf.id());
        let records = udf.window(0, 1, EVENTS).await;
        assert_eq!(
            (records[0].events, count(&records, Outcome::Ok)),
            (EVENTS, EVENTS),
            "{strategy}"
        );
        assert_eq!(records[0].seen[&7], Ranges::span(0, EVENTS - 1), "{strategy}");
        let peak = records[0].peak_in_flight;
        assert!(peak <= 10, "{strategy}: {peak}");
        let what = format!("100,000 events by {strategy}");
        bounded(&what, &udf, before, EVENTS * EVENT_BYTES);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_keys_of_one_window_have_their_records() {
    const KEYS: u64 = 10_000;
    let mut udf = Udf::start(&[&FREE[..], &["--max-workers", "10"]].concat(), &[]).await;
    let before = peak_memory_bytes(udf.id());
    let records = udf.window(0, KEYS, 2).await;
    assert_eq!(records.len() as u64, KEYS);
    assert!(
        records
            .iter()
            .all(|record| record.events == 2 && record.ok() == 2)
    );
    bounded("10,000 keys", &udf, before, KEYS * KEY_BYTES);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_windows_are_open_at_once() {
    const WINDOWS: u64 = 1_000;
    let mut udf = Udf::start(&[&FREE[..], &["--start-rule", "at-close"]].concat(), &[]).await;
    let before = peak_memory_bytes(udf.id());
    let mut open = Vec::new();
    for number in 0..WINDOWS {
        let mut stream = udf.open(number as i64).await;
        stream.send_events(1, 5).await;
        open.push(stream);
    }
    let closed = join_all(
        open.into_iter()
            .map(|stream| async { stream.close().await.records() }),
    );
    let records: Vec<WindowRecord> = closed.await.into_iter().flatten().collect();
    assert_eq!(records.len() as u64, WINDOWS);
    assert_eq!(count(&records, Outcome::Ok), WINDOWS * 5);
    let mut starts: Vec<u64> = records.iter().map(|record| record.window_start_ms).collect();
    starts.sort_unstable();
    starts.dedup();
    assert_eq!(starts.len() as u64, WINDOWS, "each has its own record");
    bounded("1,000 windows", &udf, before, WINDOWS * WINDOW_BYTES);
}

fn bounded(what: &str, udf: &Udf, before: u64, allowed: u64) {
    let grown = peak_memory_bytes(udf.id()).saturating_sub(before);
    eprintln!("{what}: {grown} bytes");
    assert!(
        grown < BASE + allowed,
        "{grown} bytes, {} allowed",
        BASE + allowed
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_calls_of_rare_keys_do_not_wait_for_those_of_a_hot_one() {
    let (_endpoint, url) = endpoint(&[]).await;
    join_all(["async", "thread-pool", "process-pool"].map(|strategy| rare_beside_hot(&url, strategy))).await;
}

async fn rare_beside_hot(url: &str, strategy: &str) {
    let flags = [
        "--endpoint-url",
        url,
        "--strategy",
        strategy,
        "--max-workers",
        "4",
        "--io-delay",
        "10ms",
    ];
    let mut udf = Udf::start(&flags, &[]).await;
    // 990 events of one key, 2.5 s of calls, then one event of each of ten other keys.
    let mut stream = udf.open(0).await;
    for index in 0..990 {
        stream.send("hot", index, index).await;
    }
    for index in 990..1_000 {
        stream.send(&format!("rare-{index}"), index, 0).await;
    }
    let records = stream.close().await.records();
    assert_eq!(records.len(), 11);
    assert_eq!(count(&records, Outcome::Ok), 1_000);
    let (hot, rare): (Vec<_>, Vec<_>) = records.iter().partition(|record| record.keys == ["hot"]);
    let longest = hot[0].slot_wait.max().unwrap();
    assert!(longest > Duration::from_secs(1), "there was a queue: {longest:?}");
    // Each key waits for at most one slot at a time, in turn: ten keys and the hot one, four slots, calls of 10 ms.
    for record in rare {
        let waited = record.slot_wait.max().unwrap();
        eprintln!("{strategy}: {waited:?} of {longest:?}");
        assert!(
            waited < longest / 4,
            "{strategy} {:?}: {waited:?} of {longest:?}",
            record.keys
        );
    }
}
