//! Waits until a trial's pipeline runs. The Pipeline's phase is `Running` before there is any pod, so everything below it
//! is checked as well.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::DynamicObject;
use serde_json::Value;

use super::objects::TrialObjects;
use super::snapshot::{Snapshot, VERTICES};
use crate::diagnosis::NumaflowStatus;
use crate::error::ClusterEngineError;
use crate::poll::Poll;

/// Between two checks.
const CHECK_EVERY: Duration = Duration::from_millis(500);

/// Between two diagnoses: each is a few requests more.
const EXPLAIN_EVERY: Duration = Duration::from_secs(3);

/// How long the same cause may last if waiting may help: longer than the retry of an image pull takes.
const CAUSE_MAY_LAST: Duration = Duration::from_secs(45);

/// Waits until everything runs, for at most `patience`.
///
/// # Errors
/// Returns an error if the time is up, or earlier if the cause is known and waiting does not help.
pub(super) async fn ready(
    objects: &TrialObjects,
    patience: Duration,
) -> Result<Snapshot, ClusterEngineError> {
    let poll = Poll::new(CHECK_EVERY, patience);
    let mut explain_at = EXPLAIN_EVERY;
    // The cause that was found last, and since when it has been the same.
    let mut cause: Option<(String, Duration)> = None;
    loop {
        let snapshot = objects.snapshot().await?;
        let Some(missing) = missing(&snapshot, objects.own_endpoint) else {
            return Ok(snapshot);
        };
        let mut give_up = false;
        if !poll.is_over() && poll.elapsed() >= explain_at {
            let now = poll.elapsed();
            explain_at = now + EXPLAIN_EVERY;
            let diagnosis = objects.explain(&snapshot, false).await;
            give_up = diagnosis.as_ref().is_some_and(|diagnosis| diagnosis.permanent);
            cause = diagnosis.map(|diagnosis| match cause.take() {
                Some((what, since)) if what == diagnosis.what => (what, since),
                _ => (diagnosis.what, now),
            });
            let lasts = cause.as_ref().map(|(_, since)| poll.elapsed() - *since);
            give_up |= lasts.is_some_and(|lasts| lasts >= CAUSE_MAY_LAST);
        }
        if give_up || !poll.again().await {
            let diagnosis = objects.explain(&snapshot, true).await;
            return Err(ClusterEngineError::NotReady {
                after: Duration::from_secs(poll.elapsed().as_secs()),
                why: diagnosis.map_or(missing, |diagnosis| diagnosis.to_string()),
            });
        }
    }
}

/// The first part that is not ready, in words. `None` if everything runs.
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
