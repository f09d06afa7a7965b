//! Asks again after a refusal of the API server's own: too much to do, away for a moment, or without a leader of etcd.
//! kube's own retries are off: they do not know 500, may take an hour, and wait as long as `Retry-After` says.

use std::time::Duration;

use http::{Request, Response, StatusCode};
use kube::client::retry::RetryPolicy;
use kube::client::{Body, ClientBuilder};
use kube::{Client, Config};
use tower::BoxError;
use tower::buffer::BufferLayer;
use tower::retry::{Policy, RetryLayer};

/// Requests that may wait for the one that is being sent; further ones wait outside.
const WAITING_REQUESTS: usize = 64;

/// How often a request is sent again.
const RETRIES: u32 = 5;

/// Before the second request; doubled before each further one: 6 s in all. `Retry-After` changes nothing of it: an API
/// server that sheds load says 1 s, which the pauses exceed together, and one that says an hour is not worth it.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// Sending again is safe with all that is asked: what is applied, patched or deleted is so once; a Lease that exists
/// already gets another id.
#[derive(Clone)]
struct AskAgain {
    left: u32,
    pause: Duration,
    /// Knows how to copy a request.
    kube: RetryPolicy,
}

/// A client that asks again as this module does, and not as kube's client would.
///
/// # Errors
/// Where the configuration's certificates or credentials cannot be used.
pub(super) fn client(mut config: Config) -> Result<Client, kube::Error> {
    config.default_retry = false;
    let builder = ClientBuilder::try_from(config)?;
    Ok(builder
        .with_layer(&BufferLayer::new(WAITING_REQUESTS))
        .with_layer(&RetryLayer::new(AskAgain::new()))
        .build())
}

impl AskAgain {
    fn new() -> Self {
        Self {
            left: RETRIES,
            pause: FIRST_PAUSE,
            kube: RetryPolicy::default(),
        }
    }
}

/// What may pass within seconds. 410 is not of it: what is gone stays gone.
fn may_pass(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::INTERNAL_SERVER_ERROR
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}

impl<B> Policy<Request<Body>, Response<B>, BoxError> for AskAgain {
    type Future = tokio::time::Sleep;

    fn retry(
        &mut self,
        _: &mut Request<Body>,
        result: &mut Result<Response<B>, BoxError>,
    ) -> Option<Self::Future> {
        let status = result.as_ref().map(Response::status).ok()?;
        if !may_pass(status) || self.left == 0 {
            return None;
        }
        self.left -= 1;
        let pause = self.pause;
        self.pause *= 2;
        Some(tokio::time::sleep(pause))
    }

    fn clone_request(&mut self, request: &Request<Body>) -> Option<Request<Body>> {
        <RetryPolicy as Policy<Request<Body>, Response<B>, BoxError>>::clone_request(&mut self.kube, request)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    /// The pauses before the requests that follow answers of this status, each of which asks to wait for an hour.
    fn pauses(status: u16) -> Vec<Duration> {
        let mut again = AskAgain::new();
        let mut answer = Ok(Response::builder()
            .status(status)
            .header(http::header::RETRY_AFTER, "3600")
            .body(())
            .unwrap());
        let now = Instant::now();
        let ask = || again.retry(&mut Request::new(Body::empty()), &mut answer);
        std::iter::from_fn(ask)
            .map(|pause| pause.deadline() - now)
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_are_bounded_whatever_the_server_wishes() {
        for status in [429, 500, 503, 504] {
            let pauses = pauses(status);
            assert_eq!(
                pauses,
                [200, 400, 800, 1_600, 3_200].map(Duration::from_millis),
                "{status}"
            );
        }
        for status in [200, 401, 404, 409, 410, 501] {
            assert_eq!(pauses(status), Vec::<Duration>::new(), "{status}");
        }
    }
}
