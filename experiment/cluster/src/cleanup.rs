//! Removes what killed runs have left behind (Pipelines, endpoints, and the streams that Numaflow removes after them), and
//! what a release of the chart would leave. Objects of a running experiment are never touched.

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
use kube::api::{Api, PostParams};
use tokio::time::sleep;

use self::inventory::{Kind, Object, Run, RunOwner, runs};
use self::liveness::Liveness;
use crate::client::requests::{delete_if_present, get, is_not_found, list, list_pipelines};
use crate::client::{Cluster, ClusterError};
use crate::labels::RUN_LABEL;
use crate::ownership::{RENEW_EVERY, identity, lease_seconds, wall_clock};
use crate::poll::Poll;

pub use self::release::release;
pub(crate) use self::wait_deleted::{CHECK_EVERY, Leftovers, wait_deleted};

/// Default bound for deleted objects to disappear: the grace periods of Pipeline and pods, and Numaflow's clean-up Job.
pub const PATIENCE: Duration = Duration::from_secs(110);

/// Pause before a Lease that may have expired is read again. Clocks differ; a run that is alive has renewed it by then.
const SECOND_LOOK: Duration = RENEW_EVERY.saturating_add(Duration::from_secs(5));

/// The runs that were found: their ids, each with the reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// Dead runs, whose objects have been removed.
    pub removed: Vec<String>,
    /// Runs that are alive.
    pub kept: Vec<String>,
}

/// Removes all objects of dead runs from the namespace and waits until they are gone. `note` receives lines about the
/// progress.
///
/// # Errors
/// Returns an error if the API server refuses a request or an object is left `within` after its deletion.
pub async fn clean(
    cluster: &Cluster,
    within: Duration,
    note: &(dyn Fn(&str) + Sync),
) -> Result<Cleaned, ClusterError> {
    let objects = objects(cluster).await?;
    // Listed after the objects: a run creates its Lease first, so the Leases of all these objects' runs are in this list.
    let leases = list::<Lease>(&cluster.api(), Some(RUN_LABEL), "Leases").await?;
    let runs = runs(&objects, &leases);
    let mut judged = Vec::new();
    for run in &runs {
        judged.push((run, liveness_of(cluster, run).await?));
    }
    let is_doubtful = |(_, liveness): &(&Run, Liveness)| matches!(liveness, Liveness::Doubtful(_));
    if judged.iter().any(is_doubtful) {
        let seconds = SECOND_LOOK.as_secs();
        note(&format!(
            "some runs' Leases may have expired: looking again in {seconds} s"
        ));
        sleep(SECOND_LOOK).await;
    }
    let mut cleaned = Cleaned::default();
    let mut dead = Vec::new();
    for (run, liveness) in judged {
        match take_lease(cluster, run, liveness).await? {
            Liveness::Alive(why) => cleaned.kept.push(format!("{}: {why}", run.id)),
            Liveness::Doubtful(why) | Liveness::Dead(why) => {
                note(&format!("removing what run {} left behind: {why}", run.id));
                delete(cluster, &run.objects).await?;
                cleaned.removed.push(format!("{}: {why}", run.id));
                dead.push(run);
            }
        }
    }
    if dead.is_empty() {
        return Ok(cleaned);
    }
    let poll = Poll::new(CHECK_EVERY, within);
    wait_deleted(cluster, &leftovers(&dead), &poll, note).await?;
    for lease in dead.iter().filter_map(|run| run.lease.as_ref()) {
        let name = lease.metadata.name.as_deref().unwrap_or_default();
        let uid = lease.metadata.uid.as_deref();
        delete_if_present(&cluster.api::<Lease>(), "Lease", name, uid).await?;
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

async fn liveness_of(cluster: &Cluster, run: &Run) -> Result<Liveness, ClusterError> {
    let RunOwner::Job { name, uid } = &run.owner else {
        return Ok(liveness::of_lease(run.lease.as_ref(), wall_clock()));
    };
    let job = get(&cluster.api::<Job>(), "Job", name).await?;
    Ok(liveness::of_job(name, job.as_ref(), uid))
}

/// Takes the Lease of a run that seems dead, so that its holder stops if it is alive after all. Returns `Alive` if the
/// Lease has been renewed since it was read.
async fn take_lease(cluster: &Cluster, run: &Run, liveness: Liveness) -> Result<Liveness, ClusterError> {
    let why = match liveness {
        Liveness::Alive(_) => return Ok(liveness),
        Liveness::Doubtful(why) | Liveness::Dead(why) => why,
    };
    let Some(seen) = &run.lease else {
        return Ok(Liveness::Dead(why));
    };
    let name = seen.metadata.name.clone().unwrap_or_default();
    let mut taken = seen.clone();
    let now = MicroTime(wall_clock());
    let spec = taken.spec.get_or_insert_default();
    spec.holder_identity = Some(format!("{}-clean", identity()));
    spec.lease_duration_seconds = Some(lease_seconds());
    (spec.acquire_time, spec.renew_time) = (Some(now.clone()), Some(now));
    let api: Api<Lease> = cluster.api();
    // The resource version makes a renewal since then a conflict.
    match api.replace(&name, &PostParams::default(), &taken).await {
        Ok(_) => Ok(Liveness::Dead(why)),
        Err(error) if is_not_found(&error) => Ok(Liveness::Dead("its Lease is gone".to_owned())),
        Err(kube::Error::Api(status)) if status.code == 409 => {
            Ok(Liveness::Alive("its Lease has just been renewed".to_owned()))
        }
        Err(error) => Err(ClusterError::request("take", format!("Lease {name}"), error)),
    }
}

/// Every object with a run's label, of the kinds that trials create.
async fn objects(cluster: &Cluster) -> Result<Vec<Object>, ClusterError> {
    let pipelines = list_pipelines(cluster, Some(RUN_LABEL)).await?;
    let deployments = list::<Deployment>(&cluster.api(), Some(RUN_LABEL), "Deployments").await?;
    let services = list::<Service>(&cluster.api(), Some(RUN_LABEL), "Services").await?;
    let pipelines = pipelines.into_iter().map(|metadata| (Kind::Pipeline, metadata));
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

/// Deletes the objects in their order. The uid protects an object that has been created under the same name since.
async fn delete(cluster: &Cluster, objects: &[Object]) -> Result<(), ClusterError> {
    for Object { kind, name, uid, .. } in objects {
        let uid = uid.as_deref();
        match kind {
            Kind::Pipeline => delete_if_present(&cluster.numaflow("Pipeline"), "Pipeline", name, uid).await?,
            Kind::Deployment => {
                delete_if_present(&cluster.api::<Deployment>(), "Deployment", name, uid).await?
            }
            Kind::Service => delete_if_present(&cluster.api::<Service>(), "Service", name, uid).await?,
        }
    }
    Ok(())
}
