//! The workload `http` by hyper's connections without a client around them: each is driven by the task that waits for
//! its answer, so that a call wakes nothing but itself. It speaks http alone; [`super::HttpCall`] does the rest.

mod connection;
mod idle;

use std::io;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use http::header::{ACCEPT, HOST};
use http::{HeaderValue, Request, Uri};
use tokio::net::TcpStream;
use tokio::runtime::{self, Runtime};
use wire::{IDEMPOTENCY_KEY, Outcome, idempotency_key};

use super::http::{HttpCallError, Target, judged};
use super::{Call, Event, EventId};

use connection::{Connection, Failure, NoBody};
use idle::Idle;

/// Calls the endpoint over connections of its own, one for each call in flight.
pub struct HyperCall {
    host: String,
    port: u16,
    authority: HeaderValue,
    path: Uri,
    timeout: Duration,
    idle: Idle,
    /// One for each blocking call that was ever in flight at once with others.
    lanes: Mutex<Vec<Lane>>,
}

/// What a blocking call runs on: waiting for its own socket costs less than being woken by a runtime's thread.
struct Lane {
    runtime: Runtime,
    /// Of this lane alone: a connection belongs to the runtime it was opened on.
    idle: Idle,
}

impl HyperCall {
    /// Calls to `target`.
    ///
    /// # Errors
    /// Where the target needs what this client has not: TLS, or a user's name and password.
    pub fn new(target: &Target) -> Result<Self, HttpCallError> {
        let url = target.url();
        if url.scheme() != "http" || !url.username().is_empty() || url.password().is_some() {
            return Err(HttpCallError::NotForHyper);
        }
        let not_for_hyper = || HttpCallError::NotForHyper;
        let host = url.host_str().ok_or_else(not_for_hyper)?;
        let authority = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        let path = format!("{}?{}", url.path(), url.query().unwrap_or_default());
        Ok(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: url.port_or_known_default().ok_or_else(not_for_hyper)?,
            authority: HeaderValue::try_from(authority).map_err(|_| HttpCallError::NotForHyper)?,
            path: Uri::try_from(path).map_err(|_| HttpCallError::NotForHyper)?,
            timeout: target.timeout(),
            idle: Idle::default(),
            lanes: Mutex::default(),
        })
    }

    /// One attempt, with one of these connections or a new one.
    async fn attempt(&self, id: EventId, idle: &Idle) -> Outcome {
        let mut request = self.request(id);
        loop {
            let (mut connection, reused) = match idle.take().await {
                Some(connection) => (connection, true),
                None => match self.connect().await {
                    Ok(connection) => (connection, false),
                    Err(_) => return Outcome::Refused,
                },
            };
            match connection.exchange(request).await {
                Ok(status) => {
                    idle.put_back(connection).await;
                    return judged(status);
                }
                // It had been closed while nobody used it: the next one, or at last a new one.
                Err(Failure::Unsent(unsent)) if reused => request = *unsent,
                Err(failure) => return failure.outcome(),
            }
        }
    }

    fn request(&self, id: EventId) -> Request<NoBody> {
        let mut request = Request::new(NoBody::new());
        *request.uri_mut() = self.path.clone();
        let headers = request.headers_mut();
        headers.insert(HOST, self.authority.clone());
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        if let Ok(key) = HeaderValue::try_from(idempotency_key(id.generator, id.index)) {
            headers.insert(IDEMPOTENCY_KEY, key);
        }
        request
    }

    async fn connect(&self) -> io::Result<Connection> {
        let stream = match self.host.parse::<IpAddr>() {
            Ok(address) => TcpStream::connect((address, self.port)).await?,
            Err(_) => TcpStream::connect((self.host.as_str(), self.port)).await?,
        };
        stream.set_nodelay(true)?;
        Connection::over(stream).await.map_err(io::Error::other)
    }

    fn lane(&self) -> io::Result<Lane> {
        let unused = self.lanes.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(lane) = unused {
            return Ok(lane);
        }
        Ok(Lane {
            runtime: runtime::Builder::new_current_thread().enable_all().build()?,
            idle: Idle::default(),
        })
    }
}

#[async_trait]
impl Call for HyperCall {
    async fn call(&self, event: &Event) -> Outcome {
        self.attempt(event.id, &self.idle).await
    }

    fn call_blocking(&self, event: &Event) -> Outcome {
        let lane = match self.lane() {
            Ok(lane) => lane,
            Err(error) => {
                tracing::error!("cannot wait for an answer: {error}");
                return Outcome::Refused;
            }
        };
        let attempt = self.attempt(event.id, &lane.idle);
        let outcome = lane
            .runtime
            .block_on(async { tokio::time::timeout(self.timeout, attempt).await })
            .unwrap_or(Outcome::Timeout);
        self.lanes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(lane);
        outcome
    }
}

impl Drop for HyperCall {
    fn drop(&mut self) {
        let lanes = self.lanes.get_mut().unwrap_or_else(PoisonError::into_inner);
        for lane in lanes.drain(..) {
            // As it may be dropped by a task of another runtime, where waiting is forbidden.
            lane.runtime.shutdown_background();
        }
    }
}
