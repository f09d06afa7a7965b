//! The client for calls of one's own: what it sends, what it gives back, and when it sends a request once more.

#![allow(clippy::unwrap_used, reason = "shared functions of tests are tests too")]

use std::io::{Read, Write};
use std::net::TcpListener as BlockingListener;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use async_reduce::http::{Client, HeaderMap, Method, PathAndQuery, Response, Target};
use async_reduce::{CallError, Event};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Answers with what it was sent.
async fn echo(request: Request) -> (StatusCode, Json<Value>) {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let text = |name: &str| head.headers.get(name).map(|value| value.to_str().unwrap());
    let seen = json!({
        "method": head.method.as_str(),
        "uri": head.uri.to_string(),
        "authorization": text("authorization"),
        "accept": text("accept"),
        "content-length": text("content-length"),
        "transfer-encoding": text("transfer-encoding"),
        "bytes": body.len(),
        "sum": body.iter().map(|&byte| u64::from(byte)).sum::<u64>(),
    });
    let status = text("x-status").map_or(200, |status| status.parse().unwrap());
    (StatusCode::from_u16(status).unwrap(), Json(seen))
}

async fn service() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(echo)).await });
    format!("http://me:secret@{address}/v1/score?model=2#part")
}

fn client(target: Target) -> Arc<Client> {
    Arc::new(Client::new(&target).unwrap())
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let parsed = pairs
        .iter()
        .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
    parsed.collect()
}

/// One request, in the form of a call in a task or of one on a thread.
async fn request(
    client: &Arc<Client>,
    blocking: bool,
    event: &Event,
    method: Method,
    headers: HeaderMap,
    body: Vec<u8>,
) -> Result<Response, CallError> {
    if !blocking {
        let path = client.path();
        return client.request(event, method, path, &headers, body).await;
    }
    let (client, event) = (Arc::clone(client), event.clone());
    let on_thread = move || client.request_blocking(&event, method, client.path(), &headers, body);
    tokio::task::spawn_blocking(on_thread).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_has_the_method_the_headers_and_the_body_of_the_call() {
    let client = client(service().await.parse().unwrap());
    let event = Event::new("");
    for blocking in [false, true] {
        // More than a buffer and a socket hold, so that it is sent in pieces.
        for bytes in [0, 200, 5_000_000] {
            let wrong = headers(&[("content-length", "7"), ("transfer-encoding", "chunked")]);
            let body = vec![3; bytes];
            let answer = request(&client, blocking, &event, Method::POST, wrong, body)
                .await
                .unwrap();
            let seen: Value = answer.json().unwrap();
            let expected = json!({
                "method": "POST",
                "uri": "/v1/score?model=2",
                "authorization": "Basic bWU6c2VjcmV0",
                "accept": "*/*",
                "content-length": bytes.to_string(),
                "transfer-encoding": null,
                "bytes": bytes,
                "sum": 3 * bytes,
            });
            assert_eq!(seen, expected, "blocking: {blocking}");
        }
        let own = headers(&[("authorization", "Bearer t"), ("accept", "application/json")]);
        let answer = request(&client, blocking, &event, Method::GET, own, Vec::new())
            .await
            .unwrap();
        let seen: Value = answer.json().unwrap();
        assert_eq!(
            (&seen["authorization"], &seen["accept"], &seen["content-length"]),
            (&json!("Bearer t"), &json!("application/json"), &Value::Null),
            "blocking: {blocking}"
        );
    }
    assert_eq!(event.reconnects(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_client_makes_requests_to_all_paths_of_its_target() {
    let client = client(service().await.parse().unwrap());
    let path = PathAndQuery::from_static("/other?x=1");
    let none = HeaderMap::new();
    let answer = client
        .request(&Event::new(""), Method::DELETE, &path, &none, "")
        .await
        .unwrap();
    let seen: Value = answer.json().unwrap();
    assert_eq!(
        (&seen["method"], &seen["uri"]),
        (&json!("DELETE"), &json!("/other?x=1"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_is_an_answer_until_it_is_made_an_error() {
    let client = client(service().await.parse().unwrap());
    for (status, may_retry) in [("503", true), ("404", false)] {
        let headers = headers(&[("x-status", status)]);
        let answer = request(&client, false, &Event::new(""), Method::GET, headers, Vec::new()).await;
        let answer = answer.unwrap();
        assert_eq!(answer.status().as_str(), status);
        assert_eq!(answer.headers()["content-type"], "application/json");
        let error = answer.error_for_status().unwrap_err();
        assert_eq!((error.kind(), error.may_retry()), ("bad-status", may_retry));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_not_what_was_expected_is_not_quoted() {
    let url = service().await;
    let found = client(url.parse().unwrap());
    let answer = request(
        &found,
        false,
        &Event::new(""),
        Method::GET,
        HeaderMap::new(),
        Vec::new(),
    )
    .await;
    let error = answer.unwrap().json::<Vec<u64>>().unwrap_err();
    assert_eq!(error.kind(), "bad-body");
    assert!(!error.to_string().contains("score"), "{error}");
    let short = client(url.parse::<Target>().unwrap().with_max_answer_bytes(10));
    let answer = request(
        &short,
        false,
        &Event::new(""),
        Method::GET,
        HeaderMap::new(),
        Vec::new(),
    )
    .await;
    assert_eq!(answer.unwrap_err().kind(), "bad-body");
}

/// Answers the first request of a connection, and closes the connection when the next one has come.
fn forgetful() -> Target {
    let listener = BlockingListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let mut bytes = [0; 1024];
                let read = stream.read(&mut bytes).unwrap();
                assert!(
                    bytes[..read].ends_with(b"\r\n\r\nbody"),
                    "head and body in one piece"
                );
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
                let _ = stream.read(&mut bytes);
            });
        }
    });
    url.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_sent_once_more_with_its_body_if_it_may_be() {
    for (target, method, repeats) in [
        (forgetful(), Method::PUT, true),
        (forgetful(), Method::POST, false),
        (forgetful().idempotent(), Method::POST, true),
    ] {
        let client = client(target);
        for blocking in [false, true] {
            let event = Event::new("");
            let send = || {
                request(
                    &client,
                    blocking,
                    &event,
                    method.clone(),
                    HeaderMap::new(),
                    b"body".into(),
                )
            };
            assert_eq!(send().await.unwrap().status(), 200);
            match repeats {
                true => assert_eq!(
                    send().await.unwrap().status(),
                    200,
                    "{method}, blocking: {blocking}"
                ),
                false => assert_eq!(send().await.unwrap_err().kind(), "broken", "{method}"),
            }
        }
    }
    let client = client(forgetful());
    let event = Event::new("");
    for _ in 0..2 {
        let sent = request(
            &client,
            false,
            &event,
            Method::PUT,
            HeaderMap::new(),
            b"body".into(),
        )
        .await;
        assert_eq!(sent.unwrap().status(), 200);
    }
    assert_eq!(event.reconnects(), 1, "counted for its event");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocking_request_ends_with_the_targets_timeout() {
    let silent = BlockingListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let target = url.parse::<Target>().unwrap();
    let client = client(target.with_timeout(Duration::from_millis(30)));
    let answer = request(
        &client,
        true,
        &Event::new(""),
        Method::GET,
        HeaderMap::new(),
        Vec::new(),
    )
    .await;
    assert_eq!(answer.unwrap_err().kind(), "timeout");
}

#[test]
fn what_cannot_be_a_target_is_refused_without_its_password() {
    let said = |url: &str| url.parse::<Target>().unwrap_err().to_string();
    assert!(said("nowhere").starts_with("`nowhere` is not an http or https URL"));
    let refused = said("ftp://me:secret@e");
    assert!(
        refused.contains("ftp") && !refused.contains("secret"),
        "{refused}"
    );
    let proxied = "http://e".parse::<Target>().unwrap().by_proxy();
    assert!(Client::new(&proxied).is_err());
    let shown = format!("{:?}", client("http://me:secret@e/a".parse().unwrap()));
    assert!(
        shown.contains("http://e/a") && !shown.contains("secret"),
        "{shown}"
    );
    let target: Target = "https://e".parse().unwrap();
    assert_eq!(client(target).path(), "/");
}
