//! Deployments: one pod with the real process of its first container.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::container::{Pod, STOP_PATIENCE, start};
use super::pods::{container_status, pending, running};
use super::store::Key;
use super::{Inner, pod_address};

/// Pause between two checks whether a process listens.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

pub(super) async fn play(inner: Arc<Inner>, key: Key) {
    let Some(deployment) = inner.store().get(&key).cloned() else {
        return;
    };
    let name = format!("{}-6c9f-x7k2p", key.name);
    let pod_key = Key::new("", "pods", &key.namespace, &name);
    let template = &deployment["spec"]["template"];
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": template["metadata"]["labels"],
            "annotations": template["metadata"]["annotations"],
            "ownerReferences": [owner(&deployment)]},
        "spec": template["spec"],
        "status": pending(),
    });
    inner.pods.set_waiting(&name, true);
    inner.store().put(&pod_key, pod);
    let container = &template["spec"]["containers"][0];
    let trouble = inner.trouble().endpoint.clone();
    if let Some(trouble) = trouble {
        inner.fail_pod(&pod_key, container, &trouble, "containerStatuses");
        return;
    }
    let address = pod_address();
    let log = inner
        .pods
        .log(&name, container["name"].as_str().unwrap_or_default());
    let pod = Pod {
        namespace: &key.namespace,
        name: &name,
        address,
        serves: None,
        mounts: &[],
    };
    let mut process = start(&inner, container, &pod, &log);
    inner.pods.set_waiting(&name, false);
    let port = container["ports"][0]["containerPort"]
        .as_u64()
        .unwrap_or_default();
    let listens = async {
        while TcpStream::connect(format!("{address}:{port}")).await.is_err() {
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    };
    let died = tokio::select! {
        () = listens => None,
        ended = process.wait() => Some(ended),
    };
    if let Some(ended) = died {
        let code = ended.ok().and_then(|status| status.code()).unwrap_or(137);
        inner.crash_pod(&pod_key, container, code, "containerStatuses");
        return;
    }
    inner.pods.set_address(&name, address);
    inner.change(&pod_key, |pod| {
        pod["status"] = ready(container, &address.to_string())
    });
    inner.change(&key, |deployment| {
        let generation = deployment["metadata"]["generation"].clone();
        let available = json!({"type": "Available", "status": "True"});
        deployment["status"] = json!({"observedGeneration": generation, "replicas": 1, "updatedReplicas": 1,
            "readyReplicas": 1, "availableReplicas": 1, "conditions": [available]});
    });
    let mut newest = inner.store().newest();
    while inner.store().get(&pod_key).is_some() {
        if newest.changed().await.is_err() {
            break;
        }
    }
    process.stop(STOP_PATIENCE).await;
    inner.pods.remove(&name);
}

fn ready(container: &Value, address: &str) -> Value {
    let name = container["name"].as_str().unwrap_or_default();
    let status = container_status(name, &container["image"], true, 0, &running(), &json!({}));
    json!({"phase": "Running", "podIP": address, "podIPs": [{"ip": address}],
        "conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "True"},
            {"type": "ContainersReady", "status": "True"}, {"type": "Initialized", "status": "True"}],
        "containerStatuses": [status]})
}

/// The reference by which an object names its owner.
pub(super) fn owner(object: &Value) -> Value {
    json!({"apiVersion": object["apiVersion"], "kind": object["kind"], "name": object["metadata"]["name"],
        "uid": object["metadata"]["uid"], "controller": true, "blockOwnerDeletion": true})
}
