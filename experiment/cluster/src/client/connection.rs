//! The connection to a cluster: which API server, with which credentials, in which namespace.

use std::env;
use std::time::Duration;

use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use kube::config::{Config, KubeConfigOptions, Kubeconfig, KubeconfigError};

use super::error::ClusterError;
use super::{proxy, retry};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest silence within an answer. It also ends the stream of a followed log without new lines; readers reconnect.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// A namespace of a cluster, with a client for its API server.
#[derive(Clone)]
pub struct Cluster {
    pub client: kube::Client,
    /// Every object is created in this namespace.
    pub namespace: String,
    /// Whether this process runs in a pod of the cluster and uses the credentials of its service account.
    pub inside: bool,
}

impl Cluster {
    /// Reads the kubeconfig (`KUBECONFIG`, `~/.kube/config`) with its current context or `context`, or in a pod the
    /// credentials of the service account. `namespace` takes precedence over that of the context or pod. No request is
    /// sent yet.
    ///
    /// # Errors
    /// Returns [`ClusterError::Configure`] if neither can be used.
    pub async fn connect(context: Option<&str>, namespace: Option<&str>) -> Result<Self, ClusterError> {
        // Fails only if a provider has been installed before.
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

    /// The API of a kind that `k8s-openapi` has, in the namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The API of one of Numaflow's kinds (`Pipeline`, `Vertex`, `InterStepBufferService`), in the namespace.
    pub fn numaflow(&self, kind: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, &numaflow(kind))
    }
}

/// A kind of Numaflow's API, with the plural from its `config/base/crds`.
fn numaflow(kind: &str) -> ApiResource {
    let kind = GroupVersionKind::gvk("numaflow.numaproj.io", "v1alpha1", kind);
    let plural = match kind.kind.to_lowercase() {
        vertex if vertex == "vertex" => "vertices".to_owned(),
        other => format!("{other}s"),
    };
    ApiResource::from_gvk_with_plural(&kind, &plural)
}

/// Whether this process runs in a pod, and no kubeconfig selects another cluster.
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
    let wrong = |error: KubeconfigError| kubeconfig_error(&error, context.is_some());
    let kubeconfig = Kubeconfig::read().map_err(wrong)?;
    let own_proxy = proxy::of_kubeconfig(&kubeconfig, context);
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(wrong)?;
    config.proxy_url = proxy::proxy_for(&config.cluster_url, own_proxy)
        .map_err(|error| kubeconfig_error(&KubeconfigError::ParseProxyUrl(error), false))?;
    Ok(config)
}

fn kubeconfig_error(error: &KubeconfigError, has_context: bool) -> ClusterError {
    let list = "`kubectl config get-contexts` lists what there is";
    let (setting, what, advice) = match error {
        KubeconfigError::ReadConfig(_, path) if !path.exists() => (
            "KUBECONFIG",
            format!("there is no kubeconfig at `{}`", path.display()),
            "name the file of your cluster with KUBECONFIG, and one of its contexts with --context",
        ),
        // Its own text quotes the path twice.
        KubeconfigError::ReadConfig(source, path) => (
            "KUBECONFIG",
            format!("cannot read `{}`: {source}", path.display()),
            "set it to the file that your cluster's administrator or tool wrote",
        ),
        KubeconfigError::CurrentContextNotSet => (
            "--context",
            "the kubeconfig has no current context".to_owned(),
            list,
        ),
        KubeconfigError::LoadContext(name) => (
            "--context",
            format!("the kubeconfig has no context `{name}`"),
            list,
        ),
        KubeconfigError::ParseNoProxy(_) => (
            "NO_PROXY",
            vertex::one_line(error),
            "give hosts, addresses and networks, with commas between them",
        ),
        KubeconfigError::ParseProxyUrl(_) => (
            "HTTPS_PROXY",
            vertex::one_line(error),
            "give a URL, such as http://proxy:3128 or socks5://proxy:1080",
        ),
        _ if has_context => ("--context", vertex::one_line(error), list),
        _ => ("KUBECONFIG", vertex::one_line(error), list),
    };
    ClusterError::Configure {
        setting,
        what,
        advice,
    }
}
