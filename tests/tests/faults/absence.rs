//! An endpoint that goes away and comes back.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tests::hostile::{Answer, Hostile};
use tests::process::{ended, signal};
use tests::reduce::{PATIENCE, close_tail, count};
use tests::{address, endpoint, get_json, start};
use wire::{EndpointStats, Outcome};

use super::clients::{callers, udf};

#[tokio::test(flavor = "multi_thread")]
async fn windows_fail_while_the_endpoint_is_away_and_are_clean_once_it_is_back() {
    for caller in callers() {
        let mut endpoint = start("endpoint", &["--listen", "127.0.0.1:0"]);
        let listening = address(&mut endpoint).await.to_string();
        let flags = ["--max-workers", "8", "--retries", "1"];
        let mut udf = udf(&caller, &format!("http://{listening}"), &flags).await;
        let before = udf.window(0, 1, 40).await;
        assert_eq!(count(&before, Outcome::Ok), 40, "{caller:?}");

        signal(endpoint.id().unwrap(), Signal::KILL);
        ended(&mut endpoint, PATIENCE).await;
        let away = udf.window(1, 1, 40).await;
        assert_eq!(
            count(&away, Outcome::NoConnection),
            40,
            "{caller:?}: {:?}",
            away[0].outcomes
        );
        assert_eq!(away[0].events, 40);

        let mut endpoint = start("endpoint", &["--listen", &listening]);
        address(&mut endpoint).await;
        let back = udf.window(2, 1, 40).await;
        assert_eq!(
            count(&back, Outcome::Ok),
            40,
            "{caller:?}: {:?}",
            back[0].outcomes
        );
        let stats: EndpointStats = get_json(&format!("http://{listening}/stats")).await;
        let repeats: u64 = stats.repeats.values().sum();
        assert_eq!((stats.served, repeats), (40, 0), "{caller:?}");
    }
}

/// Calls that fail at the same moment.
const HERD: u64 = 200;

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_failed_together_do_not_come_back_together() {
    let endpoint = Hostile::always(Answer::Reset).await;
    let caller = ["--strategy", "async", "--start-rule", "at-close"];
    let flags = ["--max-workers", "200", "--retries", "4"];
    let mut udf = udf(&caller, &endpoint.url, &flags).await;
    let records = udf.window(0, 1, HERD).await;
    assert_eq!(count(&records, Outcome::Broken), HERD);
    assert_eq!(records[0].attempts, 5 * HERD);
    let calls = endpoint.calls();
    let spread = |attempt: usize| spread(calls.values().map(|times| times[attempt]));
    // The pauses before the fifth attempt are uniform from 0 to 50, 100, 200 and 400 ms: their sum has a standard
    // deviation of 133 ms, and four fifths of it lie within 340 ms. A busy machine spreads it further, never less.
    assert!(spread(4) > Duration::from_millis(150), "{:?}", spread(4));
    // No pause is longer than the sum of their maxima.
    let first = calls.values().map(|times| times[0]).min().unwrap();
    let last = calls.values().map(|times| times[4]).max().unwrap();
    let bound = Duration::from_millis(750) + Duration::from_secs(10);
    assert!(
        last - first < bound,
        "with time to be scheduled: {:?}",
        last - first
    );
}

/// From the first to the last of them, without a tenth at either end, so that a few stragglers do not count as
/// spread.
fn spread(times: impl Iterator<Item = Instant>) -> Duration {
    let mut times: Vec<Instant> = times.collect();
    times.sort();
    let tenth = times.len() / 10;
    times[times.len() - 1 - tenth] - times[tenth]
}

/// How long the endpoint is away.
const AWAY: Duration = Duration::from_secs(3);

/// The longest pause before an attempt.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn retries_outlast_an_absence_and_do_not_return_together() {
    let callers = callers();
    let runs = callers.iter().map(|caller| outlasts(caller));
    futures_util::future::join_all(runs).await;
}

async fn outlasts(caller: &[&str]) {
    const EVENTS: u64 = 40;
    let began = OnceLock::new();
    let endpoint = Hostile::start(move |_, _| {
        // Counted from the first call.
        let began = began.get_or_init(Instant::now);
        if began.elapsed() < AWAY {
            Answer::Reset
        } else {
            Answer::Good
        }
    })
    .await;
    // Pauses may be as short as 0: one call in fourteen uses up eight retries within 3 s, practically none uses up
    // sixteen.
    let flags = ["--max-workers", "40", "--retries", "16"];
    let mut udf = udf(caller, &endpoint.url, &flags).await;
    let records = udf.window(0, 1, EVENTS).await;
    assert_eq!(
        count(&records, Outcome::Ok),
        EVENTS,
        "{caller:?}: {:?}",
        records[0].outcomes
    );
    assert_eq!(records[0].attempts, endpoint.count(), "{caller:?}");
    let calls = endpoint.calls();
    let spread = spread(calls.values().map(|times| times[times.len() - 1]));
    let tail = close_tail(&records);
    eprintln!(
        "{caller:?}: {} attempts, the last within {spread:?}, close tail {tail:?}",
        endpoint.count()
    );
    // The pauses that end after 3 s are uniform from 0 to 1.6 s or more.
    assert!(spread > Duration::from_millis(300), "{caller:?}: {spread:?}");
    let bound = AWAY + LONGEST_PAUSE + Duration::from_secs(5);
    assert!(tail < bound, "{caller:?}, with time to be scheduled: {tail:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_in_flight_break_when_the_endpoint_dies() {
    const EVENTS: u64 = 8;
    let callers = callers();
    let runs = callers.iter().map(|caller| async move {
        let (endpoint, url) = endpoint(&[]).await;
        let flags = ["--max-workers", "8", "--io-delay", "20s"];
        let mut udf = udf(caller, &url, &flags).await;
        let mut stream = udf.open(0).await;
        stream.send_events(1, EVENTS).await;
        let stats = format!("{url}/stats");
        let all = async { while get_json::<EndpointStats>(&stats).await.in_flight < EVENTS {} };
        tokio::time::timeout(PATIENCE, all)
            .await
            .expect("all calls are in flight");
        signal(endpoint.id().unwrap(), Signal::KILL);
        let records = stream.close().await.records();
        assert_eq!(
            count(&records, Outcome::Broken),
            EVENTS,
            "{caller:?}: {:?}",
            records[0].outcomes
        );
        assert_eq!(
            (records[0].events, records[0].attempts),
            (EVENTS, EVENTS),
            "{caller:?}"
        );
    });
    futures_util::future::join_all(runs).await;
}
