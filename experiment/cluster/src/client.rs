//! Everything that is sent to the API server or to a pod goes through here, and errors become one line for the user.

mod api_error;
mod connection;
mod error;
pub(crate) mod pod_client;
mod proxy;
pub(crate) mod requests;
mod retry;

pub use self::api_error::describe_error;
pub use self::connection::Cluster;
pub use self::error::ClusterError;
pub use self::pod_client::PodError;
