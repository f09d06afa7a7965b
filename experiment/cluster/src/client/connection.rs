//! The connection to a cluster: which API server, with which credentials, in which namespace.

use std::env;
use std::time::Duration;

use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use kube::config::{Config, KubeConfigOptions};

use super::error::ClusterError;
use super::retry;

/// How long connecting to the API server may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an answer may be silent. It ends a log that is followed and has no lines as well: whoever follows resumes.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// Where the experiment's objects live.
#[derive(Clone)]
pub struct Cluster {
    /// Talks to the API server.
    pub client: kube::Client,
    /// The namespace of everything that is created.
    pub namespace: String,
    /// Whether this runs in a pod of the cluster, by the pod's credentials.
    pub inside: bool,
}

impl Cluster {
    /// Connects by the kubeconfig (`KUBECONFIG`, `~/.kube/config`), with its context `context` where one is given, or by
    /// the credentials of the pod that this runs in. `namespace` stands before the one of the context or pod.
    ///
    /// # Errors
    /// [`ClusterError::Configure`] where neither is usable; nothing is asked of the API server yet.
    pub async fn connect(context: Option<&str>, namespace: Option<&str>) -> Result<Self, ClusterError> {
        // Fails only where a provider has been chosen before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let inside = context.is_none() && inside();
        let mut config = configuration(context, inside).await?;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        config.read_timeout = Some(READ_TIMEOUT);
        config.reset_reader_on_write = true;
        let namespace = namespace.unwrap_or(&config.default_namespace).to_owned();
        let client = retry::client(config).map_err(ClusterError::client)?;
        Ok(Self {
            client,
            namespace,
            inside,
        })
    }

    /// Objects of a kind that `k8s-openapi` knows, in the namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Objects of one of Numaflow's kinds (`Pipeline`, `Vertex`, `InterStepBufferService`) in the namespace.
    pub fn numaflow(&self, kind: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, &numaflow(kind))
    }
}

/// A kind of Numaflow's API. Its plurals are the regular ones (`config/base/crds`).
pub fn numaflow(kind: &str) -> ApiResource {
    let kind = GroupVersionKind::gvk("numaflow.numaproj.io", "v1alpha1", kind);
    let plural = match kind.kind.to_lowercase() {
        vertex if vertex == "vertex" => "vertices".to_owned(),
        other => format!("{other}s"),
    };
    ApiResource::from_gvk_with_plural(&kind, &plural)
}

/// Whether this is a pod, and nothing points to another cluster.
fn inside() -> bool {
    env::var_os("KUBERNETES_SERVICE_HOST").is_some() && env::var_os("KUBECONFIG").is_none()
}

async fn configuration(context: Option<&str>, inside: bool) -> Result<Config, ClusterError> {
    if inside {
        return Config::incluster().map_err(|error| ClusterError::Configure {
            setting: "service account",
            what: vertex::one_line(&error),
            advice: "does the pod mount a service account's token?",
        });
    }
    let options = KubeConfigOptions {
        context: context.map(str::to_owned),
        ..KubeConfigOptions::default()
    };
    let config = Config::from_kubeconfig(&options).await;
    config.map_err(|error| ClusterError::Configure {
        setting: if context.is_some() {
            "--context"
        } else {
            "KUBECONFIG"
        },
        what: vertex::one_line(&error),
        advice: "`kubectl config get-contexts` lists what there is",
    })
}
