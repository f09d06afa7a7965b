//! The owner of everything that a run creates: inside a Job that Job, elsewhere a Lease that is renewed while the run is
//! alive. Kubernetes removes what belongs to an owner that is gone; later runs remove what belongs to a dead one.

mod lease;
mod renew;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::Api;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::lease::{create, id_of_job};
use self::renew::renew;
use crate::client::requests::{delete_if_present, get};
use crate::client::{Cluster, ClusterError};

pub use self::lease::{LEASE_DURATION, RENEW_EVERY, lease_name};
pub(crate) use self::lease::{identity, lease_seconds, wall_clock};

/// The owner of what a run creates. Dropping it ends the renewals; the Lease then expires.
#[derive(Debug)]
pub struct Owner {
    /// For `metadata.ownerReferences` of every object that is created.
    pub reference: OwnerReference,
    /// Six lowercase letters or digits: value of the label `async-reduce/run` and part of names.
    pub run_id: String,
    held: Option<HeldLease>,
}

#[derive(Debug)]
struct HeldLease {
    api: Api<Lease>,
    name: String,
    uid: Option<String>,
    /// How the Lease was lost, once it has been.
    lost: watch::Receiver<Option<String>>,
    renewals: Renewals,
}

/// The task that renews the Lease. It ends when this is dropped.
#[derive(Debug)]
struct Renewals(JoinHandle<()>);

impl Drop for Renewals {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Owner {
    /// Creates a Lease for a new run and starts to renew it.
    ///
    /// # Errors
    /// Returns an error if the Lease cannot be created.
    pub async fn lease(cluster: &Cluster) -> Result<Self, ClusterError> {
        let api: Api<Lease> = cluster.api();
        let (run_id, lease) = create(&api).await?;
        let name = lease_name(&run_id);
        let uid = lease.metadata.uid.clone();
        let (report_lost, lost) = watch::channel(None);
        let renewals = Renewals(tokio::spawn(renew(api.clone(), lease, report_lost)));
        Ok(Self {
            reference: reference("coordination.k8s.io/v1", "Lease", &name, uid.clone()),
            run_id,
            held: Some(HeldLease {
                api,
                name,
                uid,
                lost,
                renewals,
            }),
        })
    }

    /// The Job whose pod this process runs in.
    ///
    /// # Errors
    /// Returns an error if there is no such Job, or the service account may not read it.
    pub async fn job(cluster: &Cluster, name: &str) -> Result<Self, ClusterError> {
        let Some(job) = get(&cluster.api::<Job>(), "Job", name).await? else {
            return Err(ClusterError::NoJob {
                name: name.to_owned(),
                namespace: cluster.namespace.clone(),
                found: ": JOB_NAME must name the Job that this pod belongs to".to_owned(),
            });
        };
        Ok(Self {
            run_id: id_of_job(job.metadata.uid.as_deref().unwrap_or_default()),
            reference: reference("batch/v1", "Job", name, job.metadata.uid),
            held: None,
        })
    }

    /// Completes with the reason when the Lease has been lost. Never completes in a Job.
    pub fn lost(&self) -> impl Future<Output = ClusterError> + Send + use<> {
        let held = self
            .held
            .as_ref()
            .map(|held| (held.name.clone(), held.lost.clone()));
        async move {
            let Some((lease, mut lost)) = held else {
                return std::future::pending().await;
            };
            match lost.wait_for(Option::is_some).await.map(|how| how.clone()) {
                Ok(Some(how)) => ClusterError::LeaseLost { lease, how },
                // The owner was released or dropped.
                _ => std::future::pending().await,
            }
        }
    }

    /// The reason to stop the run, if its Lease has been lost.
    pub fn loss(&self) -> Option<ClusterError> {
        let held = self.held.as_ref()?;
        let how = held.lost.borrow().clone()?;
        Some(ClusterError::LeaseLost {
            lease: held.name.clone(),
            how,
        })
    }

    /// Deletes the Lease, and with it whatever it still owns. A Job stays.
    ///
    /// # Errors
    /// Returns an error if the Lease cannot be deleted. It then expires.
    pub async fn release(self) -> Result<(), ClusterError> {
        let Some(held) = self.held else { return Ok(()) };
        drop(held.renewals);
        if held.lost.borrow().is_some() {
            return Ok(());
        }
        delete_if_present(&held.api, "Lease", &held.name, held.uid.as_deref()).await
    }
}

fn reference(api_version: &str, kind: &str, name: &str, uid: Option<String>) -> OwnerReference {
    OwnerReference {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        name: name.to_owned(),
        uid: uid.unwrap_or_default(),
        // `blockOwnerDeletion` would need a further permission in clusters that enforce it.
        ..OwnerReference::default()
    }
}
