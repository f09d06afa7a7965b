//! The result of a window, as a record and as text, on paused time.

use std::time::Duration;

use numaflow::reduce::IntervalWindow;
use tokio::sync::mpsc;

use super::*;
use crate::fixtures::{Attempt, Scripted, millis, request, settings, soon, spec};
use crate::strategy::{StrategySpec, build};

fn reducer(result_format: ResultFormat) -> AsyncReduce {
    let call = Scripted::new(|index, attempt| match (index, attempt) {
        (0, _) => Attempt::Takes(Duration::from_millis(250), Outcome::Ok),
        (1, 1) => Attempt::Computes(Outcome::BadStatus),
        (1, _) => Attempt::Takes(Duration::from_millis(10), Outcome::BadStatus),
        _ => Attempt::Takes(Duration::from_millis(10), Outcome::Ok),
    });
    let spec = StrategySpec {
        retries: 1,
        ..spec(&call)
    };
    let metrics = Arc::clone(&spec.metrics);
    AsyncReduce::new(
        build(spec).unwrap(),
        settings(),
        100,
        result_format,
        Clock::start(),
        metrics,
    )
}

fn metadata() -> Metadata {
    let start_time = chrono::DateTime::UNIX_EPOCH + Duration::from_secs(60);
    Metadata::new(IntervalWindow {
        start_time,
        end_time: start_time + Duration::from_secs(10),
    })
}

fn names(keys: &[&str]) -> Vec<String> {
    keys.iter().map(|key| (*key).to_owned()).collect()
}

/// Three events at 0, 100 and 200 ms, one that cannot be decoded, and the close at 240 ms.
async fn reduce(reducer: &AsyncReduce, keys: &[&str]) -> Vec<Message> {
    let (events, input) = mpsc::channel(1);
    let send = async move {
        for number in 0..3 {
            events.send(request(number)).await.unwrap();
            tokio::time::sleep(millis(if number < 2 { 100 } else { 40 })).await;
        }
        let value = b"rubbish".to_vec();
        events.send(ReduceRequest { value, ..request(3) }).await.unwrap();
    };
    let metadata = metadata();
    soon(async { tokio::join!(reducer.reduce(names(keys), input, &metadata), send) })
        .await
        .0
}

#[tokio::test(start_paused = true)]
async fn a_record_has_the_counts_and_times_of_its_window() {
    let reducer = reducer(ResultFormat::Record);
    let messages = reduce(&reducer, &["a", "b"]).await;
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].keys, Some(names(&["a", "b"])));
    let record: WindowRecord = serde_json::from_slice(&messages[0].value).unwrap();
    assert_eq!((record.window_start_ms, record.window_end_ms), (60_000, 70_000));
    assert_eq!(
        (record.keys.clone(), record.process),
        (names(&["a", "b"]), reducer.shared.process)
    );
    assert_eq!(record.settings, settings());
    assert_eq!((record.events, record.undecoded, record.repeated), (4, 1, 0));
    let outcomes: Vec<_> = record.outcomes.into_iter().collect();
    assert_eq!(
        outcomes,
        [(Outcome::Ok, 2), (Outcome::BadStatus, 1), (Outcome::BadBody, 1)]
    );
    assert_eq!(record.attempts, 4);
    assert_eq!(record.seen[&7].to_string(), "0-2");
    let failed = record.failed_latency.unwrap();
    assert_eq!(
        (record.latency.count(), failed.count(), record.slot_wait.count()),
        (2, 1, 3)
    );
    assert_eq!(record.reading_stopped, 0);
    let after_first = |stamp_us: u64| Duration::from_micros(stamp_us - record.first_arrival_us);
    // A stamp is cut to whole microseconds.
    for (stamp_us, expected) in [
        (record.last_arrival_us, millis(240)),
        (record.close_us, millis(240)),
        (record.result_us, millis(250)),
    ] {
        let found = after_first(stamp_us);
        assert!(found.abs_diff(expected) <= Duration::from_micros(1), "{found:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_text_is_that_of_the_original_example() {
    let messages = reduce(&reducer(ResultFormat::Text), &["key"]).await;
    assert_eq!(
        String::from_utf8(messages[0].value.clone()).unwrap(),
        "batch_time:0.25 interval_window_start:1970-01-01 00:01:00+00:00 \
         interval_window_end:1970-01-01 00:01:10+00:00"
    );
}

#[tokio::test(start_paused = true)]
async fn a_window_without_events_has_a_record_too() {
    let reducer = reducer(ResultFormat::Record);
    let (events, input) = mpsc::channel(1);
    drop(events);
    let messages = reducer.reduce(names(&["key"]), input, &metadata()).await;
    let record: WindowRecord = serde_json::from_slice(&messages[0].value).unwrap();
    assert_eq!((record.events, record.attempts, record.outcomes.len()), (0, 0, 0));
    assert_eq!(record.first_arrival_us, record.result_us);
}
