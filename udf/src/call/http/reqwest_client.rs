//! Requests by reqwest.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::Duration;

use hyper::Method;
use hyper::http::uri::PathAndQuery;
use reqwest::{ClientBuilder, RequestBuilder, Url, redirect};
use tokio::runtime::{self, Runtime};
use tower::util::MapRequestLayer;
use url::Position;
use wire::Outcome;

use super::shipped::Outgoing;
use super::{Answer, HttpCallError, Target, read, tls};
use crate::call_error::CallError;

tokio::task_local! {
    /// Whether a connection was opened for the request of this task. Reqwest does not tell of its connections.
    static OPENED: Cell<bool>;
}

/// One pool of connections for the whole process.
pub(super) struct ReqwestClient {
    method: Method,
    url: Url,
    /// Path and query of `url`.
    path: PathAndQuery,
    max_answer_bytes: usize,
    client: reqwest::Client,
    /// Opens a connection for each request.
    unpooled: reqwest::Client,
    /// Drives the connections of blocking calls. Made by the first of them, as it brings a thread of its own.
    runtime: OnceLock<Runtime>,
}

impl ReqwestClient {
    pub(super) fn new(target: &Target) -> Result<Self, HttpCallError> {
        let tls = tls::config(target)?;
        let builder = || {
            let builder = reqwest::Client::builder()
                .http1_only()
                .tls_backend_preconfigured(tls.clone())
                .redirect(redirect::Policy::none());
            let builder = match target.is_by_proxy() && !target.is_loopback() {
                // As reqwest does by itself, by the usual variables.
                true => builder,
                false => builder.no_proxy(),
            };
            let (Some(host), Some(addresses)) = (target.url().domain(), target.addresses()) else {
                return builder;
            };
            // The URL's port takes the place of this one.
            let addresses: Vec<_> = addresses.iter().map(|&ip| SocketAddr::new(ip, 0)).collect();
            builder.resolve_to_addrs(host, &addresses)
        };
        let build = |builder: ClientBuilder| builder.build().map_err(HttpCallError::Client);
        let pooled = builder()
            .pool_idle_timeout(target.idle_timeout())
            .connector_layer(MapRequestLayer::new(note_opening));
        Ok(Self {
            method: target.method().clone(),
            url: target.url().clone(),
            path: target.path().clone(),
            max_answer_bytes: target.max_answer_bytes(),
            client: build(pooled)?,
            unpooled: build(builder().pool_max_idle_per_host(0))?,
            runtime: OnceLock::new(),
        })
    }

    /// Calls `again` for a request that is sent once more, `None` if it may not be: if its connection was a reused one and
    /// broke. Unlike hyper's connections, reqwest does not tell whether a part of the answer's head had come.
    pub(super) async fn send(&self, outgoing: Outgoing, again: impl Fn() -> Option<Outgoing>) -> Answer {
        let request = self.request(&self.client, outgoing)?;
        let sent = OPENED.scope(Cell::new(false), async {
            let sent = request.send().await;
            (sent, OPENED.with(Cell::get))
        });
        let response = match sent.await {
            (Ok(response), _) => response,
            (Err(error), opened) => {
                let failure = CallError::from(error);
                if opened || failure.outcome() != Outcome::Broken {
                    return Err(failure);
                }
                let outgoing = again().ok_or(failure)?;
                self.request(&self.unpooled, outgoing)?.send().await?
            }
        };
        read(response.into(), self.max_answer_bytes).await
    }

    fn request(&self, client: &reqwest::Client, outgoing: Outgoing) -> Result<RequestBuilder, CallError> {
        let Outgoing { path, headers, body } = outgoing;
        let url = match path == self.path {
            true => self.url.clone(),
            false => Url::parse(&format!("{}{path}", &self.url[..Position::BeforePath]))
                .map_err(|_| CallError::bad_input("its path makes no URL"))?,
        };
        let request = client.request(self.method.clone(), url).headers(headers);
        Ok(match body.is_empty() {
            true => request,
            false => request.body(body),
        })
    }

    pub(super) fn send_blocking(
        &self,
        outgoing: Outgoing,
        again: impl Fn() -> Option<Outgoing>,
        timeout: Duration,
    ) -> Answer {
        let runtime = match self.runtime() {
            Ok(runtime) => runtime,
            // A thread or a descriptor could not be had.
            Err(error) => return Err(CallError::of(&error, Outcome::OwnLimit)),
        };
        runtime
            .block_on(async { tokio::time::timeout(timeout, self.send(outgoing, again)).await })
            .unwrap_or_else(|_| Err(Outcome::Timeout.into()))
    }

    fn runtime(&self) -> io::Result<&Runtime> {
        if let Some(runtime) = self.runtime.get() {
            return Ok(runtime);
        }
        let mut builder = runtime::Builder::new_multi_thread();
        let built = builder.worker_threads(1).enable_all().build()?;
        Ok(self.runtime.get_or_init(|| built))
    }
}

/// Passes on a request for a connection.
fn note_opening<T>(request: T) -> T {
    // Outside of a call where the pool opens a connection whose request was served by another meanwhile.
    let _ = OPENED.try_with(|opened| opened.set(true));
    request
}

impl Drop for ReqwestClient {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // May happen within another runtime, which must not wait.
            runtime.shutdown_background();
        }
    }
}
