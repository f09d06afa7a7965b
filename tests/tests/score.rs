//! The example `score` as a user would run it: behind its socket, against a service that requires a token.

#![allow(clippy::unwrap_used, reason = "shared functions of tests are tests too")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use assert_cmd::Command as Cli;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tests::binary;
use tests::reduce::{PATIENCE, Udf};
use tokio::net::TcpListener;
use tokio::process::Command;
use wire::{Outcome, WindowRecord};

const TOKEN: &str = "s3cret-t0ken";

/// Requests without the token.
type Strangers = Arc<AtomicU64>;

/// Scores a payment with a tenth of its amount. An amount of 500 is always refused for now, and one of 400 for ever.
async fn score(
    State(strangers): State<Strangers>,
    headers: HeaderMap,
    Json(payment): Json<Value>,
) -> Result<Json<Value>, StatusCode> {
    if headers
        .get("authorization")
        .is_none_or(|value| value != &format!("Bearer {TOKEN}"))
    {
        strangers.fetch_add(1, Ordering::Relaxed);
        return Err(StatusCode::UNAUTHORIZED);
    }
    match payment["amount"].as_f64().unwrap() {
        400.0 => Err(StatusCode::BAD_REQUEST),
        500.0 => Err(StatusCode::SERVICE_UNAVAILABLE),
        amount => Ok(Json(json!({ "score": amount / 10.0 }))),
    }
}

async fn service() -> (String, Strangers) {
    let strangers = Strangers::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/score", listener.local_addr().unwrap());
    let routes = Router::new()
        .route("/score", post(score))
        .with_state(Arc::clone(&strangers));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (url, strangers)
}

/// The example with the library's HTTP client, and with reqwest.
const PROGRAMS: [&str; 2] = ["score", "score-reqwest"];

async fn start(program: &str, url: &str, args: &[&str]) -> Udf {
    let mut command = Command::new(binary(program));
    command.args(["--url", url]).env("SCORE_TOKEN", TOKEN);
    Udf::start_as(command, args).await
}

fn payment(user: &str, amount: f64) -> Vec<u8> {
    json!({ "user": user, "amount": amount }).to_string().into_bytes()
}

/// Sends payments of 1, 2, … per user; returns the mean score of each by hand.
async fn send_payments(stream: &mut tests::reduce::WindowStream) -> BTreeMap<String, f64> {
    let mut sums = BTreeMap::<String, (f64, f64)>::new();
    for number in 0..300_u32 {
        let user = format!("u{}", number % 3);
        let amount = f64::from(number * number % 97);
        stream.send_payload(&user, payment(&user, amount)).await;
        let (sum, count) = sums.entry(user).or_default();
        (*sum, *count) = (*sum + amount / 10.0, *count + 1.0);
    }
    sums.into_iter()
        .map(|(user, (sum, count))| (user, sum / count))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_key_sends_the_mean_of_its_scores_with_a_tag() {
    let (url, strangers) = service().await;
    for (program, strategy) in PROGRAMS
        .map(|program| [(program, "async"), (program, "sequential")])
        .concat()
    {
        let tasks = format!("{program}, {strategy}");
        let mut udf = start(program, &url, &["--strategy", strategy]).await;
        let mut stream = udf.open(0).await;
        let means = send_payments(&mut stream).await;
        let results = stream.close().await;
        assert_eq!(results.by_key.len(), 3, "{tasks}: no record beside them");
        for (user, mean) in means {
            let sent: Value = serde_json::from_slice(&results.by_key[&user]).unwrap();
            assert_eq!(
                (&sent["scored"], &sent["failed"]),
                (&json!(100), &json!(0)),
                "{tasks}"
            );
            let found = sent["mean"].as_f64().unwrap();
            assert!(
                (found - mean).abs() < 1e-9,
                "{tasks}: {user}: {found} instead of {mean}"
            );
            assert_eq!(results.tags[&user], ["scored"]);
        }
    }
    assert_eq!(strangers.load(Ordering::Relaxed), 0, "each request had the token");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_counted_by_its_kind_and_tried_again_where_that_may_help() {
    let (url, strangers) = service().await;
    for program in PROGRAMS {
        let mut udf = start(program, &url, &["--records", "only", "--retries", "2"]).await;
        let mut stream = udf.open(0).await;
        stream.send_payload("u", payment("u", 7.0)).await;
        stream.send_payload("u", payment("u", 400.0)).await;
        stream.send_payload("u", payment("u", 500.0)).await;
        stream.send_payload("u", b"no payment".to_vec()).await;
        let record: WindowRecord = serde_json::from_slice(&stream.close().await.by_key["u"]).unwrap();
        let outcomes: Vec<_> = record.outcomes.clone().into_iter().collect();
        assert_eq!(
            outcomes,
            [(Outcome::Ok, 1), (Outcome::BadStatus, 2), (Outcome::BadInput, 1)],
            "{program}"
        );
        // One for each, and two more for the status 503.
        let counts = (record.events, record.attempts, record.unnumbered);
        assert_eq!(counts, (4, 6, 4), "{program}");
    }
    assert_eq!(strangers.load(Ordering::Relaxed), 0, "each request had the token");
}

#[test]
fn a_strategy_that_needs_a_blocking_call_is_refused_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let output = Cli::new(binary("score"))
        .args([
            "--url",
            "http://e",
            "--token",
            TOKEN,
            "--strategy",
            "process-pool",
        ])
        .arg("--socket")
        .arg(folder.path().join("socket"))
        .timeout(PATIENCE)
        .assert()
        .code(2);
    let stderr = String::from_utf8_lossy(&output.get_output().stderr).into_owned();
    assert!(
        stderr.contains("score: strategy: `process-pool` makes blocking calls, and this program has none"),
        "{stderr}"
    );
}

#[test]
fn its_help_and_version_are_its_own() {
    let said = |flag| {
        let output = Cli::new(binary("score"))
            .arg(flag)
            .timeout(PATIENCE)
            .assert()
            .success();
        String::from_utf8_lossy(&output.get_output().stdout).into_owned()
    };
    assert_eq!(
        said("--version"),
        format!("score {}\n", env!("CARGO_PKG_VERSION"))
    );
    let help = said("--help");
    for words in [
        "Scores payments, and sends the mean score",
        "--url",
        "--strategy",
        "--max-workers",
    ] {
        assert!(help.contains(words), "{words}: {help}");
    }
}
