//! An intake on paused time: when calls begin, when reading stops, and what is counted.

use std::time::Duration;

use tokio::sync::mpsc::{self, Sender};
use wire::{Outcome, StrategyKind};

use super::*;
use crate::fixtures::{Attempt, NO_INDEX, Scripted, millis, place, place_of, request, some, soon, spec};
use crate::strategy::{StrategySpec, build};

/// An intake whose calls take 100 ms, at most `max_workers` at once.
fn intake(start_rule: StartRule, max_waiting: usize, max_workers: usize) -> (Intake<()>, Arc<Scripted>) {
    let call = Scripted::new(|_, _| Attempt::Takes(Duration::from_millis(100), Outcome::Ok));
    let spec = StrategySpec {
        kind: StrategyKind::Async,
        max_workers: some(max_workers),
        ..spec(&call)
    };
    let metrics = Arc::clone(&spec.metrics);
    let backlog = build(spec).unwrap();
    (
        Intake::new(backlog, start_rule, Room::new(max_waiting, u64::MAX), metrics),
        call,
    )
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
        let place = place();
        let read = intake.read(&window, &place, input);
        let (closed, ()) = soon(async { tokio::join!(read, two_events(events)) }).await;
        let Closed {
            arrivals,
            tally,
            finish,
        } = closed;
        assert!(
            finish.is_none(),
            "without an aggregate there is nothing to finish"
        );
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
        soon(intake.read(window, &place_of(&[name]), input)).await;
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
    let place = place();
    let (closed, ()) = soon(async { tokio::join!(intake.read(&window, &place, input), send) }).await;
    let Closed { arrivals, tally, .. } = closed;
    // Two events wait. The third stops reading until the first has begun, the fourth and fifth until a call has ended.
    assert_eq!(arrivals.reading_stopped, 3);
    assert_eq!(intake.metrics.reading_stopped.get(), 3);
    assert_eq!(arrivals.close.unwrap() - began, millis(200));
    assert_eq!(began.elapsed(), millis(500));
    assert_eq!((tally.attempts, tally.peak_in_flight), (5, 1));
    assert_eq!(*call.order.lock().unwrap(), [0, 1, 2, 3, 4]);
    assert_eq!(intake.room.events_left(), 2, "all room is given back");
    tokio::time::timeout(Duration::ZERO, other.opened())
        .await
        .expect("every window is opened, as its events may hold the permits");
}

#[tokio::test(start_paused = true)]
async fn every_event_is_called_and_counted_by_its_number_or_its_time() {
    let (intake, call) = intake(StartRule::AtArrival, 10, 3);
    let window = intake.enter(0, 10);
    let (events, input) = input();
    let send = async {
        for number in [4, 5, 5, 7] {
            events.send(request(number)).await.unwrap();
        }
        for (nanos, id) in [(9, None), (10, Some("no id")), (11, Some("8-1-3"))] {
            let theirs = ReduceRequest {
                value: b"{".to_vec(),
                eventtime: chrono::DateTime::from_timestamp_nanos(nanos),
                headers: id
                    .map(|id| (EVENT_ID_HEADER.to_owned(), id.to_owned()))
                    .into_iter()
                    .collect(),
                ..request(9)
            };
            events.send(theirs).await.unwrap();
        }
        drop(events);
    };
    let place = place();
    let (closed, ()) = soon(async { tokio::join!(intake.read(&window, &place, input), send) }).await;
    let Closed { arrivals, tally, .. } = closed;
    assert_eq!(
        (arrivals.events, arrivals.repeated, arrivals.unnumbered),
        (7, 1, 2)
    );
    assert_eq!(arrivals.unnumbered_ns, [9, 10]);
    let seen: Vec<_> = arrivals
        .seen
        .iter()
        .map(|(nonce, seen)| (*nonce, seen.to_string()))
        .collect();
    assert_eq!(seen, [(7, "4-5,7".to_owned()), (8, "3".to_owned())]);
    assert_eq!(
        *call.order.lock().unwrap(),
        [4, 5, 5, 7, NO_INDEX, NO_INDEX, NO_INDEX],
        "a repeated event is called again"
    );
    assert_eq!(
        tally.outcomes().into_iter().collect::<Vec<_>>(),
        [(Outcome::Ok, 7)]
    );
    assert_eq!(intake.metrics.events.get(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_window_that_is_dropped_gives_its_room_back() {
    let (intake, call) = intake(StartRule::AtArrival, 10, 2);
    let window = intake.enter(0, 10);
    let (events, input) = input();
    let send = async {
        for number in 0..6 {
            events.send(request(number)).await.unwrap();
        }
        std::future::pending::<()>().await;
    };
    let place = place();
    let read = async { tokio::join!(intake.read(&window, &place, input), send) };
    let ended = tokio::time::timeout(millis(150), read).await;
    assert!(ended.is_err(), "its input has not ended");
    assert_eq!(intake.room.events_left(), 10);
    tokio::time::sleep(millis(1_000)).await;
    assert_eq!(
        *call.order.lock().unwrap(),
        [0, 1, 2, 3],
        "calls in flight end, no other begins"
    );
    assert_eq!(intake.metrics.calls_in_flight.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_sees_the_headers_but_not_the_number_in_them() {
    let key = KeyCalls::<()>::new(place(), None, Arc::new(Room::new(1, u64::MAX)));
    let headers =
        [(EVENT_ID_HEADER, "7-3-2"), ("tenant", "t1")].map(|(name, value)| (name.into(), value.into()));
    let theirs = |headers: &[(String, String)]| ReduceRequest {
        value: b"payload".to_vec(),
        headers: headers.iter().cloned().collect(),
        watermark: chrono::DateTime::from_timestamp_millis(-1).unwrap(),
        eventtime: chrono::DateTime::from_timestamp_nanos(1_500),
        ..request(0)
    };
    let mut arrivals = Arrivals::default();
    let first = key.event(arrivals.record(theirs(&headers), &key, true));
    assert_eq!(first.headers().collect::<Vec<_>>(), [("tenant", "t1")]);
    assert_eq!(
        (first.header("tenant"), first.header(EVENT_ID_HEADER)),
        (Some("t1"), None)
    );
    assert_eq!(
        (first.keys(), &first.payload()[..]),
        (&["key".to_owned()][..], &b"payload"[..])
    );
    assert_eq!((first.position(), first.watermark()), (0, None));
    assert_eq!(first.event_time().timestamp_nanos_opt(), Some(1_500));
    assert_eq!(first.window(), &place().window);
    let second = key.event(arrivals.record(theirs(&headers[..1]), &key, false));
    assert_eq!((second.headers().count(), second.position()), (0, 1));
    assert_eq!(first.idempotency_key(), second.idempotency_key(), "of no header");
    assert_eq!(arrivals.seen[&7].to_string(), "2");
}
