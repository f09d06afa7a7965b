//! What a diagnosis is made from and what it consists of.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::api::core::v1::{Event, Pod};

use super::status::NumaflowStatus;

/// The cause of a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// One sentence: what is wrong and where.
    pub what: String,
    /// What to do about it.
    pub advice: String,
    /// Whether waiting cannot help: something must be changed first.
    pub permanent: bool,
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.advice)
    }
}

/// The last lines of containers' logs, by the names of pod and container.
pub type Logs = BTreeMap<(String, String), String>;

/// The state of a pipeline and its parts. The caller passes only objects of this pipeline.
#[derive(Debug, Clone, Copy, Default)]
pub struct Scene<'a> {
    /// Pods of vertices, daemon, Jobs and endpoint.
    pub pods: &'a [Pod],
    /// Events, oldest first, of those pods and of what creates them (Vertex, ReplicaSet, Job, Pipeline).
    pub events: &'a [Event],
    /// Statuses of Pipeline, Vertices and InterStepBufferService.
    pub numaflow: &'a [NumaflowStatus],
    /// Logs of the containers that [`failing`](super::failing) names.
    pub logs: Option<&'a Logs>,
}
