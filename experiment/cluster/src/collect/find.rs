//! Finds a Job by its name or the beginning of it, finds its pod, and describes how the Job has ended.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;

use crate::client::requests::list;
use crate::client::{Cluster, ClusterError};
use crate::completion::job_end;
use crate::labels::{HELM_HOOK, JOB_NAME_LABEL, PIPELINE_NAME_LABEL};

/// The name of the Job called `name`, or of the only one whose name starts with it.
pub(super) async fn job(cluster: &Cluster, name: &str) -> Result<String, ClusterError> {
    let jobs = list::<Job>(&cluster.api(), None, "Jobs").await?;
    matching(name, &jobs).map_err(|found| ClusterError::NoJob {
        name: name.to_owned(),
        namespace: cluster.namespace.clone(),
        found,
    })
}

/// The name of the Job that matches, or what there is instead as the rest of a sentence.
fn matching(name: &str, jobs: &[Job]) -> Result<String, String> {
    let names = jobs.iter().filter(|job| !is_foreign(job));
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

/// Whether it is one of Numaflow's Jobs, or a hook of a chart.
fn is_foreign(job: &Job) -> bool {
    let labels = job.metadata.labels.as_ref();
    let annotations = job.metadata.annotations.as_ref();
    labels.is_some_and(|labels| labels.contains_key(PIPELINE_NAME_LABEL))
        || annotations.is_some_and(|annotations| annotations.contains_key(HELM_HOOK))
}

/// The newest pod of a Job.
pub(super) async fn pod(cluster: &Cluster, job: &str) -> Result<Option<Pod>, ClusterError> {
    let selector = format!("{JOB_NAME_LABEL}={job}");
    let pods = list::<Pod>(&cluster.api(), Some(&selector), "Pods").await?;
    Ok(pods.into_iter().max_by_key(|pod| {
        let created = pod.metadata.creation_timestamp.as_ref();
        created.map(|time| time.0)
    }))
}

/// The name of the experiment's container: the first.
pub(super) fn container(pod: &Pod) -> String {
    let containers = pod.spec.as_ref().map(|spec| spec.containers.as_slice());
    let first = containers.unwrap_or_default().first();
    first.map(|container| container.name.clone()).unwrap_or_default()
}

/// How a Job has ended, as part of a sentence. `None` while it runs.
pub(super) fn how_ended(job: &Job) -> Option<String> {
    let end = job_end(job)?;
    let why = [end.reason.as_deref(), end.message.as_deref()];
    let why: Vec<&str> = why
        .into_iter()
        .flatten()
        .filter(|text| !text.is_empty())
        .collect();
    Some(match (end.type_.as_str(), why.join(": ")) {
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
    fn a_job_is_found_by_its_name_or_the_beginning_of_it() {
        let jobs = [
            job(json!({"name": "ar-experiment-1"})),
            job(json!({"name": "ar-experiment-12"})),
            job(json!({"name": "br-experiment-1"})),
            job(json!({"name": "cr-cln-1", "labels": {"numaflow.numaproj.io/pipeline-name": "cr"}})),
            job(json!({"name": "br-uninstall", "annotations": {"helm.sh/hook": "pre-delete"}})),
        ];
        let matching = |name| matching(name, &jobs);
        assert_eq!(matching("ar-experiment-1"), Ok("ar-experiment-1".to_owned()));
        assert_eq!(matching("br"), Ok("br-experiment-1".to_owned()));
        assert_eq!(
            matching("ar"),
            Err(": several begin so, name one of ar-experiment-1, ar-experiment-12".to_owned())
        );
        let all = "; there are ar-experiment-1, ar-experiment-12, br-experiment-1";
        assert_eq!(matching("cr"), Err(all.to_owned()));
    }

    #[test]
    fn the_end_of_a_job_has_its_reason() {
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
