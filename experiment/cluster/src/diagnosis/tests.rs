//! Diagnoses of objects as a cluster returns them: each names the part, the cause and what to do.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::pod::Failing;
use super::*;

fn pod(status: Value) -> Pod {
    serde_json::from_value(json!({
        "metadata": {"name": "ar-abcdef-1-udf-0-x7k2p", "labels": {"numaflow.numaproj.io/pipeline-name": "ar-abcdef-1"}},
        "status": status,
    }))
    .unwrap()
}

/// A container's status; `state` and `last` as Kubernetes writes them.
fn container(name: &str, state: Value, last: Value, restarts: u32) -> Value {
    json!({
        "name": name, "image": "async-reduce:0.1.0", "imageID": "", "ready": false, "restartCount": restarts,
        "state": state, "lastState": last,
    })
}

fn sidecar(state: Value, last: Value, restarts: u32) -> Pod {
    let numa = json!({"waiting": {"reason": "PodInitializing"}});
    pod(json!({
        "phase": "Pending",
        "initContainerStatuses": [container("udf", state, last, restarts)],
        "containerStatuses": [container("numa", numa, json!({}), 0)],
    }))
}

fn event(kind: &str, name: &str, reason: &str, message: &str) -> Event {
    serde_json::from_value(json!({
        "metadata": {"name": "e"}, "involvedObject": {"kind": kind, "name": name},
        "reason": reason, "message": message, "type": "Warning",
    }))
    .unwrap()
}

fn status(kind: &str, name: &str, status: Value) -> NumaflowStatus {
    let object = json!({
        "apiVersion": "numaflow.numaproj.io/v1alpha1", "kind": kind, "metadata": {"name": name}, "status": status,
    });
    NumaflowStatus::of(kind, &serde_json::from_value(object).unwrap())
}

fn of_pod(pod: Pod) -> Diagnosis {
    let pods = [pod];
    explain(&Scene {
        pods: &pods,
        ..Scene::default()
    })
    .unwrap()
}

fn of_events(pods: &[Pod], events: &[Event]) -> Option<Diagnosis> {
    explain(&Scene {
        pods,
        events,
        ..Scene::default()
    })
}

fn of_statuses(numaflow: &[NumaflowStatus]) -> Option<Diagnosis> {
    explain(&Scene {
        numaflow,
        ..Scene::default()
    })
}

#[test]
fn an_image_that_cannot_be_pulled() {
    let message = "Back-off pulling image \"async-reduce:0.1.0\": ErrImagePull: rpc error: code = NotFound";
    let waiting = json!({"waiting": {"reason": "ImagePullBackOff", "message": message}});
    let found = of_pod(sidecar(waiting, json!({}), 0));
    assert_eq!(
        found.what,
        format!(
            "container udf of pod ar-abcdef-1-udf-0-x7k2p: its image cannot be pulled, `async-reduce:0.1.0` (ImagePullBackOff: {message})"
        )
    );
    assert!(found.advice.contains("--image") && found.advice.contains("imagePullSecrets"));
    assert!(!found.permanent);
    let invalid = json!({"waiting": {"reason": "InvalidImageName", "message": "couldn't parse image name"}});
    assert!(of_pod(sidecar(invalid, json!({}), 0)).permanent);
    let never = json!({"waiting": {"reason": "ErrImageNeverPull"}});
    assert!(
        of_pod(sidecar(never, json!({}), 0))
            .advice
            .starts_with("load the image")
    );
}

#[test]
fn a_crash_loop_with_its_last_words() {
    let waiting = json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 20s restarting failed container"}});
    let last =
        json!({"terminated": {"exitCode": 2, "reason": "Error", "finishedAt": "2026-11-23T10:00:00Z"}});
    let pods = [sidecar(waiting, last, 2)];
    let failing = failing(&pods);
    let wanted = Failing {
        pod: "ar-abcdef-1-udf-0-x7k2p".to_owned(),
        container: "udf".to_owned(),
        previous: true,
    };
    assert_eq!(failing, std::slice::from_ref(&wanted));
    assert_eq!(restarts(&pods[0]), 2);
    let logs = Logs::from([(
        (wanted.pod, wanted.container),
        "error: STRATEGY: `x`\n  is none\n".to_owned(),
    )]);
    let found = explain(&Scene {
        pods: &pods,
        logs: Some(&logs),
        ..Scene::default()
    });
    assert_eq!(
        found.unwrap().to_string(),
        "container udf of pod ar-abcdef-1-udf-0-x7k2p ended with exit code 2, started again 2 times; it said: error: STRATEGY: `x` \
         is none; `kubectl logs ar-abcdef-1-udf-0-x7k2p -c udf --previous` shows more"
    );
}

#[test]
fn an_end_out_of_memory() {
    let ended = json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}});
    let found = of_pod(sidecar(ended.clone(), json!({}), 0));
    assert!(found.what.contains("(OOMKilled)") && found.advice.starts_with("raise its memory limit"));
    // It runs again meanwhile.
    let found = of_pod(sidecar(json!({"running": {}}), ended, 1));
    assert!(found.what.contains("(OOMKilled)"), "{found}");
}

#[test]
fn a_pod_that_no_node_takes() {
    let message = "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available.";
    let unscheduled =
        json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message});
    let found = of_pod(pod(json!({"phase": "Pending", "conditions": [unscheduled]})));
    assert_eq!(
        found.what,
        format!("no node takes pod ar-abcdef-1-udf-0-x7k2p: {message}")
    );
    let pods = [pod(json!({"phase": "Pending"}))];
    let events = [event(
        "Pod",
        "ar-abcdef-1-udf-0-x7k2p",
        "FailedScheduling",
        message,
    )];
    assert_eq!(of_events(&pods, &events), Some(found));
    let of_another = [event("Pod", "other", "FailedScheduling", message)];
    assert_eq!(of_events(&pods, &of_another), None);
}

#[test]
fn a_container_that_cannot_be_started() {
    let message = "container has runAsNonRoot and image will run as root (pod: \"x\", container: udf)";
    let waiting = json!({"waiting": {"reason": "CreateContainerConfigError", "message": message}});
    let found = of_pod(sidecar(waiting, json!({}), 0));
    assert!(found.what.contains(message) && found.advice.contains("securityContext"));
}

#[test]
fn what_admission_refuses() {
    let quota = "pods \"ar-abcdef-1-endpoint-5d9-\" is forbidden: exceeded quota: small, requested: limits.cpu=1, used: limits.cpu=2, limited: limits.cpu=2";
    let found = of_events(
        &[],
        &[event(
            "ReplicaSet",
            "ar-abcdef-1-endpoint-5d9",
            "FailedCreate",
            quota,
        )],
    );
    let found = found.unwrap();
    assert!(
        found
            .what
            .starts_with("the namespace's quota does not let ReplicaSet ar-abcdef-1-endpoint-5d9")
    );
    assert!(found.permanent);
    let security = "failed to create a pod, pods \"ar-abcdef-1-udf-0-a\" is forbidden: violates PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false";
    let vertex = event("Vertex", "ar-abcdef-1-udf", "OrchestratePodsFailed", security);
    let found = of_events(&[], &[vertex]).unwrap();
    assert!(
        found
            .what
            .starts_with("the namespace's Pod Security Standard does not let Vertex ar-abcdef-1-udf")
    );
    let deployed = json!({"type": "Deployed", "status": "False", "reason": "OrchestratePodsFailed", "message": security});
    let vertex = status(
        "Vertex",
        "ar-abcdef-1-udf",
        json!({"phase": "Failed", "conditions": [deployed]}),
    );
    assert_eq!(of_statuses(&[vertex]), Some(found));
}

#[test]
fn what_numaflow_refuses() {
    let message = "invalid vertex \"udf\": \"storage\" is missing";
    let configured =
        json!({"type": "Configured", "status": "False", "reason": "InvalidSpec", "message": message});
    let pipeline = status(
        "Pipeline",
        "ar-abcdef-1",
        json!({"phase": "Failed", "message": message, "conditions": [configured]}),
    );
    let found = of_statuses(&[pipeline]).unwrap();
    assert_eq!(
        found.what,
        format!("Numaflow refuses the Pipeline ar-abcdef-1: {message}")
    );
    assert!(found.permanent && found.advice.contains("--base"));
}

#[test]
fn a_buffer_service_that_is_absent_or_not_ready() {
    let failed = |message: &str| {
        let deployed = json!({"type": "Deployed", "status": "False", "message": message});
        status(
            "Pipeline",
            "ar-abcdef-1",
            json!({"phase": "Failed", "message": message, "conditions": [deployed]}),
        )
    };
    let absent = of_statuses(&[failed("isbsvc default not found")]).unwrap();
    assert_eq!(
        absent.what,
        "there is no InterStepBufferService `default` in the namespace"
    );
    let unhealthy =
        json!({"type": "ChildrenResourcesHealthy", "status": "False", "message": "StatefulSet 0/3 ready"});
    let service = status(
        "InterStepBufferService",
        "default",
        json!({"phase": "Pending", "conditions": [unhealthy]}),
    );
    let found = of_statuses(&[failed("isbsvc not healthy"), service]).unwrap();
    assert_eq!(
        found.what,
        "the InterStepBufferService `default` is not ready (Pending: StatefulSet 0/3 ready)"
    );
    assert!(!found.permanent);
    let other = of_statuses(&[failed(
        "isbsvc not managed by the same controller of this pipeline",
    )])
    .unwrap();
    assert!(other.advice.contains("numaflow.numaproj.io/instance"));
}

#[test]
fn objects_that_no_controller_looks_at() {
    let found = of_statuses(&[status("Pipeline", "ar-abcdef-1", json!({}))]).unwrap();
    assert_eq!(
        found.what,
        "no controller of Numaflow has looked at the Pipeline ar-abcdef-1"
    );
}

#[test]
fn there_is_no_diagnosis_where_all_is_well() {
    let running = json!({"running": {"startedAt": "2026-11-23T10:00:00Z"}});
    let mut udf = container("udf", running, json!({}), 0);
    udf["ready"] = json!(true);
    let pods = [pod(json!({"phase": "Running", "initContainerStatuses": [udf]}))];
    let fine = json!({"type": "Configured", "status": "True"});
    let numaflow = [status(
        "Pipeline",
        "p",
        json!({"phase": "Running", "conditions": [fine]}),
    )];
    let scene = Scene {
        pods: &pods,
        numaflow: &numaflow,
        ..Scene::default()
    };
    assert_eq!(explain(&scene), None);
    assert_eq!(failing(&pods), []);
}
