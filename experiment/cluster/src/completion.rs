//! Whether a Job or a pod has ended for good.

use k8s_openapi::api::batch::v1::{Job, JobCondition};
use k8s_openapi::api::core::v1::Pod;

/// The condition with which a Job has ended: `Complete` or `Failed`, both terminal (`JobComplete` and `JobFailed` in
/// Kubernetes' `batch/v1`). `None` while it runs.
pub(crate) fn job_end(job: &Job) -> Option<&JobCondition> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| {
        matches!(condition.type_.as_str(), "Complete" | "Failed") && condition.status == "True"
    })
}

/// Whether all containers of a pod have ended and none will be restarted.
pub(crate) fn pod_has_ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}
