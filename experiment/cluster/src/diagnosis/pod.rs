//! Causes in one pod. Numaflow's user containers are native sidecars, so their states are among those of the init
//! containers.

use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod, PodCondition};

use super::scene::{Diagnosis, Scene};
use crate::text::line;

/// A container whose log may show why it ended.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Failing {
    pub pod: String,
    pub container: String,
    /// Whether the log is that of the previous instance of the container.
    pub previous: bool,
}

/// The containers whose logs [`super::explain`] uses, at most eight lines of each.
pub fn failing(pods: &[Pod]) -> Vec<Failing> {
    let of = |pod: &Pod| {
        let pod_name = name(pod);
        let ended = statuses(pod).filter_map(move |status| {
            let (_, previous) = end(status)?;
            Some(Failing {
                pod: pod_name.clone(),
                container: status.name.clone(),
                previous,
            })
        });
        ended.collect::<Vec<_>>()
    };
    pods.iter().flat_map(of).collect()
}

/// Restarts, summed over the pod's containers.
pub fn restarts(pod: &Pod) -> u64 {
    statuses(pod)
        .map(|status| u64::try_from(status.restart_count).unwrap_or(0))
        .sum()
}

pub(super) fn explain(pod: &Pod, scene: &Scene<'_>) -> Option<Diagnosis> {
    let not_started = statuses(pod).find_map(|status| waiting(pod, status));
    not_started
        .or_else(|| statuses(pod).find_map(|status| ended(pod, status, scene)))
        .or_else(|| unschedulable(pod, scene))
        .or_else(|| evicted(pod))
        .or_else(|| probed(pod, scene))
}

fn name(pod: &Pod) -> String {
    pod.metadata.name.clone().unwrap_or_default()
}

/// Statuses of all its containers, sidecars first, as the main container waits for them.
fn statuses(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.as_ref();
    let init = status.and_then(|status| status.init_container_statuses.as_ref());
    let main = status.and_then(|status| status.container_statuses.as_ref());
    init.into_iter().chain(main).flatten()
}

/// A container that is not started. The reasons are the kubelet's (`pkg/kubelet/images/types.go`,
/// `kuberuntime_container.go`).
fn waiting(pod: &Pod, status: &ContainerStatus) -> Option<Diagnosis> {
    let waiting = status.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.as_deref()?;
    let (kind, advice, permanent) = match reason {
        "InvalidImageName" => ("its image's name is wrong", "correct the image (--image)", true),
        "ErrImageNeverPull" => (
            "its image is not on the node and must not be pulled",
            "load the image into the cluster, or change imagePullPolicy",
            true,
        ),
        "ErrImagePull" | "ImagePullBackOff" | "RegistryUnavailable" | "ImageInspectError" => (
            "its image cannot be pulled",
            "check the image's name and tag (--image), that the cluster can reach the registry (or load the image into it), \
             and imagePullSecrets",
            false,
        ),
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => (
            "it cannot be started",
            "correct what the message names in the base (--base): a command, a Secret or ConfigMap, a securityContext",
            false,
        ),
        _ => return None,
    };
    let message = waiting.message.as_deref().map(line).unwrap_or_default();
    Some(Diagnosis {
        what: format!(
            "container {} of pod {}: {kind}, `{}` ({reason}{}{message})",
            status.name,
            name(pod),
            status.image,
            if message.is_empty() { "" } else { ": " }
        ),
        advice: advice.to_owned(),
        permanent,
    })
}

/// The end of a container that failed, and whether it is that of the previous instance.
fn end(status: &ContainerStatus) -> Option<(&ContainerStateTerminated, bool)> {
    let current = status.state.as_ref().and_then(|state| state.terminated.as_ref());
    let previous = status
        .last_state
        .as_ref()
        .and_then(|state| state.terminated.as_ref());
    match (current, previous) {
        (Some(end), _) if end.exit_code != 0 => Some((end, false)),
        (_, Some(end)) if status.restart_count > 0 => Some((end, true)),
        _ => None,
    }
}

fn ended(pod: &Pod, status: &ContainerStatus, scene: &Scene<'_>) -> Option<Diagnosis> {
    let (end, _) = end(status)?;
    let (container, pod) = (&status.name, name(pod));
    if end.reason.as_deref() == Some("OOMKilled") {
        return Some(Diagnosis {
            what: format!(
                "container {container} of pod {pod} was killed: it used more memory than its limit (OOMKilled)"
            ),
            advice: "raise its memory limit, or lower max_workers, max_waiting or the rate".to_owned(),
            permanent: false,
        });
    }
    let signal = match end.signal.unwrap_or(0) {
        0 => String::new(),
        signal => format!(", signal {signal}"),
    };
    let times = match status.restart_count {
        0 => String::new(),
        1 => ", started again once".to_owned(),
        count => format!(", started again {count} times"),
    };
    let key = (pod.clone(), container.clone());
    let log = scene.logs.and_then(|logs| logs.get(&key)).map(|log| line(log));
    let output = match log.or_else(|| end.message.as_deref().map(line)) {
        Some(output) if !output.is_empty() => format!("; it said: {output}"),
        _ => "; it said nothing".to_owned(),
    };
    Some(Diagnosis {
        what: format!(
            "container {container} of pod {pod} ended with exit code {}{signal}{times}{output}",
            end.exit_code
        ),
        advice: format!("`kubectl logs {pod} -c {container} --previous` shows more"),
        permanent: false,
    })
}

fn unschedulable(pod: &Pod, scene: &Scene<'_>) -> Option<Diagnosis> {
    let status = pod.status.as_ref()?;
    let scheduled = |condition: &&PodCondition| condition.type_ == "PodScheduled";
    let condition = status.conditions.iter().flatten().find(scheduled);
    if condition.is_some_and(|condition| condition.status == "True") {
        return None;
    }
    let from_condition = condition
        .filter(|condition| condition.reason.as_deref() == Some("Unschedulable"))
        .and_then(|condition| condition.message.as_deref());
    let message = from_condition.or_else(|| event(pod, scene, "FailedScheduling"))?;
    Some(Diagnosis {
        what: format!("no node takes pod {}: {}", name(pod), line(message)),
        advice: "lower its requests, free or add nodes, or correct nodeSelector and tolerations".to_owned(),
        permanent: false,
    })
}

fn evicted(pod: &Pod) -> Option<Diagnosis> {
    let status = pod.status.as_ref()?;
    let reason = status.reason.as_deref()?;
    if status.phase.as_deref() != Some("Failed") {
        return None;
    }
    Some(Diagnosis {
        what: format!(
            "pod {} was ended by its node ({reason}): {}",
            name(pod),
            line(status.message.as_deref().unwrap_or("without a word"))
        ),
        advice: "the node was short of something: set requests, or use another node".to_owned(),
        permanent: false,
    })
}

/// A pod that runs but is not ready, with the kubelet's message about its probes or volumes.
fn probed(pod: &Pod, scene: &Scene<'_>) -> Option<Diagnosis> {
    let unready = statuses(pod).find(|status| !status.ready && running(status));
    let message = ["Unhealthy", "FailedMount", "FailedCreatePodSandBox"]
        .iter()
        .find_map(|reason| event(pod, scene, reason))?;
    let ready = unready.is_none() && statuses(pod).next().is_some();
    (!ready).then(|| Diagnosis {
        what: format!(
            "pod {} is not ready{}: {}",
            name(pod),
            unready
                .map(|status| format!(" (container {})", status.name))
                .unwrap_or_default(),
            line(message)
        ),
        advice: format!("`kubectl describe pod {}` shows more", name(pod)),
        permanent: false,
    })
}

fn running(status: &ContainerStatus) -> bool {
    status.state.as_ref().is_some_and(|state| state.running.is_some())
}

/// The message of the pod's newest event with this reason (events are oldest first).
fn event<'a>(pod: &Pod, scene: &Scene<'a>, reason: &str) -> Option<&'a str> {
    let of_pod = scene.events.iter().rev().filter(|event| {
        event.involved_object.kind.as_deref() == Some("Pod")
            && event.involved_object.name == pod.metadata.name
    });
    of_pod
        .filter(|event| event.reason.as_deref() == Some(reason))
        .find_map(|event| event.message.as_deref())
}
