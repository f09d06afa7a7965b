//! Requests from templates, by both clients in both forms of a call: what arrives, and what is never sent.

#![allow(clippy::unwrap_used, reason = "shared functions of tests are tests too")]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener as BlockingListener;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use async_reduce::http::{HeaderName, Response, Target};
use async_reduce::{CallError, Event, HttpCall, RequestBody, RequestTemplate};
use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use tokio::net::TcpListener;
use wire::template::{EventField, Template, UrlTemplate};
use wire::{HttpClient, HttpMethod, Outcome};

/// Requests as they came, one text each.
type Seen = Arc<Mutex<Vec<String>>>;

/// Notes every request, and answers with the status that its path ends with.
async fn service() -> (String, Seen) {
    let seen = Seen::default();
    let noted = Arc::clone(&seen);
    let note = move |request: Request| async move {
        let (head, body) = request.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let headers: Vec<String> = ["content-type", "content-length", "authorization", "x-own"]
            .into_iter()
            .filter(|name| head.headers.contains_key(*name))
            .map(|name| {
                let values = head.headers.get_all(name).iter();
                let values: Vec<_> = values
                    .map(|value| String::from_utf8_lossy(value.as_bytes()))
                    .collect();
                format!("{name}: {}", values.join(" + "))
            })
            .collect();
        noted.lock().unwrap().push(format!(
            "{} {} | {} | {}",
            head.method,
            head.uri,
            headers.join(", "),
            String::from_utf8_lossy(&body)
        ));
        let status = head
            .uri
            .path()
            .rsplit('/')
            .next()
            .and_then(|end| end.parse().ok());
        (
            StatusCode::from_u16(status.unwrap_or(200)).unwrap(),
            "{\"score\": 1}",
        )
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(note)).await });
    (url, seen)
}

fn header(name: &str, text: &str) -> (HeaderName, Template<EventField>) {
    (name.parse().unwrap(), Template::header(text).unwrap())
}

fn calls(url: &str, method: HttpMethod, template: RequestTemplate) -> [(&'static str, Arc<HttpCall>); 2] {
    let url: UrlTemplate<EventField> = UrlTemplate::parse(url).unwrap();
    let target: Target = url.origin().parse().unwrap();
    let target = target.with_method(method, false);
    let template = RequestTemplate {
        path: Some(url.path().clone()),
        ..template
    };
    with_both(&target, &template)
}

fn with_both(target: &Target, template: &RequestTemplate) -> [(&'static str, Arc<HttpCall>); 2] {
    [("hyper", HttpClient::Hyper), ("reqwest", HttpClient::Reqwest)].map(|(name, client)| {
        let call = HttpCall::with(target, template.clone(), client).unwrap();
        (name, Arc::new(call))
    })
}

async fn exchange(call: &Arc<HttpCall>, blocking: bool, event: &Event) -> Result<Response, CallError> {
    if !blocking {
        return call.exchange(event).await;
    }
    let (call, event) = (Arc::clone(call), event.clone());
    let on_thread = move || call.exchange_blocking(&event);
    tokio::task::spawn_blocking(on_thread).await.unwrap()
}

fn event(payload: &str) -> Event {
    let headers = HashMap::from([("trace".to_owned(), "t 1".to_owned())]);
    Event::new(payload.to_owned())
        .with_keys(["u1", "eu/west"])
        .with_headers(headers)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_has_what_the_template_has_of_its_event() {
    let (url, seen) = service().await;
    let payload = r#"{"user": "ä/..", "amount": 12.50, "list": [1]}"#;
    let of_all = || {
        vec![
            header("authorization", "Bearer ${header:trace}"),
            header("x-own", "${/amount}"),
            header("x-own", "b"),
        ]
    };
    let json = r#"{"of": "<${/user}>", "list": ${/list}, "key": ${key}}"#;
    let cases = [
        (
            HttpMethod::Get,
            "/u/${/user}?k=${key}&q='",
            RequestBody::None,
            of_all(),
            "GET /u/%C3%A4%2F..?k=u1%3Aeu%2Fwest&q=' | authorization: Bearer t 1, x-own: 12.50 + b | ".to_owned(),
        ),
        (
            HttpMethod::Get,
            "/constant?q=1",
            RequestBody::None,
            Vec::new(),
            "GET /constant?q=1 |  | ".to_owned(),
        ),
        (
            HttpMethod::Post,
            "/constant",
            RequestBody::None,
            Vec::new(),
            "POST /constant | content-length: 0 | ".to_owned(),
        ),
        (
            HttpMethod::Post,
            "//${key}",
            RequestBody::Payload,
            Vec::new(),
            format!("POST //u1%3Aeu%2Fwest | content-type: application/json, content-length: 47 | {payload}"),
        ),
        (
            HttpMethod::Put,
            "",
            RequestBody::Template(Template::json(json).unwrap()),
            vec![header("content-type", "a/b")],
            r#"PUT / | content-type: a/b, content-length: 51 | {"of": "<ä/..>", "list": [1], "key": "u1:eu/west"}"#.to_owned(),
        ),
    ];
    for (method, path, body, headers, expected) in cases {
        let template = RequestTemplate {
            headers,
            body,
            ..RequestTemplate::default()
        };
        for (name, call) in calls(&format!("{url}{path}"), method, template) {
            for blocking in [false, true] {
                let answer = exchange(&call, blocking, &event(payload)).await.unwrap();
                assert_eq!(answer.body(), b"{\"score\": 1}");
                let seen: Vec<String> = seen.lock().unwrap().drain(..).collect();
                // `'` is the one character that reqwest writes in another way, with the same meaning.
                let seen: Vec<String> = seen.iter().map(|seen| seen.replace("%27", "'")).collect();
                assert_eq!(seen, [&*expected], "{name} {blocking}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_does_not_fit_the_template_is_bad_input_and_not_called() {
    let (url, seen) = service().await;
    let broken = |text: &str| vec![header("x-own", text)];
    let cases = [
        ("/${/id}", vec![], "no JSON".to_owned()),
        ("/${/id}", vec![], r#"{"id": ""}"#.to_owned()),
        ("/${/id}/x", vec![], r#"{"id": ".."}"#.to_owned()),
        ("/${/id}", vec![], r#"{"id": null}"#.to_owned()),
        ("/${/id}", vec![], r#"{"user": 1}"#.to_owned()),
        ("/${header:none}", vec![], "{}".to_owned()),
        (
            "/?q=${/id}",
            vec![],
            format!("{{\"id\": \"{}\"}}", "x".repeat(70_000)),
        ),
        ("/", broken("${/id}"), "no JSON".to_owned()),
        ("/", broken("${/id}"), r#"{"id": "a\r\nb: c"}"#.to_owned()),
        ("/", broken("${/id}"), r#"{"id": "a\u0000"}"#.to_owned()),
    ];
    for (path, headers, payload) in cases {
        let template = RequestTemplate {
            headers,
            ..RequestTemplate::default()
        };
        for (name, call) in calls(&format!("{url}{path}"), HttpMethod::Get, template) {
            for blocking in [false, true] {
                let error = exchange(&call, blocking, &event(&payload)).await.unwrap_err();
                assert_eq!(error.outcome(), Outcome::BadInput, "{name}: {error}");
                assert!(!error.may_retry(), "{error}");
            }
        }
    }
    assert_eq!(seen.lock().unwrap().len(), 0, "no request was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_expected_statuses_are_good() {
    let (url, _) = service().await;
    for (expect, good) in [(vec![], [200, 299]), (vec![200, 404], [200, 404])] {
        let template = RequestTemplate {
            expect,
            ..RequestTemplate::default()
        };
        for (name, call) in calls(&format!("{url}/${{/status}}"), HttpMethod::Get, template) {
            for status in [200_u16, 299, 404, 500] {
                let answer = exchange(&call, false, &event(&format!("{{\"status\": {status}}}"))).await;
                let found = answer.map(|answer| answer.status().as_u16());
                match good.contains(&status) {
                    true => assert_eq!(found.unwrap(), status, "{name}"),
                    false => assert_eq!(found.unwrap_err(), CallError::status(status), "{name}"),
                }
            }
        }
    }
}

/// A service that knows clients by one certificate; counts its requests.
fn strict_service(folder: &Path) -> (String, Arc<AtomicU64>) {
    let provider = rustls::crypto::ring::default_provider();
    let _ = provider.install_default();
    let server = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let client = rcgen::generate_simple_self_signed(vec!["client".into()]).unwrap();
    let stranger = rcgen::generate_simple_self_signed(vec!["client".into()]).unwrap();
    for (name, text) in [
        ("server.pem", server.cert.pem()),
        ("client.pem", client.cert.pem()),
        ("client.key", client.signing_key.serialize_pem()),
        ("stranger.pem", stranger.cert.pem()),
        ("stranger.key", stranger.signing_key.serialize_pem()),
    ] {
        std::fs::write(folder.join(name), text).unwrap();
    }
    let mut clients = RootCertStore::empty();
    clients.add(client.cert.der().clone()).unwrap();
    let verifier = WebPkiClientVerifier::builder(Arc::new(clients)).build().unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(server.signing_key.serialize_der()));
    let config = ServerConfig::builder()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![server.cert.der().clone()], key);
    let config = Arc::new(config.unwrap());
    let listener = BlockingListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let requests = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&requests);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (config, counted) = (Arc::clone(&config), Arc::clone(&counted));
            thread::spawn(move || {
                let connection = ServerConnection::new(config).unwrap();
                let mut stream = BufReader::new(StreamOwned::new(connection, stream.unwrap()));
                let mut line = String::new();
                while let Ok(1..) = stream.read_line(&mut line) {
                    if std::mem::take(&mut line).trim_end().is_empty() {
                        counted.fetch_add(1, Ordering::SeqCst);
                        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n1";
                        let _ = stream.get_mut().write_all(answer);
                    }
                }
            });
        }
    });
    (url, requests)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_shows_its_certificate_to_a_service_that_asks_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let (url, requests) = strict_service(folder.path());
    let file = |name: &str| folder.path().join(name);
    let target: Target = url.parse().unwrap();
    let target = target.trusting(&file("server.pem")).unwrap();
    let known = target
        .clone()
        .with_identity(&file("client.pem"), &file("client.key"))
        .unwrap();
    assert!(!format!("{known:?}").contains("PRIVATE"), "{known:?}");
    let strangers = target
        .clone()
        .with_identity(&file("stranger.pem"), &file("stranger.key"))
        .unwrap();
    for blocking in [false, true] {
        for (name, call) in with_both(&known, &RequestTemplate::default()) {
            let answer = exchange(&call, blocking, &event("")).await;
            assert_eq!(answer.unwrap().body(), b"1", "{name}");
        }
        for unknown in [&target, &strangers] {
            for (name, call) in with_both(unknown, &RequestTemplate::default()) {
                let error = exchange(&call, blocking, &event("")).await.unwrap_err();
                // TLS 1.3 tells a client of that after its request.
                assert!(
                    matches!(error.outcome(), Outcome::Tls | Outcome::Broken),
                    "{name}: {error}"
                );
            }
        }
    }
    assert_eq!(requests.load(Ordering::SeqCst), 4);
    let refused = |certificate, key| {
        let refused = target.clone().with_identity(&file(certificate), &file(key));
        match refused {
            Ok(target) => HttpCall::new(&target, HttpClient::Hyper)
                .err()
                .unwrap()
                .to_string(),
            Err(error) => error.to_string(),
        }
    };
    assert!(refused("client.key", "client.key").ends_with("it holds no certificate in PEM"));
    assert!(refused("client.pem", "client.pem").contains("no private key can be read from it"));
    assert!(refused("none", "client.key").contains("none`: "));
    let said = refused("client.pem", "stranger.key");
    assert!(said.contains("cannot set up TLS"), "{said}");
}
