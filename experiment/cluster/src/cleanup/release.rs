//! What must go before a release of the chart can be uninstalled: Helm removes kinds that it does not know last, and
//! Numaflow's clean-up Job would race the removal of the InterStepBufferService it cleans.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, DynamicObject, ListParams};
use tokio::time::{Instant, sleep};

use super::wait_deleted::{Leftovers, ended, until_gone};
use crate::client::requests::{is_not_found, list};
use crate::client::{Cluster, ClusterError};

/// Between two looks.
const EVERY: Duration = Duration::from_secs(1);

/// Label by which Kubernetes' Job controller finds the pods of a Job.
const JOB_NAME_LABEL: &str = "batch.kubernetes.io/job-name";

/// Ends the release's experiment, deletes all Pipelines of the release and of its experiment, and waits until they, their pods
/// and Numaflow's clean-up Jobs are gone. `tell` hears what is done.
///
/// # Errors
/// Where the API server refuses something, or something is left after `within`.
pub async fn release(
    cluster: &Cluster,
    release: &str,
    within: Duration,
    tell: &(dyn Fn(&str) + Sync),
) -> Result<(), ClusterError> {
    let until = Instant::now() + within;
    let left = |until: Instant| until.saturating_duration_since(Instant::now());
    let jobs = experiment_jobs(cluster, release).await?;
    let uids: BTreeSet<String> = jobs.iter().filter_map(|job| job.metadata.uid.clone()).collect();
    end_jobs(cluster, &jobs, until, within, tell).await?;
    // Only now: an experiment that runs might have created another one.
    let pipelines = pipelines(cluster, release, &uids).await?;
    for name in &pipelines {
        tell(&format!("deleting Pipeline {name}"));
        match cluster
            .numaflow("Pipeline")
            .delete(name, &DeleteParams::background())
            .await
        {
            Err(error) if !is_not_found(&error) => {
                return Err(ClusterError::request("delete", format!("Pipeline {name}"), error));
            }
            _ => {}
        }
    }
    let leftovers = Leftovers {
        pipelines,
        runs: BTreeSet::new(),
    };
    match until_gone(cluster, &leftovers, left(until), tell).await {
        Err(ClusterError::Remains { left, advice, .. }) => {
            Err(ClusterError::Remains { within, left, advice })
        }
        other => other,
    }
}

/// The release's Jobs that run an experiment: not the hook that this may be called by.
async fn experiment_jobs(cluster: &Cluster, release: &str) -> Result<Vec<Job>, ClusterError> {
    let selector = format!("app.kubernetes.io/instance={release},app.kubernetes.io/component=experiment");
    let jobs = list::<Job>(&cluster.api(), &selector, "Jobs").await?;
    let hook = |job: &Job| {
        let annotations = job.metadata.annotations.as_ref();
        annotations.is_some_and(|annotations| annotations.contains_key("helm.sh/hook"))
    };
    Ok(jobs.into_iter().filter(|job| !hook(job)).collect())
}

/// Deletes the Jobs and waits until their pods have ended: until then an experiment may still create things.
async fn end_jobs(
    cluster: &Cluster,
    jobs: &[Job],
    until: Instant,
    within: Duration,
    tell: &(dyn Fn(&str) + Sync),
) -> Result<(), ClusterError> {
    for job in jobs {
        let name = job.metadata.name.clone().unwrap_or_default();
        if ended(job).is_none() {
            tell(&format!("ending the experiment of Job {name}"));
        }
        match cluster
            .api::<Job>()
            .delete(&name, &DeleteParams::background())
            .await
        {
            Err(error) if !is_not_found(&error) => {
                return Err(ClusterError::request("delete", format!("Job {name}"), error));
            }
            _ => {}
        }
        loop {
            let pods = list::<Pod>(&cluster.api(), &format!("{JOB_NAME_LABEL}={name}"), "Pods").await?;
            let goes_on = |pod: &&Pod| {
                let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
                !matches!(phase, Some("Succeeded" | "Failed"))
            };
            let Some(pod) = pods.iter().find(goes_on) else {
                break;
            };
            if Instant::now() >= until {
                return Err(ClusterError::Remains {
                    within,
                    left: format!("pod {}", pod.metadata.name.as_deref().unwrap_or_default()),
                    advice: "its node may be gone: `kubectl delete pod --force` removes it",
                });
            }
            sleep(EVERY).await;
        }
    }
    Ok(())
}

/// Pipelines labelled with the release, and those that belong to its experiment's Jobs.
async fn pipelines(
    cluster: &Cluster,
    release: &str,
    jobs: &BTreeSet<String>,
) -> Result<BTreeSet<String>, ClusterError> {
    let listed = cluster.numaflow("Pipeline").list(&ListParams::default()).await;
    let all = match listed {
        Ok(list) => list.items,
        // Without Numaflow there are none.
        Err(error) if is_not_found(&error) => Vec::new(),
        Err(error) => return Err(ClusterError::request("list", "Pipelines", error)),
    };
    let ours = all
        .into_iter()
        .filter(|pipeline| is_ours(pipeline, release, jobs));
    Ok(ours.filter_map(|pipeline| pipeline.metadata.name).collect())
}

fn is_ours(pipeline: &DynamicObject, release: &str, jobs: &BTreeSet<String>) -> bool {
    let labels = pipeline.metadata.labels.as_ref();
    let instance = labels.and_then(|labels| labels.get("app.kubernetes.io/instance"));
    let mut owners = pipeline.metadata.owner_references.iter().flatten();
    instance.is_some_and(|instance| instance == release) || owners.any(|owner| jobs.contains(&owner.uid))
}
