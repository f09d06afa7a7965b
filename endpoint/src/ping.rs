//! The routes: the slow calls, at `/ping` and at any path that is not the endpoint's own, and `/stats`, `/metrics` and
//! `/healthz`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::header::{ALLOW, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Uri};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use vertex::metrics::{CONTENT_TYPE, Process};
use wire::{Delay, DelayError};

use crate::answer::{self, Answer};
use crate::calls::{Calls, Refusal};
use crate::failure::{Dice, Failure, Failures};
use crate::metrics;
use crate::stand_in::StandIn;
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
    stand_in: StandIn,
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
    pub fn new(behaviour: Behaviour, stand_in: StandIn, timer: Timer, stop: CancellationToken) -> Self {
        Self {
            behaviour,
            stand_in,
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
        if !is_of_counts(request.uri().path()) {
            keep_alive.check()?;
        }
        let answer = self.route(request).await;
        keep_alive.answered();
        answer
    }

    async fn route(&self, request: Request<Incoming>) -> Result<Response<Answer>, NoAnswer> {
        // `/ping` stands for a service that is called by any method.
        if is_of_counts(request.uri().path()) && request.method() != Method::GET {
            let mut response = answer::text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
            response
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("GET"));
            return Ok(response);
        }
        Ok(match request.uri().path() {
            "/ping" => {
                let call = self.call(request.uri(), request.headers());
                return Ok(call
                    .await?
                    .unwrap_or_else(|| answer::text(StatusCode::OK, "pong\n")));
            }
            "/stats" => json(serde_json::to_vec(&self.calls.snapshot().stats())),
            "/metrics" => match metrics::text(&self.calls.snapshot(), &self.process) {
                Ok(text) => answer::typed(StatusCode::OK, CONTENT_TYPE, text),
                Err(error) => answer::text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
            },
            "/healthz" => answer::text(StatusCode::OK, "ok\n"),
            // Boxed, so that the future of `/ping` stays small.
            _ => return Box::pin(self.stand_in(request)).await,
        })
    }

    /// Answers for the service that the endpoint stands in for.
    async fn stand_in(&self, request: Request<Incoming>) -> Result<Response<Answer>, NoAnswer> {
        let (head, body) = request.into_parts();
        let answer = match self.stand_in.read(&head.headers, body).await {
            Ok(answer) => answer,
            Err((reason, refused)) => {
                self.calls.refused(reason);
                return Ok(refused);
            }
        };
        let call = self.call(&head.uri, &head.headers);
        Ok(call.await?.unwrap_or(answer))
    }

    /// Makes a call last as long as it is to, and counts it. Returns the answer of one that fails, and `None` for one that
    /// succeeds.
    async fn call(&self, uri: &Uri, headers: &HeaderMap) -> Result<Option<Response<Answer>>, NoAnswer> {
        let arrived = Instant::now();
        let behaviour = &self.behaviour;
        let delay = match delay_of(uri) {
            Ok(delay) => delay,
            Err(error) => {
                self.calls.refused(Refusal::Query);
                return Ok(Some(answer::text(StatusCode::BAD_REQUEST, format!("{error}\n"))));
            }
        };
        let roll = behaviour.dice.roll();
        let asked = delay.as_ref().unwrap_or(&behaviour.delay).quantile(roll.delay);
        let failure = behaviour.failures.pick(roll.failure);
        let mut call = self
            .calls
            .arrived(arrived, idempotency_key(headers), behaviour.capacity.is_none());
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
            None => Ok(None),
            Some(Failure::Status) => Ok(Some(answer::text(
                behaviour.failure_status,
                "failed on purpose\n",
            ))),
            Some(Failure::Body) => Ok(Some(answer::broken())),
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

/// Whether a path is not called as a service, and always answered at once.
fn is_of_counts(path: &str) -> bool {
    matches!(path, "/stats" | "/metrics" | "/healthz")
}

fn idempotency_key(headers: &HeaderMap) -> Option<(u64, u64)> {
    wire::parse_idempotency_key(headers.get(wire::IDEMPOTENCY_KEY)?.to_str().ok()?)
}

/// The delay that a query asks for. `/ping` knows no other parameter; at other paths these are the service's.
fn delay_of(uri: &Uri) -> Result<Option<Delay>, QueryError> {
    let Some(query) = uri.query() else { return Ok(None) };
    // A shortcut for nearly every call: decoding would take a tenth of the time that a call costs here.
    if let Some(plain) = query.strip_prefix("delay=")
        && !plain.contains(['&', '%', '+'])
    {
        return Ok(Some(plain.parse()?));
    }
    let mut delay = None;
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if name != "delay" {
            if uri.path() == "/ping" {
                return Err(QueryError::Unknown(name.into_owned()));
            }
            continue;
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
        let delay_of = |uri: &'static str| delay_of(&Uri::from_static(uri));
        let us = |n| Delay::Fixed(Duration::from_micros(n));
        assert_eq!(delay_of("/ping").unwrap(), None);
        assert_eq!(delay_of("/ping?delay=200us").unwrap(), Some(us(200)));
        let uniform = Delay::Uniform(Duration::from_micros(1), Duration::from_micros(2));
        assert_eq!(
            delay_of("/ping?delay=uniform%281us%2C2us%29").unwrap(),
            Some(uniform.clone())
        );
        assert_eq!(delay_of("/ping?delay=uniform(1us,2us)").unwrap(), Some(uniform));
        for path in ["/ping", "/score"] {
            let of = |query: &str| super::delay_of(&format!("{path}?{query}").parse().unwrap());
            assert!(matches!(of("delay=1sec"), Err(QueryError::Delay(_))));
            assert!(
                matches!(of("delay=25h"), Err(QueryError::Delay(_))),
                "refused, not capped"
            );
            assert!(matches!(of("delay=1s&delay=1s"), Err(QueryError::Twice)));
        }
        assert!(matches!(delay_of("/ping?dealy=1s"), Err(QueryError::Unknown(_))));
        assert_eq!(delay_of("/score?user=u1&delay=200us").unwrap(), Some(us(200)));
        assert_eq!(delay_of("/score?user=u1").unwrap(), None);
    }
}
