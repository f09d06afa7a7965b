//! The workload `http`: one GET to the endpoint for every event, HTTP/1.1, a connection for each call in flight.

use std::error::Error;
use std::sync::OnceLock;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{CONTENT_ENCODING, HeaderMap};
use reqwest::{Url, redirect};
use wire::{Delay, IDEMPOTENCY_KEY, Outcome, idempotency_key};

use super::{Call, Event};

/// Longest answer that is read; a longer one is a bad body.
pub(super) const MAX_BODY_BYTES: u64 = 1024 * 1024;

/// How long a connection may stay unused: longer than the pause between two windows.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(300);

/// Where calls go.
#[derive(Debug, Clone)]
pub struct Target {
    url: Url,
    timeout: Duration,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum HttpCallError {
    /// The address is not one that a call can go to.
    #[error("endpoint_url: `{given}` is not an http or https URL: {reason}")]
    Url {
        /// The text as it was given, without user and password.
        given: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The address needs what [`super::LeanCall`] has not.
    #[error(
        "http_client: lean speaks http alone, without TLS, user name and password: choose reqwest or another endpoint_url"
    )]
    NotForLean,
    /// The client could not be set up.
    #[error("cannot set up the HTTP client: {0}")]
    Client(#[source] reqwest::Error),
}

impl Target {
    /// `/ping` of an endpoint, asking for `delay`; an attempt lasts at most `timeout`.
    ///
    /// # Errors
    /// Where the text is no URL, or one of another scheme than http and https.
    pub fn new(endpoint_url: &str, delay: &Delay, timeout: Duration) -> Result<Self, HttpCallError> {
        let error = |reason: String| HttpCallError::Url {
            given: without_secrets(endpoint_url),
            reason,
        };
        let mut url = Url::parse(endpoint_url).map_err(|e| error(e.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(error(format!("the scheme is {}", url.scheme())));
        }
        url.path_segments_mut()
            .map_err(|()| error("it has no path".into()))?
            .pop_if_empty()
            .push("ping");
        url.query_pairs_mut().append_pair("delay", &delay.to_string());
        Ok(Self { url, timeout })
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }
}

/// Calls the endpoint, with one pooled client for the whole process.
pub struct HttpCall {
    target: Target,
    client: reqwest::Client,
    /// Made by the first blocking call: it brings a thread of its own, which only the pools need.
    blocking: OnceLock<Result<reqwest::blocking::Client, String>>,
}

impl HttpCall {
    /// A client for `target`.
    ///
    /// # Errors
    /// Where the client cannot be set up.
    pub fn new(target: Target) -> Result<Self, HttpCallError> {
        // Fails where a provider is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .http1_only()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .timeout(target.timeout)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .build()
            .map_err(HttpCallError::Client)?;
        Ok(Self {
            target,
            client,
            blocking: OnceLock::new(),
        })
    }

    fn blocking_client(&self) -> Result<&reqwest::blocking::Client, &String> {
        let build = || {
            reqwest::blocking::Client::builder()
                .http1_only()
                .no_proxy()
                .redirect(redirect::Policy::none())
                .timeout(self.target.timeout)
                .pool_idle_timeout(IDLE_TIMEOUT)
                .build()
                .map_err(|error| error.to_string())
        };
        self.blocking.get_or_init(build).as_ref()
    }
}

#[async_trait]
impl Call for HttpCall {
    async fn call(&self, event: &Event) -> Outcome {
        let key = idempotency_key(event.id.generator, event.id.index);
        let sent = self
            .client
            .get(self.target.url.clone())
            .header(IDEMPOTENCY_KEY, key)
            .send()
            .await;
        let mut answer = match sent {
            Ok(answer) => answer,
            Err(error) => return before_answer(&error),
        };
        if is_encoded(answer.headers()) {
            return Outcome::BadBody;
        }
        let mut length = 0;
        loop {
            match answer.chunk().await {
                Ok(Some(chunk)) => length += chunk.len() as u64,
                Ok(None) => return judged(answer.status()),
                Err(error) => return within_body(&error),
            }
            if length > MAX_BODY_BYTES {
                return Outcome::BadBody;
            }
        }
    }

    fn call_blocking(&self, event: &Event) -> Outcome {
        let client = match self.blocking_client() {
            Ok(client) => client,
            Err(reason) => {
                tracing::error!("cannot set up the blocking HTTP client: {reason}");
                return Outcome::Refused;
            }
        };
        let key = idempotency_key(event.id.generator, event.id.index);
        match client
            .get(self.target.url.clone())
            .header(IDEMPOTENCY_KEY, key)
            // Of the whole attempt: the blocking client's own is for each read, and a body may come byte by byte.
            .timeout(self.target.timeout)
            .send()
        {
            Ok(answer) => read_body(answer),
            Err(error) => before_answer(&error),
        }
    }
}

/// A malformed address, as it can be repeated in an error.
fn without_secrets(address: &str) -> String {
    match address.rsplit_once('@') {
        Some((before, after)) => {
            let scheme = before.split_once("://").map_or("", |(scheme, _)| scheme);
            format!("{scheme}://…@{after}")
        }
        None => address.to_owned(),
    }
}

/// Whether the body is compressed or the like: nobody asked for it, and nothing bounds what it would become.
fn is_encoded(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_ENCODING)
        .is_some_and(|encoding| encoding != "identity")
}

fn read_body(answer: reqwest::blocking::Response) -> Outcome {
    use std::io::Read;
    let status = answer.status();
    if is_encoded(answer.headers()) {
        return Outcome::BadBody;
    }
    match std::io::copy(&mut answer.take(MAX_BODY_BYTES + 1), &mut std::io::sink()) {
        Ok(length) if length <= MAX_BODY_BYTES => judged(status),
        Ok(_) => Outcome::BadBody,
        Err(error) => match error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<reqwest::Error>())
        {
            Some(error) => within_body(error),
            None if error.kind() == std::io::ErrorKind::TimedOut => Outcome::Timeout,
            None => Outcome::BadBody,
        },
    }
}

fn judged(status: reqwest::StatusCode) -> Outcome {
    if status.is_success() {
        Outcome::Ok
    } else {
        Outcome::BadStatus
    }
}

fn before_answer(error: &reqwest::Error) -> Outcome {
    if error.is_timeout() {
        return Outcome::Timeout;
    }
    // Something came, but no HTTP, or a head that is too long.
    let mut cause = error.source();
    while let Some(error) = cause {
        if error
            .downcast_ref::<hyper::Error>()
            .is_some_and(hyper::Error::is_parse)
        {
            return Outcome::BadBody;
        }
        cause = error.source();
    }
    Outcome::Refused
}

fn within_body(error: &reqwest::Error) -> Outcome {
    if error.is_timeout() {
        Outcome::Timeout
    } else {
        Outcome::BadBody
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_carries_the_delay() {
        let target =
            |url: &str| Target::new(url, &"uniform(1ms,2ms)".parse().unwrap(), Duration::from_secs(1));
        assert_eq!(target("http://e:9888").unwrap().url.path(), "/ping");
        let nested = target("http://e:9888/a/").unwrap().url;
        assert_eq!(nested.path(), "/a/ping");
        assert_eq!(nested.query_pairs().next().unwrap().1, "uniform(1ms,2ms)");
        assert!(target("e:9888").is_err());
        let refused = target("ftp://me:secret@e").err().unwrap().to_string();
        assert!(
            refused.contains("`ftp://…@e`") && !refused.contains("secret"),
            "{refused}"
        );
    }
}
