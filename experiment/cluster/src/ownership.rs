//! To whom belongs what a run creates: inside a Job to that Job, outside to a Lease that is renewed as long as the run
//! lives. Kubernetes removes what belongs to an owner that is gone; whoever comes next removes what belongs to a dead one.

mod renew;

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, DeleteParams, PostParams, Preconditions};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::renew::renew;
use crate::client::{Cluster, ClusterError};
use crate::labels::{FIELD_MANAGER, RUN_LABEL};

/// How long a Lease counts after its last renewal.
pub const LEASE_DURATION: Duration = Duration::from_secs(60);

/// Between two renewals.
pub const RENEW_EVERY: Duration = Duration::from_secs(15);

/// Ids that are tried before giving up; of 2 thousand million, one that is taken is met hardly ever.
const ID_ATTEMPTS: usize = 5;

const ID_LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
const ID_LENGTH: usize = 6;

/// Who owns what a run creates. Dropping it ends the renewals: the Lease then expires by itself.
#[derive(Debug)]
pub struct Owner {
    /// For `metadata.ownerReferences` of everything that is created.
    pub reference: OwnerReference,
    /// Six lowercase letters or digits: value of the label [`RUN_LABEL`] and part of names.
    pub run_id: String,
    held: Option<HeldLease>,
}

#[derive(Debug)]
struct HeldLease {
    api: Api<Lease>,
    name: String,
    uid: Option<String>,
    /// How the Lease was lost, once it was.
    lost: watch::Receiver<Option<String>>,
    renewals: Renewals,
}

/// The task that renews; it ends when this is dropped.
#[derive(Debug)]
struct Renewals(JoinHandle<()>);

impl Drop for Renewals {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Owner {
    /// Creates a Lease for a new run and renews it from now on.
    ///
    /// # Errors
    /// Where the Lease cannot be created.
    pub async fn lease(cluster: &Cluster) -> Result<Self, ClusterError> {
        let api: Api<Lease> = cluster.api();
        let (run_id, lease) = create(&api).await?;
        let name = lease_name(&run_id);
        let uid = lease.metadata.uid.clone();
        let (tell, lost) = watch::channel(None);
        let renewals = Renewals(tokio::spawn(renew(api.clone(), lease, tell)));
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

    /// The Job in whose pod this runs.
    ///
    /// # Errors
    /// Where there is no such Job, or the service account may not look at it.
    pub async fn job(cluster: &Cluster, name: &str) -> Result<Self, ClusterError> {
        let job = cluster.api::<Job>().get_opt(name).await;
        let job = job.map_err(|error| ClusterError::request("read", format!("Job {name}"), error))?;
        let Some(job) = job else {
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

    /// Ends when the Lease has been lost, with the reason; never in a Job.
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

    /// Why the run must stop, where its Lease has been lost.
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
    /// Where it is there and cannot be deleted; it then expires by itself.
    pub async fn release(self) -> Result<(), ClusterError> {
        let Some(held) = self.held else { return Ok(()) };
        drop(held.renewals);
        if held.lost.borrow().is_some() {
            return Ok(());
        }
        delete(&held.api, &held.name, held.uid).await
    }
}

/// Name of the Lease of a run.
pub fn lease_name(run_id: &str) -> String {
    format!("async-reduce-{run_id}")
}

/// Deletes the Lease `name`, if it is still the one with this `uid`.
pub(crate) async fn delete(api: &Api<Lease>, name: &str, uid: Option<String>) -> Result<(), ClusterError> {
    let only_this = DeleteParams::background().preconditions(Preconditions {
        uid,
        resource_version: None,
    });
    match api.delete(name, &only_this).await {
        // A conflict is one of uids: another Lease of the name, which is not ours.
        Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(()),
        Err(error) => Err(ClusterError::request("delete", format!("Lease {name}"), error)),
        Ok(_) => Ok(()),
    }
}

/// What the wall clock shows: Leases are dated by it, as other machines judge them.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place for what other machines read"
)]
pub(crate) fn wall_clock() -> Timestamp {
    Timestamp::now()
}

/// Who holds a Lease of this process: its host and its process id.
pub(crate) fn identity() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{host}-{}", std::process::id())
}

/// How long a Lease counts, as its field says it.
pub(crate) fn lease_seconds() -> i32 {
    i32::try_from(LEASE_DURATION.as_secs()).unwrap_or(i32::MAX)
}

fn reference(api_version: &str, kind: &str, name: &str, uid: Option<String>) -> OwnerReference {
    OwnerReference {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        name: name.to_owned(),
        uid: uid.unwrap_or_default(),
        // Blocking its deletion would need a permission of its own in clusters that ask for it.
        ..OwnerReference::default()
    }
}

/// A random id: the keys of a `RandomState` come from the system's random source.
fn fresh_id() -> String {
    let mut rest = RandomState::new().hash_one(());
    let letters = ID_LETTERS.len() as u64;
    let mut letter = || {
        let letter = ID_LETTERS[(rest % letters) as usize];
        rest /= letters;
        char::from(letter)
    };
    (0..ID_LENGTH).map(|_| letter()).collect()
}

/// The id of the run in a Job, always the same: the beginning of the Job's uid, which is random (a version 4 UUID).
fn id_of_job(uid: &str) -> String {
    let letters = uid.chars().filter(char::is_ascii_alphanumeric);
    let letters = letters.map(|letter| letter.to_ascii_lowercase());
    letters.chain(std::iter::repeat('0')).take(ID_LENGTH).collect()
}

async fn create(api: &Api<Lease>) -> Result<(String, Lease), ClusterError> {
    let params = PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    };
    let mut attempt = 1;
    loop {
        let run_id = fresh_id();
        let made = api.create(&params, &new_lease(&run_id, wall_clock())).await;
        match made {
            Ok(lease) => return Ok((run_id, lease)),
            Err(kube::Error::Api(status)) if status.is_already_exists() && attempt < ID_ATTEMPTS => {
                attempt += 1
            }
            Err(error) => {
                let subject = format!("Lease {}", lease_name(&run_id));
                return Err(ClusterError::request("create", subject, error));
            }
        }
    }
}

fn new_lease(run_id: &str, now: Timestamp) -> Lease {
    Lease {
        metadata: ObjectMeta {
            name: Some(lease_name(run_id)),
            labels: Some([(RUN_LABEL.to_owned(), run_id.to_owned())].into()),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: Some(identity()),
            lease_duration_seconds: Some(lease_seconds()),
            acquire_time: Some(MicroTime(now)),
            renew_time: Some(MicroTime(now)),
            ..LeaseSpec::default()
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_fit_names_and_labels() {
        for _ in 0..1_000 {
            let id = fresh_id();
            assert_eq!(id.len(), ID_LENGTH);
            assert!(id.bytes().all(|byte| ID_LETTERS.contains(&byte)), "{id}");
        }
        assert_eq!(lease_name("ab12cd"), "async-reduce-ab12cd");
        assert_eq!(id_of_job("0F3c-9a1b-77"), "0f3c9a");
        assert_eq!(id_of_job("u1"), "u10000");
    }

    #[test]
    fn a_new_lease_says_whose_and_how_long() {
        let lease = new_lease("aaaaaa", Timestamp::UNIX_EPOCH);
        let value = serde_json::to_value(&lease).unwrap();
        assert_eq!(value["metadata"]["labels"]["async-reduce/run"], "aaaaaa");
        assert_eq!(value["spec"]["leaseDurationSeconds"], 60);
        assert_eq!(value["spec"]["renewTime"], "1970-01-01T00:00:00.000000Z");
        assert_eq!(value["spec"]["holderIdentity"], identity());
    }
}
