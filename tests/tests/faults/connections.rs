//! Endpoints whose connections fail: refused, reset, cut, silent, too late.

use std::time::{Duration, Instant};

use tests::children_of;
use tests::hostile::{Answer, Hostile};
use tests::process::{descriptors, until};
use tests::reduce::{PATIENCE, Udf, close_tail, count};
use tests::scrape::Scrape;
use wire::{Outcome, WindowRecord};

use super::clients::{callers, telling_udf, udf};

/// One event per worker: one wave of calls.
const EVENTS: u64 = 8;

/// Timeout of an attempt.
const FLAGS: [&str; 6] = ["--max-workers", "8", "--timeout", "1s", "--retries", "1"];

/// Two attempts of a second, a pause of at most 50 ms between them, the second that a pool waits for a child's own
/// answer, and scheduling delay on a busy machine.
const BOUND: Duration = Duration::from_secs(2 + 2 + 4);

#[tokio::test(flavor = "multi_thread")]
async fn broken_connections_fail_their_calls_once_and_leave_nothing_open() {
    let callers = callers();
    let runs = callers.iter().map(|caller| async move {
        for (answer, outcome) in [
            (Answer::Reset, Outcome::Broken),
            (Answer::ResetMidBody, Outcome::BadBody),
            (Answer::EndMidBody, Outcome::BadBody),
            (Answer::Never, Outcome::Timeout),
            (Answer::Late(Duration::from_millis(1_500)), Outcome::Timeout),
        ] {
            fails(caller, answer, outcome).await;
        }
    });
    futures_util::future::join_all(runs).await;
}

async fn fails(caller: &[&str], answer: Answer, outcome: Outcome) {
    let what = &format!("{caller:?} {answer:?}");
    // A good window first, without connections that stay open, so that the process holds the same before and after a
    // bad window.
    let endpoint = Hostile::start(move |index, _| match index {
        0..EVENTS => Answer::Status(200, "connection: close\r\n"),
        _ => answer.clone(),
    })
    .await;
    let (mut udf, metrics) = telling_udf(caller, &endpoint.url, &FLAGS).await;
    let good = window(&mut udf, 0).await;
    assert_eq!(count(&good, Outcome::Ok), EVENTS, "{what}");
    none_is_left(what, &endpoint).await;
    let held = held(&udf);
    endpoint.forget();

    let records = window(&mut udf, 1).await;
    assert_eq!(
        count(&records, outcome),
        EVENTS,
        "{what}: {:?}",
        records[0].outcomes
    );
    assert_eq!(
        (records[0].events, records[0].attempts),
        (EVENTS, 2 * EVENTS),
        "{what}"
    );
    assert!(close_tail(&records) < BOUND, "{what}: {:?}", close_tail(&records));
    // Each of the two attempts reached the endpoint once; none was repeated without being recorded.
    for (key, times) in endpoint.calls() {
        assert_eq!(times.len(), 2, "{what}: {key}");
    }
    assert_eq!(endpoint.calls().len() as u64, EVENTS, "{what}");
    none_is_left(what, &endpoint).await;
    until(&format!("{what}: {held} descriptors"), PATIENCE, || {
        self::held(&udf) <= held
    })
    .await;
    Scrape::all_zero(metrics, &["udf_calls_in_flight", "udf_windows_open"], PATIENCE).await;
}

/// The window with this number, with events of no other window.
async fn window(udf: &mut Udf, number: u64) -> Vec<WindowRecord> {
    let mut stream = udf.open(number as i64).await;
    for index in number * EVENTS..(number + 1) * EVENTS {
        stream.send("key", index, index).await;
    }
    stream.close().await.records()
}

async fn none_is_left(what: &str, endpoint: &Hostile) {
    until(&format!("{what}: no connection is left"), PATIENCE, || {
        endpoint.open() == 0
    })
    .await;
}

/// Descriptors of the process and its children.
fn held(udf: &Udf) -> usize {
    let processes = std::iter::once(udf.id()).chain(children_of(udf.id()));
    processes.filter_map(descriptors).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_connection_costs_its_attempts_and_no_more() {
    let callers = callers();
    let runs = callers.iter().map(|caller| async move {
        // Nothing listens on port 9 of the loopback.
        let mut udf = udf(caller, "http://127.0.0.1:9", &FLAGS).await;
        let records = udf.window(0, 1, EVENTS).await;
        assert_eq!(count(&records, Outcome::NoConnection), EVENTS, "{caller:?}");
        assert_eq!(records[0].attempts, 2 * EVENTS, "{caller:?}");
        assert!(
            close_tail(&records) < BOUND,
            "{caller:?}: {:?}",
            close_tail(&records)
        );
    });
    futures_util::future::join_all(runs).await;
}

/// Later than the timeout of an attempt.
const LATE: Duration = Duration::from_millis(1_500);

#[tokio::test(flavor = "multi_thread")]
async fn a_window_of_silence_harms_no_window_after_it() {
    let callers = callers();
    let runs = callers.iter().map(|caller| async move {
        for answer in [Answer::Never, Answer::Late(LATE)] {
            silence(caller, answer).await;
        }
    });
    futures_util::future::join_all(runs).await;
}

async fn silence(caller: &[&str], answer: Answer) {
    let what = format!("{caller:?} {answer:?}");
    // The first eight events get late answers, the others immediate ones.
    let endpoint = Hostile::start(move |index, _| match index {
        0..EVENTS => answer.clone(),
        _ => Answer::Good,
    })
    .await;
    let flags = ["--max-workers", "8", "--timeout", "1s"];
    let mut udf = udf(caller, &endpoint.url, &flags).await;
    let records = window(&mut udf, 0).await;
    assert_eq!(count(&records, Outcome::Timeout), EVENTS, "{what}");
    let called = endpoint.calls().into_values().flatten().max().unwrap();
    // Once before the late answers arrive, and once after.
    for number in [1, 2] {
        let records = window(&mut udf, number).await;
        assert_eq!(
            count(&records, Outcome::Ok),
            EVENTS,
            "{what} {number}: {:?}",
            records[0].outcomes
        );
        until("late answers are due", PATIENCE, || {
            Instant::now() > called + LATE
        })
        .await;
    }
}
