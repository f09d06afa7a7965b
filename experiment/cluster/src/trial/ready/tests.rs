use k8s_openapi::serde_json::{from_value, json};

use super::*;

fn pipeline(generation: i64, phase: &str, healthy: &str) -> DynamicObject {
    from_value(json!({
        "apiVersion": "numaflow.numaproj.io/v1alpha1", "kind": "Pipeline",
        "metadata": {"name": "p", "generation": generation},
        "status": {"observedGeneration": 2, "phase": phase, "conditions": [
            {"type": "Configured", "status": "True"},
            {"type": "VerticesHealthy", "status": healthy, "message": "Vertex udf is progressing"},
        ]},
    }))
    .unwrap()
}

fn vertex(phase: &str, ready: u64) -> DynamicObject {
    from_value(json!({
        "apiVersion": "numaflow.numaproj.io/v1alpha1", "kind": "Vertex", "metadata": {"name": "p-udf"},
        "status": {"phase": phase, "desiredReplicas": 1, "readyReplicas": ready},
    }))
    .unwrap()
}

fn pod(vertex: &str, sidecar_started: bool, ready: &str) -> Pod {
    from_value(json!({
        "metadata": {"name": format!("p-{vertex}-0-abcde"), "labels": {"numaflow.numaproj.io/vertex-name": vertex}},
        "spec": {"containers": [{"name": "numa"}], "initContainers": [
            {"name": "init"}, {"name": "udf", "restartPolicy": "Always"},
        ]},
        "status": {"conditions": [{"type": "Ready", "status": ready}], "initContainerStatuses": [
            {"name": "init", "ready": true, "started": false, "restartCount": 0, "image": "i", "imageID": ""},
            {"name": "udf", "ready": sidecar_started, "started": sidecar_started, "restartCount": 0, "image": "i", "imageID": ""},
        ]},
    }))
    .unwrap()
}

fn deployment(available: i32) -> Deployment {
    from_value(json!({
        "metadata": {"name": "p-endpoint", "generation": 1},
        "status": {"observedGeneration": 1, "availableReplicas": available},
    }))
    .unwrap()
}

fn running() -> Snapshot {
    Snapshot {
        pipeline: Some(pipeline(2, "Running", "True")),
        vertices: VERTICES.map(|_| Some(vertex("Running", 1))).to_vec(),
        pods: VERTICES.map(|name| pod(name, true, "True")).to_vec(),
        deployment: Some(deployment(1)),
        endpoints: Vec::new(),
    }
}

#[test]
fn nothing_is_missing_where_everything_runs() {
    assert_eq!(missing(&running(), true), None);
    let elsewhere = Snapshot {
        deployment: None,
        ..running()
    };
    assert_eq!(missing(&elsewhere, false), None);
    assert!(missing(&elsewhere, true).is_some());
}

#[test]
fn every_part_that_does_not_run_is_named() {
    let of = |change: fn(&mut Snapshot)| {
        let mut snapshot = running();
        change(&mut snapshot);
        missing(&snapshot, true).unwrap_or_default()
    };
    let messages = [
        (of(|s| s.pipeline = None), "the Pipeline is not there"),
        (
            of(|s| s.pipeline = Some(pipeline(3, "Running", "True"))),
            "has not looked at the Pipeline",
        ),
        (
            of(|s| s.pipeline = Some(pipeline(2, "Failed", "True"))),
            "`Failed`",
        ),
        (
            of(|s| s.pipeline = Some(pipeline(2, "Running", "False"))),
            "VerticesHealthy is False Vertex udf is progressing",
        ),
        (of(|s| s.vertices[1] = None), "the Vertex udf is not there"),
        (
            of(|s| s.vertices[2] = Some(vertex("Running", 0))),
            "0 of 1 pods of Vertex sink",
        ),
        (of(|s| s.vertices[0] = Some(vertex("Failed", 1))), "`Failed`"),
        (of(|s| s.pods.truncate(2)), "there is no sink pod"),
        (
            of(|s| s.pods[1] = pod("udf", false, "True")),
            "container udf of the udf pod has not started",
        ),
        (
            of(|s| s.pods[0] = pod("generator", true, "False")),
            "the generator pod is not ready",
        ),
        (of(|s| s.deployment = Some(deployment(0))), "the endpoint's pod"),
    ];
    for (message, word) in messages {
        assert!(message.contains(word), "`{message}` should contain: {word}");
    }
}
