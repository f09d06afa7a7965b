//! The workload `http`: one request to the endpoint for every event, HTTP/1.1, a connection for each call in flight.
//!
//! [`Target`] holds what a call sends, and this file decides which outcome an answer has. The two clients differ in one
//! function: from the headers of a request to its answer. A request whose reused connection ends before a byte of the
//! answer is sent once more over a fresh one: a server closes connections that were unused for some time (5, 10 and 60 s
//! are common), and its close and a request can cross.

mod client;
mod hyper_client;
mod reqwest_client;
mod target;
mod tls;

use std::error::Error;
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Bytes};
use hyper::header::{CONTENT_ENCODING, HeaderMap, HeaderName, HeaderValue};
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Response};
use wire::{HttpClient, IDEMPOTENCY_KEY, Outcome};

use super::{BlockingCall, Call};
use crate::call_error::CallError;
use crate::event::Event;

pub use client::{Client, Response as ClientResponse};
use hyper_client::HyperClient;
use reqwest_client::ReqwestClient;
pub use target::Target;

const KEY: HeaderName = HeaderName::from_static(IDEMPOTENCY_KEY);

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
    /// Connections of hyper go to the endpoint itself.
    #[error("use_proxy: needs --http-client reqwest")]
    Proxy,
    /// The client could not be set up.
    #[error("cannot set up the HTTP client: {0}")]
    Client(#[source] reqwest::Error),
}

/// Calls the endpoint.
pub struct HttpCall {
    method: Method,
    path: PathAndQuery,
    headers: HeaderMap,
    timeout: Duration,
    /// Whether a request may be sent once more.
    may_repeat: bool,
    client: EitherClient,
}

enum EitherClient {
    Hyper(Box<HyperClient>),
    Reqwest(Box<ReqwestClient>),
}

/// What one of hyper's connections sends.
type Request = hyper::Request<Full<Bytes>>;

/// An answer that was read to its end, or why there is none.
type Answer = Result<Response<Vec<u8>>, CallError>;

impl HttpCall {
    /// Calls to `target` with one client for the whole process.
    ///
    /// # Errors
    /// Returns an error if the client cannot be set up.
    pub fn new(target: &Target, client: HttpClient) -> Result<Self, HttpCallError> {
        let client = match client {
            HttpClient::Hyper if target.is_by_proxy() => return Err(HttpCallError::Proxy),
            HttpClient::Hyper => EitherClient::Hyper(Box::new(HyperClient::new(target)?)),
            HttpClient::Reqwest => EitherClient::Reqwest(Box::new(ReqwestClient::new(target)?)),
        };
        let mut headers = target.headers().clone();
        // Reserves the entry, so that inserting the key of a call allocates nothing.
        headers.insert(KEY, HeaderValue::from_static(""));
        Ok(Self {
            method: target.method().clone(),
            path: target.path().clone(),
            headers,
            timeout: target.timeout(),
            may_repeat: target.may_repeat(target.method()),
            client,
        })
    }

    /// The headers for sending the request of an event once more, which is counted; `None` if that may not be.
    fn again(&self, event: &Event) -> Option<HeaderMap> {
        self.may_repeat.then(|| {
            event.reconnects.add(1);
            self.headers(event)
        })
    }

    fn headers(&self, event: &Event) -> HeaderMap {
        let mut headers = self.headers.clone();
        // The key is printable ASCII, which is always valid in a header.
        if let Ok(key) = HeaderValue::try_from(event.idempotency_key()) {
            headers.insert(KEY, key);
        }
        headers
    }

    fn request(&self, headers: HeaderMap) -> Request {
        request(&self.method, &self.path, headers, Bytes::new())
    }
}

impl Call for HttpCall {
    type Answer = ();

    async fn call(&self, event: &Event) -> Result<(), CallError> {
        let (headers, again) = (self.headers(event), || self.again(event));
        judge(match &self.client {
            EitherClient::Hyper(client) => {
                let again = || again().map(|headers| self.request(headers));
                client.send(self.request(headers), again).await
            }
            EitherClient::Reqwest(client) => client.send(headers, again).await,
        })
    }
}

impl BlockingCall for HttpCall {
    type Answer = ();

    fn call_blocking(&self, event: &Event) -> Result<(), CallError> {
        let (headers, again) = (self.headers(event), || self.again(event));
        judge(match &self.client {
            EitherClient::Hyper(client) => {
                let again = || again().map(|headers| self.request(headers));
                client.send_blocking(self.request(headers), again, self.timeout)
            }
            EitherClient::Reqwest(client) => client.send_blocking(headers, again, self.timeout),
        })
    }
}

fn request(method: &Method, path: &PathAndQuery, headers: HeaderMap, body: Bytes) -> Request {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method.clone();
    *request.uri_mut() = path.clone().into();
    *request.headers_mut() = headers;
    request
}

/// Whether an answer is a good one.
fn judge(answer: Answer) -> Result<(), CallError> {
    match answer?.status() {
        status if status.is_success() => Ok(()),
        status => Err(CallError::status(status.as_u16())),
    }
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

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;
    use std::thread;

    use wire::Delay;

    use super::*;

    /// Answers with the number of lines of a request, and a body.
    fn endpoint() -> Target {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = BufReader::new(stream.unwrap());
                thread::spawn(move || {
                    let mut lines = 0;
                    let mut text = String::new();
                    while let Ok(1..) = stream.read_line(&mut text) {
                        lines += 1;
                        if std::mem::take(&mut text).trim_end().is_empty() {
                            let answer = format!(
                                "HTTP/1.1 404 No\r\nx-lines: {lines}\r\ncontent-length: 4\r\n\r\npong"
                            );
                            let _ = stream.get_mut().write_all(answer.as_bytes());
                            lines = 0;
                        }
                    }
                });
            }
        });
        Target::ping(&url, &Delay::ZERO, Duration::MAX).unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_answer_keeps_its_status_its_headers_and_its_body() {
        let target = endpoint();
        let headers = || target.headers().clone();
        let request = || request(target.method(), target.path(), headers(), Bytes::new());
        let hyper = HyperClient::new(&target).unwrap();
        let reqwest = ReqwestClient::new(&target).unwrap();
        let (hyper, reqwest) = (&hyper, &reqwest);
        let mut answers = vec![
            hyper.send(request(), || None).await,
            reqwest.send(headers(), || None).await,
        ];
        thread::scope(|scope| {
            // A timeout that no clock can tell.
            let hyper = scope.spawn(|| hyper.send_blocking(request(), || None, Duration::MAX));
            let reqwest = scope.spawn(|| reqwest.send_blocking(headers(), || None, Duration::MAX));
            answers.extend([hyper.join().unwrap(), reqwest.join().unwrap()]);
        });
        for answer in answers {
            let answer = answer.unwrap();
            assert_eq!(answer.status(), 404);
            assert_eq!(answer.headers()["x-lines"], "4");
            assert_eq!(answer.into_body(), b"pong");
        }
    }
}
