//! The HTTP client for calls of one's own: the shipped UDF's connections, with method, path, headers and body of each
//! request chosen by the call.

use std::fmt;

use hyper::body::Bytes;
use hyper::header::{CONTENT_LENGTH, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use hyper::http::uri::PathAndQuery;
use hyper::{Method, StatusCode};
use serde::Deserialize;

use super::hyper_client::HyperClient;
use super::{Answer, HttpCallError, Request, Target, request};
use crate::call_error::CallError;
use crate::event::Event;

/// Makes requests to one target over HTTP/1.1, with a connection for each request in flight. Connections are kept open and
/// used again. The task or thread of a call drives its connection itself, which takes less processor time than tasks of
/// their own; where HTTP/2, redirects, cookies or a proxy matter more, reqwest is the better choice.
///
/// A request whose reused connection ends before a byte of the answer is sent once more over a new connection if its method
/// is idempotent or the target is said to be: a server closes connections that were unused for some time, and its close and
/// a request can cross.
///
/// # Examples
/// ```no_run
/// use async_reduce::http::{AUTHORIZATION, Client, HeaderMap, Method, Target};
/// use async_reduce::{Call, CallError, Event};
///
/// struct Score {
///     http: Client,
///     headers: HeaderMap,
/// }
///
/// impl Score {
///     fn new(target: &Target, token: &str) -> Result<Self, async_reduce::SetUpError> {
///         let headers = HeaderMap::from_iter([(AUTHORIZATION, format!("Bearer {token}").parse()?)]);
///         Ok(Self { http: Client::new(target)?, headers })
///     }
/// }
///
/// impl Call for Score {
///     type Answer = f64;
///
///     async fn call(&self, event: &Event) -> Result<f64, CallError> {
///         let body = event.payload().clone();
///         let path = self.http.path();
///         let answer = self.http.request(event, Method::POST, path, &self.headers, body).await?;
///         answer.error_for_status()?.json()
///     }
/// }
///
/// # fn main() -> Result<(), async_reduce::SetUpError> {
/// let target: Target = "https://scoring.example.com/v1/score".parse()?;
/// let score = Score::new(&target, "…")?;
/// # Ok(())
/// # }
/// ```
pub struct Client {
    target: Target,
    connections: Box<HyperClient>,
}

/// An answer whose body was read to its end.
#[derive(Debug, Clone)]
pub struct Response(hyper::Response<Vec<u8>>);

impl Client {
    /// A client for the whole process; it opens no connection yet.
    ///
    /// # Errors
    /// Returns an error if TLS cannot be set up, or if the target is to be reached through a proxy.
    pub fn new(target: &Target) -> Result<Self, HttpCallError> {
        if target.is_by_proxy() {
            return Err(HttpCallError::Proxy);
        }
        Ok(Self {
            connections: Box::new(HyperClient::new(target)?),
            target: target.clone(),
        })
    }

    /// Path and query of the target's URL.
    pub fn path(&self) -> &PathAndQuery {
        self.target.path()
    }

    /// Makes a request for a [`Call`](crate::Call). The headers are added to `host`, to `accept: */*` and to the user and
    /// password of the URL, or replace them; the length of the body is a header already. The request is dropped with its
    /// connection when the timeout of the call's attempt is over. A request that was sent once more is counted for `event`.
    ///
    /// # Errors
    /// Returns an error if there is no whole answer, if its body is longer than the target allows, or compressed. A status
    /// is no error: see [`Response::error_for_status`].
    pub async fn request(
        &self,
        event: &Event,
        method: Method,
        path: &PathAndQuery,
        headers: &HeaderMap,
        body: impl Into<Bytes>,
    ) -> Result<Response, CallError> {
        let body = body.into();
        let request = || self.prepare(&method, path, headers, &body);
        let again = || self.again(event, &method, request);
        answered(self.connections.send(request(), again).await)
    }

    /// The same for a [`BlockingCall`](crate::BlockingCall), without a runtime. It ends when the target's timeout is over.
    ///
    /// # Errors
    /// Returns an error as [`Client::request`] does, and if the timeout is over.
    pub fn request_blocking(
        &self,
        event: &Event,
        method: Method,
        path: &PathAndQuery,
        headers: &HeaderMap,
        body: impl Into<Bytes>,
    ) -> Result<Response, CallError> {
        let body = body.into();
        let request = || self.prepare(&method, path, headers, &body);
        let again = || self.again(event, &method, request);
        let timeout = self.target.timeout();
        answered(self.connections.send_blocking(request(), again, timeout))
    }

    fn prepare(&self, method: &Method, path: &PathAndQuery, own: &HeaderMap, body: &Bytes) -> Request {
        let mut headers = self.target.headers().clone();
        for (name, value) in own {
            headers.insert(name, value.clone());
        }
        // The body decides.
        headers.remove(TRANSFER_ENCODING);
        match *method {
            Method::POST | Method::PUT | Method::PATCH if body.is_empty() => {
                headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
            }
            _ => {
                headers.remove(CONTENT_LENGTH);
            }
        }
        request(method, path.clone(), headers, body.clone())
    }

    fn again(&self, event: &Event, method: &Method, request: impl Fn() -> Request) -> Option<Request> {
        self.target.may_repeat(method).then(|| {
            event.reconnects.add(1);
            request()
        })
    }
}

/// Without headers, which may hold secrets.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("url", &self.target.url().as_str())
            .finish_non_exhaustive()
    }
}

impl Response {
    pub(super) fn of(response: hyper::Response<Vec<u8>>) -> Self {
        Self(response)
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.0.status()
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        self.0.headers()
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        self.0.body()
    }

    /// The body, without the rest.
    pub fn into_body(self) -> Vec<u8> {
        self.0.into_body()
    }

    /// The answer, if its status is one of 200 to 299.
    ///
    /// # Errors
    /// Returns an error of the kind `bad-status` otherwise, which [may be tried again](CallError::may_retry) after 408, 425,
    /// 429, 500, 502, 503 and 504.
    pub fn error_for_status(self) -> Result<Self, CallError> {
        match self.status() {
            status if status.is_success() => Ok(self),
            status => Err(CallError::status(status.as_u16())),
        }
    }

    /// Reads the body as JSON.
    ///
    /// # Errors
    /// Returns an error of the kind `bad-body` if it is no JSON of this type.
    pub fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, CallError> {
        serde_json::from_slice(self.body()).map_err(|error| {
            // Without the error's text, which quotes the answer.
            let (class, line, column) = (error.classify(), error.line(), error.column());
            CallError::bad_body(format_args!("{class:?} error in line {line}, column {column}"))
        })
    }
}

fn answered(answer: Answer) -> Result<Response, CallError> {
    answer.map(Response::of)
}
