//! One vertex of a mocked Pipeline: its objects, its process and its status.

use std::path::PathBuf;
use std::sync::Arc;

use launcher::{Child, Place};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::container::{self, Pod, STOP_PATIENCE};
use super::deployment::owner;
use super::metrics::PipelineMetrics;
use super::pods::{container_status, pending, running};
use super::store::{Key, NUMAFLOW, merge};
use super::{Inner, numa, pod_address};

/// A vertex of the Pipeline: its pod and its process.
pub(super) struct Vertex {
    pub name: String,
    pub user_container: &'static str,
    pub container: Value,
    volumes: Value,
    pub pod: Key,
    pub place: Place,
    pub process: Option<Child>,
    folder: TempDir,
    address: std::net::Ipv4Addr,
    numa: JoinSet<()>,
}

impl Vertex {
    pub fn create(inner: &Inner, key: &Key, object: &Value, vertex: &Value) -> Self {
        let name = vertex["name"].as_str().unwrap_or_default().to_owned();
        let (user_container, container) = match name.as_str() {
            "generator" => ("udsource", &vertex["source"]["udsource"]["container"]),
            "udf" => ("udf", &vertex["udf"]["container"]),
            _ => ("udsink", &vertex["sink"]["udsink"]["container"]),
        };
        let vertex_name = format!("{}-{name}", key.name);
        let stored = inner.store().put(
            &Key::new(NUMAFLOW, "vertices", &key.namespace, &vertex_name),
            json!({"apiVersion": "numaflow.numaproj.io/v1alpha1", "kind": "Vertex",
                "metadata": {"name": vertex_name, "ownerReferences": [owner(object)],
                    "labels": {"numaflow.numaproj.io/pipeline-name": key.name, "numaflow.numaproj.io/vertex-name": name}},
                "spec": vertex,
                "status": {"phase": "Running", "desiredReplicas": 1, "replicas": 1, "readyReplicas": 0}}),
        );
        let pod = Key::new("", "pods", &key.namespace, &format!("{vertex_name}-0-q7w4z"));
        let mut user = container.clone();
        user["name"] = json!(user_container);
        user["restartPolicy"] = json!("Always");
        inner.pods.set_waiting(&pod.name, true);
        let template = &object["spec"]["templates"]["vertex"]["metadata"]["labels"];
        let mut labels = template.clone();
        merge(
            &mut labels,
            &vertex["metadata"]["labels"]
                .as_object()
                .map_or(json!({}), |own| json!(own)),
        );
        merge(
            &mut labels,
            &json!({
                "app.kubernetes.io/part-of": "numaflow", "app.kubernetes.io/managed-by": "vertex-controller",
                "app.kubernetes.io/component": "vertex", "app.kubernetes.io/name": vertex_name,
                "numaflow.numaproj.io/pipeline-name": key.name, "numaflow.numaproj.io/vertex-name": name,
            }),
        );
        inner.store().put(
            &pod,
            json!({"apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": pod.name, "labels": labels, "ownerReferences": [owner(&stored)],
                    "annotations": {"numaflow.numaproj.io/replica": "0"}},
                "spec": {"containers": [{"name": "numa", "image": "numaflow:v1.8.3"}], "initContainers": [user]},
                "status": pending()}),
        );
        let folder = tempfile::Builder::new().prefix("k").tempdir().expect("a folder");
        Self {
            name,
            user_container,
            container: user,
            volumes: vertex["volumes"].clone(),
            pod,
            place: Place::within(folder.path(), "v").expect("a short path"),
            process: None,
            folder,
            address: pod_address(),
            numa: JoinSet::new(),
        }
    }

    /// Numaflow's container serves beside the user's while the pod lives.
    pub fn serve_metrics(&mut self, metrics: &Arc<PipelineMetrics>) {
        let seen = Arc::clone(metrics);
        self.numa
            .spawn(numa::serve(self.pod.name.clone(), self.address, seen));
    }

    pub fn variable(&self, name: &str) -> Option<String> {
        let env = self.container["env"].as_array()?;
        let found = env.iter().find(|variable| variable["name"] == name)?;
        found["value"].as_str().map(str::to_owned)
    }

    /// Writes the ConfigMaps that the container mounts into folders, as the kubelet does.
    fn mounts(&self, inner: &Inner) -> Vec<(String, PathBuf)> {
        let mut mounts = Vec::new();
        for mount in self.container["volumeMounts"].as_array().into_iter().flatten() {
            let volumes = self.volumes.as_array().into_iter().flatten();
            let mut named = volumes.filter(|volume| volume["name"] == mount["name"]);
            let volume = named.next().expect("a mount names a volume");
            let Some(name) = volume["configMap"]["name"].as_str() else {
                continue;
            };
            let key = Key::new("", "configmaps", &self.pod.namespace, name);
            let object = inner
                .store()
                .get(&key)
                .cloned()
                .expect("a pod waits for its ConfigMap");
            let path = mount["mountPath"].as_str().expect("a path").to_owned();
            let folder = self.folder.path().join(format!("mount-{}", mounts.len()));
            std::fs::create_dir_all(&folder).expect("a folder");
            for (file, text) in object["data"].as_object().into_iter().flatten() {
                std::fs::write(folder.join(file), text.as_str().unwrap_or_default()).expect("a file");
            }
            mounts.push((path, folder));
        }
        mounts
    }

    pub fn start(&mut self, inner: &Inner) {
        let mounts = self.mounts(inner);
        let pod = Pod {
            namespace: &self.pod.namespace,
            name: &self.pod.name,
            address: self.address,
            serves: Some(&self.place),
            mounts: &mounts,
        };
        let log = inner.pods.log(&self.pod.name, self.user_container);
        self.process = Some(container::start(inner, &self.container, &pod, &log));
        inner.pods.set_address(&self.pod.name, self.address);
        inner.pods.set_waiting(&self.pod.name, false);
    }

    /// Kills the process and starts it again, as the kubelet does with a container.
    pub async fn restart(&mut self, inner: &Inner) {
        if let Some(process) = self.process.take() {
            process.kill().await;
        }
        let _ = inner.pods.restarted(&self.pod.name, self.user_container);
        // Numaflow's init process removes the socket that an earlier one left.
        let _ = std::fs::remove_file(&self.place.server_info);
        self.start(inner);
    }

    pub fn ready(&self, inner: &Inner, restarts: u32) {
        let last = match restarts {
            0 => json!({}),
            _ => json!({"terminated": {"exitCode": 137, "reason": "Error"}}),
        };
        let address = self.address.to_string();
        inner.change(&self.pod, |pod| {
            let user = container_status(self.user_container, &self.container["image"], true, restarts, &running(), &last);
            let numa = container_status("numa", &json!("numaflow:v1.8.3"), true, restarts, &running(), &last);
            pod["status"] = json!({"phase": "Running", "podIP": address, "podIPs": [{"ip": address}],
                "conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "Initialized", "status": "True"},
                    {"type": "ContainersReady", "status": "True"}, {"type": "Ready", "status": "True"}],
                "initContainerStatuses": [user], "containerStatuses": [numa]});
        });
        let name = self.pod.name.trim_end_matches("-0-q7w4z");
        inner.change(&Key::new(NUMAFLOW, "vertices", &self.pod.namespace, name), |vertex| {
            let generation = vertex["metadata"]["generation"].clone();
            vertex["status"] = json!({"phase": "Running", "desiredReplicas": 1, "replicas": 1, "readyReplicas": 1,
                "updatedReplicas": 1, "updatedReadyReplicas": 1, "currentHash": "h1", "updateHash": "h1",
                "observedGeneration": generation});
        });
    }

    /// Updates the status after a process has ended by itself.
    pub fn crashed(&mut self, inner: &Inner) {
        let ended = self
            .process
            .as_mut()
            .and_then(|process| process.try_wait().ok().flatten());
        if let Some(status) = ended {
            inner.crash_pod(
                &self.pod,
                &self.container,
                status.code().unwrap_or(137),
                "initContainerStatuses",
            );
        }
    }

    pub fn stop(self, inner: &Arc<Inner>) -> impl Future<Output = ()> + 'static {
        let inner = Arc::clone(inner);
        async move {
            if let Some(process) = self.process {
                process.stop(STOP_PATIENCE).await;
            }
            inner.pods.remove(&self.pod.name);
            inner.purge(&self.pod);
        }
    }
}
