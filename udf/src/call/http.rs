//! Requests over HTTP/1.1, with a connection for each call in flight. A request whose reused connection ends before a byte
//! of the answer is sent once more over a fresh one: a server closes connections that were unused for some time (5, 10 and
//! 60 s are common), and its close and a request can cross.

mod client;
mod hyper_client;
#[cfg(feature = "udf")]
mod request_template;
#[cfg(feature = "udf")]
mod reqwest_client;
#[cfg(feature = "udf")]
mod shipped;
mod target;
mod tls;

use std::error::Error;
use std::path::PathBuf;
use std::pin::pin;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Bytes};
use hyper::header::{CONTENT_ENCODING, HeaderMap};
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Response};
use wire::Outcome;

use crate::call_error::CallError;

pub use client::{Client, Response as ClientResponse};
#[cfg(feature = "udf")]
pub use request_template::{RequestBody, RequestTemplate};
#[cfg(feature = "udf")]
pub use shipped::HttpCall;
pub use target::Target;

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum HttpCallError {
    /// The address is not one that a call can go to.
    #[error("`{given}` is not an http or https URL: {reason}")]
    Url {
        /// The text as it was given, without user and password.
        given: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The certificates of the system's authorities could not be loaded.
    #[error("cannot set up TLS: {0}: give certificates that exist with SSL_CERT_FILE or SSL_CERT_DIR")]
    Tls(#[source] rustls::Error),
    /// The file of further authorities could not be read.
    #[error("`{}`: {reason}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The client's certificate or its key could not be used.
    #[error("`{}`: {reason}", path.display())]
    Identity {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Connections of hyper go to the endpoint itself.
    #[error("use_proxy: needs --http-client reqwest")]
    Proxy,
    /// The client could not be set up.
    #[cfg(feature = "udf")]
    #[error("cannot set up the HTTP client: {0}")]
    Client(#[source] reqwest::Error),
}

/// What one of hyper's connections sends.
type Request = hyper::Request<Full<Bytes>>;

/// An answer that was read to its end, or why there is none.
type Answer = Result<Response<Vec<u8>>, CallError>;

fn request(method: &Method, path: PathAndQuery, headers: HeaderMap, body: Bytes) -> Request {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method.clone();
    *request.uri_mut() = path.into();
    *request.headers_mut() = headers;
    request
}

/// Reads the body, up to `max_bytes`.
async fn read<B>(response: Response<B>, max_bytes: usize) -> Answer
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let (head, body) = response.into_parts();
    let bad = |cause| Err(CallError::from(Outcome::BadBody).because(cause));
    if is_encoded(&head.headers) {
        return bad("the answer has a content-encoding");
    }
    if body.size_hint().lower() > max_bytes as u64 {
        return bad("the answer is too long");
    }
    let mut body = pin!(Limited::new(body, max_bytes));
    // Copied, as a kept frame would hold the connection's whole buffer, and a body may come in frames of a byte.
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| CallError {
            outcome: Outcome::BadBody,
            ..CallError::of(&*error, Outcome::BadBody)
        })?;
        if let Ok(data) = frame.into_data() {
            bytes.extend_from_slice(&data);
        }
    }
    Ok(Response::from_parts(head, bytes))
}

/// Whether the body is compressed or the like: the request does not accept that, and nothing bounds what it would become.
fn is_encoded(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_ENCODING)
        .is_some_and(|encoding| encoding != "identity")
}
