//! The workload `http` over sockets, with nothing in between but a parser: a call is one write and one read, in the task
//! or on the thread that waits for it. It speaks http alone; [`super::HttpCall`] does the rest.

mod answer;
mod idle;
mod in_task;
mod on_thread;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use wire::{IDEMPOTENCY_KEY, Outcome, idempotency_key};

use super::http::{HttpCallError, Target};
use super::{Call, Event, EventId};

use idle::Idle;

/// Calls the endpoint over connections of its own, one for each call in flight.
pub struct LeanCall {
    host: String,
    port: u16,
    /// A request up to the value that differs.
    before_key: Vec<u8>,
    timeout: Duration,
    in_tasks: Idle<in_task::Connection>,
    on_threads: Idle<on_thread::Connection>,
}

/// Why there is no whole answer.
#[derive(Debug)]
enum Failure {
    /// The connection was closed before it took the request.
    Unsent,
    /// The connection broke before the answer.
    NoAnswer,
    /// The time was over; only where a thread waits.
    TimedOut,
    /// What came is no HTTP, too long, or not whole.
    BadAnswer,
}

impl Failure {
    fn outcome(&self) -> Outcome {
        match self {
            Self::Unsent | Self::NoAnswer => Outcome::Refused,
            Self::TimedOut => Outcome::Timeout,
            Self::BadAnswer => Outcome::BadBody,
        }
    }
}

impl LeanCall {
    /// Calls to `target`.
    ///
    /// # Errors
    /// Where the target needs what this client has not: TLS, or a user's name and password.
    pub fn new(target: &Target) -> Result<Self, HttpCallError> {
        let url = target.url();
        let plain = url.scheme() == "http" && !target.headers().contains_key("authorization");
        let (Some(host), Some(port), true) = (url.host_str(), url.port_or_known_default(), plain) else {
            return Err(HttpCallError::NotForLean);
        };
        let authority = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        let (path, query) = (url.path(), url.query().unwrap_or_default());
        let before_key =
            format!("GET {path}?{query} HTTP/1.1\r\nhost: {authority}\r\naccept: */*\r\n{IDEMPOTENCY_KEY}: ");
        Ok(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port,
            before_key: before_key.into_bytes(),
            timeout: target.timeout(),
            in_tasks: Idle::default(),
            on_threads: Idle::default(),
        })
    }

    fn request(&self, id: EventId) -> Vec<u8> {
        let key = idempotency_key(id.generator, id.index);
        [&self.before_key, key.as_bytes(), b"\r\n\r\n"].concat()
    }

    fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

#[async_trait]
impl Call for LeanCall {
    async fn call(&self, event: &Event) -> Outcome {
        let request = self.request(event.id);
        loop {
            let (mut connection, reused) = match self.in_tasks.take() {
                Some((mut unused, since)) => match unused.is_open(since).await {
                    true => (unused, true),
                    false => continue,
                },
                None => match in_task::Connection::open(self).await {
                    Ok(connection) => (connection, false),
                    Err(_) => return Outcome::Refused,
                },
            };
            match connection.exchange(&request).await {
                // It had been closed while nobody used it: the next one, or at last a new one.
                Err(Failure::Unsent) if reused => {}
                exchanged => return self.in_tasks.ended(connection, exchanged),
            }
        }
    }

    fn call_blocking(&self, event: &Event) -> Outcome {
        let request = self.request(event.id);
        let deadline = Instant::now() + self.timeout;
        loop {
            let (mut connection, reused) = match self.on_threads.take() {
                Some((unused, since)) => match unused.is_open(since) {
                    true => (unused, true),
                    false => continue,
                },
                None => match on_thread::Connection::open(self, deadline) {
                    Ok(connection) => (connection, false),
                    Err(failure) => return failure.outcome(),
                },
            };
            match connection.exchange(&request, deadline) {
                Err(Failure::Unsent) if reused => {}
                exchanged => return self.on_threads.ended(connection, exchanged),
            }
        }
    }
}
