//! The workload `http`: one request for every event, HTTP/1.1, a connection for each call in flight.
//!
//! [`Target`] says where requests go, [`RequestTemplate`] what they have of their events, and this file decides which
//! outcome an answer has. The two clients differ in one function: from a request to its answer. A request whose reused connection ends before a byte of the
//! answer is sent once more over a fresh one: a server closes connections that were unused for some time (5, 10 and 60 s
//! are common), and its close and a request can cross.

mod client;
mod hyper_client;
mod request_template;
mod reqwest_client;
mod target;
mod tls;

use std::error::Error;
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Bytes};
use hyper::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Response};
use wire::template::{EventField, Payload, Template};
use wire::{HttpClient, IDEMPOTENCY_KEY, Outcome};

use super::{BlockingCall, Call};
use crate::call_error::CallError;
use crate::event::Event;

pub use client::{Client, Response as ClientResponse};
use hyper_client::HyperClient;
pub use request_template::{RequestBody, RequestTemplate};
use request_template::{render, value_of};
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
    #[error("cannot set up the HTTP client: {0}")]
    Client(#[source] reqwest::Error),
}

/// Makes a request for each event.
pub struct HttpCall {
    method: Method,
    path: Path,
    /// Of every request; to be added is its idempotency key.
    headers: HeaderMap,
    own_headers: Vec<(HeaderName, Template<EventField>)>,
    body: RequestBody,
    expect: Vec<u16>,
    timeout: Duration,
    /// Whether a request may be sent once more.
    may_repeat: bool,
    client: EitherClient,
}

enum Path {
    Constant(PathAndQuery),
    OfEvent(Template<EventField>),
}

enum EitherClient {
    Hyper(Box<HyperClient>),
    Reqwest(Box<ReqwestClient>),
}

/// What is sent for an event.
struct Outgoing {
    path: PathAndQuery,
    headers: HeaderMap,
    body: Bytes,
}

/// What one of hyper's connections sends.
type Request = hyper::Request<Full<Bytes>>;

/// An answer that was read to its end, or why there is none.
type Answer = Result<Response<Vec<u8>>, CallError>;

impl HttpCall {
    /// Requests without anything of their events, to the path of `target`, with one client for the whole process.
    ///
    /// # Errors
    /// Returns an error if the client cannot be set up.
    pub fn new(target: &Target, client: HttpClient) -> Result<Self, HttpCallError> {
        Self::with(target, RequestTemplate::default(), client)
    }

    /// Requests from a template, with one client for the whole process.
    ///
    /// # Errors
    /// Returns an error if the client cannot be set up, or if the template's path is constant and too long for a URL.
    pub fn with(
        target: &Target,
        template: RequestTemplate,
        client: HttpClient,
    ) -> Result<Self, HttpCallError> {
        let constant = template.path.as_ref().and_then(Template::constant);
        let target = &match constant {
            Some(path) => target.clone().with_path(path)?,
            None => target.clone(),
        };
        let client = match client {
            HttpClient::Hyper if target.is_by_proxy() => return Err(HttpCallError::Proxy),
            HttpClient::Hyper => EitherClient::Hyper(Box::new(HyperClient::new(target)?)),
            HttpClient::Reqwest => EitherClient::Reqwest(Box::new(ReqwestClient::new(target)?)),
        };
        let path = match template.path {
            Some(path) if path.constant().is_none() => Path::OfEvent(path),
            _ => Path::Constant(target.path().clone()),
        };
        let mut headers = target.headers().clone();
        headers.extend(template.body.content_type().map(|kind| (CONTENT_TYPE, kind)));
        // Reserves the entry, so that inserting the key of a call allocates nothing.
        headers.insert(KEY, HeaderValue::from_static(""));
        Ok(Self {
            method: target.method().clone(),
            path,
            headers,
            own_headers: template.headers,
            body: template.body,
            expect: template.expect,
            timeout: target.timeout(),
            may_repeat: target.may_repeat(target.method()),
            client,
        })
    }

    /// Sends the request of an event, for a [`Call`].
    ///
    /// # Errors
    /// Returns an error if the event lacks what the template has of it, if there is no whole answer, or if the answer has
    /// another status than expected.
    pub async fn exchange(&self, event: &Event) -> Result<ClientResponse, CallError> {
        let (outgoing, again) = (self.outgoing(event)?, || self.again(event));
        self.judge(match &self.client {
            EitherClient::Hyper(client) => {
                let again = || again().map(|outgoing| self.request(outgoing));
                client.send(self.request(outgoing), again).await
            }
            EitherClient::Reqwest(client) => client.send(outgoing, again).await,
        })
    }

    /// The same for a [`BlockingCall`].
    ///
    /// # Errors
    /// Returns an error as [`HttpCall::exchange`] does, and if the target's timeout is over.
    pub fn exchange_blocking(&self, event: &Event) -> Result<ClientResponse, CallError> {
        let (outgoing, again) = (self.outgoing(event)?, || self.again(event));
        self.judge(match &self.client {
            EitherClient::Hyper(client) => {
                let again = || again().map(|outgoing| self.request(outgoing));
                client.send_blocking(self.request(outgoing), again, self.timeout)
            }
            EitherClient::Reqwest(client) => client.send_blocking(outgoing, again, self.timeout),
        })
    }

    /// The same request once more, which is counted; `None` if that may not be.
    fn again(&self, event: &Event) -> Option<Outgoing> {
        let outgoing = self.may_repeat.then(|| self.outgoing(event).ok())??;
        event.reconnects.add(1);
        Some(outgoing)
    }

    fn outgoing(&self, event: &Event) -> Result<Outgoing, CallError> {
        let payload = Payload::new(event.payload());
        let path = match &self.path {
            Path::Constant(path) => path.clone(),
            Path::OfEvent(path) => {
                let path = Bytes::from(render(path, event, &payload)?);
                PathAndQuery::from_maybe_shared(path)
                    .map_err(|_| CallError::bad_input("the URL would be too long"))?
            }
        };
        let mut headers = self.headers.clone();
        // The key is printable ASCII, which is always valid in a header.
        if let Ok(key) = HeaderValue::try_from(event.idempotency_key()) {
            headers.insert(KEY, key);
        }
        for (place, (name, template)) in self.own_headers.iter().enumerate() {
            let value = value_of(render(template, event, &payload)?)?;
            // The first takes the place of what every request has.
            match self.own_headers[..place].iter().any(|(before, _)| before == name) {
                true => headers.append(name, value),
                false => headers.insert(name, value).is_some(),
            };
        }
        let body = match &self.body {
            RequestBody::None => Bytes::new(),
            RequestBody::Payload => event.payload().clone(),
            RequestBody::Template(template) => render(template, event, &payload)?.into(),
        };
        if !body.is_empty() {
            // The body decides.
            headers.remove(CONTENT_LENGTH);
        }
        Ok(Outgoing { path, headers, body })
    }

    fn request(&self, outgoing: Outgoing) -> Request {
        let Outgoing { path, headers, body } = outgoing;
        request(&self.method, path, headers, body)
    }

    /// Whether an answer is a good one.
    fn judge(&self, answer: Answer) -> Result<ClientResponse, CallError> {
        let answer = answer?;
        let status = answer.status();
        let is_good = match &self.expect[..] {
            [] => status.is_success(),
            expected => expected.contains(&status.as_u16()),
        };
        match is_good {
            true => Ok(ClientResponse::of(answer)),
            false => Err(CallError::status(status.as_u16())),
        }
    }
}

impl Call for HttpCall {
    type Answer = ();

    async fn call(&self, event: &Event) -> Result<(), CallError> {
        self.exchange(event).await.map(drop)
    }
}

impl BlockingCall for HttpCall {
    type Answer = ();

    fn call_blocking(&self, event: &Event) -> Result<(), CallError> {
        self.exchange_blocking(event).map(drop)
    }
}

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
        let request = || request(target.method(), target.path().clone(), headers(), Bytes::new());
        let outgoing = || Outgoing {
            path: target.path().clone(),
            headers: headers(),
            body: Bytes::new(),
        };
        let hyper = HyperClient::new(&target).unwrap();
        let reqwest = ReqwestClient::new(&target).unwrap();
        let (hyper, reqwest) = (&hyper, &reqwest);
        let mut answers = vec![
            hyper.send(request(), || None).await,
            reqwest.send(outgoing(), || None).await,
        ];
        thread::scope(|scope| {
            // A timeout that no clock can tell.
            let hyper = scope.spawn(|| hyper.send_blocking(request(), || None, Duration::MAX));
            let reqwest = scope.spawn(|| reqwest.send_blocking(outgoing(), || None, Duration::MAX));
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
