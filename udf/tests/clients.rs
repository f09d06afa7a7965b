//! What both HTTP clients promise, in both forms of a call: the same outcomes from the same endpoint, and connections
//! that are used again where they may be. The endpoint is by hand, as a library would not misbehave.

#![allow(clippy::unwrap_used, reason = "shared functions of tests are tests too")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use async_reduce::http::Target;
use async_reduce::{BlockingCall, Call, Event, HttpCall};
use rcgen::{CertifiedKey, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use wire::{Delay, HttpClient, HttpMethod, Outcome};

/// Timeout of an attempt: only what is never answered takes as long.
const TIMEOUT: Duration = Duration::from_secs(3);

const GOOD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\npong";

/// A name that no resolver knows.
const NAME: &str = "endpoint.invalid";

/// Set for a run of these tests over TLS: a folder with a certificate that the process trusts, and its key.
const OVER_TLS: &str = "CLIENTS_OVER_TLS";

/// What a connection does after it has answered.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    Stay,
    /// Closes without having said so.
    Close,
    /// Closes when the next request has come.
    CloseAtNext,
    /// The same after the first bytes of an answer.
    BreakOffAtNext,
}

/// An endpoint that answers every request with the same bytes.
struct Endpoint {
    address: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    requests: AtomicUsize,
    closed: AtomicUsize,
    /// Lines of the latest request.
    head: Mutex<Vec<String>>,
}

impl Endpoint {
    fn start(answer: impl Into<Vec<u8>>, then: Then) -> Self {
        Self::start_with(answer, then, tls_of_this_run())
    }

    fn start_with(answer: impl Into<Vec<u8>>, then: Then, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = Self::absent(listener.local_addr().unwrap(), tls.clone());
        let answer: Arc<[u8]> = answer.into().into();
        let seen = Arc::clone(&endpoint.seen);
        thread::spawn(move || {
            for stream in listener.incoming() {
                seen.connections.fetch_add(1, Ordering::SeqCst);
                let (answer, seen, tls) = (Arc::clone(&answer), Arc::clone(&seen), tls.clone());
                thread::spawn(move || {
                    let stream = stream.unwrap();
                    match tls {
                        None => serve(stream, &answer, then, &seen),
                        Some(config) => {
                            let connection = ServerConnection::new(config).unwrap();
                            let mut stream = StreamOwned::new(connection, stream);
                            serve(&mut stream, &answer, then, &seen);
                            stream.conn.send_close_notify();
                            let _ = stream.flush();
                        }
                    }
                    seen.closed.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        endpoint
    }

    /// One that does nothing.
    fn absent(address: SocketAddr, tls: Option<Arc<ServerConfig>>) -> Self {
        Self {
            address,
            tls,
            seen: Arc::default(),
        }
    }

    fn seen(&self) -> (usize, usize) {
        (
            self.seen.connections.load(Ordering::SeqCst),
            self.seen.requests.load(Ordering::SeqCst),
        )
    }

    fn url(&self, host: &str) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{host}:{}", self.address.port())
    }

    /// Both clients.
    fn clients(&self) -> [(&'static str, Arc<HttpCall>); 2] {
        clients(&Target::ping(&self.url("127.0.0.1"), &Delay::ZERO, TIMEOUT).unwrap())
    }
}

fn clients(target: &Target) -> [(&'static str, Arc<HttpCall>); 2] {
    [("hyper", HttpClient::Hyper), ("reqwest", HttpClient::Reqwest)]
        .map(|(name, client)| (name, Arc::new(HttpCall::new(target, client).unwrap())))
}

/// Ends with the connection.
fn serve(stream: impl Read + Write, answer: &[u8], then: Then, seen: &Seen) {
    let mut stream = BufReader::new(stream);
    let mut head = Vec::new();
    let mut line = String::new();
    let mut has_answered = false;
    while let Ok(1..) = stream.read_line(&mut line) {
        match line.trim_end() {
            "" => *seen.head.lock().unwrap() = std::mem::take(&mut head),
            text => head.push(text.to_owned()),
        }
        if !std::mem::take(&mut line).trim_end().is_empty() {
            continue;
        }
        seen.requests.fetch_add(1, Ordering::SeqCst);
        let answered = std::mem::replace(&mut has_answered, true);
        match then {
            Then::CloseAtNext if answered => return,
            Then::BreakOffAtNext if answered => {
                let _ = stream.get_mut().write_all(&answer[..9]);
                return;
            }
            _ => {}
        }
        if answer.is_empty() {
            // Never answered: waits until the other side has given up.
            continue;
        }
        let _ = stream.get_mut().write_all(answer);
        if then == Then::Close {
            return;
        }
    }
}

/// A certificate of its own authority.
fn certificate() -> CertifiedKey<KeyPair> {
    let names = ["127.0.0.1", "localhost", NAME].map(str::to_owned);
    rcgen::generate_simple_self_signed(names).unwrap()
}

fn server_config(certificate: CertificateDer<'static>, key: Vec<u8>) -> Arc<ServerConfig> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key));
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key);
    Arc::new(config.unwrap())
}

fn tls_of_this_run() -> Option<Arc<ServerConfig>> {
    let folder = PathBuf::from(std::env::var_os(OVER_TLS)?);
    let [certificate, key] =
        ["certificate.der", "key.der"].map(|name| std::fs::read(folder.join(name)).unwrap());
    Some(server_config(certificate.into(), key))
}

/// One call in either form, within the timeout that strategies give the asynchronous one: its outcome, and how often its
/// request was sent again.
async fn call(client: &Arc<HttpCall>, blocking: bool, index: u64) -> (Outcome, u32) {
    let event = wire::Event {
        generator: 7,
        index,
        number: index,
        padding: String::new(),
    };
    let event = Event::new(event.encode().unwrap());
    let (result, event) = if blocking {
        let client = Arc::clone(client);
        // A thread, as in the pools.
        let (reply, result) = tokio::sync::oneshot::channel();
        thread::spawn(move || drop(reply.send((client.call_blocking(&event), event))));
        result.await.unwrap()
    } else {
        let result = tokio::time::timeout(TIMEOUT, client.call(&event)).await;
        (result.unwrap_or_else(|_| Err(Outcome::Timeout.into())), event)
    };
    let outcome = result.map_or_else(|error| error.outcome(), |()| Outcome::Ok);
    (outcome, event.reconnects())
}

/// The outcome of a call whose request was sent once.
async fn outcome(client: &Arc<HttpCall>, blocking: bool, index: u64) -> Outcome {
    let (outcome, reconnects) = call(client, blocking, index).await;
    assert_eq!(reconnects, 0, "{outcome}");
    outcome
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_has_the_same_outcome_for_both() {
    let whole = |length: usize| {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
        [head.into_bytes(), vec![b'x'; length]].concat()
    };
    let long_header = [
        b"HTTP/1.1 200 OK\r\nx: ".to_vec(),
        vec![b'x'; 1 << 20],
        b"\r\n\r\n".to_vec(),
    ]
    .concat();
    let (one_mib, chunked) = (
        1 << 20,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\npong\r\n0\r\n\r\n",
    );
    let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    let many_chunks = [head, b"4\r\npong\r\n".repeat(1_000), b"0\r\n\r\n".to_vec()].concat();
    let cases: [(&str, Vec<u8>, Then, Outcome); 13] = [
        ("good", GOOD.into(), Then::Stay, Outcome::Ok),
        (
            "empty",
            b"HTTP/1.1 204 No Content\r\n\r\n".into(),
            Then::Stay,
            Outcome::Ok,
        ),
        ("chunked", chunked.into(), Then::Stay, Outcome::Ok),
        ("many chunks at once", many_chunks, Then::Stay, Outcome::Ok),
        (
            "until its end",
            b"HTTP/1.0 200 OK\r\n\r\npong".into(),
            Then::Close,
            Outcome::Ok,
        ),
        ("the longest", whole(one_mib), Then::Stay, Outcome::Ok),
        ("too long", whole(one_mib + 1), Then::Stay, Outcome::BadBody),
        (
            "failing",
            b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n".into(),
            Then::Stay,
            Outcome::BadStatus,
        ),
        (
            "redirect",
            b"HTTP/1.1 302 Found\r\nlocation: /ping\r\ncontent-length: 0\r\n\r\n".into(),
            Then::Stay,
            Outcome::BadStatus,
        ),
        (
            "cut",
            b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\npong".into(),
            Then::Close,
            Outcome::BadBody,
        ),
        (
            "no HTTP",
            b"\x16\x03\x01 what\r\n\r\n".into(),
            Then::Close,
            Outcome::BadBody,
        ),
        ("a long header", long_header, Then::Stay, Outcome::BadBody),
        ("none", Vec::new(), Then::Stay, Outcome::Timeout),
    ];
    for (what, answer, then, expected) in cases {
        let endpoint = Endpoint::start(answer, then);
        for (name, client) in endpoint.clients() {
            for blocking in [false, true] {
                let found = outcome(&client, blocking, 0).await;
                assert_eq!(found, expected, "{what}, {name}, blocking: {blocking}");
            }
        }
        assert_eq!(endpoint.seen().1, 4, "{what}: each is asked once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_closes_is_another_failure_than_one_that_is_absent() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let absent = Endpoint::absent(address, tls_of_this_run());
    let closing = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = Endpoint::absent(closing.local_addr().unwrap(), tls_of_this_run());
    // Closed at once, and so reset where the request comes later.
    thread::spawn(move || closing.incoming().for_each(drop));
    // The first thing that is sent over TLS is not the request.
    let broken = if silent.tls.is_some() {
        Outcome::Tls
    } else {
        Outcome::Broken
    };
    for (endpoint, expected) in [(absent, Outcome::NoConnection), (silent, broken)] {
        for (name, client) in endpoint.clients() {
            for blocking in [false, true] {
                let found = outcome(&client, blocking, 0).await;
                assert_eq!(found, expected, "{name}, blocking: {blocking}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_serves_calls_that_follow_each_other() {
    let endpoint = Endpoint::start(GOOD, Then::Stay);
    for blocking in [false, true] {
        for (name, client) in endpoint.clients() {
            let (before, _) = endpoint.seen();
            for index in 0..20 {
                assert_eq!(outcome(&client, blocking, index).await, Outcome::Ok, "{name}");
            }
            let (after, _) = endpoint.seen();
            // Reqwest gives a connection back by a task of its own: a call that follows at once may come before it.
            let most = if name == "hyper" { 1 } else { 10 };
            let opened = after - before;
            assert!(
                (1..=most).contains(&opened),
                "{name}, blocking: {blocking}: {opened}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_was_closed_while_unused_harms_no_call() {
    let announced: &[u8] = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 4\r\n\r\npong";
    for answer in [announced, GOOD] {
        let endpoint = Endpoint::start(answer, Then::Close);
        let mut calls = 0;
        for (name, client) in endpoint.clients() {
            for blocking in [false, true] {
                for index in 0..5 {
                    let found = outcome(&client, blocking, index).await;
                    assert_eq!(found, Outcome::Ok, "{name}, blocking: {blocking}, {index}");
                    calls += 1;
                    while endpoint.seen.closed.load(Ordering::SeqCst) < calls {
                        tokio::task::yield_now().await;
                    }
                    // The kernel knows; the runtime hears of it the next time it waits.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
        assert_eq!(endpoint.seen(), (20, 20), "each call was made once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_crosses_the_close_of_its_connection_is_sent_once_more() {
    for blocking in [false, true] {
        let endpoint = Endpoint::start(GOOD, Then::CloseAtNext);
        let mut sent = 0;
        for (name, client) in endpoint.clients() {
            let mut again = 0;
            for index in 0..20 {
                let (outcome, reconnects) = call(&client, blocking, index).await;
                assert_eq!(outcome, Outcome::Ok, "{name}, blocking: {blocking}, {index}");
                assert!(reconnects <= 1, "{name}, blocking: {blocking}: {reconnects}");
                // Reqwest may take a new connection, as it gives one back by a task of its own.
                if name == "hyper" {
                    assert_eq!(reconnects == 0, index == 0, "blocking: {blocking}, {index}");
                }
                again += reconnects as usize;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            assert!(again > 0, "{name}, blocking: {blocking}");
            sent += 20 + again;
            assert_eq!(
                endpoint.seen().1,
                sent,
                "{name}, blocking: {blocking}: each is counted"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_of_another_method_is_sent_once_more_only_if_it_is_idempotent() {
    for (method, idempotent, repeats) in [
        (HttpMethod::Put, false, true),
        (HttpMethod::Delete, false, true),
        (HttpMethod::Post, false, false),
        (HttpMethod::Patch, false, false),
        (HttpMethod::Post, true, true),
    ] {
        for blocking in [false, true] {
            let endpoint = Endpoint::start(GOOD, Then::CloseAtNext);
            let target = Target::ping(&endpoint.url("127.0.0.1"), &Delay::ZERO, TIMEOUT).unwrap();
            for (name, client) in clients(&target.with_method(method, idempotent)) {
                assert_eq!(
                    call(&client, blocking, 0).await,
                    (Outcome::Ok, 0),
                    "{name} {method}"
                );
                let head = std::mem::take(&mut *endpoint.seen.head.lock().unwrap());
                assert!(
                    head[0].starts_with(&format!("{method} /ping?")),
                    "{name}: {head:?}"
                );
                let with_body = method != HttpMethod::Delete;
                let has_length = head.contains(&"content-length: 0".to_owned());
                assert_eq!(has_length, with_body, "{name}: {head:?}");
                // Reqwest gives the connection back by a task of its own.
                tokio::time::sleep(Duration::from_millis(20)).await;
                let expected = match repeats {
                    true => (Outcome::Ok, 1),
                    false => (Outcome::Broken, 0),
                };
                let found = call(&client, blocking, 1).await;
                assert_eq!(found, expected, "{name} {method} {idempotent} {blocking}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_was_unused_for_too_long_is_not_used_again() {
    let endpoint = Endpoint::start(GOOD, Then::Stay);
    let target = Target::ping(&endpoint.url("127.0.0.1"), &Delay::ZERO, TIMEOUT).unwrap();
    for (name, client) in clients(&target.with_idle_timeout(Duration::from_millis(50))) {
        for blocking in [false, true] {
            let (before, _) = endpoint.seen();
            for index in 0..3 {
                assert_eq!(outcome(&client, blocking, index).await, Outcome::Ok, "{name}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            assert_eq!(endpoint.seen().0 - before, 3, "{name}, blocking: {blocking}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_longest_answer_is_a_setting() {
    let endpoint = Endpoint::start(GOOD, Then::Stay);
    for (most, expected) in [(4, Outcome::Ok), (3, Outcome::BadBody)] {
        let target = Target::ping(&endpoint.url("127.0.0.1"), &Delay::ZERO, TIMEOUT).unwrap();
        for (name, client) in clients(&target.with_max_answer_bytes(most)) {
            for blocking in [false, true] {
                let found = outcome(&client, blocking, 0).await;
                assert_eq!(found, expected, "{name}, blocking: {blocking}, {most}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_has_a_byte_of_its_answer_is_not_sent_again() {
    for blocking in [false, true] {
        let endpoint = Endpoint::start(GOOD, Then::BreakOffAtNext);
        // Reqwest does not tell of a part of an answer.
        let [(_, client), _] = endpoint.clients();
        assert_eq!(outcome(&client, blocking, 0).await, Outcome::Ok);
        assert_eq!(outcome(&client, blocking, 1).await, Outcome::Broken, "{blocking}");
        assert_eq!(endpoint.seen(), (1, 2));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_follows_an_answer_is_not_taken_for_the_next_one() {
    let failed: &[u8] = b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n";
    let endpoint = Endpoint::start([GOOD, failed].concat(), Then::Stay);
    for (name, client) in endpoint.clients() {
        for blocking in [false, true] {
            for index in 0..5 {
                let found = outcome(&client, blocking, index).await;
                assert_eq!(found, Outcome::Ok, "{name}, blocking: {blocking}, {index}");
            }
        }
    }
    assert_eq!(endpoint.seen(), (20, 20), "each over a connection of its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_has_the_same_head_from_both() {
    let endpoint = Endpoint::start(GOOD, Then::Stay);
    let host = format!("127.0.0.1:{}", endpoint.address.port());
    let url = endpoint.url("me%40home:se%20cret@127.0.0.1") + "/base/";
    let delay: Delay = "uniform(1ms,2ms)".parse().unwrap();
    for (name, client) in clients(&Target::ping(&url, &delay, TIMEOUT).unwrap()) {
        for blocking in [false, true] {
            assert_eq!(outcome(&client, blocking, 3).await, Outcome::Ok, "{name}");
            let mut head = std::mem::take(&mut *endpoint.seen.head.lock().unwrap());
            head[1..].sort();
            let expected = [
                "GET /base/ping?delay=uniform%281ms%2C2ms%29 HTTP/1.1",
                "accept: */*",
                // `me@home:se cret` in Base64.
                "authorization: Basic bWVAaG9tZTpzZSBjcmV0",
                &format!("host: {host}"),
                "idempotency-key: 7-3",
            ];
            assert_eq!(head, expected, "{name}, blocking: {blocking}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_addresses_of_a_host_are_tried_one_after_another() {
    let endpoint = Endpoint::start(GOOD, Then::Stay);
    let target = |host| Target::ping(&endpoint.url(host), &Delay::ZERO, TIMEOUT).unwrap();
    // Nobody listens at the first: the endpoint has the other alone.
    let addresses = [Ipv4Addr::new(127, 0, 0, 2), Ipv4Addr::LOCALHOST].map(IpAddr::from);
    for target in [target(NAME).at(addresses.to_vec()), target("localhost")] {
        for (name, client) in clients(&target) {
            for blocking in [false, true] {
                let found = outcome(&client, blocking, 0).await;
                assert_eq!(found, Outcome::Ok, "{name}, blocking: {blocking}: {target:?}");
            }
        }
    }
    for (name, client) in clients(&target(NAME)) {
        for blocking in [false, true] {
            let found = outcome(&client, blocking, 0).await;
            assert_eq!(
                found,
                Outcome::Unresolved,
                "{name}, blocking: {blocking}: no address"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_an_unknown_authority_is_refused() {
    let CertifiedKey { cert, signing_key } = certificate();
    let config = server_config(cert.der().clone(), signing_key.serialize_der());
    let endpoint = Endpoint::start_with(GOOD, Then::Stay, Some(config));
    for (name, client) in endpoint.clients() {
        for blocking in [false, true] {
            let found = outcome(&client, blocking, 0).await;
            assert_eq!(found, Outcome::Tls, "{name}, blocking: {blocking}");
        }
    }
    assert_eq!(endpoint.seen(), (4, 0), "nothing was sent");
}

/// The other tests of this file in a process that trusts their certificate: what is trusted is a matter of the
/// environment, which only a new process can have another of.
#[test]
fn the_same_holds_over_tls() {
    let CertifiedKey { cert, signing_key } = certificate();
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("authority.pem");
    std::fs::write(&authority, cert.pem()).unwrap();
    std::fs::write(folder.path().join("certificate.der"), cert.der()).unwrap();
    std::fs::write(folder.path().join("key.der"), signing_key.serialize_der()).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--skip", "the_same_holds_over_tls"])
        .env(OVER_TLS, folder.path())
        .env("SSL_CERT_FILE", authority)
        .env_remove("SSL_CERT_DIR")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("test result: ok. 13 passed"), "{said}");
}
