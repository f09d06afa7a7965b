//! Retries requests that the API server could not serve for a moment: overload, a restart, an election of etcd's leader.
//! kube's own retries are off: they leave out 500, may take an hour in all, and obey any `Retry-After`.

use std::time::Duration;

use http::{Request, Response, StatusCode};
use kube::client::retry::RetryPolicy;
use kube::client::{Body, ClientBuilder};
use kube::{Client, Config};
use tower::BoxError;
use tower::buffer::BufferLayer;
use tower::retry::{Policy, RetryLayer};

/// Requests in the queue before the client. Further callers wait until there is room.
const WAITING_REQUESTS: usize = 64;

const RETRIES: u32 = 5;

/// Pause before the first retry, doubled before each further one: 6 s in all. `Retry-After` is ignored: an API server
/// that sheds load asks for 1 s, which the pauses exceed together, and an hour would be too long to wait.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// Every request here can be repeated: apply, patch and delete are idempotent, and a Lease that exists already gets
/// another id.
#[derive(Clone)]
struct RetryTransient {
    left: u32,
    pause: Duration,
    /// Clones a request.
    kube: RetryPolicy,
}

/// A client with these retries instead of kube's.
///
/// # Errors
/// Returns an error if the configuration's certificates or credentials cannot be used.
pub(super) fn client(mut config: Config) -> Result<Client, kube::Error> {
    config.default_retry = false;
    let builder = ClientBuilder::try_from(config)?;
    Ok(builder
        .with_layer(&BufferLayer::new(WAITING_REQUESTS))
        .with_layer(&RetryLayer::new(RetryTransient::new()))
        .build())
}

impl RetryTransient {
    fn new() -> Self {
        Self {
            left: RETRIES,
            pause: FIRST_PAUSE,
            kube: RetryPolicy::default(),
        }
    }
}

/// Whether the cause may pass within seconds. 410 may not: what is gone stays gone.
fn is_transient(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::INTERNAL_SERVER_ERROR
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}

impl<B> Policy<Request<Body>, Response<B>, BoxError> for RetryTransient {
    type Future = tokio::time::Sleep;

    fn retry(
        &mut self,
        _: &mut Request<Body>,
        result: &mut Result<Response<B>, BoxError>,
    ) -> Option<Self::Future> {
        let status = result.as_ref().map(Response::status).ok()?;
        if !is_transient(status) || self.left == 0 {
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

    /// The pauses between requests that are all answered with this status and a `Retry-After` of an hour.
    fn pauses(status: u16) -> Vec<Duration> {
        let mut policy = RetryTransient::new();
        let mut answer = Ok(Response::builder()
            .status(status)
            .header(http::header::RETRY_AFTER, "3600")
            .body(())
            .unwrap());
        let now = Instant::now();
        let retry = || policy.retry(&mut Request::new(Body::empty()), &mut answer);
        std::iter::from_fn(retry)
            .map(|pause| pause.deadline() - now)
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_are_bounded_whatever_retry_after_says() {
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
