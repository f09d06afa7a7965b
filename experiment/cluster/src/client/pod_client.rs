//! How a pod's HTTP ports are reached: from outside through the API server's proxy, inside the cluster directly.

use std::time::Duration;

use http::{Method, Request};
use k8s_openapi::api::core::v1::Pod;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::api_error::describe_error;
use super::connection::Cluster;

/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a pod did not answer as expected.
#[derive(Debug, thiserror::Error)]
pub enum PodError {
    /// The request failed.
    #[error("cannot {action} of the {part} pod `{pod}`: {message}")]
    Request {
        /// Such as `read /stats`.
        action: String,
        part: &'static str,
        pod: String,
        message: String,
    },
    /// The answer has another form than expected.
    #[error("{path} of the {part} pod is not of its form: {source}")]
    Answer {
        path: &'static str,
        part: &'static str,
        source: serde_json::Error,
    },
    /// The HTTP client cannot be built.
    #[error("cannot make an HTTP client: {0}")]
    Client(#[source] reqwest::Error),
}

/// One HTTP port of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Port {
    /// Of the programs at the vertices: metrics, stats, start.
    Program,
    /// Of the endpoint.
    Endpoint,
    /// Of Numaflow's own container: HTTPS with a certificate signed by itself (`VertexMetricsPort`).
    Numaflow,
}

/// A pod to talk to.
#[derive(Debug, Clone)]
pub(crate) struct PodTarget {
    /// Which part it is, for errors.
    pub part: &'static str,
    /// Its name.
    pub pod: String,
    /// Its address; empty where it has none yet.
    pub ip: String,
}

/// Talks to pods.
#[derive(Clone)]
pub(crate) struct PodClient {
    cluster: Cluster,
    /// Clients for the pod network, with certificates believed and not; absent outside the cluster.
    direct: Option<Direct>,
}

#[derive(Debug, Clone)]
struct Direct {
    plain: reqwest::Client,
    /// For Numaflow's own port alone.
    unverified: reqwest::Client,
}

impl Port {
    fn number(self) -> u16 {
        match self {
            Self::Program => wire::METRICS_PORT,
            Self::Endpoint => wire::ENDPOINT_PORT,
            Self::Numaflow => 2469,
        }
    }

    fn scheme(self) -> &'static str {
        match self {
            Self::Program | Self::Endpoint => "http",
            Self::Numaflow => "https",
        }
    }
}

impl PodTarget {
    /// Of a pod.
    pub fn of(part: &'static str, pod: &Pod) -> Self {
        let ip = pod.status.as_ref().and_then(|status| status.pod_ip.clone());
        Self {
            part,
            pod: pod.metadata.name.clone().unwrap_or_default(),
            ip: ip.unwrap_or_default(),
        }
    }
}

impl PodClient {
    /// `inside` the cluster's network, or through the API server.
    pub fn new(cluster: Cluster, inside: bool) -> Result<Self, PodError> {
        let client = |unverified| {
            reqwest::Client::builder()
                .no_proxy()
                .timeout(ANSWER_TIMEOUT)
                .tls_danger_accept_invalid_certs(unverified)
                .build()
                .map_err(PodError::Client)
        };
        let direct = match inside {
            true => Some(Direct {
                plain: client(false)?,
                unverified: client(true)?,
            }),
            false => None,
        };
        Ok(Self { cluster, direct })
    }

    /// The text at a path.
    pub async fn text(&self, target: &PodTarget, port: Port, path: &str) -> Result<String, PodError> {
        let asked = self.ask(Method::GET, target, port, path).await;
        asked.map_err(|said| trouble(target, format!("read {path}"), said))
    }

    /// The JSON at a path.
    pub async fn json<T: DeserializeOwned>(
        &self,
        target: &PodTarget,
        port: Port,
        path: &'static str,
    ) -> Result<T, PodError> {
        let text = self.text(target, port, path).await?;
        serde_json::from_str(&text).map_err(|source| PodError::Answer {
            path,
            part: target.part,
            source,
        })
    }

    /// Tells it to do something.
    pub async fn post(&self, target: &PodTarget, port: Port, path: &str) -> Result<(), PodError> {
        let asked = self.ask(Method::POST, target, port, path).await;
        asked
            .map(drop)
            .map_err(|said| trouble(target, format!("post {path}"), said))
    }

    async fn ask(
        &self,
        method: Method,
        target: &PodTarget,
        port: Port,
        path: &str,
    ) -> Result<String, String> {
        match &self.direct {
            Some(direct) => direct.ask(method, target, port, path).await,
            None => self.ask_proxy(method, target, port, path).await,
        }
    }

    async fn ask_proxy(
        &self,
        method: Method,
        target: &PodTarget,
        port: Port,
        path: &str,
    ) -> Result<String, String> {
        let url = format!(
            "/api/v1/namespaces/{}/pods/{}:{}:{}/proxy{path}",
            self.cluster.namespace,
            port.scheme(),
            target.pod,
            port.number()
        );
        let request = Request::builder().method(method).uri(url).body(Vec::new());
        let request = request.map_err(|error| error.to_string())?;
        match timeout(ANSWER_TIMEOUT, self.cluster.client.request_text(request)).await {
            Ok(answer) => answer.map_err(|error| describe_error(&error)),
            Err(_) => Err(format!(
                "no answer within {}",
                wire::format_duration(ANSWER_TIMEOUT)
            )),
        }
    }
}

impl Direct {
    async fn ask(
        &self,
        method: Method,
        target: &PodTarget,
        port: Port,
        path: &str,
    ) -> Result<String, String> {
        let client = match port {
            Port::Numaflow => &self.unverified,
            Port::Program | Port::Endpoint => &self.plain,
        };
        let host = match target.ip.contains(':') {
            true => format!("[{}]", target.ip),
            false => target.ip.clone(),
        };
        let url = format!("{}://{host}:{}{path}", port.scheme(), port.number());
        let said = |error: reqwest::Error| vertex::one_line(&error);
        let answer = client.request(method, url).send().await.map_err(said)?;
        answer
            .error_for_status()
            .map_err(said)?
            .text()
            .await
            .map_err(said)
    }
}

fn trouble(target: &PodTarget, action: String, message: String) -> PodError {
    PodError::Request {
        action,
        part: target.part,
        pod: target.pod.clone(),
        message,
    }
}
