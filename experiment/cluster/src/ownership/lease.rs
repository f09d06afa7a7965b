//! The Lease that shows other runs that this one is alive: its name, its holder, and its creation under a free id.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, PostParams};

use crate::client::ClusterError;
use crate::labels::{FIELD_MANAGER, RUN_LABEL};

/// How long a Lease is valid after its last renewal.
pub const LEASE_DURATION: Duration = Duration::from_secs(60);

/// Between two renewals.
pub const RENEW_EVERY: Duration = Duration::from_secs(15);

/// Ids that are tried before giving up. There are two thousand million, so even one collision is unlikely.
const ID_ATTEMPTS: usize = 5;

const ID_LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
const ID_LENGTH: usize = 6;

/// Name of the Lease of a run.
pub fn lease_name(run_id: &str) -> String {
    format!("async-reduce-{run_id}")
}

/// The holder of this process's Lease: host and process id.
pub(crate) fn identity() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{host}-{}", std::process::id())
}

/// [`LEASE_DURATION`] in the type of the Lease's field.
pub(crate) fn lease_seconds() -> i32 {
    i32::try_from(LEASE_DURATION.as_secs()).unwrap_or(i32::MAX)
}

/// The wall clock: other machines compare the times in a Lease with their own clocks.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place for what other machines read"
)]
pub(crate) fn wall_clock() -> Timestamp {
    Timestamp::now()
}

/// A random id. The keys of a `RandomState` come from the system's random source.
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
pub(super) fn id_of_job(uid: &str) -> String {
    let letters = uid.chars().filter(char::is_ascii_alphanumeric);
    let letters = letters.map(|letter| letter.to_ascii_lowercase());
    letters.chain(std::iter::repeat('0')).take(ID_LENGTH).collect()
}

/// Creates a Lease under a new id. Returns the id and the Lease.
pub(super) async fn create(api: &Api<Lease>) -> Result<(String, Lease), ClusterError> {
    let params = PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    };
    let mut attempt = 1;
    loop {
        let run_id = fresh_id();
        match api.create(&params, &new_lease(&run_id, wall_clock())).await {
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

pub(super) fn new_lease(run_id: &str, now: Timestamp) -> Lease {
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
