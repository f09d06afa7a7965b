//! Waits until deleted objects are gone. Numaflow creates the Job that removes a Pipeline's streams before it lets go of
//! the Pipeline (`cleanUpBuffers` in its `pipeline/controller.go`), so once the Pipeline is gone the Job exists, or has
//! existed. The Job has no owner and removes itself 30 s after its end.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::client::requests::{list, list_pipelines};
use crate::client::{Cluster, ClusterError};
use crate::completion::{job_end, pod_has_ended};
use crate::labels::{PIPELINE_NAME_LABEL, RUN_LABEL};
use crate::poll::Poll;

/// Between two checks.
pub(crate) const CHECK_EVERY: Duration = Duration::from_secs(1);

/// Between two lines that say what is waited for.
const NOTE_EVERY: Duration = Duration::from_secs(15);

/// What has been deleted and must disappear.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Leftovers {
    /// Names of Pipelines. Their pods and Numaflow's clean-up Jobs are waited for as well.
    pub pipelines: BTreeSet<String>,
    /// Ids of runs, for the pods of their endpoints.
    pub runs: BTreeSet<String>,
}

/// Waits until Pipelines, pods that still run and unfinished clean-up Jobs are gone. `note` receives a line about what is
/// waited for, and one for each clean-up Job that failed.
///
/// # Errors
/// Returns [`ClusterError::Remains`] with the names of what is left when the time of `poll` is up.
pub(crate) async fn wait_deleted(
    cluster: &Cluster,
    leftovers: &Leftovers,
    poll: &Poll,
    note: &(dyn Fn(&str) + Sync),
) -> Result<(), ClusterError> {
    let mut note_at = poll.elapsed() + NOTE_EVERY;
    loop {
        let remaining = remaining(cluster, leftovers).await?;
        if remaining.objects.is_empty() {
            for job in remaining.failed_jobs {
                note(&format!(
                    "Numaflow's clean-up Job {job} failed: streams of its pipeline may be left in the InterStepBufferService"
                ));
            }
            return Ok(());
        }
        let objects = remaining.objects.join(", ");
        if poll.elapsed() >= note_at {
            note(&format!("waiting for {objects}"));
            note_at = poll.elapsed() + NOTE_EVERY;
        }
        if !poll.again().await {
            return Err(ClusterError::Remains {
                within: poll.within(),
                left: objects,
                advice: "is Numaflow's controller running? `experiment clean` tries again",
            });
        }
    }
}

/// What is left, by kind and name.
#[derive(Debug, Default, PartialEq, Eq)]
struct Remaining {
    objects: Vec<String>,
    failed_jobs: Vec<String>,
}

async fn remaining(cluster: &Cluster, leftovers: &Leftovers) -> Result<Remaining, ClusterError> {
    let pipelines = list_pipelines(cluster, None).await?;
    let names = pipelines.into_iter().filter_map(|pipeline| pipeline.name);
    let left = names.filter(|name| leftovers.pipelines.contains(name));
    let left: Vec<String> = left.map(|name| format!("Pipeline {name}")).collect();
    if !left.is_empty() {
        return Ok(Remaining {
            objects: left,
            failed_jobs: Vec::new(),
        });
    }
    // Only once the Pipelines are gone: before that their clean-up Jobs may not exist yet.
    let jobs = list::<Job>(&cluster.api(), Some(PIPELINE_NAME_LABEL), "Jobs").await?;
    let mut pods = list::<Pod>(&cluster.api(), Some(PIPELINE_NAME_LABEL), "Pods").await?;
    if !leftovers.runs.is_empty() {
        pods.extend(list::<Pod>(&cluster.api(), Some(RUN_LABEL), "Pods").await?);
    }
    Ok(jobs_and_pods(leftovers, &jobs, &pods))
}

fn jobs_and_pods(leftovers: &Leftovers, jobs: &[Job], pods: &[Pod]) -> Remaining {
    let mut remaining = Remaining::default();
    for job in jobs {
        let name = job.metadata.name.as_deref().unwrap_or_default();
        let is_ours = label(&job.metadata, PIPELINE_NAME_LABEL)
            .filter(|pipeline| leftovers.pipelines.contains(*pipeline))
            .and_then(|pipeline| name.strip_prefix(pipeline))
            .is_some_and(|rest| rest.starts_with("-cln-"));
        match job_end(job) {
            None if is_ours => remaining.objects.push(format!("Job {name}")),
            Some(end) if is_ours && end.type_ == "Failed" => remaining.failed_jobs.push(name.to_owned()),
            _ => {}
        }
    }
    // A set, as a pod may have both labels. The pods of a clean-up Job stay as long as the Job, ended.
    let mut names = BTreeSet::new();
    for pod in pods.iter().filter(|pod| !pod_has_ended(pod)) {
        let of_pipeline =
            label(&pod.metadata, PIPELINE_NAME_LABEL).is_some_and(|name| leftovers.pipelines.contains(name));
        let of_run = label(&pod.metadata, RUN_LABEL).is_some_and(|run| leftovers.runs.contains(run));
        if of_pipeline || of_run {
            names.insert(pod.metadata.name.clone().unwrap_or_default());
        }
    }
    let pods = names.into_iter().map(|name| format!("pod {name}"));
    remaining.objects.extend(pods);
    remaining
}

fn label<'a>(metadata: &'a ObjectMeta, name: &str) -> Option<&'a str> {
    metadata.labels.as_ref()?.get(name).map(String::as_str)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use serde::de::DeserializeOwned;
    use serde_json::json;

    use super::*;

    fn object<K: DeserializeOwned>(name: &str, labels: serde_json::Value, status: serde_json::Value) -> K {
        serde_json::from_value(json!({"metadata": {"name": name, "labels": labels}, "status": status}))
            .unwrap()
    }

    #[test]
    fn only_our_unfinished_jobs_and_pods_are_waited_for() {
        let leftovers = Leftovers {
            pipelines: ["ar-a-1".to_owned()].into(),
            runs: ["a".to_owned()].into(),
        };
        let ours = json!({"numaflow.numaproj.io/pipeline-name": "ar-a-1"});
        let other = json!({"numaflow.numaproj.io/pipeline-name": "ar-a-10"});
        let ended = |how: &str| json!({"conditions": [{"type": how, "status": "True"}]});
        let jobs: Vec<Job> = vec![
            object("ar-a-1-cln-0a1b2c", ours.clone(), json!({"active": 1})),
            object("ar-a-1-cln-000000", ours.clone(), ended("Complete")),
            object("ar-a-1-cln-ffffff", ours.clone(), ended("Failed")),
            object("ar-a-1-cre-0a1b2c", ours.clone(), json!({})),
            object("ar-a-10-cln-0a1b2c", other.clone(), json!({})),
        ];
        let pods: Vec<Pod> = vec![
            object("ar-a-1-udf-0-xxxxx", ours.clone(), json!({"phase": "Running"})),
            object("ar-a-1-cln-000000-x", ours, json!({"phase": "Succeeded"})),
            object("ar-a-10-udf-0-xxxxx", other, json!({"phase": "Running"})),
            object(
                "ar-a-1-endpoint-x",
                json!({"async-reduce/run": "a"}),
                json!({"phase": "Pending"}),
            ),
            object(
                "ar-b-1-endpoint-x",
                json!({"async-reduce/run": "b"}),
                json!({"phase": "Running"}),
            ),
        ];
        let left = jobs_and_pods(&leftovers, &jobs, &pods);
        assert_eq!(
            left.objects,
            [
                "Job ar-a-1-cln-0a1b2c",
                "pod ar-a-1-endpoint-x",
                "pod ar-a-1-udf-0-xxxxx"
            ]
        );
        assert_eq!(left.failed_jobs, ["ar-a-1-cln-ffffff"]);
    }
}
