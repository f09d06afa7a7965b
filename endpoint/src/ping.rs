//! What each request gets: the slow `/ping` and the pages about it.

use std::sync::Arc;
use std::time::Instant;

use hyper::body::Incoming;
use hyper::header::{ALLOW, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use vertex::metrics::{CONTENT_TYPE, Process};
use wire::{Delay, DelayError};

use crate::answer::{self, Answer};
use crate::failure::{Dice, Failure, Failures};
use crate::figures::Figures;
use crate::metrics;
use crate::timer::Timer;

/// How calls are served.
#[derive(Debug)]
pub struct Behaviour {
    /// The delay of a call that asks for none.
    pub delay: Delay,
    /// Calls served at once; the others wait in the order of their arrival. Unset, there is no limit.
    pub capacity: Option<Semaphore>,
    /// Which calls fail on purpose.
    pub failures: Failures,
    /// The status of [`Failure::Status`].
    pub failure_status: StatusCode,
    /// What decides on failures and random delays.
    pub dice: Dice,
}

/// The endpoint, shared by its connections.
#[derive(Debug)]
pub struct Endpoint {
    behaviour: Behaviour,
    timer: Timer,
    figures: Arc<Figures>,
    process: Process,
    stop: CancellationToken,
}

/// Instead of an answer the connection is to be reset.
#[derive(Debug, thiserror::Error)]
#[error("the connection is reset on purpose")]
pub struct Reset;

/// Why a query is refused.
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
    /// An endpoint that has served nothing yet; calls that hang end with `stop`.
    pub fn new(behaviour: Behaviour, timer: Timer, stop: CancellationToken) -> Self {
        Self {
            behaviour,
            timer,
            figures: Arc::default(),
            process: Process::alone(),
            stop,
        }
    }

    /// What it has done so far.
    pub fn figures(&self) -> &Figures {
        &self.figures
    }

    /// Answers one request.
    ///
    /// # Errors
    /// [`Reset`] where the connection is to be reset instead.
    pub async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Answer>, Reset> {
        let known = matches!(request.uri().path(), "/ping" | "/stats" | "/metrics" | "/healthz");
        if known && request.method() != Method::GET {
            let mut response = answer::text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
            response
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("GET"));
            return Ok(response);
        }
        Ok(match request.uri().path() {
            "/ping" => return self.ping(&request).await,
            "/stats" => json(serde_json::to_vec(&self.figures.snapshot().stats())),
            "/metrics" => match metrics::text(&self.figures.snapshot(), &self.process) {
                Ok(text) => answer::typed(StatusCode::OK, CONTENT_TYPE, text),
                Err(error) => answer::text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
            },
            "/healthz" => answer::text(StatusCode::OK, "ok\n"),
            _ => answer::text(StatusCode::NOT_FOUND, "known: /ping /stats /healthz /metrics\n"),
        })
    }

    async fn ping(&self, request: &Request<Incoming>) -> Result<Response<Answer>, Reset> {
        let arrived = Instant::now();
        let behaviour = &self.behaviour;
        let delay = match delay_of(request.uri().query()) {
            Ok(delay) => delay,
            Err(error) => {
                self.figures.refused();
                return Ok(answer::text(StatusCode::BAD_REQUEST, format!("{error}\n")));
            }
        };
        let roll = behaviour.dice.roll();
        let asked = delay.as_ref().unwrap_or(&behaviour.delay).quantile(roll.delay);
        let failure = behaviour.failures.pick(roll.failure);
        let mut call = self
            .figures
            .arrived(arrived, idempotency_key(request), behaviour.capacity.is_none());
        let mut start = arrived;
        // The slot is given back when the call ends, whichever way.
        let _slot = match &behaviour.capacity {
            Some(capacity) => {
                // Never closed, so the slot is always there in the end.
                let slot = capacity.acquire().await.ok();
                start = Instant::now();
                call.served_from(start);
                slot
            }
            None => None,
        };
        if failure == Some(Failure::Hang) {
            call.hangs();
            // The connection drops this future when its client leaves.
            self.stop.cancelled().await;
            return Err(Reset);
        }
        if !asked.is_zero() {
            self.timer.until(start + asked).await;
        }
        call.answered(asked, failure);
        match failure {
            None => Ok(answer::text(StatusCode::OK, "pong\n")),
            Some(Failure::Status) => Ok(answer::text(behaviour.failure_status, "failed on purpose\n")),
            Some(Failure::Body) => Ok(answer::broken()),
            Some(Failure::Reset | Failure::Hang) => Err(Reset),
        }
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
    // As nearly every call asks; decoding would be a tenth of what a call costs here.
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
