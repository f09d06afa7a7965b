//! Secrets that must appear in no output: a password in a URL, a header's value, the contents of events and answers.

use std::fs::File;
use std::process::{Output, Stdio};

use tests::hostile::{Answer, Hostile};
use tests::process::terminate;
use tests::reduce::{PATIENCE, Udf, count};
use tests::{address, binary, get_json, provide_tls, spawn};
use tokio::process::Command;
use wire::{EndpointStats, Outcome};

use super::clients::STRATEGIES;

const PASSWORD: &str = "hunter2-of-the-endpoint";

/// `user:hunter2-of-the-endpoint` as a header of basic authentication contains it.
const ENCODED: &str = "dXNlcjpodW50ZXIyLW9mLXRoZS1lbmRwb2ludA";

/// A generator's nonce that is in every idempotency key of the test and nowhere else.
const NONCE: u64 = 918_273_645_546_372_819;

/// The padding of an event.
const PAYLOAD: &str = "marmalade-in-the-event";

/// The body of an answer.
const BODY: &str = "quicksilver-in-the-answer";

fn with_password(url: &str) -> String {
    url.replace("://", &format!("://user:{PASSWORD}@"))
}

fn assert_secret(what: &str, text: &str) {
    for secret in [PASSWORD, ENCODED, PAYLOAD, BODY] {
        assert!(!text.contains(secret), "{what}: {secret} in {text}");
    }
}

/// The log contains no idempotency key either.
fn assert_discreet(what: &str, log: &str) {
    assert_secret(what, log);
    assert!(
        !log.contains(&format!("{NONCE}-")),
        "{what}: an idempotency key is in the log: {log}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_log_and_no_record_contains_a_password_or_a_headers_value() {
    for strategy in STRATEGIES {
        for client in ["reqwest", "hyper"] {
            for answer in [Answer::Body(BODY), Answer::Reset, Answer::Garbage] {
                keeps_secrets(strategy, client, answer).await;
            }
        }
    }
}

async fn keeps_secrets(strategy: &str, client: &str, answer: Answer) {
    let what = format!("{strategy} {client} {answer:?}");
    let endpoint = Hostile::always(answer.clone()).await;
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut command = Command::new(binary("udf"));
    command
        .env("RUST_LOG", "trace")
        .stderr(File::create(&log).unwrap());
    let url = with_password(&endpoint.url);
    let flags = ["--endpoint-url", &url, "--http-client", client];
    let more = ["--strategy", strategy, "--max-workers", "2"];
    let mut udf = Udf::start_as(command, &[flags, more].concat()).await;
    let mut stream = udf.open(0).await;
    for index in 0..4 {
        let event = wire::Event {
            generator: NONCE,
            index,
            number: index,
            padding: PAYLOAD.to_owned(),
        };
        stream.send_payload("key", event.encode().unwrap()).await;
    }
    // The decoder's own message would quote it.
    let undecodable = format!("{{\"generator\":\"{PAYLOAD}\"}}").into_bytes();
    stream.send_payload("key", undecodable).await;
    let results = stream.close().await;
    if matches!(answer, Answer::Body(_)) {
        assert_eq!(count(&results.records(), Outcome::Ok), 5, "{what}");
    }
    assert_eq!(endpoint.calls().len(), 5, "{what}: each with its key");
    assert_secret(&what, &String::from_utf8_lossy(&results.by_key["key"]));
    terminate(&mut udf.process, PATIENCE).await;
    let log = std::fs::read_to_string(&log).unwrap();
    assert!(log.contains("TRACE"), "{what}: everything is logged: {log}");
    assert_discreet(&what, &log);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_endpoints_log_contains_no_value_of_a_header() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut command = Command::new(binary("endpoint"));
    // More connections than any system allows files, so that it logs a warning.
    command
        .args(["--listen", "127.0.0.1:0", "--max-connections", "4294967295"])
        .env("RUST_LOG", "trace")
        .stderr(File::create(&log).unwrap());
    let mut endpoint = spawn(command);
    let url = format!("http://{}", address(&mut endpoint).await);
    provide_tls();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let call = client
        .get(with_password(&format!("{url}/ping")))
        .header(wire::IDEMPOTENCY_KEY, wire::idempotency_key(NONCE, 1));
    assert!(call.send().await.unwrap().status().is_success());
    let stats: EndpointStats = get_json(&format!("{url}/stats")).await;
    assert!(stats.called[&NONCE].contains(1), "it has read the key: {stats:?}");
    terminate(&mut endpoint, PATIENCE).await;
    let log = std::fs::read_to_string(&log).unwrap();
    assert!(log.contains("max_connections"), "it has a log: {log}");
    assert_discreet("endpoint", &log);
}

async fn output_of(program: &str, args: &[&str], url: &str) -> (Output, String) {
    let mut command = Command::new(binary(program));
    command.args(args).stdin(Stdio::null());
    command.env("ENDPOINT_URL", url).env("RUST_LOG", "trace");
    let output = tokio::time::timeout(PATIENCE, command.output())
        .await
        .unwrap()
        .unwrap();
    let text = [&output.stdout[..], &output.stderr].concat();
    let text = String::from_utf8(text).unwrap();
    (output, text)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_refusal_and_no_help_contains_a_password() {
    for scheme in ["ftp://", "http://", "nonsense"] {
        let url = with_password(&format!("{scheme}[host/"));
        let flags = ["--endpoint-url", &url];
        let (output, text) = output_of("udf", &flags, "http://127.0.0.1:9").await;
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains("endpoint_url"), "{text}");
        assert_secret(&url, &text);
    }
    for args in [&["--help"][..], &["-h"]] {
        let (_, text) = output_of("udf", args, &with_password("http://host")).await;
        assert!(text.contains("endpoint-url"), "{text}");
        assert_secret("udf", &text);
    }
    let (_, text) = output_of("experiment", &["run", "--help"], &with_password("http://host")).await;
    assert!(text.contains("endpoint-url"), "{text}");
    assert_secret("experiment", &text);
    let plan = concat!(env!("CARGO_MANIFEST_DIR"), "/../plans/quick.yaml");
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("o").display().to_string();
    for scheme in ["http://host", "ftp://host", "http://[host/", "http://host:port"] {
        let (output, text) = output_of(
            "experiment",
            &["run", plan, "--out", &out],
            &with_password(scheme),
        )
        .await;
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains("endpoint-url"), "{text}");
        assert_secret(scheme, &text);
    }
    assert!(!folder.path().join("o").exists(), "nothing was started");
}
