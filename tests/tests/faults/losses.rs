//! Processes that are killed at work and started again: lost events are found by number.

use std::collections::BTreeSet;
use std::time::Duration;

use rustix::process::Signal;
use tests::pipeline::{Pipeline, Setup};
use tests::process::{ended, signal, until};
use tests::reduce::PATIENCE;
use trials::ledger::{Drops, balance};
use wire::Ranges;

const UDF: [&str; 4] = ["--max-workers", "100", "--io-delay", "50ms"];

/// Windows of half a second with 50 events each.
fn setup<'a>(generator: &'a [&'a str]) -> Setup<'a> {
    Setup {
        window: Duration::from_millis(500),
        generator,
        udf: &UDF,
        endpoint: &[],
    }
}

/// Waits until this many windows and keys have records.
async fn records(pipeline: &Pipeline, count: usize) {
    until("records are there", PATIENCE, || {
        pipeline.found().lines.len() >= count
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_udf_killed_in_the_middle_of_a_window_loses_exactly_what_the_ledger_says() {
    let flags = [
        "--rpu", "100", "--keys", "2", "--align", "500ms", "--count", "400",
    ];
    let mut pipeline = Pipeline::start(setup(&flags)).await;
    let drive = pipeline.drive().await;
    records(&pipeline, 4).await;
    signal(pipeline.udf.id().unwrap(), Signal::KILL);
    ended(&mut pipeline.udf, PATIENCE).await;
    let gone = drive.failed().await.to_string();
    assert!(gone.starts_with("reduce"), "{gone}");

    pipeline.restart_udf(&UDF);
    let drive = pipeline.drive().await;
    // Four seconds of schedule: the last window stays open, because no event follows it.
    let sent = async { while pipeline.generator_stats().await.acked < 400 - 100 {} };
    tokio::time::timeout(PATIENCE, sent)
        .await
        .expect("the schedule goes on");
    let all_sent = async { while pipeline.generator_stats().await.sent < 400 {} };
    tokio::time::timeout(PATIENCE, all_sent)
        .await
        .expect("to its end");
    let second = |pipeline: &Pipeline| {
        let processes: BTreeSet<u64> = pipeline
            .found()
            .records()
            .iter()
            .map(|record| record.process)
            .collect();
        processes.len() == 2
    };
    until("the new process's records come too", PATIENCE, || {
        second(&pipeline)
    })
    .await;
    drive.stop().await;

    let (found, generator) = (pipeline.found(), pipeline.generator_stats().await);
    let records = found.records();
    let ledger = balance(&generator, Drops::Named(&found.late), &records, &found.closed);
    eprintln!("the UDF was killed: {ledger:?}");
    assert!(ledger.balances(), "{ledger:?}");
    assert_eq!(
        (ledger.offered, ledger.unsent, ledger.failed),
        (400, 0, 0),
        "{ledger:?}"
    );
    assert!(ledger.lost + ledger.open > 0, "something was lost: {ledger:?}");
    assert_eq!(ledger.repeated, 0, "{ledger:?}");
    // By the endpoint's own count, every event in the records was called, and none twice.
    let endpoint = pipeline.endpoint_stats().await;
    assert_eq!(endpoint.repeats.values().sum::<u64>(), 0);
    let called = endpoint.called[&generator.generator].len();
    assert!((ledger.ok..=400).contains(&called), "{called} of {ledger:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generator_killed_and_started_again_begins_anew_under_another_name() {
    let flags = ["--rpu", "100", "--keys", "2", "--align", "500ms"];
    let mut pipeline = Pipeline::start(setup(&flags)).await;
    let drive = pipeline.drive().await;
    records(&pipeline, 2).await;
    let first = pipeline.generator_stats().await;
    signal(pipeline.generator.id().unwrap(), Signal::KILL);
    ended(&mut pipeline.generator, PATIENCE).await;
    let gone = drive.failed().await.to_string();
    assert!(gone.starts_with("source"), "{gone}");

    pipeline.restart_generator(&flags).await;
    let drive = pipeline.drive().await;
    let of = |pipeline: &Pipeline, generator: u64| -> Ranges {
        let records = pipeline.found().records();
        let seen = records.iter().filter_map(|record| record.seen.get(&generator));
        seen.fold(Ranges::default(), |all, numbers| all.union(numbers))
    };
    let second = pipeline.generator_stats().await;
    assert_ne!(
        first.generator, second.generator,
        "offsets begin with it: none is repeated"
    );
    until("its records come", PATIENCE, || {
        !of(&pipeline, second.generator).is_empty()
    })
    .await;
    drive.stop().await;

    let (found, second) = (pipeline.found(), pipeline.generator_stats().await);
    assert!(
        of(&pipeline, second.generator).contains(0),
        "its numbers begin anew"
    );
    assert!(
        second.t0_us.unwrap() > first.t0_us.unwrap(),
        "so does its schedule"
    );
    assert!(second.offered >= second.sent && second.sent > 0);
    // The ledger of the second run does not count the first one's events as its own.
    let ledger = balance(
        &second,
        Drops::Named(&found.late),
        &found.records(),
        &found.closed,
    );
    eprintln!("the generator was killed: {ledger:?}");
    let named = format!("of another generator ({})", first.generator);
    assert!(
        ledger.errors.iter().any(|error| error.contains(&named)),
        "{ledger:?}"
    );
    assert!(!ledger.balances(), "{ledger:?}");
    let endpoint = pipeline.endpoint_stats().await;
    assert_eq!(
        endpoint.repeats.values().sum::<u64>(),
        0,
        "other idempotency keys"
    );
}
