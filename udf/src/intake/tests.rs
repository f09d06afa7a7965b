//! An intake on paused time: when calls begin, when reading stops, and what is counted.

use std::time::Duration;

use tokio::sync::mpsc::{self, Sender};
use wire::StrategyKind;

use super::*;
use crate::fixtures::{Attempt, Scripted, millis, request, some, soon, spec};
use crate::strategy::{StrategySpec, build};

/// An intake whose calls take 100 ms, at most `max_workers` at once.
fn intake(start_rule: StartRule, max_waiting: usize, max_workers: usize) -> (Intake, Arc<Scripted>) {
    let call = Scripted::new(|_, _| Attempt::Takes(Duration::from_millis(100), Outcome::Ok));
    let spec = StrategySpec {
        kind: StrategyKind::Async,
        max_workers: some(max_workers),
        ..spec(&call)
    };
    let metrics = Arc::clone(&spec.metrics);
    let backlog = build(spec).unwrap();
    (Intake::new(backlog, start_rule, max_waiting, metrics), call)
}

fn keys(name: &str) -> Arc<[String]> {
    Arc::from([name.to_owned()])
}

fn input() -> (Sender<ReduceRequest>, Receiver<ReduceRequest>) {
    mpsc::channel(1)
}

/// Two events 200 ms apart, and the end of the input 100 ms later.
async fn two_events(input: Sender<ReduceRequest>) {
    input.send(request(0)).await.unwrap();
    tokio::time::sleep(millis(200)).await;
    input.send(request(1)).await.unwrap();
    tokio::time::sleep(millis(100)).await;
}

#[tokio::test(start_paused = true)]
async fn calls_begin_at_arrival_or_at_close() {
    for (start_rule, result, slot_waits) in [(StartRule::AtArrival, 300, 2), (StartRule::AtClose, 400, 2)] {
        let (intake, call) = intake(start_rule, 10, 3);
        let window = intake.enter(0, 10);
        let (events, input) = input();
        let began = Instant::now();
        let read = intake.read(&window, keys("key"), input);
        let ((arrivals, tally), ()) = soon(async { tokio::join!(read, two_events(events)) }).await;
        assert_eq!(began.elapsed(), millis(result), "{start_rule}");
        let after = |at: Option<Instant>| at.unwrap() - began;
        assert_eq!(after(arrivals.first), millis(0));
        assert_eq!(after(arrivals.last), millis(200));
        assert_eq!(after(arrivals.close), millis(300));
        assert_eq!((arrivals.events, arrivals.reading_stopped), (2, 0));
        assert_eq!(*call.order.lock().unwrap(), [0, 1]);
        let slot_wait = tally.slot_wait.latencies();
        assert_eq!(
            (slot_wait.count(), slot_wait.max()),
            (slot_waits, Some(Duration::ZERO))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_close_of_a_window_lets_the_calls_of_all_its_keys_begin() {
    let (intake, call) = intake(StartRule::AtClose, 10, 3);
    let window = intake.enter(0, 10);
    let other_window = intake.enter(10, 20);
    let (one, one_input) = input();
    let (two, two_input) = input();
    let (other, other_input) = input();
    let events = async {
        one.send(request(1)).await.unwrap();
        two.send(request(2)).await.unwrap();
        other.send(request(3)).await.unwrap();
        tokio::time::sleep(millis(100)).await;
        assert_eq!(*call.order.lock().unwrap(), [0u64; 0], "no book is closed");
        drop(one);
        tokio::time::sleep(millis(50)).await;
        assert_eq!(
            *call.order.lock().unwrap(),
            [1, 2],
            "not those of the other window"
        );
        drop(two);
        tokio::time::sleep(millis(50)).await;
        drop(other);
    };
    let began = Instant::now();
    let read = async |window, name, input| {
        soon(intake.read(window, keys(name), input)).await;
        began.elapsed()
    };
    let (one, two, other, ()) = tokio::join!(
        read(&window, "one", one_input),
        read(&window, "two", two_input),
        read(&other_window, "one", other_input),
        events,
    );
    assert_eq!([one, two, other], [200, 200, 300].map(millis));
}

#[tokio::test(start_paused = true)]
async fn at_the_bound_reading_stops_and_every_window_is_opened() {
    let (intake, call) = intake(StartRule::AtClose, 2, 1);
    let (window, other) = (intake.enter(0, 10), intake.enter(10, 20));
    let (events, input) = input();
    let began = Instant::now();
    let send = async {
        for number in 0..5 {
            events.send(request(number)).await.unwrap();
        }
        drop(events);
    };
    let ((arrivals, tally), ()) =
        soon(async { tokio::join!(intake.read(&window, keys("key"), input), send) }).await;
    // Two events wait. The third stops reading until the first has begun, the fourth and fifth until a call has ended.
    assert_eq!(arrivals.reading_stopped, 3);
    assert_eq!(intake.metrics.reading_stopped.get(), 3);
    assert_eq!(arrivals.close.unwrap() - began, millis(200));
    assert_eq!(began.elapsed(), millis(500));
    assert_eq!((tally.attempts, tally.peak_in_flight), (5, 1));
    assert_eq!(*call.order.lock().unwrap(), [0, 1, 2, 3, 4]);
    assert_eq!(intake.permits.available_permits(), 2, "each permit is returned");
    tokio::time::timeout(Duration::ZERO, other.opened())
        .await
        .expect("every window is opened, as its events may hold the permits");
}

#[tokio::test(start_paused = true)]
async fn every_event_is_counted_whether_or_not_it_is_called() {
    let (intake, call) = intake(StartRule::AtArrival, 10, 3);
    let window = intake.enter(0, 10);
    let (events, input) = input();
    let send = async {
        for number in [4, 5, 5, 7] {
            events.send(request(number)).await.unwrap();
        }
        let rubbish = ReduceRequest {
            value: b"{".to_vec(),
            ..request(9)
        };
        events.send(rubbish).await.unwrap();
        drop(events);
    };
    let ((arrivals, tally), ()) =
        soon(async { tokio::join!(intake.read(&window, keys("key"), input), send) }).await;
    assert_eq!(
        (arrivals.events, arrivals.repeated, arrivals.undecoded),
        (5, 1, 1)
    );
    let seen: Vec<_> = arrivals
        .seen
        .iter()
        .map(|(nonce, seen)| (*nonce, seen.to_string()))
        .collect();
    assert_eq!(seen, [(7, "4-5,7".to_owned())]);
    assert_eq!(
        *call.order.lock().unwrap(),
        [4, 5, 5, 7],
        "a repeated event is called again"
    );
    assert_eq!(
        tally.outcomes().into_iter().collect::<Vec<_>>(),
        [(Outcome::Ok, 4)]
    );
    assert_eq!(intake.metrics.events.get(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_window_that_is_dropped_returns_its_permits() {
    let (intake, call) = intake(StartRule::AtArrival, 10, 2);
    let window = intake.enter(0, 10);
    let (events, input) = input();
    let send = async {
        for number in 0..6 {
            events.send(request(number)).await.unwrap();
        }
        std::future::pending::<()>().await;
    };
    let read = async { tokio::join!(intake.read(&window, keys("key"), input), send) };
    let ended = tokio::time::timeout(millis(150), read).await;
    assert!(ended.is_err(), "its input has not ended");
    assert_eq!(intake.permits.available_permits(), 10);
    tokio::time::sleep(millis(1_000)).await;
    assert_eq!(
        *call.order.lock().unwrap(),
        [0, 1, 2, 3],
        "calls in flight end, no other begins"
    );
    assert_eq!(intake.metrics.calls_in_flight.get(), 0);
}
