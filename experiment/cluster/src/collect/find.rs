//! Which Job is meant, which pod is its, and how both ended.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;

use crate::client::{Cluster, ClusterError};
use crate::labels::PIPELINE_NAME_LABEL;

/// Label by which Kubernetes' Job controller finds the pods of a Job.
const JOB_NAME_LABEL: &str = "batch.kubernetes.io/job-name";

/// The name of the Job called `name`, or of the only one whose name begins so.
pub(super) async fn job(cluster: &Cluster, name: &str) -> Result<String, ClusterError> {
    let listed = cluster.api::<Job>().list(&ListParams::default()).await;
    let jobs = listed.map_err(|error| ClusterError::request("list", "Jobs", error))?;
    meant(name, &jobs.items).map_err(|found| ClusterError::NoJob {
        name: name.to_owned(),
        namespace: cluster.namespace.clone(),
        found,
    })
}

/// The Job that is meant, or what was found instead as the rest of a sentence.
fn meant(name: &str, jobs: &[Job]) -> Result<String, String> {
    let names = jobs.iter().filter(|job| !is_others(job));
    let names: Vec<&str> = names.filter_map(|job| job.metadata.name.as_deref()).collect();
    if names.contains(&name) {
        return Ok(name.to_owned());
    }
    let begin: Vec<&str> = names
        .iter()
        .copied()
        .filter(|found| found.starts_with(name))
        .collect();
    match begin.as_slice() {
        [only] => Ok((*only).to_owned()),
        [] if names.is_empty() => Err(": there is none at all; is it the right --namespace?".to_owned()),
        [] => Err(format!("; there are {}", names.join(", "))),
        several => Err(format!(": several begin so, name one of {}", several.join(", "))),
    }
}

/// Whether it is one of Numaflow's, or a hook of a chart.
fn is_others(job: &Job) -> bool {
    let label = job.metadata.labels.as_ref();
    let note = job.metadata.annotations.as_ref();
    label.is_some_and(|labels| labels.contains_key(PIPELINE_NAME_LABEL))
        || note.is_some_and(|notes| notes.contains_key("helm.sh/hook"))
}

/// The newest pod of a Job.
pub(super) async fn pod(cluster: &Cluster, job: &str) -> Result<Option<Pod>, ClusterError> {
    let of_job = ListParams::default().labels(&format!("{JOB_NAME_LABEL}={job}"));
    let pods = cluster.api::<Pod>().list(&of_job).await;
    let pods = pods.map_err(|error| ClusterError::request("list", "Pods", error))?;
    Ok(pods.items.into_iter().max_by_key(|pod| {
        let created = pod.metadata.creation_timestamp.as_ref();
        created.map(|time| time.0)
    }))
}

/// Whether all containers of a pod have ended for good.
pub(super) fn is_over(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// The experiment's container: the first.
pub(super) fn container(pod: &Pod) -> String {
    let containers = pod.spec.as_ref().map(|spec| spec.containers.as_slice());
    let first = containers.unwrap_or_default().first();
    first.map(|container| container.name.clone()).unwrap_or_default()
}

/// How a Job has ended, as part of a sentence; nothing while it goes on.
pub(super) fn how_ended(job: &Job) -> Option<String> {
    let conditions = job.status.as_ref().and_then(|status| status.conditions.as_ref());
    let ended = conditions.into_iter().flatten().find(|condition| {
        matches!(condition.type_.as_str(), "Complete" | "Failed") && condition.status == "True"
    })?;
    let why = [ended.reason.as_deref(), ended.message.as_deref()];
    let why: Vec<&str> = why
        .into_iter()
        .flatten()
        .filter(|text| !text.is_empty())
        .collect();
    Some(match (ended.type_.as_str(), why.join(": ")) {
        ("Complete", _) => "is complete".to_owned(),
        (_, why) if why.is_empty() => "has failed".to_owned(),
        (_, why) => format!("has failed ({why})"),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use serde_json::json;

    use super::*;

    fn job(metadata: serde_json::Value) -> Job {
        serde_json::from_value(json!({"metadata": metadata})).unwrap()
    }

    #[test]
    fn a_job_is_meant_by_its_name_or_its_beginning() {
        let jobs = [
            job(json!({"name": "ar-experiment-1"})),
            job(json!({"name": "ar-experiment-12"})),
            job(json!({"name": "br-experiment-1"})),
            job(json!({"name": "cr-cln-1", "labels": {"numaflow.numaproj.io/pipeline-name": "cr"}})),
            job(json!({"name": "br-uninstall", "annotations": {"helm.sh/hook": "pre-delete"}})),
        ];
        let meant = |name| meant(name, &jobs);
        assert_eq!(meant("ar-experiment-1"), Ok("ar-experiment-1".to_owned()));
        assert_eq!(meant("br"), Ok("br-experiment-1".to_owned()));
        assert_eq!(
            meant("ar"),
            Err(": several begin so, name one of ar-experiment-1, ar-experiment-12".to_owned())
        );
        let all = "; there are ar-experiment-1, ar-experiment-12, br-experiment-1";
        assert_eq!(meant("cr"), Err(all.to_owned()));
    }

    #[test]
    fn the_end_of_a_job_is_told() {
        let failed = json!({"type": "Failed", "status": "True", "reason": "DeadlineExceeded", "message": "Job was active longer"});
        let job: Job =
            serde_json::from_value(json!({"metadata": {}, "status": {"conditions": [failed]}})).unwrap();
        assert_eq!(
            how_ended(&job),
            Some("has failed (DeadlineExceeded: Job was active longer)".to_owned())
        );
        assert_eq!(how_ended(&Job::default()), None);
    }
}
