//! Endpoints that answer badly, in some or all calls.

use std::time::Duration;

use tests::hostile::{Answer, Hostile};
use tests::reduce::{close_tail, count};
use wire::{Outcome, WindowRecord};

use super::clients::{callers, udf};

/// Events of one window.
const EVENTS: u64 = 100;

/// Attempts after the first.
const RETRIES: u64 = 1;

/// Timeout of an attempt; no answer here takes a hundredth of it, even on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn bad_answers_in_some_or_all_calls_are_counted_once_under_their_kind() {
    let bad = [
        (Answer::Status(500, ""), Outcome::BadStatus),
        // An hour: a window that waited for it would stall its pod.
        (Answer::Status(429, "retry-after: 3600\r\n"), Outcome::BadStatus),
        (Answer::Garbage, Outcome::BadBody),
    ];
    let mut callers = callers();
    callers.push(vec!["--strategy", "sequential"]);
    let runs = callers.iter().map(|caller| meets(caller, &bad));
    futures_util::future::join_all(runs).await;
}

/// One window for each answer and fraction of bad answers; the indices of their events identify the windows.
async fn meets(caller: &[&str], bad: &[(Answer, Outcome)]) {
    let cases: Vec<(Answer, Outcome, u64)> = bad
        .iter()
        .flat_map(|(answer, outcome)| [1, 50, 100].map(|percent| (answer.clone(), *outcome, percent)))
        .collect();
    let answers = cases.clone();
    let endpoint = Hostile::start(move |index, _| {
        let (answer, _, percent) = &answers[(index / EVENTS) as usize];
        if fails(index, *percent) {
            answer.clone()
        } else {
            Answer::Good
        }
    })
    .await;
    let flags = ["--max-workers", "4", "--timeout", "10s", "--retries", "1"];
    let mut udf = udf(caller, &endpoint.url, &flags).await;
    for ((answer, outcome, percent), number) in cases.iter().zip(0u64..) {
        let what = format!("{caller:?} {answer:?} {percent} %");
        let mut stream = udf.open(number as i64).await;
        for index in number * EVENTS..(number + 1) * EVENTS {
            stream.send("key", index, index).await;
        }
        let records = stream.close().await.records();
        check(&what, &records, EVENTS * percent / 100, *outcome);
        // Sequential calls take as many waves as there are events.
        let waves = if caller.contains(&"sequential") {
            EVENTS as u32
        } else {
            1
        };
        let (tail, bound) = (close_tail(&records), TIMEOUT * (1 + RETRIES as u32) * waves);
        assert!(tail < bound, "{what}: timeout × attempts: {tail:?}");
        // The endpoint's own count says which calls were made.
        for (key, times) in endpoint.calls() {
            let (_, index) = wire::parse_idempotency_key(&key).unwrap();
            let attempts = if fails(index, *percent) { 1 + RETRIES } else { 1 };
            assert_eq!(times.len() as u64, attempts, "{what}: {key}");
        }
        assert_eq!(endpoint.calls().len() as u64, EVENTS, "{what}");
        endpoint.forget();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_beyond_max_answer_bytes_is_a_bad_body() {
    for caller in callers() {
        let endpoint = Hostile::start(|index, _| Answer::Flood(1_000 + index % 2)).await;
        let flags = ["--max-answer-bytes", "1000"];
        let mut udf = udf(&caller, &endpoint.url, &flags).await;
        let records = udf.window(0, 1, 10).await;
        let outcomes: Vec<_> = records[0].outcomes.clone().into_iter().collect();
        assert_eq!(outcomes, [(Outcome::Ok, 5), (Outcome::BadBody, 5)], "{caller:?}");
    }
}

/// Whether the call of this event is one of the `percent` in each hundred that fail.
fn fails(index: u64, percent: u64) -> bool {
    index.is_multiple_of(100 / percent)
}

fn check(what: &str, records: &[WindowRecord], failed: u64, outcome: Outcome) {
    assert_eq!(
        count(records, outcome),
        failed,
        "{what}: {:?}",
        records[0].outcomes
    );
    assert_eq!(count(records, Outcome::Ok), EVENTS - failed, "{what}");
    assert_eq!(records[0].events, EVENTS, "{what}");
    assert_eq!(records[0].attempts, EVENTS + failed * RETRIES, "{what}");
}

/// The status of an answer by the index of its event.
const STATUSES: [u16; 6] = [400, 404, 410, 429, 500, 503];

#[tokio::test(flavor = "multi_thread")]
async fn a_status_that_another_attempt_does_not_mend_is_not_tried_again() {
    // By default some, else those of the setting.
    let settings: [(&[&str], [u64; 6]); 3] = [
        (&[], [1, 1, 1, 2, 2, 2]),
        (&["--retry-statuses", "404 503"], [1, 2, 1, 1, 1, 2]),
        (&["--retry-statuses", "none"], [1; 6]),
    ];
    let callers = callers();
    let runs = callers.iter().map(|caller| async move {
        let answer = |index: u64, _| Answer::Status(STATUSES[index as usize], "");
        for (flags, attempts) in settings {
            let endpoint = Hostile::start(answer).await;
            let flags = [&["--retries", "1", "--retry-pause", "1ms"], flags].concat();
            let mut udf = udf(caller, &endpoint.url, &flags).await;
            let records = udf.window(0, 1, STATUSES.len() as u64).await;
            assert_eq!(count(&records, Outcome::BadStatus), 6, "{caller:?} {flags:?}");
            let made: u64 = attempts.iter().sum();
            assert_eq!(records[0].attempts, made, "{caller:?} {flags:?}");
            let calls = endpoint.calls();
            let seen: Vec<u64> = (0..6)
                .map(|index| calls[&format!("7-{index}")].len() as u64)
                .collect();
            assert_eq!(seen, attempts, "{caller:?} {flags:?}");
        }
    });
    futures_util::future::join_all(runs).await;
}
