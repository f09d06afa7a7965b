//! The state of a trial's objects at one moment. Pure.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::DynamicObject;

use crate::labels::VERTEX_NAME_LABEL;

/// The vertices of a base.
pub(super) const VERTICES: [&str; 3] = ["generator", "udf", "sink"];

/// A trial's objects as they were at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Snapshot {
    pub pipeline: Option<DynamicObject>,
    /// In the order of [`VERTICES`].
    pub vertices: Vec<Option<DynamicObject>>,
    /// Pods of vertices, daemon and Jobs.
    pub pods: Vec<Pod>,
    /// Of the endpoint.
    pub deployment: Option<Deployment>,
    /// The endpoint's pods.
    pub endpoints: Vec<Pod>,
}

impl Snapshot {
    /// The pod of a vertex that serves or is about to. Of several the newest.
    pub fn of_vertex(&self, vertex: &str) -> Option<&Pod> {
        live(self.all_of_vertex(vertex))
    }

    /// All pods of a vertex: a reduce vertex has one for each partition.
    pub fn all_of_vertex(&self, vertex: &str) -> impl Iterator<Item = &Pod> {
        self.pods.iter().filter(move |pod| {
            let labels = pod.metadata.labels.as_ref();
            labels
                .and_then(|labels| labels.get(VERTEX_NAME_LABEL))
                .is_some_and(|name| name == vertex)
        })
    }

    /// All pods of a vertex, or of the `endpoint`.
    pub fn all_of(&self, part: &str) -> Vec<&Pod> {
        match part {
            "endpoint" => self.endpoints.iter().collect(),
            vertex => self.all_of_vertex(vertex).collect(),
        }
    }

    /// The endpoint's pod that serves or is about to.
    pub fn endpoint(&self) -> Option<&Pod> {
        live(self.endpoints.iter())
    }
}

/// The newest pod that is not being deleted; if there is none, the newest of all.
pub(super) fn live<'a>(pods: impl Iterator<Item = &'a Pod>) -> Option<&'a Pod> {
    pods.max_by_key(|pod| {
        let metadata = &pod.metadata;
        let created = metadata.creation_timestamp.as_ref().map(|time| time.0);
        (metadata.deletion_timestamp.is_none(), created)
    })
}
