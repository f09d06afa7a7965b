//! Why a pipeline does not run, or has failed: from what the cluster says of its parts to one sentence and what to do.
//! Pure: whoever watches the cluster brings pods, events, statuses and the last lines of logs.

mod numaflow;
mod pod;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::api::core::v1::{Event, Pod};

use crate::text::line;

pub use self::numaflow::{Condition, NumaflowStatus};
pub use self::pod::{Failing, failing, restarts};

/// What explains a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// One sentence: what is wrong and where.
    pub what: String,
    /// What to do.
    pub advice: String,
    /// Whether waiting cannot help: somebody has to change something.
    pub permanent: bool,
}

/// In one line.
impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.advice)
    }
}

/// The last lines of containers' logs, by names of pod and container.
pub type Logs = BTreeMap<(String, String), String>;

/// What the cluster says of a pipeline and its parts. Only what belongs to it: who brings it selects.
#[derive(Debug, Clone, Copy, Default)]
pub struct Scene<'a> {
    /// Pods of its vertices, daemon and Jobs, and of its endpoint.
    pub pods: &'a [Pod],
    /// Events of those pods and of what creates them (Vertex, ReplicaSet, Job, Pipeline).
    pub events: &'a [Event],
    /// Statuses of Pipeline, Vertices and the InterStepBufferService.
    pub numaflow: &'a [NumaflowStatus],
    /// Of the containers that [`failing`] names.
    pub logs: Option<&'a Logs>,
}

/// The most telling explanation of why something does not run; nothing where all looks well or is only slow.
pub fn explain(scene: &Scene<'_>) -> Option<Diagnosis> {
    numaflow::invalid(scene.numaflow)
        .or_else(|| numaflow::buffer_service(scene.numaflow))
        .or_else(|| refused(scene))
        .or_else(|| scene.pods.iter().find_map(|pod| pod::explain(pod, scene)))
        .or_else(|| numaflow::failed(scene.numaflow))
}

/// What admission refused: quota, Pod Security Standards, or another rule. The newest event counts.
fn refused(scene: &Scene<'_>) -> Option<Diagnosis> {
    const REASONS: [&str; 5] = [
        "FailedCreate",
        "CreatePodFailed",
        "OrchestratePodsFailed",
        "CreatePVCFailed",
        "BuildReduceVertexPVCsFailed",
    ];
    let from_events = scene.events.iter().rev().filter_map(|event| {
        let known = REASONS.contains(&event.reason.as_deref()?);
        known
            .then(|| refusal(&subject(event), event.message.as_deref()?))
            .flatten()
    });
    let from_vertices = scene.numaflow.iter().filter_map(|status| {
        let message = status.false_condition("Deployed")?.message.as_deref()?;
        refusal(&format!("{} {}", status.kind, status.name), message)
    });
    from_events.chain(from_vertices).next()
}

/// The forms are those of the API server's admission plugins ResourceQuota, PodSecurity and LimitRanger.
fn refusal(subject: &str, message: &str) -> Option<Diagnosis> {
    let told = line(message);
    let (what, advice) = if message.contains("exceeded quota") || message.contains("failed quota") {
        (
            "the namespace's quota",
            "lower the requests and limits, run fewer things at once, or have the ResourceQuota raised",
        )
    } else if message.contains("violates PodSecurity") {
        (
            "the namespace's Pod Security Standard",
            "set what the message names in the base's securityContext (--base), or use another namespace",
        )
    } else if message.contains("is forbidden") {
        (
            "a rule of the cluster",
            "change what the message names, or use another namespace",
        )
    } else {
        return None;
    };
    Some(Diagnosis {
        what: format!("{what} does not let {subject} create its pods: {told}"),
        advice: advice.to_owned(),
        permanent: true,
    })
}

/// Whom an event is about.
fn subject(event: &Event) -> String {
    let about = &event.involved_object;
    format!(
        "{} {}",
        about.kind.as_deref().unwrap_or("object"),
        about.name.as_deref().unwrap_or("?")
    )
}
