//! An endpoint that closes connections which were idle for as long as a window lasts, so that its closes and the first
//! requests of the next window cross.

use std::time::Duration;

use tests::hostile::{Answer, Hostile};
use tests::reduce::count;
use tests::scrape::Scrape;
use tests::{endpoint, get_json};
use tokio::time::sleep;
use wire::{EndpointStats, Outcome, WindowRecord};

use super::clients::{callers, telling_udf, udf};

/// Events of a window, one for each worker: as many connections are idle until the next one.
const EVENTS: u64 = 40;

/// From the end of a window's calls to the beginning of the next: the keep-alive time of the endpoint, a second, and a part
/// of the time that its closes take.
const IDLE: Duration = Duration::from_millis(1_020);

const FLAGS: [&str; 4] = ["--max-workers", "40", "--start-rule", "at-close"];

#[tokio::test(flavor = "multi_thread")]
async fn a_keep_alive_time_as_long_as_the_window_fails_no_call() {
    let callers = callers();
    let runs = callers.iter().map(|caller| async move {
        let (_endpoint, url) = endpoint(&["--keep-alive", "1s"]).await;
        let (mut udf, metrics) =
            telling_udf(caller, &url, &[&FLAGS[..], &["--io-delay", "20ms"]].concat()).await;
        let (mut calls, mut reconnects) = (0, 0);
        for number in 0..6 {
            let mut stream = udf.open(number).await;
            for index in calls..calls + EVENTS {
                stream.send("key", index, index).await;
            }
            let records = stream.close().await.records();
            calls += EVENTS;
            reconnects += sent_again(&records);
            let outcomes = &records[0].outcomes;
            assert_eq!(
                count(&records, Outcome::Ok),
                EVENTS,
                "{caller:?} {number}: {outcomes:?}"
            );
            assert_eq!(records[0].attempts, EVENTS, "{caller:?} {number}");
            // The time that this test is about.
            sleep(IDLE).await;
        }
        assert!(
            reconnects > 0,
            "{caller:?}: no request has met the close of its connection"
        );
        eprintln!("{caller:?}: {reconnects} of {calls} requests were sent again");
        let stats: EndpointStats = get_json(&format!("{url}/stats")).await;
        let repeats: u64 = stats.repeats.values().sum();
        assert_eq!(
            (stats.served, repeats),
            (calls, 0),
            "{caller:?}: each was served once"
        );
        let told = Scrape::of(metrics).await.value("udf_reconnects_total");
        assert_eq!(told, reconnects as f64, "{caller:?}");
    });
    futures_util::future::join_all(runs).await;
}

fn sent_again(records: &[WindowRecord]) -> u64 {
    records.iter().map(|record| record.reconnects).sum()
}

/// The request of a reused connection is answered by a reset, and that of the fresh one too.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_sent_once_more_and_not_a_third_time() {
    let callers = callers();
    let runs = callers.iter().map(|caller| async move {
        let endpoint = Hostile::start(|index, _| match index {
            0..EVENTS => Answer::Good,
            _ => Answer::Reset,
        })
        .await;
        let mut udf = udf(caller, &endpoint.url, &FLAGS).await;
        let mut stream = udf.open(0).await;
        for index in 0..2 * EVENTS {
            if index == EVENTS {
                let records = stream.close().await.records();
                assert_eq!(
                    (count(&records, Outcome::Ok), sent_again(&records)),
                    (EVENTS, 0),
                    "{caller:?}"
                );
                endpoint.forget();
                stream = udf.open(1).await;
            }
            stream.send("key", index, index).await;
        }
        let records = stream.close().await.records();
        let outcomes = &records[0].outcomes;
        assert_eq!(
            count(&records, Outcome::Broken),
            EVENTS,
            "{caller:?}: {outcomes:?}"
        );
        let reconnects = sent_again(&records);
        assert!(reconnects > 0, "{caller:?}: no connection was a reused one");
        assert_eq!(
            endpoint.count(),
            EVENTS + reconnects,
            "{caller:?}: each request is on record"
        );
        assert!(
            endpoint.calls().values().all(|times| times.len() <= 2),
            "{caller:?}"
        );
    });
    futures_util::future::join_all(runs).await;
}
