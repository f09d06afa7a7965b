//! What flows through a healthy pipeline, and when.

use std::collections::BTreeSet;
use std::time::Duration;

use dataplane::config::NON_KEYED_STREAM;
use dataplane::{Config, DropReason, IdleSource};

use crate::support::*;

fn events(key: &'static str, times: impl IntoIterator<Item = u64>) -> impl Iterator<Item = Event> {
    times
        .into_iter()
        .map(move |time| Event(key, time, time.to_string().into_bytes()))
}

async fn records(pipeline: &mut Pipeline, count: usize) -> Vec<Record> {
    let mut records = Vec::new();
    for _ in 0..count {
        records.push(soon(pipeline.records.recv()).await.unwrap());
    }
    records
}

#[tokio::test]
async fn what_goes_in_comes_out_by_window_and_key() {
    let mut pipeline = Pipeline::start(config(), Setup::default()).await;
    for window in 5..8 {
        let start = window * WINDOW_MS;
        pipeline.feed(events("a", (start..start + WINDOW_MS).step_by(10)));
        pipeline.feed(events("b", (start..start + WINDOW_MS).step_by(20)));
    }
    pipeline.feed(events("a", [8 * WINDOW_MS]));

    let records = records(&mut pipeline, 6).await;
    let texts: BTreeSet<_> = records.iter().map(|record| record.text.as_str()).collect();
    // b's events of a window come after a's and are as old: the watermark is the window's start for both reads.
    let expected = [
        "a/5000/100",
        "a/6000/100",
        "a/7000/100",
        "b/5000/50",
        "b/6000/50",
        "b/7000/50",
    ];
    assert_eq!(texts, BTreeSet::from(expected));
    assert_eq!(
        records
            .iter()
            .map(|record| &record.id)
            .collect::<BTreeSet<_>>()
            .len(),
        6,
        "ids are unique"
    );
    for record in &records {
        let start: i64 = record.text.split('/').nth(1).unwrap().parse().unwrap();
        assert_eq!(
            record.event_time_ms,
            start + 999,
            "the last millisecond of the window"
        );
        assert_eq!(record.keys, [&record.text[..1]]);
    }
    let closed = pipeline.observed.closed.lock().unwrap().clone();
    let summary: Vec<_> = closed
        .iter()
        .map(|w| (w.start_ms, w.end_ms, w.events, w.results))
        .collect();
    assert_eq!(
        summary,
        [
            (5_000, 6_000, 150, 2),
            (6_000, 7_000, 150, 2),
            (7_000, 8_000, 150, 2)
        ]
    );
    assert!(closed.iter().all(|window| window.half_close <= window.eof));
    // The UDF answers at once, so this is the data plane's own share and gRPC's; far more than a loaded machine needs.
    let tails = closed.iter().map(|window| window.eof - window.half_close);
    assert!(tails.max().unwrap() < Duration::from_millis(100));

    let counts = pipeline.stop().await.unwrap();
    assert_eq!(
        (counts.read, counts.acked, counts.delivered, counts.dropped()),
        (451, 451, 451, 0)
    );
    assert_eq!((counts.windows_opened, counts.windows_closed), (4, 3));
    assert_eq!((counts.results, counts.sunk, counts.sink_retries), (6, 6, 0));
    assert!((1..=451).contains(&counts.max_buffer_depth));
}

#[tokio::test]
async fn without_keys_one_window_has_the_events_of_all_keys_under_numaflows_own() {
    let config = Config {
        keyed: false,
        ..config()
    };
    let mut pipeline = Pipeline::start(config, Setup::default()).await;
    pipeline.feed(events("a", [5_000, 5_100]));
    pipeline.feed(events("b", [5_100, 5_200, 5_300]));
    // Older than the watermark by now.
    pipeline.feed(events("a", [5_000]));
    pipeline.feed(events("b", [6_000]));
    let record = records(&mut pipeline, 1).await.remove(0);
    assert_eq!(record.text, format!("{NON_KEYED_STREAM}/5000/5"));
    assert_eq!(record.keys, [NON_KEYED_STREAM]);
    let dropped = pipeline.observed.dropped.lock().unwrap().clone();
    assert_eq!(dropped.len(), 1);
    assert_eq!(dropped[0].0.keys, [NON_KEYED_STREAM]);
    let counts = pipeline.stop().await.unwrap();
    assert_eq!((counts.windows_closed, counts.results, counts.sunk), (1, 1, 1));
}

#[tokio::test]
async fn windows_close_one_after_another_while_the_next_wait() {
    let mut pipeline = Pipeline::start(
        config(),
        Setup {
            holds: true,
            ..Setup::default()
        },
    )
    .await;
    for window in 5..9 {
        pipeline.feed(events("a", [window * WINDOW_MS, window * WINDOW_MS + 1]));
        soon(pipeline.acked.recv()).await.unwrap();
    }
    for window in 5..8 {
        let start = window * WINDOW_MS;
        for expected in [Seen::Opened(start), Seen::Closed(start)] {
            assert_eq!(soon(pipeline.seen.recv()).await.unwrap(), expected);
        }
        // Time for the next window to show itself if it did not wait: all of it is read and acknowledged already.
        assert!(
            tokio::time::timeout(READ_TIMEOUT * 4, pipeline.seen.recv())
                .await
                .is_err()
        );
        pipeline.permits.add_permits(1);
        assert_eq!(soon(pipeline.seen.recv()).await.unwrap(), Seen::Done(start));
    }
    let texts: Vec<_> = records(&mut pipeline, 3)
        .await
        .into_iter()
        .map(|record| record.text)
        .collect();
    assert_eq!(texts, ["a/5000/2", "a/6000/2", "a/7000/2"]);
    let first = pipeline.observed.closed.lock().unwrap()[0];
    assert!(
        first.eof >= first.half_close + READ_TIMEOUT * 4,
        "the tail is the UDF's"
    );
    assert_eq!(pipeline.stop().await.unwrap().windows_closed, 3);
}

#[tokio::test]
async fn what_is_older_than_the_watermark_is_dropped_and_observed() {
    let config = Config {
        allowed_lateness: Duration::from_millis(300),
        ..config()
    };
    let mut pipeline = Pipeline::start(config, Setup::default()).await;
    pipeline.feed(events("a", [5_500, 5_600]));
    // Within the lateness and beyond it: Numaflow drops both, for different reasons. The last one is good.
    pipeline.feed(events("a", [5_499, 5_100, 5_500]));
    // The watermark passes the window's end, but not by the lateness; then it does.
    pipeline.feed(events("a", [6_299]));
    pipeline.feed(events("a", [6_300]));
    assert_eq!(records(&mut pipeline, 1).await[0].text, "a/5000/3");

    let dropped = pipeline.observed.dropped.lock().unwrap().clone();
    let dropped: Vec<_> = dropped
        .iter()
        .map(|(message, reason)| (message.payload.as_slice(), *reason))
        .collect();
    assert_eq!(
        dropped,
        [
            (b"5499".as_slice(), DropReason::OldMessage),
            (b"5100".as_slice(), DropReason::LateMessage)
        ]
    );
    assert_eq!(pipeline.observed.closed.lock().unwrap().len(), 1);
    let counts = pipeline.stop().await.unwrap();
    assert_eq!((counts.read, counts.acked, counts.delivered), (7, 7, 5));
    assert_eq!(
        (counts.dropped_late, counts.dropped_old, counts.windows_closed),
        (1, 1, 1)
    );
}

#[tokio::test]
async fn an_idle_source_closes_its_last_window() {
    let of = Duration::from_millis;
    let idle = IdleSource {
        threshold: of(400),
        increment_by: of(400),
        step_interval: of(20),
    };
    let mut pipeline = Pipeline::start(
        Config {
            idle_source: Some(idle),
            ..config()
        },
        Setup::default(),
    )
    .await;
    pipeline.feed(events("a", [5_000, 5_001]));
    soon(pipeline.acked.recv()).await.unwrap();
    assert_eq!(records(&mut pipeline, 1).await[0].text, "a/5000/2");
    let counts = pipeline.stop().await.unwrap();
    assert_eq!((counts.read, counts.windows_closed, counts.dropped()), (2, 1, 0));
}

#[tokio::test]
async fn results_that_the_sink_failed_go_out_again() {
    let failing = Failing::default();
    failing
        .0
        .lock()
        .unwrap()
        .extend([("b/5000/1".to_owned(), 2), ("c/5000/1".to_owned(), 1)]);
    let mut pipeline = Pipeline::start(
        config(),
        Setup {
            failing,
            ..Setup::default()
        },
    )
    .await;
    pipeline.feed([("a", 5_000), ("b", 5_001), ("c", 5_002)].map(|(key, time)| Event(key, time, vec![])));
    pipeline.feed(events("a", [6_000]));
    let texts: BTreeSet<_> = records(&mut pipeline, 3)
        .await
        .into_iter()
        .map(|record| record.text)
        .collect();
    assert_eq!(
        texts,
        BTreeSet::from(["a/5000/1", "b/5000/1", "c/5000/1"].map(str::to_owned))
    );
    let counts = pipeline.stop().await.unwrap();
    assert_eq!((counts.results, counts.sunk, counts.sink_retries), (3, 3, 3));
}
