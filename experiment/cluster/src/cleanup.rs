//! Removes what runs left behind that were killed, and what a release of the chart would leave: Pipelines, endpoints,
//! and the streams that Numaflow removes after them. What belongs to a run that lives is never touched.

mod inventory;
mod liveness;
mod release;
mod wait_deleted;

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, DeleteParams, DynamicObject, PostParams, Preconditions};
use tokio::time::sleep;

use self::inventory::{Kind, Object, Run, RunOwner, runs};
use self::liveness::Liveness;
use crate::client::requests::{is_not_found, list};
use crate::client::{Cluster, ClusterError};
use crate::labels::RUN_LABEL;
use crate::ownership::{self, wall_clock};

pub use self::release::release;
pub use self::wait_deleted::{Leftovers, until_gone};

/// How long what was deleted may take to be gone, where nothing else is said: grace periods of Pipeline and pods, and
/// Numaflow's clean-up Job.
pub const PATIENCE: Duration = Duration::from_secs(110);

/// A Lease that may only look expired, as clocks differ, is looked at again after this: a run that lives has renewed it.
const SECOND_LOOK: Duration = ownership::RENEW_EVERY.saturating_add(Duration::from_secs(5));

/// What became of the runs that were found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// Ids of runs whose objects have been removed, with why.
    pub removed: Vec<String>,
    /// Ids of runs that live, with why.
    pub kept: Vec<String>,
}

/// Removes everything in the namespace that belongs to dead runs and waits until it is gone. `tell` hears what is done.
///
/// # Errors
/// Where the API server refuses something, or something is still there `within` after it was deleted.
pub async fn clean(
    cluster: &Cluster,
    within: Duration,
    tell: &(dyn Fn(&str) + Sync),
) -> Result<Cleaned, ClusterError> {
    let objects = objects(cluster).await?;
    // After the objects: a run that began in between has its Lease in this list, as the Lease comes first.
    let leases = list::<Lease>(&cluster.api(), RUN_LABEL, "Leases").await?;
    let runs = runs(&objects, &leases);
    let mut judged = Vec::new();
    for run in &runs {
        judged.push((run, judge(cluster, run).await?));
    }
    if judged
        .iter()
        .any(|(_, liveness)| matches!(liveness, Liveness::Doubtful(_)))
    {
        let seconds = SECOND_LOOK.as_secs();
        tell(&format!(
            "some runs' Leases may have expired: looking again in {seconds} s"
        ));
        sleep(SECOND_LOOK).await;
    }
    let mut cleaned = Cleaned::default();
    let mut dead = Vec::new();
    for (run, liveness) in judged {
        match settle(cluster, run, liveness).await? {
            Ok(why) => {
                tell(&format!("removing what run {} left behind: {why}", run.id));
                delete(cluster, &run.objects).await?;
                cleaned.removed.push(format!("{}: {why}", run.id));
                dead.push(run);
            }
            Err(lives) => cleaned.kept.push(format!("{}: {lives}", run.id)),
        }
    }
    if dead.is_empty() {
        return Ok(cleaned);
    }
    until_gone(cluster, &leftovers(&dead), within, tell).await?;
    for run in dead {
        if let Some(lease) = &run.lease {
            let name = lease.metadata.name.as_deref().unwrap_or_default();
            ownership::delete(&cluster.api(), name, lease.metadata.uid.clone()).await?;
        }
    }
    Ok(cleaned)
}

fn leftovers(runs: &[&Run]) -> Leftovers {
    let pipelines = runs
        .iter()
        .flat_map(|run| &run.objects)
        .filter(|object| object.kind == Kind::Pipeline);
    Leftovers {
        pipelines: pipelines.map(|object| object.name.clone()).collect(),
        runs: runs.iter().map(|run| run.id.clone()).collect(),
    }
}

async fn judge(cluster: &Cluster, run: &Run) -> Result<Liveness, ClusterError> {
    let RunOwner::Job { name, uid } = &run.owner else {
        return Ok(liveness::of_lease(run.lease.as_ref(), wall_clock()));
    };
    let job = cluster.api::<Job>().get_opt(name).await;
    let job = job.map_err(|error| ClusterError::request("read", format!("Job {name}"), error))?;
    Ok(liveness::of_job(name, job.as_ref(), uid))
}

/// Why a run is dead, or why it lives. A Lease that seems to have expired is taken, so that its holder, should it live
/// after all, stops; whoever has renewed it since it was seen keeps it.
async fn settle(
    cluster: &Cluster,
    run: &Run,
    liveness: Liveness,
) -> Result<Result<String, String>, ClusterError> {
    let why = match liveness {
        Liveness::Alive(why) => return Ok(Err(why)),
        Liveness::Doubtful(why) | Liveness::Dead(why) => why,
    };
    let Some(seen) = &run.lease else {
        return Ok(Ok(why));
    };
    let name = seen.metadata.name.clone().unwrap_or_default();
    let mut taken = seen.clone();
    let now = MicroTime(wall_clock());
    let spec = taken.spec.get_or_insert_default();
    spec.holder_identity = Some(format!("{}-clean", ownership::identity()));
    spec.lease_duration_seconds = Some(ownership::lease_seconds());
    (spec.acquire_time, spec.renew_time) = (Some(now.clone()), Some(now));
    let api: Api<Lease> = cluster.api();
    match api.replace(&name, &PostParams::default(), &taken).await {
        Ok(_) => Ok(Ok(why)),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(Ok("its Lease is gone".to_owned())),
        Err(kube::Error::Api(status)) if status.code == 409 => {
            Ok(Err("its Lease has just been renewed".to_owned()))
        }
        Err(error) => Err(ClusterError::request("take", format!("Lease {name}"), error)),
    }
}

/// Every object of a kind that a trial creates, of whatever run.
async fn objects(cluster: &Cluster) -> Result<Vec<Object>, ClusterError> {
    let pipelines = match list(&cluster.numaflow("Pipeline"), RUN_LABEL, "Pipelines").await {
        // Without Numaflow there are none.
        Err(ClusterError::Request { said, .. }) if is_not_found(&said) => Vec::new(),
        other => other?,
    };
    let deployments = list::<Deployment>(&cluster.api(), RUN_LABEL, "Deployments").await?;
    let services = list::<Service>(&cluster.api(), RUN_LABEL, "Services").await?;
    let pipelines = pipelines
        .into_iter()
        .map(|object: DynamicObject| (Kind::Pipeline, object.metadata));
    let deployments = deployments
        .into_iter()
        .map(|object| (Kind::Deployment, object.metadata));
    let services = services
        .into_iter()
        .map(|object| (Kind::Service, object.metadata));
    Ok(pipelines
        .chain(deployments)
        .chain(services)
        .map(|(kind, metadata)| Object::new(kind, metadata))
        .collect())
}

/// Asks for the objects' deletion, Pipelines first; those that are gone already are no error.
async fn delete(cluster: &Cluster, objects: &[Object]) -> Result<(), ClusterError> {
    for object in objects {
        let only_this = DeleteParams::background().preconditions(Preconditions {
            uid: object.uid.clone(),
            resource_version: None,
        });
        let name = &object.name;
        let deleted = match object.kind {
            Kind::Pipeline => cluster
                .numaflow("Pipeline")
                .delete(name, &only_this)
                .await
                .map(drop),
            Kind::Deployment => cluster
                .api::<Deployment>()
                .delete(name, &only_this)
                .await
                .map(drop),
            Kind::Service => cluster.api::<Service>().delete(name, &only_this).await.map(drop),
        };
        match deleted {
            Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => {}
            Err(error) => {
                return Err(ClusterError::request(
                    "delete",
                    format!("{:?} {name}", object.kind),
                    error,
                ));
            }
            Ok(()) => {}
        }
    }
    Ok(())
}
