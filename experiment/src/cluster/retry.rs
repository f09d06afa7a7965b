//! Asks again after an error of the API server's own: status 500, as while etcd chooses a leader. After 429, 503 and 504
//! kube's client does so by itself.

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

/// Before the second request; doubled before each further one: 6 s in all.
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

/// A client that asks again.
///
/// # Errors
/// Where the configuration's certificates or credentials cannot be used.
pub(super) fn client(config: Config) -> Result<Client, kube::Error> {
    let again = AskAgain {
        left: RETRIES,
        pause: FIRST_PAUSE,
        kube: RetryPolicy::default(),
    };
    let builder = ClientBuilder::try_from(config)?;
    Ok(builder
        .with_layer(&BufferLayer::new(WAITING_REQUESTS))
        .with_layer(&RetryLayer::new(again))
        .build())
}

impl<B> Policy<Request<Body>, Response<B>, BoxError> for AskAgain {
    type Future = tokio::time::Sleep;

    fn retry(
        &mut self,
        _: &mut Request<Body>,
        result: &mut Result<Response<B>, BoxError>,
    ) -> Option<Self::Future> {
        let status = result.as_ref().map(Response::status).ok()?;
        if status != StatusCode::INTERNAL_SERVER_ERROR || self.left == 0 {
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
