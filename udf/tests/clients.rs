//! What both HTTP clients promise, in both forms of a call: the same outcomes from the same endpoint, and connections
//! that are used again where they may be. The endpoint is by hand, as a library would not misbehave.

#![allow(clippy::unwrap_used, reason = "shared functions of tests are tests too")]

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use udf::{Call, Event, EventId, HttpCall, LeanCall, Target};
use wire::{Delay, Outcome};

/// Timeout of an attempt: only what is never answered takes as long.
const TIMEOUT: Duration = Duration::from_millis(500);

const GOOD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\npong";

/// What a connection does after it has answered.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    Stay,
    /// Closes without having said so.
    Close,
}

/// An endpoint that answers every request with the same bytes.
struct Endpoint {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
    closed: Arc<AtomicUsize>,
}

impl Endpoint {
    fn start(answer: impl Into<Vec<u8>>, then: Then) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = Self {
            address: listener.local_addr().unwrap(),
            connections: Arc::default(),
            requests: Arc::default(),
            closed: Arc::default(),
        };
        let answer: Arc<[u8]> = answer.into().into();
        let [connections, requests, closed] =
            [&endpoint.connections, &endpoint.requests, &endpoint.closed].map(Arc::clone);
        thread::spawn(move || {
            for stream in listener.incoming() {
                connections.fetch_add(1, Ordering::SeqCst);
                let (answer, requests, closed) =
                    (Arc::clone(&answer), Arc::clone(&requests), Arc::clone(&closed));
                thread::spawn(move || {
                    serve(stream.unwrap(), &answer, then, &requests);
                    closed.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        endpoint
    }

    fn seen(&self) -> (usize, usize) {
        (
            self.connections.load(Ordering::SeqCst),
            self.requests.load(Ordering::SeqCst),
        )
    }

    /// Both clients.
    fn clients(&self) -> [(&'static str, Arc<dyn Call>); 2] {
        let target = Target::new(&format!("http://{}", self.address), &Delay::ZERO, TIMEOUT).unwrap();
        [
            ("lean", Arc::new(LeanCall::new(&target).unwrap())),
            ("reqwest", Arc::new(HttpCall::new(target).unwrap())),
        ]
    }
}

/// Ends with the connection.
fn serve(mut stream: TcpStream, answer: &[u8], then: Then, requests: &AtomicUsize) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    while let Some(Ok(line)) = lines.next() {
        if !line.is_empty() {
            continue;
        }
        requests.fetch_add(1, Ordering::SeqCst);
        if answer.is_empty() {
            // Never answered: waits until the other side has given up.
            continue;
        }
        let _ = stream.write_all(answer);
        if then == Then::Close {
            return;
        }
    }
}

/// One call in either form, within the timeout that strategies give the asynchronous one.
async fn outcome(client: &Arc<dyn Call>, blocking: bool, index: u64) -> Outcome {
    let event = Event {
        keys: Arc::from(["key".to_owned()]),
        payload: Vec::new(),
        id: EventId { generator: 7, index },
    };
    if blocking {
        let client = Arc::clone(client);
        // A thread, as in the pools.
        let (reply, outcome) = tokio::sync::oneshot::channel();
        thread::spawn(move || reply.send(client.call_blocking(&event)));
        return outcome.await.unwrap();
    }
    tokio::time::timeout(TIMEOUT, client.call(&event))
        .await
        .unwrap_or(Outcome::Timeout)
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
    let cases: [(&str, Vec<u8>, Then, Outcome); 12] = [
        ("good", GOOD.into(), Then::Stay, Outcome::Ok),
        (
            "empty",
            b"HTTP/1.1 204 No Content\r\n\r\n".into(),
            Then::Stay,
            Outcome::Ok,
        ),
        ("chunked", chunked.into(), Then::Stay, Outcome::Ok),
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
async fn an_endpoint_that_closes_or_is_absent_refuses() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let absent = Endpoint {
        address,
        connections: Arc::default(),
        requests: Arc::default(),
        closed: Arc::default(),
    };
    let closing = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = Endpoint {
        address: closing.local_addr().unwrap(),
        connections: Arc::default(),
        requests: Arc::default(),
        closed: Arc::default(),
    };
    // Closed at once, and so reset where the request comes later.
    thread::spawn(move || closing.incoming().for_each(drop));
    for endpoint in [absent, silent] {
        for (name, client) in endpoint.clients() {
            for blocking in [false, true] {
                let found = outcome(&client, blocking, 0).await;
                assert_eq!(found, Outcome::Refused, "{name}, blocking: {blocking}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_serves_calls_that_follow_each_other() {
    let endpoint = Endpoint::start(GOOD, Then::Stay);
    for (name, client) in endpoint.clients() {
        for blocking in [false, true] {
            let (before, _) = endpoint.seen();
            for index in 0..20 {
                assert_eq!(outcome(&client, blocking, index).await, Outcome::Ok, "{name}");
            }
            let (after, _) = endpoint.seen();
            // Reqwest gives a connection back by a task of its own: a call that follows at once may come before it.
            let most = if name == "lean" { 1 } else { 10 };
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
                    while endpoint.closed.load(Ordering::SeqCst) < calls {
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

#[test]
fn lean_refuses_what_it_cannot_do() {
    for url in ["https://127.0.0.1:1", "http://user:secret@127.0.0.1:1"] {
        let target = Target::new(url, &Delay::ZERO, TIMEOUT).unwrap();
        let error = LeanCall::new(&target).err().unwrap().to_string();
        assert!(
            error.starts_with("http_client: lean speaks http alone"),
            "{error}"
        );
        assert!(!error.contains("secret"));
    }
}
