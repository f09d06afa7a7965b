//! `--probe-calls`: the user's own service is called as often as allowed and no more, and left alone when it refuses, fails
//! or slows down.

use std::net::TcpListener;
use std::time::Duration;

use serde_json::Value;
use wire::{Delay, EndpointStats};

use super::own_endpoint::Own;
use super::run_dir::{Ended, RunDir};

const PLAN: [&str; 7] = [
    "predict",
    "--strategy",
    "async",
    "--rpu",
    "40",
    "--max-workers",
    "9",
];

fn probe(url: &str, args: &[&str]) -> Ended {
    let dir = RunDir::new();
    let ended = dir.run(&[&PLAN[..], &["--format", "json", "--url", url], args].concat());
    dir.assert_nothing_left();
    ended
}

async fn stats(own: &Own) -> EndpointStats {
    tests::get_json(&format!("http://{}/stats", own.address)).await
}

fn calls(number: &str, concurrency: &'static str) -> [String; 4] {
    [
        "--probe-calls".to_owned(),
        number.to_owned(),
        "--probe-concurrency".to_owned(),
        concurrency.to_owned(),
    ]
}

/// A probe of this service with these options.
fn of(own: &Own, number: &str, concurrency: &'static str, more: &[&str]) -> Ended {
    let calls = calls(number, concurrency);
    let calls: Vec<&str> = calls.iter().map(String::as_str).collect();
    probe(
        &format!("http://{}/score", own.address),
        &[&calls[..], more].concat(),
    )
}

fn delay(ended: &Ended) -> Delay {
    let json: Value = serde_json::from_str(&ended.stdout).unwrap();
    let delay = json["trials"][0]["settings"]["io_delay"].as_str().unwrap();
    delay.parse().unwrap()
}

#[tokio::test]
async fn all_calls_are_made_once_and_the_plan_is_predicted_by_them() {
    let own = Own::start(&["--io-delay", "20ms"]);
    let ended = of(&own, "120", "8", &[]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let stats = stats(&own).await;
    assert_eq!((stats.served, stats.abandoned), (120, 0));
    assert!(stats.peak_in_flight <= 8, "{stats:?}");
    let lines: Vec<&str> = ended.stderr.lines().collect();
    assert_eq!(
        lines[0],
        format!(
            "probe: up to 120 calls (GET) to http://{}, at most 8 in flight, for at most 29 min; none is made again",
            own.address
        ),
        "before the first call"
    );
    assert!(
        lines[1].starts_with("probe: latency of ")
            && lines[1].ends_with("p99 not known, which takes 1,000 calls"),
        "{lines:?}"
    );
    let median = delay(&ended).quantile(0.5);
    assert!(
        (Duration::from_millis(19)..Duration::from_millis(30)).contains(&median),
        "{median:?}"
    );
    let json: Value = serde_json::from_str(&ended.stdout).unwrap();
    let learned = json["learned"].as_str().unwrap();
    assert!(
        learned.ends_with(&format!("calls to http://{}", own.address)),
        "{learned}"
    );
}

#[tokio::test]
async fn a_thousand_calls_tell_a_p99() {
    let own = Own::start(&["--io-delay", "percentiles(98=20ms,98.1=90ms,100=90ms)"]);
    let ended = of(&own, "1200", "16", &[]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    assert_eq!(stats(&own).await.served, 1_200);
    let line = ended.stderr.lines().nth(1).unwrap();
    assert!(line.contains("p99 9") && line.ends_with(" ms"), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("it bears at least 16 in flight: more were not tried"),
        "{ended:?}"
    );
    assert!(delay(&ended).quantile(0.99) > Duration::from_millis(80));
}

#[tokio::test]
async fn five_failures_end_it() {
    for (failure, said) in [
        (["--fail-status", "1", "--fail-status-code", "500"], "status 500"),
        (["--fail-reset", "1", "--seed", "1"], "the answer is not HTTP"),
        (["--fail-body", "1", "--seed", "1"], "the answer is not HTTP"),
    ] {
        let own = Own::start(&failure);
        let ended = of(&own, "100", "10", &[]);
        assert_eq!(ended.status, Some(1), "{ended:?}");
        let stats = stats(&own).await;
        assert_eq!(stats.served, 5, "{failure:?}: {stats:?}");
        assert!(
            ended
                .stderr
                .contains("stopped after 5 calls: 5 calls failed, the last one with: ")
                && ended.stderr.contains(said),
            "{ended:?}"
        );
        assert!(ended.stdout.is_empty(), "{ended:?}");
        assert!(
            ended
                .stderr
                .ends_with("no call was answered with a status from 200 to 299\n"),
            "{ended:?}"
        );
    }
}

#[tokio::test]
async fn the_first_429_or_503_ends_it() {
    for status in ["429", "503"] {
        let own = Own::start(&["--fail-status", "1", "--fail-status-code", status]);
        let ended = of(&own, "100", "10", &[]);
        assert_eq!(
            (ended.status, stats(&own).await.served),
            (Some(1), 1),
            "{ended:?}"
        );
        let said = format!("stopped after 1 call: the service answered with status {status}\n");
        assert!(ended.stderr.contains(&said), "{ended:?}");
    }
}

#[tokio::test]
async fn a_call_without_an_answer_has_failed_after_its_timeout() {
    let own = Own::start(&["--fail-hang", "1"]);
    let ended = of(&own, "100", "1", &["--probe-timeout", "50ms"]);
    assert_eq!(ended.status, Some(1), "{ended:?}");
    assert!(
        ended.stderr.contains("for at most 5 s;"),
        "100 times 50 ms: {ended:?}"
    );
    assert!(
        ended
            .stderr
            .contains("5 calls failed, the last one with: no answer within 50ms"),
        "{ended:?}"
    );
}

#[tokio::test]
async fn a_service_that_slows_down_is_left_alone() {
    let own = Own::start(&["--io-delay", "25ms", "--capacity", "2"]);
    let ended = of(&own, "400", "64", &[]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let stats = stats(&own).await;
    assert!(stats.served < 300, "{stats:?}");
    assert!(stats.peak_in_flight <= 8, "four times its capacity: {stats:?}");
    assert!(
        ended.stderr.contains(" calls: the median latency was ")
            && ended.stderr.contains(" for the first calls\n"),
        "{ended:?}"
    );
    assert!(
        ended.stderr.contains("it bears at least 2 in flight"),
        "{ended:?}"
    );
    // Without the waits for its capacity.
    let median = delay(&ended).quantile(0.5);
    assert!(
        (Duration::from_millis(24)..Duration::from_millis(33)).contains(&median),
        "{median:?}"
    );
}

#[tokio::test]
async fn a_method_that_may_change_something_is_called_only_if_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let payloads = file("payloads", "{\"amount\": 1}\n{\"amount\": 2}\n");
    let template = file("body.json", "{\"sum\": ${/amount}}");
    let request = [
        "--method",
        "POST",
        "--body-template",
        &template,
        "--probe-payloads",
        &payloads,
    ];
    // Answers 400 where the body has no sum.
    let own = Own::start(&["--io-delay", "10ms", "--answer", "{\"of\": ${/sum}}"]);
    let refused = of(&own, "30", "2", &request);
    refused.assert_refused(&[
        "--method: POST calls may change something",
        "--probe-unsafe",
        "30 times",
    ]);
    for method in ["PUT", "DELETE", "PATCH"] {
        of(&own, "30", "2", &["--method", method]).assert_refused(&["--probe-unsafe"]);
    }
    assert_eq!(stats(&own).await.served, 0, "no call at all");

    let allowed = of(&own, "30", "2", &[&request[..], &["--probe-unsafe"]].concat());
    assert_eq!(allowed.status, Some(0), "{allowed:?}");
    assert_eq!(stats(&own).await.served, 30);
}

#[tokio::test]
async fn what_cannot_work_is_refused_before_a_call() {
    let own = Own::start(&[]);
    let url = format!("http://{}/", own.address);
    let ten = ["--probe-calls", "10", "--probe-concurrency", "2"];
    for (url, args, words) in [
        (&*url, &["--probe-calls", "10"][..], &["--probe-concurrency"][..]),
        (&url, &["--probe-concurrency", "2"], &["--probe-calls"]),
        (
            &url,
            &["--probe-calls", "0", "--probe-concurrency", "2"],
            &["--probe-calls"],
        ),
        (
            &url,
            &["--from", "o", ten[0], ten[1], ten[2], ten[3]],
            &["--from", "--probe-calls"],
        ),
        (
            &url,
            &[&ten[..], &["--body", "payload"]].concat(),
            &["--body: a GET request has none"],
        ),
        (
            &url,
            &[&ten[..], &["--header", "s3cret"]].concat(),
            &["--header 1: expected `NAME: VALUE`"],
        ),
        (
            &format!("{url}${{/user}}"),
            &ten,
            &["`${/user}`", "--probe-payloads"],
        ),
        ("ftp://s3cret@e/", &ten, &["--url"]),
        ("e/s3cret", &ten, &["--url"]),
    ] {
        let ended = probe(url, args);
        assert_eq!(ended.status, Some(2), "{args:?}: {ended:?}");
        for word in words {
            assert!(
                ended.stderr.contains(word),
                "`{word}` is not in: {}",
                ended.stderr
            );
        }
        assert!(!ended.stderr.contains("s3cret"), "{ended:?}");
    }
    assert_eq!(stats(&own).await.served, 0);
}

#[tokio::test]
async fn secrets_are_sent_and_never_printed() {
    let own = Own::start(&[
        "--io-delay",
        "5ms",
        "--require-header",
        "Authorization: Bearer s3cret",
    ]);
    let url = format!("http://user:s3cret@{}/s3cret?token=s3cret", own.address);
    let request = [
        "--probe-calls",
        "10",
        "--probe-concurrency",
        "1",
        "--header",
        "X-Key: s3cret",
    ];
    let with = ["--header", "Authorization: Bearer s3cret"];
    let sent = probe(&url, &[&request[..], &with].concat());
    assert_eq!((sent.status, stats(&own).await.served), (Some(0), 10), "{sent:?}");
    let refused = probe(&url, &request);
    assert!(refused.stderr.contains("status 401"), "{refused:?}");
    // Nothing listens there.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let silent = probe(&format!("http://user:s3cret@{closed}/s3cret"), &request);
    assert!(silent.stderr.contains("cannot connect"), "{silent:?}");
    for ended in [sent, refused, silent] {
        assert!(!format!("{ended:?}").contains("s3cret"), "{ended:?}");
    }
}
