//! Whether a run is alive, from its Lease or Job and the time. Pure.

use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::completion::job_end;
use crate::ownership::LEASE_DURATION;

/// The most by which clocks are taken to differ. With a larger difference other things, such as TLS, fail first.
const CLOCKS_DIFFER_BY: Duration = Duration::from_secs(600);

/// Whether a run is alive, with the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Liveness {
    Alive(String),
    /// Dead, unless its clock and ours differ.
    Doubtful(String),
    Dead(String),
}

/// Liveness of the run that a Lease belongs to.
pub(super) fn of_lease(lease: Option<&Lease>, now: Timestamp) -> Liveness {
    let Some(lease) = lease else {
        return Liveness::Dead("its Lease is gone".to_owned());
    };
    let spec = lease.spec.clone().unwrap_or_default();
    let holder = spec.holder_identity.unwrap_or_default();
    if holder.is_empty() {
        return Liveness::Dead("its Lease was released".to_owned());
    }
    let created = lease.metadata.creation_timestamp.as_ref().map(|time| time.0);
    let renewed = spec.renew_time.or(spec.acquire_time).map(|time| time.0);
    let Some(renewed) = renewed.or(created) else {
        return Liveness::Dead("its Lease was never renewed".to_owned());
    };
    let duration = spec
        .lease_duration_seconds
        .and_then(|seconds| u64::try_from(seconds).ok())
        .map_or(LEASE_DURATION, Duration::from_secs);
    // Negative for a holder whose clock is ahead.
    let age = now.duration_since(renewed);
    let ago = format!("its Lease, held by {holder}, was renewed {} s ago", age.as_secs());
    let signed = |duration: Duration| SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
    let (valid_for, clock_error) = (signed(duration), signed(CLOCKS_DIFFER_BY));
    if age > valid_for.saturating_add(clock_error) {
        Liveness::Dead(ago)
    } else if age > valid_for || age < -clock_error {
        Liveness::Doubtful(ago)
    } else {
        Liveness::Alive(ago)
    }
}

/// Liveness of the run that is owned by the Job `name` with this `uid`. `job` is what has that name now.
pub(super) fn of_job(name: &str, job: Option<&Job>, uid: &str) -> Liveness {
    let Some(job) = job.filter(|job| job.metadata.uid.as_deref() == Some(uid)) else {
        return Liveness::Dead(format!("its Job {name} is gone"));
    };
    match job_end(job) {
        Some(end) => Liveness::Dead(format!("its Job {name} has ended ({})", end.type_)),
        None => Liveness::Alive(format!("its Job {name} runs")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn lease(renewed: Timestamp, seconds: i32) -> Lease {
        serde_json::from_value(json!({
            "metadata": {"name": "async-reduce-abcdef", "uid": "u"},
            "spec": {"holderIdentity": "laptop-1", "leaseDurationSeconds": seconds, "renewTime": renewed.to_string()},
        }))
        .unwrap()
    }

    fn now() -> Timestamp {
        "2026-11-23T10:00:00Z".parse().unwrap()
    }

    fn liveness_after(seconds: i64) -> Liveness {
        of_lease(
            Some(&lease(now() - SignedDuration::from_secs(seconds), 60)),
            now(),
        )
    }

    #[test]
    fn a_lease_is_valid_for_its_duration() {
        let ago = |seconds| format!("its Lease, held by laptop-1, was renewed {seconds} s ago");
        assert_eq!(liveness_after(0), Liveness::Alive(ago(0)));
        assert_eq!(liveness_after(60), Liveness::Alive(ago(60)));
        assert_eq!(liveness_after(61), Liveness::Doubtful(ago(61)));
        assert_eq!(liveness_after(660), Liveness::Doubtful(ago(660)));
        assert_eq!(liveness_after(661), Liveness::Dead(ago(661)));
        // The holder's clock is ahead.
        assert_eq!(liveness_after(-600), Liveness::Alive(ago(-600)));
        assert_eq!(liveness_after(-601), Liveness::Doubtful(ago(-601)));
    }

    proptest! {
        #[test]
        fn the_holder_of_a_valid_lease_is_alive(age in -600_i64..=30, duration in 30_i32..10_000) {
            let lease = lease(now() - SignedDuration::from_secs(age), duration);
            prop_assert!(matches!(of_lease(Some(&lease), now()), Liveness::Alive(_)));
        }
    }

    #[test]
    fn a_lease_without_a_holder_is_dead() {
        assert!(matches!(of_lease(None, now()), Liveness::Dead(_)));
        let mut released = lease(now(), 60);
        released.spec.as_mut().unwrap().holder_identity = Some(String::new());
        assert!(matches!(of_lease(Some(&released), now()), Liveness::Dead(_)));
        let empty = Lease::default();
        assert!(matches!(of_lease(Some(&empty), now()), Liveness::Dead(_)));
    }

    fn job(conditions: serde_json::Value) -> Job {
        serde_json::from_value(json!({
            "metadata": {"name": "exp", "uid": "u1"}, "status": {"active": 1, "conditions": conditions},
        }))
        .unwrap()
    }

    #[test]
    fn a_job_is_dead_once_it_has_ended_or_is_another() {
        let alive = Liveness::Alive("its Job exp runs".to_owned());
        let of = |job: &Job, uid| of_job("exp", Some(job), uid);
        assert_eq!(of(&job(json!([])), "u1"), alive);
        let suspended =
            job(json!([{"type": "Suspended", "status": "True"}, {"type": "Failed", "status": "False"}]));
        assert_eq!(of(&suspended, "u1"), alive);
        let ended = job(
            json!([{"type": "SuccessCriteriaMet", "status": "True"}, {"type": "Complete", "status": "True"}]),
        );
        assert_eq!(
            of(&ended, "u1"),
            Liveness::Dead("its Job exp has ended (Complete)".to_owned())
        );
        let gone = Liveness::Dead("its Job exp is gone".to_owned());
        assert_eq!(of(&job(json!([])), "u2"), gone);
        assert_eq!(of_job("exp", None, "u1"), gone);
    }
}
