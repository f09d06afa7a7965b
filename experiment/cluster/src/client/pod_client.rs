//! HTTP requests to pods: outside the cluster through the API server's proxy, inside it directly.

use std::time::Duration;

use http::{Method, Request};
use k8s_openapi::api::core::v1::Pod;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::api_error::describe_error;
use super::connection::Cluster;

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
        /// Of the answer, if there was one.
        status: Option<u16>,
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

impl PodError {
    /// Whether the pod answered that it does not serve the path. Also if there is no such pod.
    pub(crate) fn is_not_served(&self) -> bool {
        matches!(
            self,
            Self::Request {
                status: Some(404),
                ..
            }
        )
    }
}

/// Why a request failed.
struct Failure {
    /// Of the answer, if there was one.
    status: Option<u16>,
    message: String,
}

/// One HTTP port of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Port {
    /// Metrics, stats and start of our programs in the vertices' pods.
    Program,
    /// The endpoint.
    Endpoint,
    /// Metrics of Numaflow's own container: HTTPS with a self-signed certificate (`VertexMetricsPort`).
    Numaflow,
}

/// The pod that a request goes to.
#[derive(Debug, Clone)]
pub(crate) struct PodTarget {
    /// Vertex, or `endpoint`; for messages.
    pub part: &'static str,
    /// Name of the pod.
    pub pod: String,
    /// Empty if the pod has no address yet.
    pub ip: String,
}

/// Sends requests to pods.
#[derive(Clone)]
pub(crate) struct PodClient {
    cluster: Cluster,
    /// Clients for the pod network; absent outside the cluster.
    direct: Option<Direct>,
}

#[derive(Debug, Clone)]
struct Direct {
    plain: reqwest::Client,
    /// Does not verify certificates; for Numaflow's own port only.
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
    /// Sends requests directly if this process is `inside` the cluster's network, otherwise through the API server.
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

    pub async fn text(&self, target: &PodTarget, port: Port, path: &str) -> Result<String, PodError> {
        let answer = self.send(Method::GET, target, port, path).await;
        answer.map_err(|failure| failure.of(target, format!("read {path}")))
    }

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

    pub async fn post(&self, target: &PodTarget, port: Port, path: &str) -> Result<(), PodError> {
        let answer = self.send(Method::POST, target, port, path).await;
        answer
            .map(drop)
            .map_err(|failure| failure.of(target, format!("post {path}")))
    }

    async fn send(
        &self,
        method: Method,
        target: &PodTarget,
        port: Port,
        path: &str,
    ) -> Result<String, Failure> {
        match &self.direct {
            Some(direct) => direct.send(method, target, port, path).await,
            None => self.send_by_proxy(method, target, port, path).await,
        }
    }

    async fn send_by_proxy(
        &self,
        method: Method,
        target: &PodTarget,
        port: Port,
        path: &str,
    ) -> Result<String, Failure> {
        let url = format!(
            "/api/v1/namespaces/{}/pods/{}:{}:{}/proxy{path}",
            self.cluster.namespace,
            port.scheme(),
            target.pod,
            port.number()
        );
        let request = Request::builder().method(method).uri(url).body(Vec::new());
        let request = request.map_err(|error| Failure::without_answer(error.to_string()))?;
        match timeout(ANSWER_TIMEOUT, self.cluster.client.request_text(request)).await {
            Ok(answer) => answer.map_err(|error| Failure {
                status: match &error {
                    kube::Error::Api(status) => Some(status.code),
                    _ => None,
                },
                message: describe_error(&error),
            }),
            Err(_) => Err(Failure::without_answer(format!(
                "no answer within {}",
                wire::format_duration(ANSWER_TIMEOUT)
            ))),
        }
    }
}

impl Direct {
    async fn send(
        &self,
        method: Method,
        target: &PodTarget,
        port: Port,
        path: &str,
    ) -> Result<String, Failure> {
        let client = match port {
            Port::Numaflow => &self.unverified,
            Port::Program | Port::Endpoint => &self.plain,
        };
        let host = match target.ip.contains(':') {
            true => format!("[{}]", target.ip),
            false => target.ip.clone(),
        };
        let url = format!("{}://{host}:{}{path}", port.scheme(), port.number());
        let failure = |error: reqwest::Error| Failure {
            status: error.status().map(|status| status.as_u16()),
            message: vertex::one_line(&error),
        };
        let answer = client.request(method, url).send().await.map_err(failure)?;
        answer
            .error_for_status()
            .map_err(failure)?
            .text()
            .await
            .map_err(failure)
    }
}

impl Failure {
    fn without_answer(message: String) -> Self {
        Self {
            status: None,
            message,
        }
    }

    /// The error of this `action`, such as `read /stats`.
    fn of(self, target: &PodTarget, action: String) -> PodError {
        PodError::Request {
            action,
            part: target.part,
            pod: target.pod.clone(),
            status: self.status,
            message: self.message,
        }
    }
}
