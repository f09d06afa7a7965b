//! Whether a trial's pipeline really runs. The Pipeline's phase says so before any pod is there, so everything below it
//! is looked at as well.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::DynamicObject;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::objects::{Snapshot, TrialObjects, VERTICES};
use crate::diagnosis::NumaflowStatus;
use crate::error::ClusterEngineError;

/// Between two looks.
const POLL: Duration = Duration::from_millis(500);

/// Between two questions why it does not run yet.
const EXPLAIN_EVERY: Duration = Duration::from_secs(3);

/// How long one and the same trouble may last, where waiting may help: longer than an image takes that is pulled again.
const TROUBLE_LASTS: Duration = Duration::from_secs(45);

/// Waits until everything runs, for `patience` at most.
///
/// # Errors
/// Where it does not, or cannot.
pub(super) async fn ready(
    objects: &TrialObjects,
    patience: Duration,
) -> Result<Snapshot, ClusterEngineError> {
    let began = Instant::now();
    let mut asked = began;
    let mut trouble: Option<(String, Instant)> = None;
    loop {
        let snapshot = objects.look().await?;
        let Some(missing) = missing(&snapshot, objects.own_endpoint) else {
            return Ok(snapshot);
        };
        let mut give_up = began.elapsed() >= patience;
        if !give_up && asked.elapsed() >= EXPLAIN_EVERY {
            asked = Instant::now();
            let diagnosis = objects.explain(&snapshot, false).await;
            give_up = diagnosis.as_ref().is_some_and(|diagnosis| diagnosis.hopeless);
            trouble = diagnosis.map(|diagnosis| match trouble.take() {
                Some((what, since)) if what == diagnosis.what => (what, since),
                _ => (diagnosis.what, asked),
            });
            let lasts = trouble.as_ref().map(|(_, since)| since.elapsed());
            give_up |= lasts.is_some_and(|lasts| lasts >= TROUBLE_LASTS);
        }
        if give_up {
            let diagnosis = objects.explain(&snapshot, true).await;
            return Err(ClusterEngineError::NotReady {
                after: Duration::from_secs(began.elapsed().as_secs()),
                why: diagnosis.map_or(missing, |diagnosis| diagnosis.to_string()),
            });
        }
        sleep(POLL).await;
    }
}

/// What is not ready yet, in words; nothing where everything runs.
fn missing(snapshot: &Snapshot, own_endpoint: bool) -> Option<String> {
    let Some(pipeline) = &snapshot.pipeline else {
        return Some("the Pipeline is not there".to_owned());
    };
    pipeline_missing(pipeline)
        .or_else(|| {
            VERTICES
                .into_iter()
                .zip(&snapshot.vertices)
                .find_map(|(name, vertex)| vertex_missing(name, vertex.as_ref()))
        })
        .or_else(|| {
            VERTICES
                .into_iter()
                .find_map(|name| pod_missing(name, snapshot.of_vertex(name)))
        })
        .or_else(|| endpoint_missing(snapshot.deployment.as_ref()).filter(|_| own_endpoint))
}

fn pipeline_missing(pipeline: &DynamicObject) -> Option<String> {
    let observed = pipeline
        .data
        .pointer("/status/observedGeneration")
        .and_then(Value::as_i64);
    if observed.is_none() || observed != pipeline.metadata.generation {
        return Some("Numaflow's controller has not looked at the Pipeline".to_owned());
    }
    let status = NumaflowStatus::of("Pipeline", pipeline);
    if status.phase != "Running" {
        return Some(
            format!("the Pipeline's phase is `{}` {}", status.phase, status.message)
                .trim_end()
                .to_owned(),
        );
    }
    status.unmet("the Pipeline's")
}

fn vertex_missing(name: &str, vertex: Option<&DynamicObject>) -> Option<String> {
    let Some(vertex) = vertex else {
        return Some(format!("the Vertex {name} is not there"));
    };
    let count = |field: &str| {
        let number = vertex.data.get("status").and_then(|status| status.get(field));
        number.and_then(Value::as_u64).unwrap_or(0)
    };
    let phase = vertex
        .data
        .pointer("/status/phase")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let (desired, ready) = (count("desiredReplicas"), count("readyReplicas"));
    if phase != "Running" {
        return Some(format!("the phase of Vertex {name} is `{phase}`"));
    }
    (desired == 0 || ready != desired)
        .then(|| format!("{ready} of {desired} pods of Vertex {name} are ready"))
}

fn pod_missing(vertex: &str, pod: Option<&Pod>) -> Option<String> {
    let Some(pod) = pod else {
        return Some(format!("there is no {vertex} pod"));
    };
    if pod.metadata.deletion_timestamp.is_some() {
        return Some(format!("the {vertex} pod is being deleted"));
    }
    let Some(status) = &pod.status else {
        return Some(format!("the {vertex} pod has not been seen by a node"));
    };
    // The user containers are sidecars: started, they count as ready unless they have a readiness probe.
    let sidecars = pod
        .spec
        .iter()
        .flat_map(|spec| spec.init_containers.iter().flatten());
    let names = sidecars
        .filter(|container| container.restart_policy.as_deref() == Some("Always"))
        .map(|container| container.name.as_str());
    for name in names {
        let statuses = status.init_container_statuses.iter().flatten();
        let started = statuses
            .filter(|status| status.name == name)
            .any(|status| status.started == Some(true) && status.ready);
        if !started {
            return Some(format!("container {name} of the {vertex} pod has not started"));
        }
    }
    let ready = status
        .conditions
        .iter()
        .flatten()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True");
    (!ready).then(|| format!("the {vertex} pod is not ready"))
}

fn endpoint_missing(deployment: Option<&Deployment>) -> Option<String> {
    let Some(deployment) = deployment else {
        return Some("the endpoint's Deployment is not there".to_owned());
    };
    let status = deployment.status.as_ref();
    let observed = status.and_then(|status| status.observed_generation);
    let available = status.and_then(|status| status.available_replicas).unwrap_or(0);
    (observed != deployment.metadata.generation || available == 0)
        .then(|| "the endpoint's pod is not ready".to_owned())
}

#[cfg(test)]
mod tests;
