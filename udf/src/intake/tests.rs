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

/// Events 0 and on arrive at once, and the input ends.
async fn all_at_once(input: Sender<ReduceRequest>, events: std::ops::Range<u64>) {
    for number in events {
        input.send(request(number)).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_not_ended_at_the_deadline_is_missed_and_the_result_goes_out() {
    for start_rule in [StartRule::AtArrival, StartRule::AtClose] {
        let (intake, call) = intake(start_rule, 10, 1);
        let intake = intake.with_close_deadline(Some(millis(250)));
        let window = intake.enter(0, 10);
        let (events, input) = input();
        let began = Instant::now();
        let place = place();
        let read = intake.read(&window, &place, input);
        let (closed, ()) = soon(async { tokio::join!(read, all_at_once(events, 0..5)) }).await;
        assert_eq!(began.elapsed(), millis(250), "{start_rule}");
        let outcomes: Vec<_> = closed.tally.outcomes().into_iter().collect();
        assert_eq!(outcomes, [(Outcome::Ok, 2), (Outcome::Missed, 3)], "{start_rule}");
        assert_eq!(closed.tally.attempts, 3, "{start_rule}");
        tokio::time::sleep(millis(1_000)).await;
        assert_eq!(*call.order.lock().unwrap(), [0, 1, 2], "{start_rule}");
        assert_eq!(intake.room.events_left(), 10, "{start_rule}");
        assert_eq!(intake.metrics.calls_in_flight.get(), 0, "{start_rule}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_window_that_ends_before_its_deadline_is_not_delayed_by_it() {
    let (intake, _) = intake(StartRule::AtClose, 10, 3);
    let intake = intake.with_close_deadline(Some(millis(250)));
    let window = intake.enter(0, 10);
    let (events, input) = input();
    let began = Instant::now();
    let place = place();
    let read = intake.read(&window, &place, input);
    let (closed, ()) = soon(async { tokio::join!(read, all_at_once(events, 0..3)) }).await;
    assert_eq!((began.elapsed(), closed.tally.attempts), (millis(100), 3));
    let outcomes: Vec<_> = closed.tally.outcomes().into_iter().collect();
    assert_eq!(outcomes, [(Outcome::Ok, 3)]);
}

/// The SDK closes a window's keys one after another.
#[tokio::test(start_paused = true)]
async fn later_keys_get_what_the_first_has_left_of_the_deadline() {
    let (intake, _) = intake(StartRule::AtArrival, 100, 1);
    let intake = intake.with_close_deadline(Some(millis(250)));
    let (window, next) = (intake.enter(0, 10), intake.enter(10, 20));
    let (one, one_input) = input();
    let (two, two_input) = input();
    let (three, three_input) = input();
    let (other, other_input) = input();
    let began = Instant::now();
    let read = async |window, name, input| {
        let closed = soon(intake.read(window, &place_of(&[name]), input)).await;
        (
            closed.tally.outcomes().into_iter().collect::<Vec<_>>(),
            closed.tally.attempts,
            began.elapsed(),
        )
    };
    let events = async {
        // In the one slot, which the keys have in turn: 0, 10, 1 by 300 ms.
        all_at_once(one, 0..3).await;
        for number in 10..13 {
            two.send(request(number)).await.unwrap();
        }
        tokio::time::sleep(millis(250)).await;
        // The first key uses the deadline up. What the others have still to read is missed.
        two.send(request(13)).await.unwrap();
        drop(two);
        three.send(request(20)).await.unwrap();
        drop(three);
        all_at_once(other, 30..31).await;
    };
    let (one, two, three, other, ()) = tokio::join!(
        read(&window, "one", one_input),
        read(&window, "two", two_input),
        read(&window, "three", three_input),
        read(&next, "one", other_input),
        events,
    );
    assert_eq!(one.2, millis(250));
    assert_eq!(two.2, millis(250), "nothing is left for it");
    assert_eq!(
        three,
        (vec![(Outcome::Missed, 1)], 0, millis(250)),
        "without a call"
    );
    let of =
        |of_key: &(Vec<(Outcome, u64)>, u64, Duration)| of_key.0.iter().map(|(_, count)| count).sum::<u64>();
    assert_eq!((of(&one), of(&two)), (3, 4), "{one:?} {two:?}");
    assert_eq!(
        one.1 + two.1,
        3,
        "two calls ended, one was dropped: {one:?} {two:?}"
    );
    assert_eq!(
        other,
        (vec![(Outcome::Ok, 1)], 1, millis(350)),
        "the slot is free for the next window"
    );
    assert_eq!(intake.room.events_left(), 100);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_waits_for_room_misses_the_deadline_of_its_window_too() {
    let (intake, call) = intake(StartRule::AtArrival, 2, 1);
    let intake = intake.with_close_deadline(Some(millis(50)));
    let window = intake.enter(0, 10);
    let (one, one_input) = input();
    let (two, two_input) = input();
    let began = Instant::now();
    let read = async |name, input| {
        let closed = soon(intake.read(&window, &place_of(&[name]), input)).await;
        (
            closed.tally.outcomes().into_iter().collect::<Vec<_>>(),
            closed.arrivals.events,
            began.elapsed(),
        )
    };
    let events = async {
        all_at_once(one, 0..1).await;
        all_at_once(two, 10..20).await;
    };
    let (one, two, ()) = tokio::join!(read("one", one_input), read("two", two_input), events);
    assert_eq!(one, (vec![(Outcome::Missed, 1)], 1, millis(50)));
    assert_eq!(
        two,
        (vec![(Outcome::Missed, 10)], 10, millis(50)),
        "also what it had not read"
    );
    assert_eq!(call.order.lock().unwrap().len(), 1, "there is one slot");
    assert_eq!(intake.room.events_left(), 2);
}
