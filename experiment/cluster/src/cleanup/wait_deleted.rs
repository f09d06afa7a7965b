//! Waits until what was deleted is gone. Numaflow creates the Job that removes a Pipeline's streams before it lets go of
//! the Pipeline (`cleanUpBuffers` in its `pipeline/controller.go`), so once the Pipeline is gone the Job is there, or
//! has been. The Job belongs to nobody and removes itself 30 s after its end.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::ListParams;
use tokio::time::{Instant, sleep};

use crate::client::requests::{is_not_found, list};
use crate::client::{Cluster, ClusterError};
use crate::labels::{PIPELINE_NAME_LABEL, RUN_LABEL};

/// Between two looks.
const EVERY: Duration = Duration::from_secs(1);

/// Between two lines that say what is waited for.
const SAY_EVERY: Duration = Duration::from_secs(15);

/// What has been deleted and must go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// Names of Pipelines; with them go their pods and Numaflow's clean-up Jobs.
    pub pipelines: BTreeSet<String>,
    /// Ids of runs, for their endpoints' pods.
    pub runs: BTreeSet<String>,
}

/// Waits until all of it is gone: Pipelines, pods that still run, clean-up Jobs that are not finished. `tell` hears what is
/// waited for, and of clean-up Jobs that failed.
///
/// # Errors
/// [`ClusterError::Remains`] with their names where something is left after `within`.
pub async fn until_gone(
    cluster: &Cluster,
    what: &Leftovers,
    within: Duration,
    tell: &(dyn Fn(&str) + Sync),
) -> Result<(), ClusterError> {
    let until = Instant::now() + within;
    let mut say_at = Instant::now() + SAY_EVERY;
    loop {
        let left = left(cluster, what).await?;
        if left.things.is_empty() {
            for job in left.failed_jobs {
                tell(&format!(
                    "Numaflow's clean-up Job {job} failed: streams of its pipeline may be left in the InterStepBufferService"
                ));
            }
            return Ok(());
        }
        let told = left.things.join(", ");
        if Instant::now() >= until {
            return Err(ClusterError::Remains {
                within,
                left: told,
                advice: "is Numaflow's controller running? `experiment clean` tries again",
            });
        }
        if Instant::now() >= say_at {
            tell(&format!("waiting for {told}"));
            say_at = Instant::now() + SAY_EVERY;
        }
        sleep(EVERY).await;
    }
}

/// What is left, in words.
#[derive(Debug, Default, PartialEq, Eq)]
struct Left {
    things: Vec<String>,
    failed_jobs: Vec<String>,
}

async fn left(cluster: &Cluster, what: &Leftovers) -> Result<Left, ClusterError> {
    let pipelines = cluster
        .numaflow("Pipeline")
        .list_metadata(&ListParams::default())
        .await;
    let pipelines: Vec<String> = match pipelines {
        Ok(list) => list
            .items
            .into_iter()
            .filter_map(|object| object.metadata.name)
            .collect(),
        Err(error) if is_not_found(&error) => Vec::new(),
        Err(error) => return Err(ClusterError::request("list", "Pipelines", error)),
    };
    let mut left = Left::default();
    let still = pipelines.iter().filter(|name| what.pipelines.contains(*name));
    left.things.extend(still.map(|name| format!("Pipeline {name}")));
    if !left.things.is_empty() {
        return Ok(left);
    }
    // Only now: before the Pipeline is gone its clean-up Job may not be there yet.
    let jobs = list::<Job>(&cluster.api(), PIPELINE_NAME_LABEL, "Jobs").await?;
    let mut pods = list::<Pod>(&cluster.api(), PIPELINE_NAME_LABEL, "Pods").await?;
    if !what.runs.is_empty() {
        pods.extend(list::<Pod>(&cluster.api(), RUN_LABEL, "Pods").await?);
    }
    remains(what, &jobs, &pods, &mut left);
    Ok(left)
}

fn remains(what: &Leftovers, jobs: &[Job], pods: &[Pod], left: &mut Left) {
    for job in jobs {
        let name = job.metadata.name.as_deref().unwrap_or_default();
        let of_ours = label(&job.metadata, PIPELINE_NAME_LABEL)
            .filter(|pipeline| what.pipelines.contains(*pipeline))
            .and_then(|pipeline| name.strip_prefix(pipeline))
            .is_some_and(|rest| rest.starts_with("-cln-"));
        match (of_ours, ended(job)) {
            (true, None) => left.things.push(format!("Job {name}")),
            (true, Some("Failed")) => left.failed_jobs.push(name.to_owned()),
            _ => {}
        }
    }
    let mut names = BTreeSet::new();
    for pod in pods {
        let of_pipeline =
            label(&pod.metadata, PIPELINE_NAME_LABEL).is_some_and(|name| what.pipelines.contains(name));
        let of_run = label(&pod.metadata, RUN_LABEL).is_some_and(|run| what.runs.contains(run));
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        // Those of the clean-up Job stay as long as it, ended.
        let over = matches!(phase, Some("Succeeded" | "Failed"));
        if (of_pipeline || of_run) && !over {
            names.insert(pod.metadata.name.clone().unwrap_or_default());
        }
    }
    left.things
        .extend(names.into_iter().map(|name| format!("pod {name}")));
}

fn label<'a>(metadata: &'a ObjectMeta, name: &str) -> Option<&'a str> {
    metadata.labels.as_ref()?.get(name).map(String::as_str)
}

/// How a Job has ended, if it has.
pub(super) fn ended(job: &Job) -> Option<&'static str> {
    let conditions = job.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().find_map(|condition| {
        // Both are terminal (`JobComplete`, `JobFailed` in Kubernetes' `batch/v1`).
        match (condition.type_.as_str(), condition.status.as_str()) {
            ("Complete", "True") => Some("Complete"),
            ("Failed", "True") => Some("Failed"),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use serde::de::DeserializeOwned;
    use serde_json::json;

    use super::*;

    fn thing<K: DeserializeOwned>(name: &str, labels: serde_json::Value, status: serde_json::Value) -> K {
        serde_json::from_value(json!({"metadata": {"name": name, "labels": labels}, "status": status}))
            .unwrap()
    }

    #[test]
    fn only_what_is_ours_and_goes_on_is_waited_for() {
        let what = Leftovers {
            pipelines: ["ar-a-1".to_owned()].into(),
            runs: ["a".to_owned()].into(),
        };
        let ours = json!({"numaflow.numaproj.io/pipeline-name": "ar-a-1"});
        let other = json!({"numaflow.numaproj.io/pipeline-name": "ar-a-10"});
        let ended = |how: &str| json!({"conditions": [{"type": how, "status": "True"}]});
        let jobs: Vec<Job> = vec![
            thing("ar-a-1-cln-0a1b2c", ours.clone(), json!({"active": 1})),
            thing("ar-a-1-cln-000000", ours.clone(), ended("Complete")),
            thing("ar-a-1-cln-ffffff", ours.clone(), ended("Failed")),
            thing("ar-a-1-cre-0a1b2c", ours.clone(), json!({})),
            thing("ar-a-10-cln-0a1b2c", other.clone(), json!({})),
        ];
        let pods: Vec<Pod> = vec![
            thing("ar-a-1-udf-0-xxxxx", ours.clone(), json!({"phase": "Running"})),
            thing("ar-a-1-cln-000000-x", ours, json!({"phase": "Succeeded"})),
            thing("ar-a-10-udf-0-xxxxx", other, json!({"phase": "Running"})),
            thing(
                "ar-a-1-endpoint-x",
                json!({"async-reduce/run": "a"}),
                json!({"phase": "Pending"}),
            ),
            thing(
                "ar-b-1-endpoint-x",
                json!({"async-reduce/run": "b"}),
                json!({"phase": "Running"}),
            ),
        ];
        let mut left = Left::default();
        remains(&what, &jobs, &pods, &mut left);
        assert_eq!(
            left.things,
            [
                "Job ar-a-1-cln-0a1b2c",
                "pod ar-a-1-endpoint-x",
                "pod ar-a-1-udf-0-xxxxx"
            ]
        );
        assert_eq!(left.failed_jobs, ["ar-a-1-cln-ffffff"]);
    }
}
