//! Numaflow's controller for one Pipeline, from its creation until it is gone: vertices, pods, the real processes and
//! the embedded data plane between them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use wire::parse_duration;

use super::container::{Place, Process};
use super::deployment::owner;
use super::figures::Figures;
use super::log::is_record;
use super::pods::{container_status, pending, running};
use super::store::{Key, NUMAFLOW};
use super::trouble::{Buffers, PodTrouble};
use super::{Inner, numa, pod_address};

/// Patience with processes that start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// The UDF is killed so long after the sink's first record: in the middle of the next window.
const KILL_AFTER: Duration = Duration::from_millis(300);

/// Generator, UDF and sink; a Pipeline with others is stored, and nothing runs for it.
const VERTICES: usize = 3;

/// A vertex of the Pipeline: its pod and its process.
struct Vertex {
    name: String,
    user_container: &'static str,
    container: Value,
    pod: Key,
    folder: TempDir,
    process: Option<Process>,
    address: std::net::Ipv4Addr,
    numa: JoinSet<()>,
}

/// Why the data plane has stopped.
enum Stopped {
    Deleted,
    Restart,
    Failed(String),
}

pub(super) async fn play(inner: Arc<Inner>, key: Key) {
    let Some(object) = inner.store().get(&key).cloned() else {
        return;
    };
    let is_whole = object["spec"]["vertices"]
        .as_array()
        .is_some_and(|all| all.len() == VERTICES);
    if !is_whole {
        deleted(&inner, &key).await;
        return clean_up(&inner, &key);
    }
    if buffers_are_there(&inner, &key, &object).await {
        let mut vertices = create(&inner, &key, &object);
        tokio::select! {
            () = run(&inner, &key, &object, &mut vertices) => {}
            () = deleted(&inner, &key) => {}
        }
        deleted(&inner, &key).await;
        let stops = vertices.into_iter().map(|vertex| vertex.stop(&inner));
        let mut stopping: JoinSet<()> = JoinSet::new();
        for stop in stops {
            stopping.spawn(stop);
        }
        stopping.join_all().await;
    }
    clean_up(&inner, &key);
}

/// Waits until the Pipeline is to be deleted.
async fn deleted(inner: &Inner, key: &Key) {
    let mut newest = inner.store().newest();
    let lives = || {
        let store = inner.store();
        let object = store.get(key);
        object.is_some_and(|object| !object["metadata"]["deletionTimestamp"].is_string())
    };
    while lives() {
        if newest.changed().await.is_err() {
            return;
        }
    }
}

/// As Numaflow does: the Job that removes the streams comes without an owner, and the Pipeline goes without waiting for
/// it.
fn clean_up(inner: &Arc<Inner>, key: &Key) {
    let name = format!("{}-cln-4f9a2b", key.name);
    let job = Key::new("batch", "jobs", &key.namespace, &name);
    let labels = json!({"numaflow.numaproj.io/pipeline-name": key.name});
    inner.store().put(
        &job,
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "labels": labels},
            "spec": {}, "status": {"active": 1}}),
    );
    inner.purge(key);
    let shared = Arc::clone(inner);
    inner.spawn(async move {
        tokio::time::sleep(Duration::from_millis(100)).await;
        shared.purge(&job);
    });
}

/// Whether the isbsvc is there and healthy before the Pipeline is deleted again.
async fn buffers_are_there(inner: &Inner, key: &Key, object: &Value) -> bool {
    let name = object["spec"]["interStepBufferServiceName"]
        .as_str()
        .unwrap_or("default");
    let message = match inner.trouble().buffers {
        Buffers::Healthy => return true,
        Buffers::Absent => format!("isbsvc {name} not found"),
        Buffers::Pending => format!("isbsvc {name} not healthy"),
    };
    inner.change(key, |pipeline| {
        let condition = |kind: &str, status: &str, message: &str| {
            json!({"type": kind, "status": status, "reason": "Failed", "message": message})
        };
        pipeline["status"] = json!({"phase": "Failed", "message": message, "observedGeneration": 1,
            "conditions": [condition("Configured", "True", ""), condition("Deployed", "False", &message)]});
    });
    inner.warn(
        key,
        "Pipeline",
        "ReconcilePipelineFailed",
        &format!("Failed to reconcile pipeline: {message}"),
    );
    deleted(inner, key).await;
    false
}

fn create(inner: &Inner, key: &Key, object: &Value) -> Vec<Vertex> {
    let vertices = object["spec"]["vertices"].as_array().cloned().unwrap_or_default();
    let vertices: Vec<Vertex> = vertices
        .iter()
        .map(|vertex| Vertex::create(inner, key, object, vertex))
        .collect();
    inner.change(key, |pipeline| {
        // Numaflow says so before anything runs.
        pipeline["status"] = status(pipeline, "False");
    });
    vertices
}

fn status(pipeline: &Value, healthy: &str) -> Value {
    let condition = |kind: &str, status: &str| json!({"type": kind, "status": status, "reason": "Successful", "message": ""});
    json!({"phase": "Running", "observedGeneration": pipeline["metadata"]["generation"], "vertexCount": 3,
        "conditions": [condition("Configured", "True"), condition("Deployed", "True"),
            condition("DaemonServiceHealthy", "True"), condition("SideInputsManagersHealthy", "True"),
            condition("VerticesHealthy", healthy)]})
}

async fn run(inner: &Arc<Inner>, key: &Key, object: &Value, vertices: &mut [Vertex]) {
    let trouble = inner.trouble().vertex.clone();
    if let Some((name, trouble)) = trouble {
        fail(inner, vertices, name, &trouble);
        return;
    }
    await_endpoint(inner, key, vertices).await;
    let figures = Arc::new(Figures::of(&key.name));
    for vertex in vertices.iter_mut() {
        vertex.start(inner);
        vertex.serve_figures(&figures);
    }
    let mut restarts = 0;
    loop {
        let stopped = drive(inner, key, object, vertices, &figures, restarts).await;
        match stopped {
            Stopped::Deleted => return,
            Stopped::Restart => {
                restarts += 1;
                if let Some(udf) = vertices.iter_mut().find(|vertex| vertex.name == "udf") {
                    udf.restart(inner).await;
                }
            }
            Stopped::Failed(reason) => {
                inner.warn(key, "Pipeline", "DataPlaneFailed", &reason);
                for vertex in vertices.iter_mut() {
                    vertex.crashed(inner);
                }
                return;
            }
        }
    }
}

fn fail(inner: &Inner, vertices: &mut [Vertex], name: &str, trouble: &PodTrouble) {
    if let Some(vertex) = vertices.iter().find(|vertex| vertex.name == name) {
        let mut container = vertex.container.clone();
        container["name"] = json!(vertex.user_container);
        inner.fail_pod(&vertex.pod, &container, trouble, "initContainerStatuses");
    }
}

/// The UDF's calls must find somebody: in a cluster they would try again by the Service's name.
async fn await_endpoint(inner: &Inner, key: &Key, vertices: &[Vertex]) {
    let url = vertices.iter().find_map(|vertex| vertex.variable("ENDPOINT_URL"));
    let host = url.as_deref().and_then(|url| url.strip_prefix("http://"));
    let host = host
        .and_then(|rest| rest.split([':', '.', '/']).next())
        .unwrap_or_default();
    let mut newest = inner.store().newest();
    // An IP address is nobody's Service, and a Service may be created after the Pipeline.
    let is_address = host.chars().all(|c| c.is_ascii_digit());
    while !is_address && inner.service_address(&key.namespace, host, None).is_none() {
        if newest.changed().await.is_err() {
            return;
        }
    }
}

async fn drive(
    inner: &Arc<Inner>,
    key: &Key,
    object: &Value,
    vertices: &mut [Vertex],
    figures: &Arc<Figures>,
    restarts: u32,
) -> Stopped {
    let sockets = |name: &str| {
        let folder = vertices
            .iter()
            .find(|vertex| vertex.name == name)
            .map(|vertex| vertex.folder.path());
        let folder = folder.unwrap_or(Path::new("/nowhere"));
        dataplane::VertexSockets {
            socket: folder.join("socket"),
            server_info: folder.join("info"),
        }
    };
    let sockets = dataplane::Sockets {
        source: sockets("generator"),
        reduce: sockets("udf"),
        sink: sockets("sink"),
    };
    let config = config(object, inner.trouble().watermark_runs_ahead);
    let connected = tokio::select! {
        connected = dataplane::DataPlane::connect(config, &sockets, PATIENCE) => connected,
        reason = death(vertices) => return Stopped::Failed(reason),
    };
    let data_plane = match connected {
        Ok(data_plane) => data_plane,
        Err(error) => return Stopped::Failed(error.to_string()),
    };
    for vertex in vertices.iter() {
        vertex.ready(inner, if vertex.name == "udf" { restarts } else { 0 });
    }
    inner.change(key, |pipeline| pipeline["status"] = status(pipeline, "True"));
    let sink = vertices
        .iter()
        .find(|vertex| vertex.name == "sink")
        .map(|vertex| vertex.pod.name.clone());
    let restart = std::mem::take(&mut inner.trouble().udf_restarts);
    let (stop, stopped) = oneshot::channel::<()>();
    let observer: Arc<Figures> = Arc::clone(figures);
    let mut running = Box::pin(data_plane.run(observer, async {
        let _ = stopped.await;
    }));
    let events = async {
        let log = inner.pods.log(&sink.unwrap_or_default(), "udsink");
        if restart {
            first_record(&log).await;
            tokio::time::sleep(KILL_AFTER).await;
            return;
        }
        std::future::pending::<()>().await;
    };
    let ended = tokio::select! {
        ended = &mut running => Some(ended),
        () = deleted(inner, key) => None,
        () = events => {
            drop(stop);
            let _ = running.await;
            return Stopped::Restart;
        }
        reason = death(vertices) => return Stopped::Failed(reason),
    };
    match ended {
        Some(Err(error)) => Stopped::Failed(error.to_string()),
        Some(Ok(_)) => Stopped::Deleted,
        None => {
            drop(stop);
            let _ = running.await;
            Stopped::Deleted
        }
    }
}

/// The data plane as the Pipeline describes it.
fn config(object: &Value, watermark_runs_ahead: bool) -> dataplane::Config {
    let spec = &object["spec"];
    let duration = |value: &Value| parse_duration(value.as_str().unwrap_or_default()).ok();
    let vertices = spec["vertices"].as_array();
    let reduce = vertices.and_then(|all| all.iter().find(|vertex| vertex["udf"]["groupBy"].is_object()));
    let group_by = reduce.map_or(&Value::Null, |vertex| &vertex["udf"]["groupBy"]);
    let limits = reduce
        .map(|vertex| &vertex["limits"])
        .filter(|limits| limits.is_object());
    let read_timeout = limits
        .and_then(|limits| duration(&limits["readTimeout"]))
        .or(duration(&spec["limits"]["readTimeout"]));
    let mut config = dataplane::Config::new(
        duration(&group_by["window"]["fixed"]["length"]).expect("a window's length"),
        read_timeout.unwrap_or(Duration::from_secs(1)),
    );
    config.allowed_lateness = duration(&group_by["allowedLateness"]).unwrap_or_default();
    let idle = &spec["watermark"]["idleSource"];
    config.idle_source = match (
        duration(&idle["threshold"]),
        duration(&idle["incrementBy"]),
        duration(&idle["stepInterval"]),
    ) {
        (Some(threshold), Some(increment_by), Some(step_interval)) => Some(dataplane::IdleSource {
            threshold,
            increment_by,
            step_interval,
        }),
        _ => None,
    };
    if watermark_runs_ahead {
        // It passes the clock's time within a few steps, and stays there until data comes.
        let soon = Duration::from_millis(10);
        config.idle_source = Some(dataplane::IdleSource {
            threshold: soon,
            increment_by: soon,
            step_interval: soon / 10,
        });
    }
    config
}

async fn first_record(log: &super::Log) {
    let mut state = log.state();
    while !log.lines().iter().any(|(_, line)| is_record(line)) {
        if state.changed().await.is_err() {
            return;
        }
    }
}

/// Waits until a process ends by itself.
async fn death(vertices: &mut [Vertex]) -> String {
    let mut deaths = tokio_stream::StreamMap::new();
    for vertex in vertices.iter_mut() {
        let name = vertex.name.clone();
        if let Some(process) = &mut vertex.process {
            let ended = Box::pin(async move { process.ended().await });
            deaths.insert(name, Box::pin(futures_util::stream::once(ended)));
        }
    }
    match tokio_stream::StreamExt::next(&mut deaths).await {
        Some((name, Ok(status))) => format!("{name} ended: {status}"),
        Some((name, Err(error))) => format!("{name} ended: {error}"),
        None => std::future::pending().await,
    }
}

impl Vertex {
    fn create(inner: &Inner, key: &Key, object: &Value, vertex: &Value) -> Self {
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
        super::store::merge(
            &mut labels,
            &vertex["metadata"]["labels"]
                .as_object()
                .map_or(json!({}), |own| json!(own)),
        );
        super::store::merge(
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
        Self {
            name,
            user_container,
            container: user,
            pod,
            folder: tempfile::Builder::new().prefix("k").tempdir().expect("a folder"),
            process: None,
            address: pod_address(),
            numa: JoinSet::new(),
        }
    }

    /// Numaflow's container serves beside the user's, as long as the pod lives.
    fn serve_figures(&mut self, figures: &Arc<Figures>) {
        let seen = Arc::clone(figures);
        self.numa
            .spawn(numa::serve(self.pod.name.clone(), self.address, seen));
    }

    fn variable(&self, name: &str) -> Option<String> {
        let env = self.container["env"].as_array()?;
        let found = env.iter().find(|variable| variable["name"] == name)?;
        found["value"].as_str().map(str::to_owned)
    }

    fn start(&mut self, inner: &Inner) {
        let place = Place {
            namespace: &self.pod.namespace,
            pod: &self.pod.name,
            address: self.address,
            run: Some(self.folder.path()),
        };
        let log = inner.pods.log(&self.pod.name, self.user_container);
        self.process = Some(Process::start(inner, &self.container, &place, &log));
        inner.pods.set_address(&self.pod.name, self.address);
        inner.pods.set_waiting(&self.pod.name, false);
    }

    /// Kills the process and starts it again, as the kubelet does with a container.
    async fn restart(&mut self, inner: &Inner) {
        if let Some(process) = &mut self.process {
            process.kill().await;
        }
        let _ = inner.pods.restarted(&self.pod.name, self.user_container);
        // Numaflow's init process removes what an earlier one left.
        let _ = std::fs::remove_file(self.folder.path().join("info"));
        self.start(inner);
    }

    fn ready(&self, inner: &Inner, restarts: u32) {
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

    /// Tells a process that has ended by itself.
    fn crashed(&mut self, inner: &Inner) {
        let ended = self
            .process
            .as_mut()
            .and_then(|process| process.child.try_wait().ok().flatten());
        if let Some(status) = ended {
            inner.crash_pod(
                &self.pod,
                &self.container,
                status.code().unwrap_or(137),
                "initContainerStatuses",
            );
        }
    }

    fn stop(self, inner: &Arc<Inner>) -> impl Future<Output = ()> + 'static {
        let inner = Arc::clone(inner);
        async move {
            if let Some(process) = self.process {
                process.stop().await;
            }
            inner.pods.remove(&self.pod.name);
            inner.purge(&self.pod);
        }
    }
}
