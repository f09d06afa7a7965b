//! Requests that several modules send to the API server, with their errors in words.

use std::fmt::Debug;

use kube::api::{Api, ListParams};
use serde::de::DeserializeOwned;

use super::error::ClusterError;

/// Objects that a selector of labels selects.
pub(crate) async fn list<K>(api: &Api<K>, selector: &str, what: &'static str) -> Result<Vec<K>, ClusterError>
where
    K: Clone + DeserializeOwned + Debug,
{
    let listed = api.list(&ListParams::default().labels(selector)).await;
    listed
        .map(|list| list.items)
        .map_err(|error| ClusterError::request("list", what, error))
}

pub(crate) fn is_not_found(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}
