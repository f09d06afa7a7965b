//! Checks before the first trial: Numaflow is installed, every request of a trial is permitted, and the
//! InterStepBufferService is healthy.

use std::time::Duration;

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::{Api, PostParams};

use crate::client::requests::{get, is_not_found};
use crate::client::{Cluster, ClusterError};
use crate::diagnosis::NumaflowStatus;
use crate::error::ClusterEngineError;
use crate::poll::Poll;

const NUMAFLOW_API: &str = "numaflow.numaproj.io/v1alpha1";

/// How long a Job waits for the InterStepBufferService of its own release: Helm creates it after the Job.
const PRESENT_WITHIN: Duration = Duration::from_secs(15);

/// Between two checks of the InterStepBufferService.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// API group, resource with its subresource, verbs.
type Permission = (&'static str, &'static str, &'static [&'static str]);

/// What a trial needs.
const TRIAL: [Permission; 8] = [
    (
        "numaflow.numaproj.io",
        "pipelines",
        &["get", "list", "create", "patch", "delete"],
    ),
    ("numaflow.numaproj.io", "vertices", &["get"]),
    ("numaflow.numaproj.io", "interstepbufferservices", &["get"]),
    ("apps", "deployments", &["get", "create", "patch", "delete"]),
    ("", "services", &["create", "patch", "delete"]),
    ("", "pods", &["list"]),
    ("", "pods/log", &["get"]),
    ("batch", "jobs", &["list"]),
];

/// What a run with events of the user's own also needs.
const PAYLOADS: Permission = ("", "configmaps", &["create", "patch"]);

/// What it also needs outside the cluster, where requests to pods go through the API server.
const PROXY: Permission = ("", "pods/proxy", &["get", "create"]);

/// What the owner needs in a Job.
const JOB: Permission = ("batch", "jobs", &["get"]);

/// What the owner needs elsewhere.
const LEASE: Permission = (
    "coordination.k8s.io",
    "leases",
    &["get", "create", "update", "delete"],
);

/// Runs all checks. Waits for at most `patience` until the InterStepBufferService is healthy.
///
/// # Errors
/// Returns an error if a check fails or the API server refuses a request.
pub(crate) async fn check(
    cluster: &Cluster,
    in_job: bool,
    with_payloads: bool,
    isbsvc: &str,
    patience: Duration,
    note: &(dyn Fn(&str) + Sync),
) -> Result<(), ClusterEngineError> {
    installed(cluster).await?;
    permitted(cluster, in_job, with_payloads).await?;
    let present_within = if in_job {
        PRESENT_WITHIN.min(patience)
    } else {
        Duration::ZERO
    };
    buffer_service(cluster, isbsvc, patience, present_within, note).await
}

async fn installed(cluster: &Cluster) -> Result<(), ClusterEngineError> {
    match cluster.client.list_api_group_resources(NUMAFLOW_API).await {
        Ok(_) => Ok(()),
        Err(error) if is_not_found(&error) => Err(ClusterEngineError::NotInstalled),
        Err(error) => Err(ClusterError::request("look for", "Numaflow's API", error).into()),
    }
}

async fn permitted(cluster: &Cluster, in_job: bool, with_payloads: bool) -> Result<(), ClusterEngineError> {
    let api: Api<SelfSubjectAccessReview> = Api::all(cluster.client.clone());
    let mut denied = Vec::new();
    let proxy = (!cluster.inside).then_some(PROXY);
    let owner = if in_job { JOB } else { LEASE };
    let payloads = with_payloads.then_some(PAYLOADS);
    for (group, resource, verbs) in TRIAL.into_iter().chain(payloads).chain(proxy).chain([owner]) {
        for verb in verbs {
            let review = api
                .create(
                    &PostParams::default(),
                    &review(&cluster.namespace, group, resource, verb),
                )
                .await
                .map_err(|error| ClusterError::request("review", "permissions", error))?;
            if !review.status.is_some_and(|status| status.allowed) {
                denied.push(format!("{verb} {resource}{}", of_group(group)));
            }
        }
    }
    if denied.is_empty() {
        return Ok(());
    }
    Err(ClusterEngineError::NotPermitted {
        namespace: cluster.namespace.clone(),
        what: denied.join(", "),
    })
}

fn of_group(group: &str) -> String {
    match group {
        "" => String::new(),
        group => format!(".{group}"),
    }
}

fn review(namespace: &str, group: &str, resource: &str, verb: &str) -> SelfSubjectAccessReview {
    let (resource, subresource) = match resource.split_once('/') {
        Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
        None => (resource, None),
    };
    SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                namespace: Some(namespace.to_owned()),
                group: Some(group.to_owned()),
                resource: Some(resource.to_owned()),
                subresource,
                verb: Some(verb.to_owned()),
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    }
}

/// Waits until the InterStepBufferService is healthy: it may have been installed a moment ago.
async fn buffer_service(
    cluster: &Cluster,
    name: &str,
    patience: Duration,
    present_within: Duration,
    note: &(dyn Fn(&str) + Sync),
) -> Result<(), ClusterEngineError> {
    let unusable = |how: String| ClusterEngineError::BufferService {
        name: name.to_owned(),
        namespace: cluster.namespace.clone(),
        how,
    };
    let api = cluster.numaflow("InterStepBufferService");
    let healthy = Poll::new(CHECK_EVERY, patience);
    let present = Poll::new(CHECK_EVERY, present_within);
    let mut noted = false;
    loop {
        let Some(found) = get(&api, "InterStepBufferService", name).await? else {
            if present.again().await {
                continue;
            }
            return Err(unusable(
                "is not there: create one (manifests/shared has one), or name the one to use in the base's interStepBufferServiceName"
                    .to_owned(),
            ));
        };
        let Some(how) = unhealthy(&NumaflowStatus::of("InterStepBufferService", &found)) else {
            return Ok(());
        };
        if !std::mem::replace(&mut noted, true) {
            note(&format!("waiting for the InterStepBufferService {name}: {how}"));
        }
        if !healthy.again().await {
            let waited = wire::format_duration(patience);
            return Err(unusable(format!(
                "is not healthy after {waited}: {how}; look at its pods with `kubectl describe`"
            )));
        }
    }
}

/// Why an InterStepBufferService is not healthy (`IsHealthy` in Numaflow's `isbsvc_types.go`). `None` if it is.
fn unhealthy(status: &NumaflowStatus) -> Option<String> {
    if status.phase != "Running" {
        return Some(match (status.phase.as_str(), status.message.as_str()) {
            ("", _) => "Numaflow's controller has not looked at it; does it run, and watch this namespace?"
                .to_owned(),
            (phase, "") => format!("its phase is {phase}"),
            (phase, message) => format!("its phase is {phase} ({message})"),
        });
    }
    status.unmet("its")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::status::Condition;

    #[test]
    fn a_service_is_healthy_when_it_runs_and_every_condition_holds() {
        let condition = |status: &str| Condition {
            kind: "Deployed".to_owned(),
            status: status.to_owned(),
            reason: None,
            message: Some("no replicas".to_owned()),
        };
        let status = |phase: &str, holds: &str| NumaflowStatus {
            phase: phase.to_owned(),
            conditions: vec![condition(holds)],
            ..NumaflowStatus::default()
        };
        assert_eq!(unhealthy(&status("Running", "True")), None);
        let reasons = [("", "True"), ("Pending", "True"), ("Running", "False")]
            .map(|(phase, holds)| unhealthy(&status(phase, holds)).unwrap_or_default());
        assert!(reasons[0].contains("controller"), "{reasons:?}");
        assert_eq!(
            reasons[1..],
            [
                "its phase is Pending",
                "its condition Deployed is False no replicas"
            ]
        );
    }

    #[test]
    fn a_review_names_resource_and_subresource() {
        let review = review("ns", "", "pods/log", "get");
        let attributes = review.spec.resource_attributes.unwrap();
        assert_eq!(attributes.resource.as_deref(), Some("pods"));
        assert_eq!(attributes.subresource.as_deref(), Some("log"));
    }
}
