//! The shipped UDF against a service, as `docs/request.md` has it: right means, and secrets in no output.

#![allow(clippy::unwrap_used, reason = "shared functions of tests are tests too")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use assert_cmd::Command as Cli;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use serde_json::{Value, json};
use tests::binary;
use tests::process::terminate;
use tests::reduce::{PATIENCE, Udf};
use tests::scrape::Scrape;
use tokio::net::TcpListener;
use tokio::process::Command;
use wire::{Outcome, WindowRecord};

const PAGE: &str = include_str!("../../docs/request.md");

const TOKEN: &str = "hunter2-of-the-service";

/// Requests that were not as the page has them.
type Odd = Arc<Mutex<Vec<String>>>;

/// Scores a payment with a tenth of its amount. It does not know u9.
async fn score(request: Request, odd: &Odd) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let user = head
        .uri
        .path()
        .strip_prefix("/v1/users/")
        .unwrap_or("none")
        .to_owned();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let note = format!(
        "of {user} in {}",
        head.uri.query().unwrap_or_default().replace("of=", "")
    );
    let token = head
        .headers
        .get("authorization")
        .map(|value| value.to_str().unwrap());
    let is_right = head.method == "POST"
        && token == Some(&format!("Bearer {TOKEN}"))
        && head.headers.contains_key("idempotency-key")
        && body["note"] == note;
    if !is_right {
        odd.lock().unwrap().push(format!("{head:?} {body}"));
        return StatusCode::UNAUTHORIZED.into_response();
    }
    match body["amount"].as_f64() {
        _ if user == "u9" => (StatusCode::NOT_FOUND, "no JSON").into_response(),
        Some(500.0) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Some(600.0) => Json(json!({"score": "none"})).into_response(),
        Some(700.0) => Json(json!({"rating": 1})).into_response(),
        Some(800.0) => Json(json!({"score": 1, "padding": "x".repeat(2_000)})).into_response(),
        Some(amount) => Json(json!({"score": amount / 10.0})).into_response(),
        None => StatusCode::BAD_REQUEST.into_response(),
    }
}

async fn service() -> (SocketAddr, Odd) {
    let odd = Odd::default();
    let noted = Arc::clone(&odd);
    let answer = move |request: Request| {
        let odd = Arc::clone(&noted);
        async move { score(request, &odd).await }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    (address, odd)
}

/// The first block of the page in a language.
fn block(language: &str) -> &'static str {
    let (_, rest) = PAGE.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("```").unwrap().0
}

/// The page's command in a folder with the page's file, for that service.
fn command_of_the_page(folder: &Path, service: SocketAddr) -> Command {
    fs::write(folder.join("score.json"), block("json")).unwrap();
    let script = block("sh")
        .trim_end()
        .replace("scoring:8080", &service.to_string());
    let program = binary("udf");
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("exec {script} \"$@\""), "sh"])
        .current_dir(folder)
        .env("SCORE_TOKEN", TOKEN)
        .env(
            "PATH",
            format!("{}:/usr/bin:/bin", program.parent().unwrap().display()),
        );
    command
}

/// Sends amounts of three users; returns the means of their scores by hand.
async fn send_payments(stream: &mut tests::reduce::WindowStream) -> BTreeMap<String, f64> {
    let mut sums = BTreeMap::<String, (f64, f64)>::new();
    for number in 0..150_u32 {
        let user = format!("u{}", number % 3);
        let amount = f64::from(number * number % 97) / 4.0;
        send(stream, &user, amount).await;
        let (sum, count) = sums.entry(user).or_default();
        (*sum, *count) = (*sum + amount / 10.0, *count + 1.0);
    }
    sums.into_iter()
        .map(|(user, (sum, count))| (user, sum / count))
        .collect()
}

async fn send(stream: &mut tests::reduce::WindowStream, user: &str, amount: f64) {
    let payment = json!({"user": user, "amount": amount}).to_string();
    stream.send_payload(user, payment.into_bytes()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_key_sends_the_mean_that_a_computation_by_hand_gives() {
    let (address, odd) = service().await;
    for (strategy, client) in [
        ("async", "hyper"),
        ("sequential", "reqwest"),
        ("thread-pool", "hyper"),
        ("process-pool", "reqwest"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let command = command_of_the_page(folder.path(), address);
        let args = ["--strategy", strategy, "--http-client", client];
        let mut udf = Udf::start_as(command, &args).await;
        let mut stream = udf.open(0).await;
        let means = send_payments(&mut stream).await;
        // Of a user that the service does not know there is no score, and no failure.
        send(&mut stream, "u9", 1.0).await;
        let results = stream.close().await;
        assert_eq!(
            results.by_key.len(),
            3,
            "{strategy}: no record, and no mean of nothing"
        );
        for (user, mean) in means {
            let sent: f64 = serde_json::from_slice(&results.by_key[&user]).unwrap();
            assert!(
                (sent - mean).abs() < 1e-9,
                "{strategy}: {user}: {sent} instead of {mean}"
            );
        }
    }
    assert_eq!(*odd.lock().unwrap(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_failure_has_its_name_and_no_output_has_a_secret() {
    let (address, odd) = service().await;
    for strategy in ["async", "process-pool"] {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let mut command = command_of_the_page(folder.path(), address);
        command
            .env("RUST_LOG", "trace")
            .env("STATS_LISTEN", "127.0.0.1:0")
            .env("LOG_FORMAT", "json")
            .stderr(File::create(&log).unwrap());
        let args = [
            "--strategy",
            strategy,
            "--records",
            "only",
            "--retries",
            "1",
            "--max-answer-bytes",
            "1000",
        ];
        let mut udf = Udf::start_as(command, &args).await;
        let mut stream = udf.open(0).await;
        for amount in [1.0, 2.0, 500.0, 600.0, 700.0, 800.0] {
            send(&mut stream, "marmalade", amount).await;
        }
        stream.send_payload("marmalade", b"no JSON".to_vec()).await;
        stream
            .send_payload("marmalade", br#"{"amount": 1}"#.to_vec())
            .await;
        let results = stream.close().await;
        let record: WindowRecord = serde_json::from_slice(&results.by_key["marmalade"]).unwrap();
        let outcomes: BTreeMap<_, _> = record.outcomes.clone().into_iter().collect();
        let expected = [
            (Outcome::Ok, 2),
            (Outcome::BadStatus, 1),
            (Outcome::BadBody, 3),
            (Outcome::BadInput, 2),
        ];
        assert_eq!(outcomes, BTreeMap::from(expected), "{strategy}");
        // The status 503 alone says that another attempt is harmless.
        assert_eq!((record.events, record.attempts), (8, 9), "{strategy}");
        let text = fs::read_to_string(&log).unwrap();
        let events = text
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let metrics = events
            .filter_map(|event| event["fields"]["stats_listen"].as_str()?.parse().ok())
            .next();
        let metrics = format!("{:?}", Scrape::of(metrics.unwrap()).await);
        terminate(&mut udf.process, PATIENCE).await;
        let log = fs::read_to_string(&log).unwrap();
        assert!(log.contains("TRACE") && log.contains("bad-input"), "{log}");
        let record = String::from_utf8_lossy(&results.by_key["marmalade"]).into_owned();
        for (what, output) in [("log", &log), ("metrics", &metrics), ("record", &record)] {
            assert!(!output.contains("hunter2"), "{strategy}: {what}: {output}");
            // The value of a field, which is in URL and body. The record has its key.
            let of_payload = output.replace("[\"marmalade\"]", "");
            assert!(!of_payload.contains("marmalade"), "{strategy}: {what}: {output}");
        }
    }
    assert_eq!(*odd.lock().unwrap(), [""; 0]);
}

#[test]
fn what_cannot_work_is_refused_before_anything_is_called() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |args: &[&str], env: &[(&str, &str)]| {
        let output = Cli::new(binary("udf"))
            .args(args)
            .envs(env.iter().copied())
            .arg("--socket")
            .arg(folder.path().join("socket"))
            .timeout(PATIENCE)
            .assert()
            .code(2);
        String::from_utf8(output.get_output().stderr.clone()).unwrap()
    };
    let url = ("REQUEST_URL", "http://e/");
    for (args, env, said) in [
        (
            &["--url", "http://${key}/"][..],
            &[][..],
            "udf: url: `${key}` stands in the scheme, host or port of the URL",
        ),
        (
            &["--url", "http://e/${user}"],
            &[],
            "udf: url: `${user}` is no field: known are `${key}`, `${/pointer}`",
        ),
        (
            &["--header", "Authorization: Bearer ${env:NO_TOKEN}"],
            &[url],
            "udf: header `authorization`: `${env:NO_TOKEN}`: the environment variable NO_TOKEN is not set",
        ),
        (
            &["--header", "a: ${file:/no/such}"],
            &[url],
            "udf: header `a`: `${file:/no/such}`: the file /no/such cannot be read",
        ),
        (
            &["--url", "http://e/", "--endpoint-url", "http://e"],
            &[],
            "--url (REQUEST_URL) and --endpoint-url (ENDPOINT_URL) are two places for the same requests",
        ),
        (
            &[],
            &[url, ("ENDPOINT_URL", "http://e")],
            "are two places for the same requests",
        ),
        (
            &["--workload", "cpu", "--result", "mean"],
            &[],
            "udf: result: `mean` needs answers, and the workload cpu gives none",
        ),
    ] {
        let stderr = refused(args, env);
        assert!(stderr.contains(said), "{stderr}");
    }
}
