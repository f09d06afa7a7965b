//! An endpoint that goes away and comes back.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use tests::Running;
use tests::hostile::{Answer, Hostile};
use tests::process::{ended, signal};
use tests::reduce::{PATIENCE, count};
use wire::Outcome;

use super::clients::{callers, udf};

#[tokio::test(flavor = "multi_thread")]
async fn windows_fail_while_the_endpoint_is_away_and_are_clean_once_it_is_back() {
    for caller in callers() {
        let mut endpoint = Running::start("endpoint", &["--listen", "127.0.0.1:0"]);
        let address = endpoint.address().await.to_string();
        let flags = ["--max-workers", "8", "--retries", "1"];
        let mut udf = udf(&caller, &format!("http://{address}"), &flags).await;
        let before = udf.window(0, 1, 40).await;
        assert_eq!(count(&before, Outcome::Ok), 40, "{caller:?}");

        signal(endpoint.child.id().unwrap(), Signal::KILL);
        ended(&mut endpoint.child, PATIENCE).await;
        let away = udf.window(1, 1, 40).await;
        // A call on a connection that is just being torn down is a failed one too; all are refused or reset.
        assert_eq!(
            count(&away, Outcome::Refused),
            40,
            "{caller:?}: {:?}",
            away[0].outcomes
        );
        assert_eq!(away[0].events, 40);

        let mut endpoint = Running::start("endpoint", &["--listen", &address]);
        endpoint.address().await;
        let back = udf.window(2, 1, 40).await;
        assert_eq!(
            count(&back, Outcome::Ok),
            40,
            "{caller:?}: {:?}",
            back[0].outcomes
        );
        let stats: wire::EndpointStats = tests::get_json(&format!("http://{address}/stats")).await;
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
    assert_eq!(count(&records, Outcome::Refused), HERD);
    assert_eq!(records[0].attempts, 5 * HERD);
    let calls = endpoint.calls();
    let spread = |attempt: usize| {
        let mut times: Vec<Instant> = calls.values().map(|times| times[attempt]).collect();
        times.sort();
        // Without the first and the last tenth: a few stragglers are no spread.
        let tenth = times.len() / 10;
        times[times.len() - 1 - tenth] - times[tenth]
    };
    // The pauses before the fifth attempt are even from 0 to 50, 100, 200 and 400 ms: their sum varies by a standard
    // deviation of 133 ms, and four fifths of it lie within 340 ms. A busy machine spreads it further, never less.
    assert!(spread(4) > Duration::from_millis(150), "{:?}", spread(4));
    // No pause is longer than they may add up to.
    let first = calls.values().map(|times| times[0]).min().unwrap();
    let last = calls.values().map(|times| times[4]).max().unwrap();
    let bound = Duration::from_millis(750) + Duration::from_secs(10);
    assert!(
        last - first < bound,
        "with time to be scheduled: {:?}",
        last - first
    );
}
