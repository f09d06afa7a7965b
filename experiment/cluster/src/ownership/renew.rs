//! Renews a Lease, and detects that it is lost: a run that deletes or takes it considers this one dead.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, PostParams};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::lease::{LEASE_DURATION, RENEW_EVERY, wall_clock};
use crate::client::describe_error;
use crate::client::requests::is_not_found;

/// Pause after a failed renewal.
const RETRY_AFTER: Duration = Duration::from_secs(3);

const RENEWAL_TIMEOUT: Duration = Duration::from_secs(10);

/// Renews the Lease until it is lost, and sends how that happened.
pub(super) async fn renew(api: Api<Lease>, mut lease: Lease, report_lost: watch::Sender<Option<String>>) {
    let mut renewed = Instant::now();
    let mut wait = RENEW_EVERY;
    loop {
        sleep(wait).await;
        let began = Instant::now();
        let problem = match timeout(RENEWAL_TIMEOUT, renew_once(&api, &mut lease)).await {
            Ok(Ok(None)) => {
                (renewed, wait) = (began, RENEW_EVERY);
                continue;
            }
            Ok(Ok(Some(how))) => break send(&report_lost, how),
            Ok(Err(error)) => describe_error(&error),
            Err(_) => "the API server does not answer".to_owned(),
        };
        wait = RETRY_AFTER;
        if renewed.elapsed() >= LEASE_DURATION {
            let seconds = renewed.elapsed().as_secs();
            break send(
                &report_lost,
                format!("could not be renewed for {seconds} s ({problem})"),
            );
        }
    }
}

fn send(report_lost: &watch::Sender<Option<String>>, how: String) {
    // Fails only when the run has ended.
    let _ = report_lost.send(Some(how));
}

/// Renews once. Returns how the Lease was lost, if it was.
async fn renew_once(api: &Api<Lease>, lease: &mut Lease) -> Result<Option<String>, kube::Error> {
    let name = lease.metadata.name.clone().unwrap_or_default();
    let mut conflicts = 0;
    loop {
        let mut next = lease.clone();
        next.spec.get_or_insert_default().renew_time = Some(MicroTime(wall_clock()));
        match api.replace(&name, &PostParams::default(), &next).await {
            Ok(renewed) => {
                *lease = renewed;
                return Ok(None);
            }
            Err(error) if is_not_found(&error) => return Ok(Some("was deleted".to_owned())),
            // The Lease has been changed, or the answer to an earlier renewal was lost.
            Err(kube::Error::Api(status)) if status.code == 409 && conflicts < 3 => {
                conflicts += 1;
                let found = api.get_opt(&name).await?;
                if let Some(how) = lost_to(found.as_ref(), lease) {
                    return Ok(Some(how));
                }
                *lease = found.unwrap_or_default();
            }
            Err(error) => return Err(error),
        }
    }
}

/// How `held` was lost, from what has its name now.
fn lost_to(found: Option<&Lease>, held: &Lease) -> Option<String> {
    let holder = |lease: &Lease| lease.spec.as_ref().and_then(|spec| spec.holder_identity.clone());
    match found {
        None => Some("was deleted".to_owned()),
        Some(found) if found.metadata.uid != held.metadata.uid => {
            Some("was deleted and made anew".to_owned())
        }
        Some(found) if holder(found) != holder(held) => Some(format!(
            "was taken by {}",
            holder(found).unwrap_or_else(|| "nobody".to_owned())
        )),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::Timestamp;

    use super::super::lease::new_lease;
    use super::*;

    #[test]
    fn a_lease_is_lost_only_to_others() {
        let mut held = new_lease("aaaaaa", Timestamp::UNIX_EPOCH);
        held.metadata.uid = Some("1".to_owned());
        let mut found = held.clone();
        found.metadata.resource_version = Some("9".to_owned());
        assert_eq!(lost_to(Some(&found), &held), None);
        found.spec.get_or_insert_default().holder_identity = Some("other-1".to_owned());
        assert_eq!(
            lost_to(Some(&found), &held),
            Some("was taken by other-1".to_owned())
        );
        found.metadata.uid = Some("2".to_owned());
        assert_eq!(
            lost_to(Some(&found), &held),
            Some("was deleted and made anew".to_owned())
        );
        assert_eq!(lost_to(None, &held), Some("was deleted".to_owned()));
    }
}
