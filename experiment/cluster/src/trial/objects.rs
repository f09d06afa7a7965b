//! The Kubernetes objects of one trial: applied, read, diagnosed and deleted.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Event, Pod, Service};
use kube::api::{Api, LogParams};

use super::snapshot::{Snapshot, VERTICES, live};
use crate::base::{Manifests, endpoint_name};
use crate::cleanup::{CHECK_EVERY, Leftovers, wait_deleted};
use crate::client::requests::{apply, delete_if_present, get, list};
use crate::client::{Cluster, ClusterError};
use crate::diagnosis::{self, Diagnosis, Logs, NumaflowStatus, Scene};
use crate::labels::{INSTANCE_LABEL, PIPELINE_NAME_LABEL, VERTEX_NAME_LABEL};
use crate::poll::Poll;

/// How long a trial's objects may take to disappear.
const GONE_WITHIN: Duration = Duration::from_secs(120);

/// Lines of a failed container's log in an error.
const LOG_LINES: i64 = 8;

/// The Kubernetes objects of one trial.
#[derive(Clone)]
pub(crate) struct TrialObjects {
    cluster: Cluster,
    /// Name of the Pipeline.
    pub pipeline: String,
    /// Id of the run.
    run: String,
    isbsvc: String,
    /// Whether the endpoint is one of them.
    pub own_endpoint: bool,
}

impl TrialObjects {
    pub fn new(cluster: &Cluster, pipeline: String, run: &str, isbsvc: &str, own_endpoint: bool) -> Self {
        Self {
            cluster: cluster.clone(),
            pipeline,
            run: run.to_owned(),
            isbsvc: isbsvc.to_owned(),
            own_endpoint,
        }
    }

    /// Applies the manifests, the endpoint first, as the pipeline calls it.
    pub async fn apply(&self, manifests: &Manifests) -> Result<(), ClusterError> {
        if let Some((deployment, service)) = &manifests.endpoint {
            let name = endpoint_name(&self.pipeline);
            apply(&self.cluster.api::<Service>(), "Service", &name, service).await?;
            apply(&self.cluster.api::<Deployment>(), "Deployment", &name, deployment).await?;
        }
        let pipelines = self.cluster.numaflow("Pipeline");
        apply(&pipelines, "Pipeline", &self.pipeline, &manifests.pipeline).await
    }

    /// The pod of a vertex that serves or is about to.
    pub async fn pod_of(&self, vertex: &str) -> Result<Option<Pod>, ClusterError> {
        let labels = format!("{},{VERTEX_NAME_LABEL}={vertex}", self.of_pipeline());
        let pods = self.pods(&labels).await?;
        Ok(live(pods.iter()).cloned())
    }

    pub fn pod_api(&self) -> Api<Pod> {
        self.cluster.api()
    }

    /// Reads all objects.
    pub async fn snapshot(&self) -> Result<Snapshot, ClusterError> {
        let pipeline = get(&self.cluster.numaflow("Pipeline"), "Pipeline", &self.pipeline).await?;
        let mut vertices = Vec::new();
        for vertex in VERTICES {
            let name = format!("{}-{vertex}", self.pipeline);
            vertices.push(get(&self.cluster.numaflow("Vertex"), "Vertex", &name).await?);
        }
        let (deployment, endpoints) = match self.own_endpoint {
            true => {
                let name = endpoint_name(&self.pipeline);
                let deployment = get(&self.cluster.api::<Deployment>(), "Deployment", &name).await?;
                (deployment, self.endpoint_pods().await?)
            }
            false => (None, Vec::new()),
        };
        Ok(Snapshot {
            pipeline,
            vertices,
            pods: self.pods(&self.of_pipeline()).await?,
            deployment,
            endpoints,
        })
    }

    /// Why the pipeline does not run, as far as it is known. `with_logs` costs a request for each failed container.
    pub async fn explain(&self, snapshot: &Snapshot, with_logs: bool) -> Option<Diagnosis> {
        let pods: Vec<Pod> = snapshot.pods.iter().chain(&snapshot.endpoints).cloned().collect();
        // Without the permission to list events the diagnosis is less precise, which is no reason to fail.
        let events = list(&self.cluster.api::<Event>(), None, "events").await;
        let ours = |event: &Event| {
            let name = event.involved_object.name.as_deref().unwrap_or_default();
            let rest = name.strip_prefix(&self.pipeline);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        };
        let events: Vec<Event> = events.unwrap_or_default();
        let events: Vec<Event> = events.into_iter().filter(ours).collect();
        let mut numaflow: Vec<NumaflowStatus> = Vec::new();
        numaflow.extend(
            snapshot
                .pipeline
                .as_ref()
                .map(|object| NumaflowStatus::of("Pipeline", object)),
        );
        let vertices = snapshot.vertices.iter().flatten();
        numaflow.extend(vertices.map(|object| NumaflowStatus::of("Vertex", object)));
        if let Ok(Some(object)) = self
            .cluster
            .numaflow("InterStepBufferService")
            .get_opt(&self.isbsvc)
            .await
        {
            numaflow.push(NumaflowStatus::of("InterStepBufferService", &object));
        }
        let logs = match with_logs {
            true => Some(self.last_lines(&pods).await),
            false => None,
        };
        diagnosis::explain(&Scene {
            pods: &pods,
            events: &events,
            numaflow: &numaflow,
            logs: logs.as_ref(),
        })
    }

    async fn last_lines(&self, pods: &[Pod]) -> Logs {
        let mut logs = Logs::new();
        for failing in diagnosis::failing(pods) {
            let params = LogParams {
                container: Some(failing.container.clone()),
                previous: failing.previous,
                tail_lines: Some(LOG_LINES),
                ..LogParams::default()
            };
            if let Ok(text) = self.pod_api().logs(&failing.pod, &params).await {
                logs.insert((failing.pod, failing.container), text);
            }
        }
        logs
    }

    /// Deletes all objects and waits until they are gone and Numaflow has removed the pipeline's streams.
    ///
    /// # Errors
    /// Returns an error if an object is left after two minutes or the API server refuses a request.
    pub async fn remove(&self, note: &(dyn Fn(&str) + Sync)) -> Result<(), ClusterError> {
        delete_if_present(
            &self.cluster.numaflow("Pipeline"),
            "Pipeline",
            &self.pipeline,
            None,
        )
        .await?;
        if self.own_endpoint {
            let name = endpoint_name(&self.pipeline);
            delete_if_present(&self.cluster.api::<Deployment>(), "Deployment", &name, None).await?;
            delete_if_present(&self.cluster.api::<Service>(), "Service", &name, None).await?;
        }
        let leftovers = Leftovers {
            pipelines: [self.pipeline.clone()].into(),
            runs: [self.run.clone()].into(),
        };
        let poll = Poll::new(CHECK_EVERY, GONE_WITHIN);
        wait_deleted(&self.cluster, &leftovers, &poll, note).await
    }

    async fn endpoint_pods(&self) -> Result<Vec<Pod>, ClusterError> {
        self.pods(&format!("{INSTANCE_LABEL}={}", self.pipeline)).await
    }

    fn of_pipeline(&self) -> String {
        format!("{PIPELINE_NAME_LABEL}={}", self.pipeline)
    }

    async fn pods(&self, selector: &str) -> Result<Vec<Pod>, ClusterError> {
        list(&self.pod_api(), Some(selector), "pods").await
    }
}
