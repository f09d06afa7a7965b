//! What must be gone before a release of the chart is uninstalled. Helm removes kinds that it does not know last, and
//! Numaflow's clean-up Job would race the removal of the InterStepBufferService that it cleans.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::wait_deleted::{CHECK_EVERY, Leftovers, wait_deleted};
use crate::client::requests::{delete_if_present, list, list_pipelines};
use crate::client::{Cluster, ClusterError};
use crate::completion::{job_end, pod_has_ended};
use crate::labels::{HELM_HOOK, INSTANCE_LABEL, JOB_NAME_LABEL};
use crate::poll::Poll;

/// Ends the release's experiment, deletes all Pipelines of the release and of its experiment, and waits until they, their
/// pods and Numaflow's clean-up Jobs are gone. `note` receives lines about the progress.
///
/// # Errors
/// Returns an error if the API server refuses a request or something is left after `within`.
pub async fn release(
    cluster: &Cluster,
    release: &str,
    within: Duration,
    note: &(dyn Fn(&str) + Sync),
) -> Result<(), ClusterError> {
    let poll = Poll::new(CHECK_EVERY, within);
    let jobs = experiment_jobs(cluster, release).await?;
    let uids: BTreeSet<String> = jobs.iter().filter_map(|job| job.metadata.uid.clone()).collect();
    end_jobs(cluster, &jobs, &poll, note).await?;
    // Listed after the experiment's end: a running one may still create Pipelines.
    let pipelines = pipelines(cluster, release, &uids).await?;
    for name in &pipelines {
        note(&format!("deleting Pipeline {name}"));
        delete_if_present(&cluster.numaflow("Pipeline"), "Pipeline", name, None).await?;
    }
    let leftovers = Leftovers {
        pipelines,
        runs: BTreeSet::new(),
    };
    wait_deleted(cluster, &leftovers, &poll, note).await
}

/// The release's Jobs that run an experiment. Hooks are left out: this may be called by one.
async fn experiment_jobs(cluster: &Cluster, release: &str) -> Result<Vec<Job>, ClusterError> {
    let selector = format!("{INSTANCE_LABEL}={release},app.kubernetes.io/component=experiment");
    let jobs = list::<Job>(&cluster.api(), Some(&selector), "Jobs").await?;
    let hook = |job: &Job| {
        let annotations = job.metadata.annotations.as_ref();
        annotations.is_some_and(|annotations| annotations.contains_key(HELM_HOOK))
    };
    Ok(jobs.into_iter().filter(|job| !hook(job)).collect())
}

/// Deletes the Jobs and waits until their pods have ended: until then an experiment may still create objects.
async fn end_jobs(
    cluster: &Cluster,
    jobs: &[Job],
    poll: &Poll,
    note: &(dyn Fn(&str) + Sync),
) -> Result<(), ClusterError> {
    for job in jobs {
        let name = job.metadata.name.as_deref().unwrap_or_default();
        if job_end(job).is_none() {
            note(&format!("ending the experiment of Job {name}"));
        }
        delete_if_present(&cluster.api::<Job>(), "Job", name, None).await?;
        let selector = format!("{JOB_NAME_LABEL}={name}");
        loop {
            let pods = list::<Pod>(&cluster.api(), Some(&selector), "Pods").await?;
            let Some(pod) = pods.iter().find(|pod| !pod_has_ended(pod)) else {
                break;
            };
            if !poll.again().await {
                return Err(ClusterError::Remains {
                    within: poll.within(),
                    left: format!("pod {}", pod.metadata.name.as_deref().unwrap_or_default()),
                    advice: "its node may be gone: `kubectl delete pod --force` removes it",
                });
            }
        }
    }
    Ok(())
}

/// Names of the Pipelines with the release's label, and of those that the Jobs of its experiment own.
async fn pipelines(
    cluster: &Cluster,
    release: &str,
    jobs: &BTreeSet<String>,
) -> Result<BTreeSet<String>, ClusterError> {
    let all = list_pipelines(cluster, None).await?;
    let ours = all
        .into_iter()
        .filter(|pipeline| is_ours(pipeline, release, jobs));
    Ok(ours.filter_map(|pipeline| pipeline.name).collect())
}

fn is_ours(pipeline: &ObjectMeta, release: &str, jobs: &BTreeSet<String>) -> bool {
    let labels = pipeline.labels.as_ref();
    let instance = labels.and_then(|labels| labels.get(INSTANCE_LABEL));
    let mut owners = pipeline.owner_references.iter().flatten();
    instance.is_some_and(|instance| instance == release) || owners.any(|owner| jobs.contains(&owner.uid))
}
