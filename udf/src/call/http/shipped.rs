//! The call of the shipped UDF: a request from a template for every event. The two clients differ in one function: from a
//! request to its answer.

use std::time::Duration;

use hyper::Method;
use hyper::body::Bytes;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::http::uri::PathAndQuery;
use wire::template::{EventField, Payload, Template};
use wire::{HttpClient, IDEMPOTENCY_KEY};

use super::client::Response as ClientResponse;
use super::hyper_client::HyperClient;
use super::request_template::{RequestBody, RequestTemplate, render, value_of};
use super::reqwest_client::ReqwestClient;
use super::{Answer, HttpCallError, Request, Target, request};
use crate::call::{BlockingCall, Call};
use crate::call_error::CallError;
use crate::event::Event;

const KEY: HeaderName = HeaderName::from_static(IDEMPOTENCY_KEY);

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
pub(super) struct Outgoing {
    pub(super) path: PathAndQuery,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

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
