//! Requests by reqwest.

use std::io;
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::Duration;

use hyper::header::HeaderMap;
use reqwest::{Url, redirect};
use tokio::runtime::{self, Runtime};
use wire::Outcome;

use super::{Answer, HttpCallError, IDLE_TIMEOUT, Target, read, tls, unanswered};

/// One pool of connections for the whole process.
pub(super) struct ReqwestClient {
    url: Url,
    client: reqwest::Client,
    /// Drives the connections of blocking calls. Made by the first of them, as it brings a thread of its own.
    runtime: OnceLock<io::Result<Runtime>>,
}

impl ReqwestClient {
    pub(super) fn new(target: &Target) -> Result<Self, HttpCallError> {
        let mut builder = reqwest::Client::builder()
            .http1_only()
            .tls_backend_preconfigured(tls::config(target)?)
            .no_proxy()
            .redirect(redirect::Policy::none())
            .pool_idle_timeout(IDLE_TIMEOUT);
        if let (Some(host), Some(addresses)) = (target.url().domain(), target.addresses()) {
            // The URL's port takes the place of this one.
            let addresses: Vec<_> = addresses.iter().map(|&ip| SocketAddr::new(ip, 0)).collect();
            builder = builder.resolve_to_addrs(host, &addresses);
        }
        Ok(Self {
            url: target.url().clone(),
            client: builder.build().map_err(HttpCallError::Client)?,
            runtime: OnceLock::new(),
        })
    }

    pub(super) async fn get(&self, headers: HeaderMap) -> Answer {
        let request = self.client.get(self.url.clone()).headers(headers);
        match request.send().await {
            Ok(response) => read(response.into()).await,
            Err(error) => Err(unanswered(&error)),
        }
    }

    pub(super) fn get_blocking(&self, headers: HeaderMap, timeout: Duration) -> Answer {
        let build = || {
            runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
        };
        match self.runtime.get_or_init(build) {
            Ok(runtime) => runtime
                .block_on(async { tokio::time::timeout(timeout, self.get(headers)).await })
                .unwrap_or(Err(Outcome::Timeout)),
            Err(error) => {
                tracing::error!("cannot start the runtime of blocking calls: {error}");
                Err(Outcome::Refused)
            }
        }
    }
}

impl Drop for ReqwestClient {
    fn drop(&mut self) {
        if let Some(Ok(runtime)) = self.runtime.take() {
            // May happen within another runtime, which must not wait.
            runtime.shutdown_background();
        }
    }
}
