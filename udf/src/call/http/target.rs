//! Where requests go and what all of them send, made once from the settings.

use std::net::IpAddr;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hyper::Method;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, HOST, HeaderMap, HeaderValue};
use hyper::http::uri::{InvalidUri, PathAndQuery};
use percent_encoding::percent_decode_str;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use url::{Position, Url};
use wire::{Delay, HttpMethod};

use super::HttpCallError;

/// Where requests go, whom they trust there, and what bounds them. It is read from a URL, so that a program can have it as a
/// flag: `url: Target`.
#[derive(Debug, Clone)]
pub struct Target {
    /// Without user and password.
    url: Url,
    /// Path and query of it.
    path: PathAndQuery,
    headers: HeaderMap,
    timeout: Duration,
    addresses: Option<Vec<IpAddr>>,
    /// Trusted beside those of the system.
    authorities: Vec<CertificateDer<'static>>,
    /// What the client shows of itself.
    identity: Option<Arc<Identity>>,
    by_proxy: bool,
    method: Method,
    /// Whether every request may be sent once more, whatever its method is.
    idempotent: bool,
    idle_timeout: Duration,
    max_answer_bytes: usize,
}

/// A client's certificate, with those up to its authority, and its key, which is not printed.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) certificates: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
}

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// Longer than the pause between two windows.
const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_secs(300);

const DEFAULT_MAX_ANSWER_BYTES: usize = 1024 * 1024;

impl Target {
    /// `/ping` of the experiment's endpoint, with a query for `delay`; an attempt lasts at most `timeout`.
    ///
    /// # Errors
    /// Returns an error if the text is no URL, or one of another scheme than http and https.
    pub fn ping(endpoint_url: &str, delay: &Delay, timeout: Duration) -> Result<Self, HttpCallError> {
        let target = Self::of(endpoint_url, |url| {
            let mut segments = url.path_segments_mut()?;
            segments.pop_if_empty().push("ping");
            drop(segments);
            url.query_pairs_mut().append_pair("delay", &delay.to_string());
            Ok(())
        })?;
        Ok(target.with_timeout(timeout))
    }

    fn of(text: &str, extend: impl Fn(&mut Url) -> Result<(), ()>) -> Result<Self, HttpCallError> {
        let error = |reason: String| HttpCallError::Url {
            given: without_secrets(text),
            reason,
        };
        let mut url = Url::parse(text).map_err(|e| error(e.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(error(format!("the scheme is {}", url.scheme())));
        }
        extend(&mut url).map_err(|()| error("it has no path".into()))?;
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        if let Some(credentials) = credentials(&url) {
            headers.insert(AUTHORIZATION, credentials);
        }
        // The scheme has an authority, from which these can be taken.
        let _ = url.set_username("").and_then(|()| url.set_password(None));
        url.set_fragment(None);
        let host = HeaderValue::from_str(url.authority()).map_err(|e| error(e.to_string()))?;
        headers.insert(HOST, host);
        let path = url[Position::BeforePath..]
            .try_into()
            .map_err(|e: InvalidUri| error(e.to_string()))?;
        Ok(Self {
            url,
            path,
            headers,
            timeout: DEFAULT_TIMEOUT,
            addresses: None,
            authorities: Vec::new(),
            identity: None,
            by_proxy: false,
            method: Method::GET,
            idempotent: false,
            idle_timeout: DEFAULT_IDLE_TIMEOUT,
            max_answer_bytes: DEFAULT_MAX_ANSWER_BYTES,
        })
    }

    /// The same with requests that last at most this long, if they are made by [`Client::request_blocking`]; an address that
    /// does not answer gets its share of it. 30 s if it is not given.
    ///
    /// [`Client::request_blocking`]: super::Client::request_blocking
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The same with requests that may be sent once more, whatever their method is, if their reused connection ends before
    /// a byte of the answer. GET, HEAD, PUT, DELETE, OPTIONS and TRACE always may.
    #[must_use]
    pub fn idempotent(mut self) -> Self {
        self.idempotent = true;
        self
    }

    /// The same with another method of `HttpCall` than GET. A request whose reused connection ends before a byte of the answer is sent
    /// once more if the method is idempotent by itself (GET, HEAD, PUT, DELETE), or if `idempotent` says so.
    #[must_use]
    pub fn with_method(mut self, method: HttpMethod, idempotent: bool) -> Self {
        (self.method, self.idempotent) = (to_http(method), idempotent);
        if matches!(method, HttpMethod::Put | HttpMethod::Post | HttpMethod::Patch) {
            self.headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        self
    }

    /// The same with connections that may stay unused for this long; 5 minutes if it is not given.
    #[must_use]
    pub fn with_idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = timeout;
        self
    }

    /// The same with answers whose body has at most this many bytes; 1 MiB if it is not given.
    #[must_use]
    pub fn with_max_answer_bytes(mut self, bytes: u64) -> Self {
        self.max_answer_bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        self
    }

    /// The same at these addresses of its host, which are tried in this order, in place of those that the system finds
    /// for its name.
    #[must_use]
    pub fn at(mut self, addresses: Vec<IpAddr>) -> Self {
        self.addresses = Some(addresses);
        self
    }

    /// The same with the authorities of a PEM file trusted too.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read or has no certificate.
    pub fn trusting(mut self, file: &Path) -> Result<Self, HttpCallError> {
        self.authorities = certificates(file).map_err(|reason| HttpCallError::CaFile {
            path: file.to_owned(),
            reason,
        })?;
        Ok(self)
    }

    /// The same for a service that asks for the client's certificate: PEM files with it, and with its key.
    ///
    /// # Errors
    /// Returns an error if the URL is not https, or if a file cannot be read or has none.
    pub fn with_identity(mut self, certificate: &Path, key: &Path) -> Result<Self, HttpCallError> {
        let error = |path: &Path, reason| HttpCallError::Identity {
            path: path.to_owned(),
            reason,
        };
        if self.url.scheme() != "https" {
            return Err(error(
                certificate,
                "a client has a certificate for https alone".into(),
            ));
        }
        let certificates = certificates(certificate).map_err(|reason| error(certificate, reason))?;
        let key = PrivateKeyDer::from_pem_file(key)
            .map_err(|e| error(key, format!("no private key can be read from it: {e}")))?;
        self.identity = Some(Arc::new(Identity { certificates, key }));
        Ok(self)
    }

    /// The same through the proxy that the usual variables name; not to a loopback address.
    #[must_use]
    pub fn by_proxy(mut self) -> Self {
        self.by_proxy = true;
        self
    }

    pub(super) fn authorities(&self) -> &[CertificateDer<'static>] {
        &self.authorities
    }

    pub(super) fn identity(&self) -> Option<&Identity> {
        self.identity.as_deref()
    }

    /// The same with another path and query.
    #[cfg(feature = "udf")]
    pub(super) fn with_path(mut self, path: &str) -> Result<Self, HttpCallError> {
        let origin = &self.url[..Position::BeforePath];
        let url = Url::parse(&format!("{origin}{path}")).ok();
        let read = url.and_then(|url| Some((url[Position::BeforePath..].try_into().ok()?, url)));
        (self.path, self.url) = read.ok_or_else(|| HttpCallError::Url {
            // The path may hold a secret.
            given: origin.to_owned(),
            reason: "its path is too long".to_owned(),
        })?;
        Ok(self)
    }

    pub(super) fn is_by_proxy(&self) -> bool {
        self.by_proxy
    }

    /// Whether the host is this machine by its name or address.
    #[cfg(feature = "udf")]
    pub(super) fn is_loopback(&self) -> bool {
        match self.url.host() {
            Some(url::Host::Domain(name)) => name == "localhost",
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// Path and query of the URL.
    pub fn path(&self) -> &PathAndQuery {
        &self.path
    }

    /// Of every request; to be added is its idempotency key.
    pub(super) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    #[cfg(feature = "udf")]
    pub(super) fn method(&self) -> &Method {
        &self.method
    }

    /// Whether a request may be sent once more.
    pub(super) fn may_repeat(&self, method: &Method) -> bool {
        self.idempotent || method.is_idempotent()
    }

    pub(super) fn idle_timeout(&self) -> Duration {
        self.idle_timeout
    }

    pub(super) fn max_answer_bytes(&self) -> usize {
        self.max_answer_bytes
    }

    pub(super) fn addresses(&self) -> Option<&[IpAddr]> {
        self.addresses.as_deref()
    }
}

impl FromStr for Target {
    type Err = HttpCallError;

    /// User and password of the URL are sent as basic authentication.
    fn from_str(url: &str) -> Result<Self, HttpCallError> {
        Self::of(url, |_| Ok(()))
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates = CertificateDer::pem_file_iter(file).map_err(|e| e.to_string())?;
    let certificates: Vec<_> = certificates
        .collect::<Result<_, _>>()
        .map_err(|e| e.to_string())?;
    match certificates.is_empty() {
        true => Err("it holds no certificate in PEM".to_owned()),
        false => Ok(certificates),
    }
}

fn to_http(method: HttpMethod) -> Method {
    match method {
        HttpMethod::Get => Method::GET,
        HttpMethod::Head => Method::HEAD,
        HttpMethod::Put => Method::PUT,
        HttpMethod::Delete => Method::DELETE,
        HttpMethod::Post => Method::POST,
        HttpMethod::Patch => Method::PATCH,
    }
}

/// User and password as the value of a header.
fn credentials(url: &Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let decoded = |text: &str| percent_decode_str(text).collect::<Vec<u8>>();
    let pair = [
        &decoded(url.username())[..],
        b":",
        &decoded(url.password().unwrap_or_default()),
    ]
    .concat();
    let mut value = HeaderValue::try_from(format!("Basic {}", BASE64_STANDARD.encode(pair))).ok()?;
    value.set_sensitive(true);
    Some(value)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Result<Target, HttpCallError> {
        Target::ping(url, &"uniform(1ms,2ms)".parse().unwrap(), Duration::from_secs(1))
    }

    #[test]
    fn the_target_carries_the_delay() {
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

    #[test]
    fn credentials_move_from_the_url_to_a_header() {
        let header = |url: &str| {
            let target = target(url).unwrap();
            assert!(!format!("{target:?}").contains("secret"), "{target:?}");
            target
                .headers
                .get(AUTHORIZATION)
                .map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(header("http://e"), None);
        // `me:secret`, `me@home:p:ä` and `me:` in Base64.
        assert_eq!(header("http://me:secret@e").unwrap(), "Basic bWU6c2VjcmV0");
        assert_eq!(
            header("http://me%40home:p%3A%C3%A4@e").unwrap(),
            "Basic bWVAaG9tZTpwOsOk"
        );
        assert_eq!(header("http://me@e").unwrap(), "Basic bWU6");
    }

    #[test]
    fn the_host_header_names_a_port_only_where_the_scheme_has_another() {
        for (url, host) in [
            ("http://me:secret@e:9888/a", "e:9888"),
            ("http://e:80", "e"),
            ("https://e:443", "e"),
            ("https://e:80", "e:80"),
            ("http://[::1]:9888", "[::1]:9888"),
        ] {
            let target = target(url).unwrap();
            assert_eq!(target.headers[HOST], host);
            assert_eq!(target.path.path().rsplit_once('/').unwrap().1, "ping");
            assert_eq!(
                target.path.query(),
                target.url.query(),
                "{url}: a request has the whole query"
            );
        }
    }
}
