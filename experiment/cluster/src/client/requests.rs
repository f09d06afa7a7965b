//! Requests that several modules send to the API server. Their errors name the verb and the object.

use std::fmt::Debug;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, Preconditions};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::connection::Cluster;
use super::error::ClusterError;
use crate::labels::FIELD_MANAGER;

/// The objects that a label selector selects; all where there is none.
pub(crate) async fn list<K>(
    api: &Api<K>,
    selector: Option<&str>,
    kinds: &'static str,
) -> Result<Vec<K>, ClusterError>
where
    K: Clone + DeserializeOwned + Debug,
{
    let listed = api.list(&params(selector)).await;
    listed
        .map(|list| list.items)
        .map_err(|error| ClusterError::request("list", kinds, error))
}

/// The metadata of the Pipelines that a label selector selects; none if Numaflow is not installed.
pub(crate) async fn list_pipelines(
    cluster: &Cluster,
    selector: Option<&str>,
) -> Result<Vec<ObjectMeta>, ClusterError> {
    match cluster
        .numaflow("Pipeline")
        .list_metadata(&params(selector))
        .await
    {
        Ok(list) => Ok(list.items.into_iter().map(|object| object.metadata).collect()),
        Err(error) if is_not_found(&error) => Ok(Vec::new()),
        Err(error) => Err(ClusterError::request("list", "Pipelines", error)),
    }
}

fn params(selector: Option<&str>) -> ListParams {
    ListParams {
        label_selector: selector.map(str::to_owned),
        ..ListParams::default()
    }
}

/// An object by its name, if it exists.
pub(crate) async fn get<K>(api: &Api<K>, kind: &str, name: &str) -> Result<Option<K>, ClusterError>
where
    K: Clone + DeserializeOwned + Debug,
{
    let found = api.get_opt(name).await;
    found.map_err(|error| ClusterError::request("read", format!("{kind} {name}"), error))
}

/// Creates or changes an object by server-side apply.
pub(crate) async fn apply<K>(
    api: &Api<K>,
    kind: &str,
    name: &str,
    object: &(impl Serialize + Debug),
) -> Result<(), ClusterError>
where
    K: Clone + DeserializeOwned + Debug,
{
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let applied = api.patch(name, &params, &Patch::Apply(object)).await;
    applied
        .map(drop)
        .map_err(|error| ClusterError::request("apply", format!("{kind} {name}"), error))
}

/// Deletes an object and what depends on it, in the background. An object that does not exist is no error; nor is one
/// with another `uid`, which is left alone.
pub(crate) async fn delete_if_present<K>(
    api: &Api<K>,
    kind: &str,
    name: &str,
    uid: Option<&str>,
) -> Result<(), ClusterError>
where
    K: Clone + DeserializeOwned + Debug,
{
    let mut params = DeleteParams::background();
    params.preconditions = uid.map(|uid| Preconditions {
        uid: Some(uid.to_owned()),
        resource_version: None,
    });
    match api.delete(name, &params).await {
        Ok(_) => Ok(()),
        Err(error) if is_not_found(&error) => Ok(()),
        // A conflict is one of uids: another object has the name now.
        Err(kube::Error::Api(status)) if status.code == 409 && uid.is_some() => Ok(()),
        Err(error) => Err(ClusterError::request("delete", format!("{kind} {name}"), error)),
    }
}

/// Whether the object, or its kind, does not exist.
pub(crate) fn is_not_found(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}
