//! Numaflow's controller for one Pipeline from its creation to its deletion: vertices, pods, the real processes and
//! the embedded data plane between them.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::select_all;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::Inner;
use super::limits::config;
use super::log::is_record;
use super::metrics::PipelineMetrics;
use super::store::Key;
use super::trouble::{Buffers, PodTrouble};
use super::vertex::Vertex;
use crate::process::signal;

/// How long to wait for processes that start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long after the sink's first record a process is killed: in the middle of the next window.
const KILL_AFTER: Duration = Duration::from_millis(300);
/// How long and how often the generator is held for a watermark that runs ahead of the events: some events become due
/// meanwhile, and at least one of the holds meets a read without events.
const PAUSE: Duration = Duration::from_millis(120);
const PAUSES: u32 = 3;

/// Generator, UDF and sink. A Pipeline with other vertices is stored, but nothing runs for it.
const VERTICES: usize = 3;

/// Why the data plane stopped.
enum Stopped {
    Deleted,
    /// So that the process of this vertex is killed.
    Restart(&'static str),
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

/// Waits until the deletion of the Pipeline is requested.
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

/// As Numaflow does it: the Job that removes the streams has no owner, and the Pipeline is removed without waiting
/// for the Job.
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

/// Whether the isbsvc becomes healthy before the Pipeline is deleted.
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
        // Numaflow reports this before anything runs.
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
    let metrics = Arc::new(PipelineMetrics::of(&key.name));
    for vertex in vertices.iter_mut() {
        vertex.start(inner);
        vertex.serve_metrics(&metrics);
    }
    let mut restarted = None;
    loop {
        let stopped = drive(inner, key, object, vertices, &metrics, restarted).await;
        match stopped {
            Stopped::Deleted => return,
            Stopped::Restart(name) => {
                restarted = Some(name);
                if let Some(vertex) = vertices.iter_mut().find(|vertex| vertex.name == name) {
                    vertex.restart(inner).await;
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

/// Waits for the endpoint of the UDF's calls: in a cluster, they would be retried by the Service's name.
async fn await_endpoint(inner: &Inner, key: &Key, vertices: &[Vertex]) {
    let url = vertices.iter().find_map(|vertex| vertex.variable("ENDPOINT_URL"));
    let host = url.as_deref().and_then(|url| url.strip_prefix("http://"));
    let host = host
        .and_then(|rest| rest.split([':', '.', '/']).next())
        .unwrap_or_default();
    let mut newest = inner.store().newest();
    // An IP address belongs to no Service, and a Service may be created after the Pipeline.
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
    metrics: &Arc<PipelineMetrics>,
    restarted: Option<&str>,
) -> Stopped {
    let place = |name: &str| {
        vertices
            .iter()
            .find(|vertex| vertex.name == name)
            .map(|vertex| &vertex.place)
    };
    let (Some(source), Some(reduce), Some(sink)) = (place("generator"), place("udf"), place("sink")) else {
        return Stopped::Failed("it has not the three vertices".to_owned());
    };
    let [source, reduce, sink] = [source, reduce, sink].map(|place| dataplane::VertexSockets {
        socket: place.socket.clone(),
        server_info: place.server_info.clone(),
    });
    let sockets = dataplane::Sockets { source, reduce, sink };
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
        vertex.ready(inner, u32::from(restarted == Some(vertex.name.as_str())));
    }
    inner.change(key, |pipeline| pipeline["status"] = status(pipeline, "True"));
    let sink = vertices
        .iter()
        .find(|vertex| vertex.name == "sink")
        .map(|vertex| vertex.pod.name.clone());
    let restart = inner.trouble().restarts.take();
    // While the generator is held, the watermark advances: events that become due meanwhile are late.
    let source = vertices
        .iter()
        .filter(|_| inner.trouble().watermark_runs_ahead)
        .find(|vertex| vertex.name == "generator")
        .and_then(|vertex| vertex.process.as_ref()?.id());
    let (stop, stopped) = oneshot::channel::<()>();
    let observer: Arc<PipelineMetrics> = Arc::clone(metrics);
    let mut running = Box::pin(data_plane.run(observer, async {
        let _ = stopped.await;
    }));
    let events = async {
        let log = inner.pods.log(&sink.unwrap_or_default(), "udsink");
        if let Some(name) = restart {
            first_record(&log).await;
            tokio::time::sleep(KILL_AFTER).await;
            return name;
        }
        if let Some(source) = source {
            first_record(&log).await;
            for _ in 0..PAUSES {
                signal(source, Signal::STOP);
                tokio::time::sleep(PAUSE).await;
                signal(source, Signal::CONT);
                tokio::time::sleep(PAUSE).await;
            }
        }
        std::future::pending().await
    };
    let ended = tokio::select! {
        ended = &mut running => Some(ended),
        () = deleted(inner, key) => None,
        name = events => {
            drop(stop);
            let _ = running.await;
            return Stopped::Restart(name);
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
    let processes = vertices.iter_mut().filter_map(|vertex| vertex.process.as_mut());
    let (death, ..) = select_all(processes.map(|process| Box::pin(process.death()))).await;
    death.to_string()
}
