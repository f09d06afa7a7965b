//! Diagnoses why a pipeline does not run or has failed: one sentence, and what to do about it. Pure: the caller passes the
//! pods, events, statuses and last lines of logs.

mod numaflow;
mod pod;
mod scene;
pub mod status;
#[cfg(test)]
mod tests;

use k8s_openapi::api::core::v1::Event;

use crate::text::line;

pub use self::pod::{failing, restarts};
pub use self::scene::{Diagnosis, Logs, Scene};
pub use self::status::NumaflowStatus;

/// The most specific cause that is known. `None` if nothing looks wrong, or the pipeline is only slow.
pub fn explain(scene: &Scene<'_>) -> Option<Diagnosis> {
    numaflow::invalid(scene.numaflow)
        .or_else(|| numaflow::buffer_service(scene.numaflow))
        .or_else(|| refused(scene))
        .or_else(|| scene.pods.iter().find_map(|pod| pod::explain(pod, scene)))
        .or_else(|| numaflow::failed(scene.numaflow))
}

/// A refusal by admission: quota, Pod Security Standards, or another rule. The newest event counts.
fn refused(scene: &Scene<'_>) -> Option<Diagnosis> {
    const REASONS: [&str; 5] = [
        "FailedCreate",
        "CreatePodFailed",
        "OrchestratePodsFailed",
        "CreatePVCFailed",
        "BuildReduceVertexPVCsFailed",
    ];
    let from_events = scene.events.iter().rev().filter_map(|event| {
        let known = REASONS.contains(&event.reason.as_deref()?);
        known
            .then(|| refusal(&subject(event), event.message.as_deref()?))
            .flatten()
    });
    let from_vertices = scene.numaflow.iter().filter_map(|status| {
        let message = status.false_condition("Deployed")?.message.as_deref()?;
        refusal(&format!("{} {}", status.kind, status.name), message)
    });
    from_events.chain(from_vertices).next()
}

/// The texts are those of the API server's admission plugins ResourceQuota, PodSecurity and LimitRanger.
fn refusal(subject: &str, message: &str) -> Option<Diagnosis> {
    let (what, advice) = if message.contains("exceeded quota") || message.contains("failed quota") {
        (
            "the namespace's quota",
            "lower the requests and limits, run fewer things at once, or have the ResourceQuota raised",
        )
    } else if message.contains("violates PodSecurity") {
        (
            "the namespace's Pod Security Standard",
            "set what the message names in the base's securityContext (--base), or use another namespace",
        )
    } else if message.contains("is forbidden") {
        (
            "a rule of the cluster",
            "change what the message names, or use another namespace",
        )
    } else {
        return None;
    };
    Some(Diagnosis {
        what: format!("{what} does not let {subject} create its pods: {}", line(message)),
        advice: advice.to_owned(),
        permanent: true,
    })
}

/// Kind and name of the object that an event is about.
fn subject(event: &Event) -> String {
    let about = &event.involved_object;
    format!(
        "{} {}",
        about.kind.as_deref().unwrap_or("object"),
        about.name.as_deref().unwrap_or("?")
    )
}
