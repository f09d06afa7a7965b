//! Arguments that select the cluster, shared by several commands.

use clap::builder::NonEmptyStringValueParser;
use cluster::{Cluster, ClusterError};

#[derive(Debug, clap::Args)]
pub struct ClusterArgs {
    /// Namespace for all objects [default: the context's, or the pod's]
    #[arg(long, short, env = "NAMESPACE", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    namespace: Option<String>,
    /// Context of the kubeconfig [default: the current one, or the credentials of this pod]
    #[arg(long, env = "CONTEXT", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    context: Option<String>,
}

impl ClusterArgs {
    /// Creates the client; no request is sent yet.
    pub async fn connect(&self) -> Result<Cluster, ClusterError> {
        Cluster::connect(self.context.as_deref(), self.namespace.as_deref()).await
    }
}
