//! Which cluster a command talks to.

use cluster::{Cluster, ClusterError};

/// Which cluster.
#[derive(Debug, clap::Args)]
pub struct ClusterArgs {
    /// Namespace of everything that is created [default: the context's, or the pod's]
    #[arg(long, short, env = "NAMESPACE", value_name = "NAME")]
    namespace: Option<String>,
    /// Context of the kubeconfig [default: the current one, or the credentials of the pod that this runs in]
    #[arg(long, env = "CONTEXT", value_name = "NAME")]
    context: Option<String>,
}

impl ClusterArgs {
    /// The cluster; nothing is asked of it yet.
    pub async fn connect(&self) -> Result<Cluster, ClusterError> {
        Cluster::connect(self.context.as_deref(), self.namespace.as_deref()).await
    }
}
