//! Backends that never answer, or answer long after: with a close deadline they stall no window.

use std::time::Duration;

use tests::children_of;
use tests::hostile::{Answer, Hostile};
use tests::process::{runs, until};
use tests::reduce::{PATIENCE, Udf, close_tail, count};
use tests::scrape::Scrape;
use wire::{Outcome, StrategyKind, WindowRecord};

use super::calls::{fragile, window};
use super::clients::telling_udf;

const DEADLINE: Duration = Duration::from_millis(500);

/// Flags of the same; an attempt may take much longer.
const FLAGS: [&str; 6] = [
    "--close-deadline",
    "500ms",
    "--max-workers",
    "4",
    "--timeout",
    "30s",
];

/// What a busy machine may take beyond the deadline; much less than a late answer.
const SLACK: Duration = Duration::from_secs(2);

const KEYS: u64 = 3;
const EVENTS: u64 = 4;

/// A window whose events have numbers of its own.
async fn numbered(udf: &mut Udf, number: i64) -> Vec<WindowRecord> {
    let mut stream = udf.open(number).await;
    let first = number as u64 * 100;
    for index in 0..KEYS * EVENTS {
        let key = format!("key-{}", index % KEYS);
        stream.send(&key, first + index, index / KEYS).await;
    }
    stream.close().await.records()
}

fn attempts(records: &[WindowRecord]) -> u64 {
    records.iter().map(|record| record.attempts).sum()
}

/// Each combination of strategy, start rule and answer.
fn combinations() -> Vec<(StrategyKind, &'static str, Answer)> {
    let mut all = Vec::new();
    for strategy in StrategyKind::ALL {
        for start_rule in ["at-arrival", "at-close"] {
            for answer in [Answer::Never, Answer::Late(Duration::from_secs(10))] {
                all.push((*strategy, start_rule, answer));
            }
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_does_not_answer_delays_no_window_beyond_its_deadline() {
    let runs = combinations()
        .into_iter()
        .map(|(strategy, start_rule, answer)| async move {
            let what = &format!("{strategy} {start_rule} {answer:?}");
            let endpoint = Hostile::always(answer).await;
            let caller = ["--strategy", strategy.name(), "--start-rule", start_rule];
            let (mut udf, metrics) = telling_udf(&caller, &endpoint.url, &FLAGS).await;
            for number in 0..3 {
                let records = numbered(&mut udf, number).await;
                let what = &format!("{what}: window {number}");
                assert_eq!(records.len() as u64, KEYS, "{what}: each key has its result");
                let missed = count(&records, Outcome::Missed);
                assert_eq!(missed, KEYS * EVENTS, "{what}: {:?}", records[0].outcomes);
                let tail = close_tail(&records);
                assert!((DEADLINE..DEADLINE + SLACK).contains(&tail), "{what}: {tail:?}");
                // The first key that is closed uses the deadline up, and nothing is left for the others.
                let mut tails: Vec<_> = records.iter().map(|of| of.result_us - of.close_us).collect();
                tails.sort_unstable();
                let of_others = tails[..tails.len() - 1].iter().sum::<u64>();
                assert!(of_others < DEADLINE.as_micros() as u64, "{what}: {tails:?}");
                let begun = match strategy {
                    StrategyKind::Sequential => KEYS,
                    StrategyKind::Async => 4,
                    // Their workers are still at the calls of the first window.
                    StrategyKind::ThreadPool | StrategyKind::ProcessPool if number == 0 => 4,
                    StrategyKind::ThreadPool | StrategyKind::ProcessPool => 0,
                };
                assert_eq!(attempts(&records), begun, "{what}");
            }
            let told = Scrape::of(metrics)
                .await
                .value("udf_calls_total{outcome=\"missed\"}");
            assert_eq!(told, (3 * KEYS * EVENTS) as f64, "{what}");
        });
    futures_util::future::join_all(runs).await;
}

/// The late answers have status 500: one that counted for another event, or another window, would be seen.
#[tokio::test(flavor = "multi_thread")]
async fn late_answers_of_missed_calls_count_nowhere_and_their_slots_come_back() {
    let runs = StrategyKind::ALL.iter().map(|strategy| async move {
        let late = Answer::Late(Duration::from_secs(3));
        let endpoint = Hostile::start(move |index, _| match index {
            0..100 => late.clone(),
            _ => Answer::Good,
        })
        .await;
        let caller = ["--strategy", strategy.name()];
        let (mut udf, metrics) = telling_udf(&caller, &endpoint.url, &FLAGS).await;
        let records = numbered(&mut udf, 0).await;
        assert_eq!(count(&records, Outcome::Missed), KEYS * EVENTS, "{strategy}");
        for number in 1.. {
            let records = numbered(&mut udf, number).await;
            let outcomes = [Outcome::Ok, Outcome::Missed].map(|outcome| count(&records, outcome));
            let all: u64 = outcomes.iter().sum();
            assert_eq!(
                all,
                KEYS * EVENTS,
                "{strategy} {number}: {:?}",
                records[0].outcomes
            );
            let is_pool = matches!(strategy, StrategyKind::ThreadPool | StrategyKind::ProcessPool);
            assert!(outcomes[1] == 0 || is_pool, "{strategy}: a slot is free at once");
            if outcomes[1] == 0 {
                break;
            }
            assert!(number < 20, "{strategy}: the slots do not come back");
        }
        Scrape::all_zero(metrics, &["udf_calls_in_flight", "udf_windows_open"], PATIENCE).await;
    });
    futures_util::future::join_all(runs).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_that_hangs_is_replaced_after_its_timeout_and_not_at_the_deadline() {
    let flags = [
        "--strategy",
        "process-pool",
        "--max-workers",
        "3",
        "--timeout",
        "4s",
    ];
    let flags = [&flags[..], &["--close-deadline", "2s"]].concat();
    let mut udf = Udf::start_as(fragile(), &flags).await;
    let before = children_of(udf.id());
    let records = window(&mut udf, 0, &["hang"]).await;
    assert_eq!(count(&records, Outcome::Missed), 1, "{:?}", records[0].outcomes);
    let alive = || before.iter().filter(|child| runs(**child)).count();
    assert_eq!(alive(), 3, "it has its timeout, and a second more");
    // The others go on meanwhile.
    let records = window(&mut udf, 1, &[""; 2]).await;
    assert_eq!(count(&records, Outcome::Ok), 2, "{:?}", records[0].outcomes);
    until("the child that hung is gone", PATIENCE, || alive() == 2).await;
    let records = window(&mut udf, 2, &[""; 9]).await;
    assert_eq!(count(&records, Outcome::Ok), 9, "{:?}", records[0].outcomes);
}
