//! The user's own service as a probe calls it: one request for each call, as the shipped UDF would send it, and none again.
//! What may be a secret is in no message.

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url, redirect, retry};
use tokio::time::timeout;
use trials::probe::Ended;
use wire::template::{EventField, Payload, Problem, Template, TemplateError, UrlTemplate, Value};
use wire::{HttpMethod, MAX_PAYLOADS_BYTES, PayloadFile};

use crate::error::LocalError;
use crate::user_endpoint::{authorities, reason};

/// A longer body of an answer is a failure.
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// A request to the service, in the texts of the shipped UDF's flags.
#[derive(Clone)]
pub struct ServiceRequest {
    pub url: String,
    pub method: HttpMethod,
    pub headers: Vec<String>,
    /// Whether the body is the payload.
    pub payload_as_body: bool,
    /// A file with a template of the body.
    pub body_template: Option<PathBuf>,
    /// Payloads of events, one a line, used in turn.
    pub payloads: Option<PathBuf>,
    pub ca_file: Option<PathBuf>,
    pub timeout: Duration,
}

/// Why a service cannot be called. It names the flag and quotes nothing that may be a secret.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    #[error("--url: {0}")]
    Url(#[source] TemplateError),
    #[error("--url: it is no http or https URL")]
    NoUrl,
    #[error("--header {number}: {problem}")]
    Header { number: usize, problem: String },
    #[error("--body-template: `{}`: {problem}", path.display())]
    BodyTemplate { path: PathBuf, problem: String },
    #[error("--body: a {0} request has none: choose --method POST, PUT or PATCH")]
    NoBody(HttpMethod),
    #[error("--body: `payload` needs the payloads of events: give --probe-payloads")]
    NoPayloads,
    #[error("--probe-payloads: `{}`: {problem}", path.display())]
    Payloads { path: PathBuf, problem: String },
    #[error("the first request cannot be made: {0}: --probe-payloads gives the payloads of events")]
    Request(String),
    #[error(transparent)]
    Client(#[from] LocalError),
}

/// The service, ready to be called.
pub struct Service {
    client: reqwest::Client,
    method: Method,
    url: UrlTemplate<EventField>,
    headers: Vec<(HeaderName, Template<EventField>)>,
    body: Body,
    payloads: Option<PayloadFile>,
    timeout: Duration,
}

enum Body {
    None,
    Payload,
    Template(Template<EventField>),
}

/// What an event has of a request: text of the URL, headers, body.
type Rendered = (Url, HeaderMap, Vec<u8>);

impl Service {
    /// Reads the templates and makes the first request, without sending it.
    ///
    /// # Errors
    /// Returns an error if a template, a file or the client cannot be used, or if an event lacks a field.
    pub fn new(request: &ServiceRequest) -> Result<Self, ServiceError> {
        let service = Self {
            client: client(request.ca_file.as_deref())?,
            method: Method::from_bytes(request.method.name().as_bytes()).unwrap_or_default(),
            url: UrlTemplate::parse(&request.url).map_err(ServiceError::Url)?,
            headers: headers(&request.headers)?,
            body: body(request)?,
            payloads: request.payloads.as_deref().map(payloads).transpose()?,
            timeout: request.timeout,
        };
        let (url, ..) = service.render(0).map_err(ServiceError::Request)?;
        match url.scheme() {
            "http" | "https" => Ok(service),
            _ => Err(ServiceError::NoUrl),
        }
    }

    /// Scheme, host and port, without user and password.
    pub fn host(&self) -> String {
        let url: Option<Url> = self.url.origin().parse().ok();
        url.map_or_else(String::new, |url| url.origin().ascii_serialization())
    }

    /// Calls it once for the event of this number; reads the answer to its end.
    pub async fn call(&self, number: u32) -> Ended {
        let (url, headers, body) = match self.render(number) {
            Ok(rendered) => rendered,
            Err(problem) => return Ended::Failed(problem),
        };
        let request = self.client.request(self.method.clone(), url).headers(headers);
        let start = Instant::now();
        let exchange = async {
            let mut response = request.body(body).send().await?;
            let mut length = 0;
            while let Some(chunk) = response.chunk().await? {
                length += chunk.len();
                if length > MAX_ANSWER_BYTES {
                    return Ok(None);
                }
            }
            Ok::<_, reqwest::Error>(Some(response.status()))
        };
        match timeout(self.timeout, exchange).await {
            Ok(Ok(Some(status))) => Ended::Answered(status.as_u16(), start.elapsed()),
            Ok(Ok(None)) => Ended::Failed("the answer is too long".to_owned()),
            Ok(Err(error)) => Ended::Failed(reason(&error, self.timeout)),
            Err(_) => Ended::Failed(format!(
                "no answer within {}",
                wire::format_duration(self.timeout)
            )),
        }
    }

    /// # Errors
    /// Returns what the event lacks.
    fn render(&self, number: u32) -> Result<Rendered, String> {
        let payload = self.payload(number);
        let parsed = Payload::new(payload);
        let render = |template: &Template<EventField>| {
            let mut text = String::new();
            let rendered = template.render(&mut text, |field| match field {
                EventField::Key => Ok(Value::Text(Cow::Borrowed("key-0"))),
                EventField::Pointer(pointer) => parsed.at(pointer).map(Value::Json),
                EventField::Header(_) => Err(Problem::Absent),
            });
            rendered.map(|()| text).map_err(|error| error.to_string())
        };
        let url = format!("{}{}", self.url.origin(), render(self.url.path())?);
        let url = Url::parse(&url).map_err(|_| "its URL is none".to_owned())?;
        let mut headers = HeaderMap::new();
        if !matches!(self.body, Body::None) {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let given: Vec<(HeaderName, HeaderValue)> = self
            .headers
            .iter()
            .map(|(name, value)| {
                let value = HeaderValue::try_from(render(value)?);
                let mut value =
                    value.map_err(|_| format!("header `{name}` has a value that none can have"))?;
                value.set_sensitive(true);
                Ok((name.clone(), value))
            })
            .collect::<Result<_, String>>()?;
        for (name, _) in &given {
            headers.remove(name);
        }
        headers.extend(given.into_iter().map(|(name, value)| (Some(name), value)));
        let body = match &self.body {
            Body::None => Vec::new(),
            Body::Payload => payload.to_vec(),
            Body::Template(template) => render(template)?.into_bytes(),
        };
        Ok((url, headers, body))
    }

    fn payload(&self, number: u32) -> &[u8] {
        self.payloads
            .as_ref()
            .map_or(b"", |payloads| payloads.of(number.into()))
    }
}

fn client(ca_file: Option<&Path>) -> Result<reqwest::Client, LocalError> {
    // An error says that another one is installed, which serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let authorities = ca_file.map(authorities).transpose()?.unwrap_or_default();
    let builder = reqwest::Client::builder()
        .tls_certs_merge(authorities)
        .http1_only()
        .no_proxy()
        .retry(retry::never())
        .redirect(redirect::Policy::none());
    builder.build().map_err(LocalError::Client)
}

fn headers(texts: &[String]) -> Result<Vec<(HeaderName, Template<EventField>)>, ServiceError> {
    let read = texts.iter().zip(1..).map(|(text, number)| {
        // Its text may be a secret in the wrong place.
        let error = |problem: String| ServiceError::Header { number, problem };
        let (name, value) = text
            .split_once(':')
            .ok_or_else(|| error("expected `NAME: VALUE`".to_owned()))?;
        let name = HeaderName::from_bytes(name.trim().as_bytes())
            .map_err(|_| error("its name is not one that HTTP allows".to_owned()))?;
        let value =
            Template::header(value.trim()).map_err(|problem| error(format!("`{name}`: {problem}")))?;
        Ok((name, value))
    });
    read.collect()
}

fn body(request: &ServiceRequest) -> Result<Body, ServiceError> {
    let body = match &request.body_template {
        Some(path) => {
            let error = |problem: String| ServiceError::BodyTemplate {
                path: path.clone(),
                problem,
            };
            let text = fs::read_to_string(path).map_err(|problem| error(problem.to_string()))?;
            Body::Template(Template::json(&text).map_err(|problem| error(problem.to_string()))?)
        }
        None if request.payload_as_body => Body::Payload,
        None => Body::None,
    };
    match (&body, request.method) {
        (Body::None, _) => Ok(body),
        (_, method @ (HttpMethod::Get | HttpMethod::Head)) => Err(ServiceError::NoBody(method)),
        (Body::Payload, _) if request.payloads.is_none() => Err(ServiceError::NoPayloads),
        _ => Ok(body),
    }
}

fn payloads(path: &Path) -> Result<PayloadFile, ServiceError> {
    let file = PayloadFile::open(path, MAX_PAYLOADS_BYTES, None);
    let (file, _) = file.map_err(|problem| ServiceError::Payloads {
        path: path.to_owned(),
        problem: problem.to_string(),
    })?;
    Ok(file)
}
