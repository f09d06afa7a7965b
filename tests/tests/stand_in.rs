//! The endpoint in the place of a service of the user's own: any method, path and body, as clients of such a service call it.

#![allow(clippy::unwrap_used, reason = "shared functions of tests are tests too")]

use std::time::{Duration, Instant};

use launcher::Child;
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tests::reduce::Udf;
use tests::scrape::Scrape;
use tests::{address, binary, get_json, provide_tls, spawn};
use tokio::process::Command;
use wire::{EndpointStats, Ranges};

const HEADER: &str = "Bearer s3cret-t0ken";

struct Service {
    _running: Child,
    url: String,
    client: Client,
}

impl Service {
    async fn start(args: &[&str]) -> Self {
        Self::start_as(Command::new(binary("endpoint")), args).await
    }

    async fn start_as(mut command: Command, args: &[&str]) -> Self {
        command
            .args(["--listen", "127.0.0.1:0", "--stop-on-stdin-close"])
            .args(args);
        let mut running = spawn(command);
        let url = format!("http://{}", address(&mut running).await);
        provide_tls();
        let client = Client::builder().no_proxy().build().unwrap();
        Self {
            _running: running,
            url,
            client,
        }
    }

    fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        self.client.request(method, format!("{}{path}", self.url))
    }

    async fn stats(&self) -> EndpointStats {
        get_json(&format!("{}/stats", self.url)).await
    }

    async fn refused(&self, reason: &str) -> f64 {
        let text = self.request("GET", "/metrics").send().await.unwrap();
        Scrape::parse(text.text().await.unwrap())
            .value(&format!("endpoint_calls_refused_total{{reason=\"{reason}\"}}"))
    }
}

#[tokio::test]
async fn any_method_and_path_gets_the_answer_and_is_counted_as_a_call() {
    let service = Service::start(&["--answer", r#"{"score":1.5}"#]).await;
    let methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE"];
    for (index, method) in methods.into_iter().enumerate() {
        let request = service.request(method, "/v1/score?user=a%20b&x");
        let answer = request
            .header(wire::IDEMPOTENCY_KEY, wire::idempotency_key(7, index as u64))
            .body("a".repeat(200))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{method}");
        assert_eq!(answer.headers()["content-type"], "application/json", "{method}");
        assert_eq!(
            answer.json::<Value>().await.unwrap(),
            json!({"score": 1.5}),
            "{method}"
        );
    }
    let head = service.request("HEAD", "/").send().await.unwrap();
    assert_eq!(head.headers()["content-length"], "13");
    let pong = service.request("POST", "/ping").send().await.unwrap();
    assert_eq!(
        pong.text().await.unwrap(),
        "pong\n",
        "its own path stays as it is"
    );
    let stats = service.stats().await;
    assert_eq!((stats.served, stats.refused), (methods.len() as u64 + 2, 0));
    assert_eq!(stats.called[&7], Ranges::span(0, methods.len() as u64 - 1));
}

#[tokio::test]
async fn size_and_type_of_an_answer_are_chosen() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("answer.json");
    std::fs::write(&file, "{\n  \"score\": 2\n}\n").unwrap();
    let file = file.to_str().unwrap();
    let cases: [(&[&str], &str, usize, Value); 4] = [
        (&[], "application/json", 2, json!({})),
        (&["--answer-bytes", "5000"], "application/json", 5_000, json!({})),
        (
            &["--answer-file", file],
            "application/json",
            17,
            json!({"score": 2}),
        ),
        (
            &[
                "--answer",
                "[1]",
                "--answer-bytes",
                "10",
                "--answer-type",
                "text/x-own",
            ],
            "text/x-own",
            10,
            json!([1]),
        ),
    ];
    for (args, content_type, length, expected) in cases {
        let service = Service::start(args).await;
        let answer = service.request("POST", "/any").send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], content_type, "{args:?}");
        let body = answer.text().await.unwrap();
        assert_eq!(body.len(), length, "{args:?}");
        assert_eq!(
            serde_json::from_str::<Value>(&body).unwrap(),
            expected,
            "{args:?}"
        );
    }
}

#[tokio::test]
async fn an_answer_has_values_of_its_request() {
    let answer = r#"{"score": ${/amount}, "of": "${/user}@${header:x-team}"}"#;
    let service = Service::start(&["--answer", answer, "--answer-bytes", "60"]).await;
    let ask = |body: &'static str| {
        service
            .request("POST", "/score")
            .header("x-team", "t1")
            .body(body)
    };
    let scored = ask(r#"{"user": "u\"1", "amount": 12.50}"#).send().await.unwrap();
    let text = scored.text().await.unwrap();
    assert_eq!(text, format!("{:<60}", r#"{"score": 12.50, "of": "u\"1@t1"}"#));
    let long =
        ask(r#"{"user": "a user with a name that has more than sixty characters in it", "amount": 1}"#);
    let long: Value = long.send().await.unwrap().json().await.unwrap();
    assert_eq!(long["score"], 1, "longer than its length, and whole");
    for (body, named) in [
        ("", "the payload is no JSON"),
        ("{", "the payload is no JSON"),
        (r#"{"user": "u1"}"#, "`${/amount}`: the event has no such value"),
    ] {
        let refused = ask(body).send().await.unwrap();
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{body}");
        let text = refused.text().await.unwrap();
        assert!(text.contains(named), "{body}: {text}");
    }
    let without = service
        .request("POST", "/")
        .body(r#"{"user": "u1", "amount": 1}"#);
    assert_eq!(without.send().await.unwrap().status(), StatusCode::BAD_REQUEST);
    let stats = service.stats().await;
    assert_eq!((stats.served, stats.refused), (2, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shipped_udf_sends_the_mean_of_its_answers_as_by_hand() {
    let mut command = Command::new(binary("endpoint"));
    command.env("REQUIRE_HEADER", format!("Authorization: {HEADER}"));
    let answer = ["--answer", r#"{"score": ${/amount}}"#, "--answer-bytes", "200"];
    let service = Service::start_as(command, &answer).await;
    let url = format!("{}/score", service.url);
    for (strategy, client) in [
        ("async", "hyper"),
        ("async", "reqwest"),
        ("thread-pool", "hyper"),
        ("process-pool", "reqwest"),
    ] {
        let what = format!("{strategy} {client}");
        let mut command = Command::new(binary("udf"));
        command
            .env("SCORE_TOKEN", HEADER)
            .args(["--method", "POST", "--url", &url, "--body", "payload"])
            .args(["--header", "Authorization: ${env:SCORE_TOKEN}"])
            .args(["--answer", "/score", "--result", "mean"]);
        let served = service.stats().await.served;
        let mut udf = Udf::start_as(command, &["--strategy", strategy, "--http-client", client]).await;
        let mut stream = udf.open(0).await;
        for amount in 1..=100 {
            let payload = json!({"user": "u1", "amount": amount});
            stream.send_payload("u1", payload.to_string().into_bytes()).await;
        }
        let results = stream.close().await;
        let mean: f64 = serde_json::from_slice(&results.by_key["u1"]).unwrap();
        assert_eq!(mean, 50.5, "{what}");
        let stats = service.stats().await;
        assert_eq!((stats.served - served, stats.refused), (100, 0), "{what}");
    }
}

#[tokio::test]
async fn delays_capacity_and_failures_are_those_of_every_call() {
    let service = Service::start(&["--io-delay", "150ms", "--capacity", "1"]).await;
    let sent = Instant::now();
    let call = || service.request("POST", "/score").body("{}").send();
    let (first, second) = tokio::join!(call(), call());
    assert!(first.unwrap().status().is_success() && second.unwrap().status().is_success());
    assert!(
        sent.elapsed() >= Duration::from_millis(300),
        "one after the other: {:?}",
        sent.elapsed()
    );
    let own = service.request("POST", "/score?user=u1&delay=0").send().await;
    assert!(own.unwrap().status().is_success());
    assert_eq!(
        service.stats().await.delay.asked.quantile(0.01),
        Some(Duration::ZERO)
    );
    let bad = service.request("POST", "/score?delay=1sec").send().await.unwrap();
    assert_eq!(bad.status(), StatusCode::BAD_REQUEST);
    assert_eq!(service.refused("query").await, 1.0);

    let service = Service::start(&["--fail-status", "1", "--fail-status-code", "503"]).await;
    let failed = service.request("POST", "/score").body("{}").send().await;
    assert_eq!(failed.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    let stats = service.stats().await;
    assert_eq!((stats.served, stats.failures["status"]), (1, 1));
}

#[tokio::test]
async fn a_request_without_the_required_header_gets_401_and_no_hint_of_its_value() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut command = Command::new(binary("endpoint"));
    command
        .env("REQUIRE_HEADER", format!("Authorization: {HEADER}"))
        .env("RUST_LOG", "trace")
        .stderr(std::fs::File::create(&log).unwrap());
    let service = Service::start_as(command, &["--max-connections", "4294967295"]).await;
    let ask = |value: Option<&'static str>| {
        let request = service.request("POST", "/score").body("{}");
        match value {
            Some(value) => request.header("authorization", value),
            None => request,
        }
    };
    for value in [None, Some("Bearer s3cret-t0kem"), Some("")] {
        let answer = ask(value).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{value:?}");
        assert_eq!(answer.headers()["www-authenticate"], "Bearer");
        let text = answer.text().await.unwrap();
        assert!(
            text.contains("authorization") && !text.contains("s3cret"),
            "{text}"
        );
    }
    assert!(ask(Some(HEADER)).send().await.unwrap().status().is_success());
    // Two of one name: one is the right one.
    let two = ask(Some("Basic x")).header("authorization", HEADER);
    assert!(two.send().await.unwrap().status().is_success());
    let pong = service.request("GET", "/ping").send().await.unwrap();
    assert!(pong.status().is_success(), "its own paths need none");
    let stats = service.stats().await;
    assert_eq!((stats.served, stats.refused), (3, 3));
    assert_eq!(service.refused("header").await, 3.0);
    drop(service);
    let log = std::fs::read_to_string(&log).unwrap();
    assert!(log.contains("max_connections"), "it has a log: {log}");
    assert!(!log.contains("s3cret"), "{log}");
}

#[tokio::test]
async fn a_body_is_read_up_to_its_bound() {
    let service = Service::start(&["--max-body-bytes", "1000"]).await;
    let send = |length: usize| {
        let body = "x".repeat(length);
        service.request("POST", "/score").body(body).send()
    };
    // The last is far more than a socket's buffers hold: it is read to its end, and its sender gets the answer.
    for (length, status) in [(0, 200), (1_000, 200), (1_001, 413), (20_000_000, 413)] {
        assert_eq!(send(length).await.unwrap().status().as_u16(), status, "{length}");
    }
    let stats = service.stats().await;
    assert_eq!((stats.served, stats.refused), (2, 2));
    assert_eq!(service.refused("body").await, 2.0);
}

#[test]
fn wrong_use_is_refused_with_its_setting_and_without_secrets() {
    for (args, named) in [
        (&["--answer", "x", "--answer-file", "y"][..], "--answer-file"),
        (&["--answer-file", "/no/such/file"], "answer-file: /no/such/file"),
        (&["--answer", "{}", "--answer-bytes", "1"], "answer-bytes"),
        (&["--answer-bytes", "1e3x"], "--answer-bytes"),
        (&["--answer-type", "a\nb"], "--answer-type"),
        (&["--answer", "{"], "answer: it is no JSON in line 1, column 1"),
        (
            &["--answer", "${key}"],
            "answer: `${key}` is no field: known are `${/pointer}`",
        ),
        (&["--require-header", "s3cret"], "require-header"),
        (&["--require-header", "x y: s3cret"], "require-header"),
        (&["--max-body-bytes", "-1"], "--max-body-bytes"),
    ] {
        let output = assert_cmd::Command::new(binary("endpoint"))
            .args(args)
            .timeout(Duration::from_secs(30))
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
        assert!(
            stderr.contains(named) && !stderr.contains("s3cret") && !stderr.contains("panicked"),
            "{args:?}: {stderr}"
        );
    }
}
