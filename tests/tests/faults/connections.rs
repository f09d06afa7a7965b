//! Endpoints whose connections fail: refused, reset, cut, silent, too late.

use std::time::Duration;

use tests::hostile::{Answer, Hostile};
use tests::process::until;
use tests::reduce::{PATIENCE, Udf, close_tail, count};
use wire::Outcome;

use super::clients::{callers, udf};

/// As many as there are workers: one wave of calls.
const EVENTS: u64 = 8;

/// Timeout of an attempt, and of as many attempts as there are.
const FLAGS: [&str; 6] = ["--max-workers", "8", "--timeout", "1s", "--retries", "1"];

/// Two attempts of a second, a pause of at most 50 ms between them, the second that a pool waits for a child's own
/// word, and time to be scheduled on a busy machine.
const BOUND: Duration = Duration::from_secs(2 + 2 + 4);

#[tokio::test(flavor = "multi_thread")]
async fn broken_connections_fail_their_calls_once_and_leave_nothing_open() {
    let callers = callers();
    let runs = callers.iter().map(|caller| async move {
        for (answer, outcome) in [
            (Answer::Reset, Outcome::Refused),
            (Answer::ResetMidBody, Outcome::BadBody),
            (Answer::EndMidBody, Outcome::BadBody),
            (Answer::Never, Outcome::Timeout),
            (Answer::Late(Duration::from_millis(1_500)), Outcome::Timeout),
        ] {
            let endpoint = Hostile::always(answer.clone()).await;
            let mut udf = udf(caller, &endpoint.url, &FLAGS).await;
            fails(&mut udf, &endpoint, outcome, &format!("{caller:?} {answer:?}")).await;
        }
    });
    futures_util::future::join_all(runs).await;
}

async fn fails(udf: &mut Udf, endpoint: &Hostile, outcome: Outcome, what: &str) {
    let records = udf.window(0, 1, EVENTS).await;
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
    // Each of the two attempts reached the endpoint once, none was made again behind the record's back.
    for (key, times) in endpoint.calls() {
        assert_eq!(times.len(), 2, "{what}: {key}");
    }
    assert_eq!(endpoint.calls().len() as u64, EVENTS, "{what}");
    until(&format!("{what}: no connection is left"), PATIENCE, || {
        endpoint.open() == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_connection_costs_its_attempts_and_no_more() {
    let callers = callers();
    let runs = callers.iter().map(|caller| async move {
        // Port 9 of the loopback: nobody listens there.
        let mut udf = udf(caller, "http://127.0.0.1:9", &FLAGS).await;
        let records = udf.window(0, 1, EVENTS).await;
        assert_eq!(count(&records, Outcome::Refused), EVENTS, "{caller:?}");
        assert_eq!(records[0].attempts, 2 * EVENTS, "{caller:?}");
        assert!(
            close_tail(&records) < BOUND,
            "{caller:?}: {:?}",
            close_tail(&records)
        );
    });
    futures_util::future::join_all(runs).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_of_silence_harms_no_window_after_it() {
    let callers = callers();
    let runs = callers.iter().map(|caller| async move {
        // The first eight events are never answered, the others at once.
        let endpoint = Hostile::start(|index, _| match index {
            0..EVENTS => Answer::Never,
            _ => Answer::Good,
        })
        .await;
        let flags = ["--max-workers", "8", "--timeout", "1s"];
        let mut udf = udf(caller, &endpoint.url, &flags).await;
        let records = udf.window(0, 1, EVENTS).await;
        assert_eq!(count(&records, Outcome::Timeout), EVENTS, "{caller:?}");
        let mut next = udf.open(1).await;
        for index in EVENTS..2 * EVENTS {
            next.send("key", index, index).await;
        }
        let records = next.close().await.records();
        assert_eq!(
            count(&records, Outcome::Ok),
            EVENTS,
            "{caller:?}: {:?}",
            records[0].outcomes
        );
    });
    futures_util::future::join_all(runs).await;
}
