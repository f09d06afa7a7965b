//! Tasks on paused time: the limit, timeouts, retries, and the life of idle tasks.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;
use wire::StrategyKind;

use super::*;
use crate::fixtures::{Attempt, OpenKey, Scripted, assert_about, deadline, millis, retry, some, spec};
use crate::strategy::{StrategySpec, build};
use crate::tally::Tally;

fn takes(millis: u64) -> Attempt {
    Attempt::Takes(Duration::from_millis(millis), Outcome::Ok)
}

/// Runs events that arrive at once. Returns their tally and the time until the last has ended.
async fn all(spec: StrategySpec<()>, events: u64) -> (Tally, Duration) {
    let began = Instant::now();
    let backlog = build(spec).unwrap();
    let key = OpenKey::new(&backlog);
    key.add(&backlog, 0..events);
    let tally = key.finished().await;
    assert_eq!(key.room.events_left(), 1_000, "all room is given back");
    (tally, began.elapsed())
}

fn counts(tally: &Tally) -> Vec<(Outcome, u64)> {
    tally.outcomes().into_iter().collect()
}

fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

#[tokio::test(start_paused = true)]
async fn calls_in_flight_reach_the_limit_and_no_more() {
    let call = Scripted::new(|_, _| takes(100));
    let (tally, took) = all(spec(&call), 10).await;
    assert_eq!(call.peak.load(std::sync::atomic::Ordering::SeqCst), 3);
    assert_eq!(took, millis(400), "ten calls by threes");
    assert_eq!(counts(&tally), [(Outcome::Ok, 10)]);
    assert_eq!((tally.peak_in_flight, tally.attempts), (3, 10));
    assert_about(tally.latency.latencies().max(), millis(100));
    assert_about(tally.slot_wait.latencies().max(), millis(300));
}

#[tokio::test(start_paused = true)]
async fn a_sequential_key_has_one_call_at_once_and_keys_do_not_wait_for_each_other() {
    // With slots for all five keys, and for three of them, which then take turns.
    for (slots, peak, took) in [(8, 5, 400), (3, 3, 700)] {
        let call = Scripted::new(|_, _| takes(100));
        let spec = StrategySpec {
            kind: StrategyKind::Sequential,
            max_workers: some(slots),
            ..spec(&call)
        };
        let backlog = build(spec).unwrap();
        let began = Instant::now();
        let keys: Vec<_> = (0..5).map(|_| OpenKey::new(&backlog)).collect();
        for (number, key) in (0..).zip(&keys) {
            key.add(&backlog, number * 10..number * 10 + 4);
        }
        for key in &keys {
            let tally = key.finished().await;
            assert_eq!((tally.peak_in_flight, tally.attempts), (1, 4));
        }
        assert_eq!(began.elapsed(), millis(took));
        assert_eq!(call.peak.load(std::sync::atomic::Ordering::SeqCst), peak);
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_ends_at_its_timeout_and_not_before() {
    let call = Scripted::new(|index, _| match index {
        0 => Attempt::Never,
        1 => takes(999),
        _ => takes(1_001),
    });
    let (tally, took) = all(spec(&call), 3).await;
    assert_eq!(counts(&tally), [(Outcome::Ok, 1), (Outcome::Timeout, 2)]);
    assert_eq!(took, millis(1_000));
    assert_about(tally.latency.latencies().max(), millis(999));
    assert_about(tally.failed_latency.latencies().max(), millis(1_000));
}

#[tokio::test(start_paused = true)]
async fn a_timeout_beyond_the_clock_never_elapses() {
    let call = Scripted::new(|_, _| takes(20_000));
    let spec = StrategySpec {
        timeout: Duration::MAX,
        ..spec(&call)
    };
    let (tally, took) = all(spec, 1).await;
    assert_eq!(counts(&tally), [(Outcome::Ok, 1)]);
    assert_eq!(took, millis(20_000));
}

#[tokio::test(start_paused = true)]
async fn a_failed_call_is_retried_after_a_pause_that_occupies_no_slot() {
    let call = Scripted::new(|index, attempt| match (index, attempt) {
        (0, 1 | 2) => Attempt::Computes(Outcome::Broken),
        (0, _) => takes(10),
        _ => takes(500),
    });
    let spec = StrategySpec {
        max_workers: some(1),
        retry: retry(2),
        ..spec(&call)
    };
    let (tally, took) = all(spec, 2).await;
    assert_eq!(*call.order.lock().unwrap(), [0, 1, 0, 0]);
    assert_eq!(counts(&tally), [(Outcome::Ok, 2)]);
    assert_eq!((tally.attempts, tally.peak_in_flight), (4, 1));
    // The first pause passes during the other call; the second, of at most 100 ms, follows it.
    assert!((millis(510)..=millis(611)).contains(&took), "{took:?}");
    let slot_wait = tally.slot_wait.latencies();
    assert_eq!(slot_wait.count(), 2, "of first attempts");
    assert_about(slot_wait.max(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_always_fails_ends_with_its_last_attempt() {
    let call = Scripted::new(|_, _| Attempt::Never);
    let spec = StrategySpec {
        retry: retry(2),
        ..spec(&call)
    };
    let (tally, took) = all(spec, 1).await;
    assert_eq!(counts(&tally), [(Outcome::Timeout, 1)]);
    assert_eq!((tally.attempts, call.attempts(0)), (3, 3));
    assert!((millis(3_000)..=millis(3_152)).contains(&took), "{took:?}");
    let latency = tally.failed_latency.latencies();
    assert_eq!(latency.count(), 1, "of the last attempt");
    assert_about(latency.max(), millis(1_000));
}

#[tokio::test(start_paused = true)]
async fn a_panic_fails_only_its_call_and_is_not_retried() {
    let call = Scripted::new(|index, _| match index {
        1 => Attempt::Panics,
        _ => takes(100),
    });
    let spec = StrategySpec {
        retry: retry(5),
        max_workers: some(1),
        ..spec(&call)
    };
    let (tally, took) = all(spec, 3).await;
    assert_eq!(counts(&tally), [(Outcome::Ok, 2), (Outcome::Panic, 1)]);
    assert_eq!((call.attempts(1), took), (1, millis(200)));
    assert_eq!(tally.latency.latencies().count(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_idle_task_is_reused_until_its_timeout() {
    let call = Scripted::new(|_, _| takes(100));
    let backlog = build(spec(&call)).unwrap();
    let key = OpenKey::new(&backlog);
    key.add(&backlog, 0..3);
    assert_eq!(tasks(), 3);
    tokio::time::sleep(millis(150)).await;
    assert_eq!(tasks(), 3, "idle");
    key.add(&backlog, [3, 4]);
    assert_eq!(tasks(), 3, "two of the idle tasks make the calls");
    tokio::time::sleep(millis(900)).await;
    // The third has been idle since 0.1 s; its timer runs from the start of its last call.
    assert_eq!(tasks(), 2);
    tokio::time::sleep(millis(150)).await;
    assert_eq!(tasks(), 0);
    key.add(&backlog, [5]);
    assert_eq!(tasks(), 1, "without an idle task a new one is spawned");
    let tally = key.finished().await;
    assert_eq!(counts(&tally), [(Outcome::Ok, 6)]);
}

#[tokio::test(start_paused = true)]
async fn tasks_that_are_woken_at_their_idle_timeout_lose_no_event() {
    let call = Scripted::new(|_, _| Attempt::Computes(Outcome::Ok));
    let backlog = build(spec(&call)).unwrap();
    let key = OpenKey::new(&backlog);
    // Events arrive around the idle timeout of all tasks, before and after the tasks are polled.
    for round in 0..100 {
        key.add(&backlog, round * 3..round * 3 + 3);
        tokio::time::advance(millis(999 + round % 4)).await;
        for _ in 0..round % 3 {
            tokio::task::yield_now().await;
        }
        assert!(tasks() <= 3, "no more than there are slots");
    }
    let tally = key.finished().await;
    assert_eq!(counts(&tally), [(Outcome::Ok, 300)]);
}

#[tokio::test(start_paused = true)]
async fn calls_that_never_yield_do_not_starve_other_tasks() {
    let call = Scripted::new(|_, _| Attempt::Computes(Outcome::Ok));
    let spec = StrategySpec {
        max_workers: some(1),
        ..spec(&call)
    };
    let backlog = build(spec).unwrap();
    let key = OpenKey::new(&backlog);
    key.add(&backlog, 0..10);
    let made = Arc::clone(&call);
    let other = tokio::spawn(async move { made.order.lock().unwrap().len() });
    assert_eq!(other.await.unwrap(), 1, "polled after one call of ten");
    assert_eq!(key.finished().await.attempts, 10);
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_key_begins_no_further_calls() {
    let call = Scripted::new(|_, _| takes(100));
    let backlog = build(spec(&call)).unwrap();
    let (key, other) = (OpenKey::new(&backlog), OpenKey::new(&backlog));
    key.add(&backlog, 0..10);
    tokio::time::sleep(millis(50)).await;
    key.calls.abandon();
    assert_eq!(key.room.events_left(), 1_000);
    other.add(&backlog, [100, 101]);
    let tally = other.finished().await;
    assert_eq!(*call.order.lock().unwrap(), [0, 1, 2, 100, 101]);
    assert_eq!(counts(&tally), [(Outcome::Ok, 2)]);
    assert_about(tally.slot_wait.latencies().max(), millis(50));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_backlog_is_freed_after_the_idle_timeout() {
    let call = Scripted::new(|_, _| takes(100));
    let backlog = build(spec(&call)).unwrap();
    let key = OpenKey::new(&backlog);
    key.add(&backlog, 0..5);
    key.finished().await;
    drop(key);
    let backlog = {
        let weak = Arc::downgrade(&backlog);
        drop(backlog);
        weak
    };
    assert_eq!(backlog.strong_count(), 3, "held by idle tasks");
    tokio::time::sleep(millis(1_000)).await;
    assert_eq!((backlog.strong_count(), tasks()), (0, 0));
    assert_eq!(Arc::strong_count(&call), 1);
}

#[tokio::test(start_paused = true)]
async fn a_missed_call_is_dropped_and_its_slot_is_free_at_once() {
    for kind in [StrategyKind::Sequential, StrategyKind::Async] {
        let call = Scripted::new(|index, _| if index < 10 { Attempt::Never } else { takes(10) });
        let spec = StrategySpec {
            kind,
            max_workers: some(1),
            ..spec(&call)
        };
        let metrics = Arc::clone(&spec.metrics);
        let backlog = build(spec).unwrap();
        let key = OpenKey::with_deadline(&backlog, Some(&deadline(0)));
        let other = OpenKey::new(&backlog);
        key.add(&backlog, 0..3);
        other.add(&backlog, 10..12);
        tokio::time::sleep(millis(50)).await;
        let began = Instant::now();
        backlog.miss(&key.calls);
        let tally = key.finished().await;
        assert_eq!(began.elapsed(), Duration::ZERO, "{kind}");
        assert_eq!(counts(&tally), [(Outcome::Missed, 3)], "{kind}");
        assert_eq!(
            (tally.attempts, tally.peak_in_flight),
            (1, 1),
            "two without a call"
        );
        assert_eq!(tally.failed_latency.latencies().count(), 0, "no end was seen");
        let tally = other.finished().await;
        assert_eq!(
            began.elapsed(),
            millis(20),
            "{kind}: in the slot of the missed call"
        );
        assert_eq!(counts(&tally), [(Outcome::Ok, 2)], "{kind}");
        assert_eq!(*call.order.lock().unwrap(), [0, 10, 11], "{kind}");
        assert_eq!(metrics.calls_in_flight.get(), 0, "{kind}");
        assert_eq!((key.room.events_left(), other.room.events_left()), (1_000, 1_000));
    }
}

/// Pauses of up to an hour: one of less than a tenth of a second is as unlikely as 1 in 36,000.
fn with_long_pauses(call: &Arc<Scripted>) -> StrategySpec<()> {
    StrategySpec {
        retry: crate::Retry {
            first_pause: Duration::from_secs(3_600),
            ..retry(3)
        },
        ..spec(call)
    }
}

#[tokio::test(start_paused = true)]
async fn no_retry_waits_beyond_a_deadline_that_counts() {
    let call = Scripted::new(|_, _| Attempt::Takes(millis(10), Outcome::Broken));
    let backlog = build(with_long_pauses(&call)).unwrap();
    let deadline = deadline(100);
    deadline.begin();
    let key = OpenKey::with_deadline(&backlog, Some(&deadline));
    key.add(&backlog, 0..3);
    let began = Instant::now();
    let tally = key.finished().await;
    assert_eq!(
        began.elapsed(),
        millis(10),
        "their own failure is what they end as"
    );
    assert_eq!((counts(&tally), tally.attempts), (vec![(Outcome::Broken, 3)], 3));
}

#[tokio::test(start_paused = true)]
async fn a_pause_before_a_retry_ends_at_the_deadline() {
    let call = Scripted::new(|_, _| Attempt::Computes(Outcome::Broken));
    let backlog = build(with_long_pauses(&call)).unwrap();
    let key = OpenKey::with_deadline(&backlog, Some(&deadline(100)));
    key.add(&backlog, 0..3);
    tokio::time::sleep(millis(10)).await;
    assert_eq!(key.room.events_left(), 997, "they pause");
    backlog.miss(&key.calls);
    let tally = key.finished().await;
    assert_eq!((counts(&tally), tally.attempts), (vec![(Outcome::Missed, 3)], 3));
    tokio::time::sleep(millis(10)).await;
    assert_eq!(key.room.events_left(), 1_000);
}

#[tokio::test(start_paused = true)]
async fn what_is_missed_and_times_out_at_once_ends_once() {
    // The deadline passes when the timeout does.
    let call = Scripted::new(|_, _| Attempt::Never);
    let backlog = build(StrategySpec {
        retry: retry(1),
        ..spec(&call)
    })
    .unwrap();
    let key = OpenKey::with_deadline(&backlog, Some(&deadline(0)));
    key.add(&backlog, 0..3);
    tokio::time::sleep(millis(1_000)).await;
    backlog.miss(&key.calls);
    let tally = key.finished().await;
    let ended: u64 = counts(&tally).iter().map(|(_, count)| count).sum();
    assert_eq!(ended, 3, "{:?}", counts(&tally));
    tokio::time::sleep(millis(10_000)).await;
    assert_eq!(key.room.events_left(), 1_000);
}
