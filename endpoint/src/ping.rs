//! The routes: the slow `/ping`, and `/stats`, `/metrics` and `/healthz`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::header::{ALLOW, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use vertex::metrics::{CONTENT_TYPE, Process};
use wire::{Delay, DelayError};

use crate::answer::{self, Answer};
use crate::calls::Calls;
use crate::failure::{Dice, Failure, Failures};
use crate::metrics;
use crate::timer::Timer;

#[derive(Debug)]
pub struct Behaviour {
    /// The delay of a call that requests none.
    pub delay: Delay,
    /// Calls served at once; others wait in order of arrival. `None` is no limit.
    pub capacity: Option<Semaphore>,
    pub failures: Failures,
    /// The status code of [`Failure::Status`].
    pub failure_status: StatusCode,
    /// Random numbers for failures and delays.
    pub dice: Dice,
}

#[derive(Debug)]
pub struct Endpoint {
    behaviour: Behaviour,
    timer: Timer,
    calls: Arc<Calls>,
    process: Process,
    stop: CancellationToken,
}

/// The end of a connection instead of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    #[error("the connection is reset on purpose")]
    Reset,
    #[error("the connection was idle for too long when the request came")]
    Idle,
}

/// How long a connection may be idle, and since when it is.
#[derive(Debug)]
pub struct KeepAlive {
    limit: Duration,
    answered: Mutex<Option<Instant>>,
}

#[derive(Debug, thiserror::Error)]
enum QueryError {
    #[error("delay: {0}")]
    Delay(#[from] DelayError),
    #[error("unknown parameter `{0}`: only `delay` is known, like ?delay=200us")]
    Unknown(String),
    #[error("delay: given more than once")]
    Twice,
}

impl Endpoint {
    /// Hanging calls end when `stop` is cancelled.
    pub fn new(behaviour: Behaviour, timer: Timer, stop: CancellationToken) -> Self {
        Self {
            behaviour,
            timer,
            calls: Arc::default(),
            process: Process::alone(),
            stop,
        }
    }

    pub fn calls(&self) -> &Calls {
        &self.calls
    }

    /// Answers one request of a connection.
    ///
    /// # Errors
    /// Returns how the connection is to end instead.
    pub async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        keep_alive: Option<Arc<KeepAlive>>,
    ) -> Result<Response<Answer>, NoAnswer> {
        let Some(keep_alive) = keep_alive else {
            return self.route(request).await;
        };
        // The counts stay readable.
        if request.uri().path() == "/ping" {
            keep_alive.check()?;
        }
        let answer = self.route(request).await;
        keep_alive.answered();
        answer
    }

    async fn route(&self, request: Request<Incoming>) -> Result<Response<Answer>, NoAnswer> {
        // `/ping` stands for a service that is called by any method.
        let known = matches!(request.uri().path(), "/stats" | "/metrics" | "/healthz");
        if known && request.method() != Method::GET {
            let mut response = answer::text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
            response
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("GET"));
            return Ok(response);
        }
        Ok(match request.uri().path() {
            "/ping" => return self.ping(&request).await,
            "/stats" => json(serde_json::to_vec(&self.calls.snapshot().stats())),
            "/metrics" => match metrics::text(&self.calls.snapshot(), &self.process) {
                Ok(text) => answer::typed(StatusCode::OK, CONTENT_TYPE, text),
                Err(error) => answer::text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
            },
            "/healthz" => answer::text(StatusCode::OK, "ok\n"),
            _ => answer::text(StatusCode::NOT_FOUND, "known: /ping /stats /healthz /metrics\n"),
        })
    }

    async fn ping(&self, request: &Request<Incoming>) -> Result<Response<Answer>, NoAnswer> {
        let arrived = Instant::now();
        let behaviour = &self.behaviour;
        let delay = match delay_of(request.uri().query()) {
            Ok(delay) => delay,
            Err(error) => {
                self.calls.refused();
                return Ok(answer::text(StatusCode::BAD_REQUEST, format!("{error}\n")));
            }
        };
        let roll = behaviour.dice.roll();
        let asked = delay.as_ref().unwrap_or(&behaviour.delay).quantile(roll.delay);
        let failure = behaviour.failures.pick(roll.failure);
        let mut call = self
            .calls
            .arrived(arrived, idempotency_key(request), behaviour.capacity.is_none());
        let mut start = arrived;
        // The permit is released when the call ends, however it ends.
        let _slot = match &behaviour.capacity {
            Some(capacity) => {
                // Never closed, so a permit is always acquired eventually.
                let slot = capacity.acquire().await.ok();
                start = Instant::now();
                call.served_from(start);
                slot
            }
            None => None,
        };
        if failure == Some(Failure::Hang) {
            call.hangs();
            // The connection drops this future when its client disconnects.
            self.stop.cancelled().await;
            return Err(NoAnswer::Reset);
        }
        if !asked.is_zero() {
            self.timer.until(start + asked).await;
        }
        call.answered(asked, failure);
        match failure {
            None => Ok(answer::text(StatusCode::OK, "pong\n")),
            Some(Failure::Status) => Ok(answer::text(behaviour.failure_status, "failed on purpose\n")),
            Some(Failure::Body) => Ok(answer::broken()),
            Some(Failure::Reset | Failure::Hang) => Err(NoAnswer::Reset),
        }
    }
}

impl KeepAlive {
    pub fn new(limit: Duration) -> Self {
        Self {
            limit,
            answered: Mutex::new(None),
        }
    }

    /// Refuses a request that comes when the connection should have been closed: as over a network, where the close is
    /// still on its way to the client.
    fn check(&self) -> Result<(), NoAnswer> {
        let answered = *self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        match answered {
            Some(answered) if answered.elapsed() >= self.limit => Err(NoAnswer::Idle),
            _ => Ok(()),
        }
    }

    fn answered(&self) {
        *self.answered.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}

fn json(body: serde_json::Result<Vec<u8>>) -> Response<Answer> {
    match body {
        Ok(body) => answer::typed(StatusCode::OK, "application/json", body),
        Err(error) => answer::text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

fn idempotency_key(request: &Request<Incoming>) -> Option<(u64, u64)> {
    wire::parse_idempotency_key(request.headers().get(wire::IDEMPOTENCY_KEY)?.to_str().ok()?)
}

fn delay_of(query: Option<&str>) -> Result<Option<Delay>, QueryError> {
    let Some(query) = query else { return Ok(None) };
    // A shortcut for nearly every call: decoding would take a tenth of the time that a call costs here.
    if let Some(plain) = query.strip_prefix("delay=")
        && !plain.contains(['&', '%', '+'])
    {
        return Ok(Some(plain.parse()?));
    }
    let mut delay = None;
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if name != "delay" {
            return Err(QueryError::Unknown(name.into_owned()));
        }
        if delay.replace(value.parse()?).is_some() {
            return Err(QueryError::Twice);
        }
    }
    Ok(delay)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_query_asks_for_one_delay_or_none() {
        let us = |n| Delay::Fixed(Duration::from_micros(n));
        assert_eq!(delay_of(None).unwrap(), None);
        assert_eq!(delay_of(Some("delay=200us")).unwrap(), Some(us(200)));
        let uniform = Delay::Uniform(Duration::from_micros(1), Duration::from_micros(2));
        assert_eq!(
            delay_of(Some("delay=uniform%281us%2C2us%29")).unwrap(),
            Some(uniform.clone())
        );
        assert_eq!(delay_of(Some("delay=uniform(1us,2us)")).unwrap(), Some(uniform));
        assert!(matches!(delay_of(Some("delay=1sec")), Err(QueryError::Delay(_))));
        assert!(
            matches!(delay_of(Some("delay=25h")), Err(QueryError::Delay(_))),
            "refused, not capped"
        );
        assert!(matches!(
            delay_of(Some("delay=1s&delay=1s")),
            Err(QueryError::Twice)
        ));
        assert!(matches!(delay_of(Some("dealy=1s")), Err(QueryError::Unknown(_))));
    }
}
