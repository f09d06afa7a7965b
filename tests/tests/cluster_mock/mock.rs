//! The mock by itself: an applied Pipeline gives records, metrics and logs, and is removed again.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tests::kube::{Cluster, NAMESPACE, Trouble};
use wire::{GeneratorStats, WindowRecord};

use super::run_dir::wait_until;

const BASE: &str = include_str!("../../../manifests/experiment/base.yaml");

struct Api {
    http: reqwest::Client,
    server: String,
}

impl Api {
    fn new(cluster: &Cluster) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kubeconfig");
        cluster.write_kubeconfig(&file);
        let config: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        Self {
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            server: config["clusters"][0]["cluster"]["server"]
                .as_str()
                .unwrap()
                .to_owned(),
        }
    }

    fn url(&self, group: &str, rest: &str) -> String {
        let root = if group == "v1" { "api" } else { "apis" };
        format!("{}/{root}/{group}/namespaces/{NAMESPACE}/{rest}", self.server)
    }

    async fn apply(&self, object: &Value) -> (u16, Value) {
        let group = object["apiVersion"].as_str().unwrap();
        let plural = format!("{}s", object["kind"].as_str().unwrap().to_lowercase());
        let name = object["metadata"]["name"].as_str().unwrap();
        let url = self.url(group, &format!("{plural}/{name}?fieldManager=test&force=true"));
        let request = self
            .http
            .patch(url)
            .header("content-type", "application/apply-patch+yaml");
        let answer = request.body(object.to_string()).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn text(&self, group: &str, rest: &str) -> String {
        let answer = self.http.get(self.url(group, rest)).send().await.unwrap();
        answer.text().await.unwrap()
    }
}

fn base() -> Vec<Value> {
    let documents = serde_yaml::Deserializer::from_str(BASE);
    let mut base: Vec<Value> = documents.map(|one| Value::deserialize(one).unwrap()).collect();
    for object in &mut base {
        if object["kind"] == "Pipeline" {
            object["spec"]["limits"]["readTimeout"] = json!("50ms");
            object["spec"]["vertices"][1]["udf"]["groupBy"]["window"]["fixed"]["length"] = json!("500ms");
        }
    }
    base
}

#[tokio::test(flavor = "multi_thread")]
async fn an_applied_pipeline_runs_and_a_deleted_one_goes() {
    let cluster = Cluster::start(Trouble::default()).await;
    let api = Api::new(&cluster);
    for object in base() {
        let (status, answer) = api.apply(&object).await;
        assert_eq!(status, 201, "{answer}");
    }
    let sink = "async-reduce-sink-0-q7w4z";
    let log = format!("pods/{sink}/log?container=udsink&follow=true");
    tokio::task::block_in_place(|| {
        wait_until(|| {
            cluster
                .get("", "pods", sink)
                .is_some_and(|pod| pod["status"]["phase"] == "Running")
        });
    });
    let mut stream = api.http.get(api.url("v1", &log)).send().await.unwrap();
    let mut log = String::new();
    let record = loop {
        let chunk = tokio::time::timeout(Duration::from_secs(10), stream.chunk())
            .await
            .unwrap();
        log.push_str(std::str::from_utf8(&chunk.unwrap().unwrap()).unwrap());
        let records = log.lines().filter(|line| line.contains("window_start_ms"));
        if let Some(line) = records.max_by_key(|line| line.len()) {
            break line.to_owned();
        }
    };
    let line: Value = serde_json::from_str(&record).unwrap();
    let record: WindowRecord = serde_json::from_value(line["record"].clone()).unwrap();
    assert!(record.ok() > 0 && record.failed() == 0, "{record:?}");

    let stats = api
        .text(
            "v1",
            &format!(
                "pods/async-reduce-generator-0-q7w4z:{}/proxy/stats",
                wire::METRICS_PORT
            ),
        )
        .await;
    let stats: GeneratorStats = serde_json::from_str(&stats).unwrap();
    assert!(stats.sent >= record.ok());
    let metrics = api
        .text("v1", "pods/https:async-reduce-udf-0-q7w4z:2469/proxy/metrics")
        .await;
    assert!(metrics.contains("reduce_closed_windows"), "{metrics}");

    let group = "numaflow.numaproj.io/v1alpha1";
    api.http
        .delete(api.url(group, "pipelines/async-reduce"))
        .send()
        .await
        .unwrap();
    api.http
        .delete(api.url("apps/v1", "deployments/async-reduce-endpoint"))
        .send()
        .await
        .unwrap();
    api.http
        .delete(api.url("v1", "services/async-reduce-endpoint"))
        .send()
        .await
        .unwrap();
    tokio::task::block_in_place(|| wait_until(|| cluster.names().is_empty()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_numaflow_would_refuse_is_refused() {
    let cluster = Cluster::start(Trouble::default()).await;
    let api = Api::new(&cluster);
    let mut pipeline = base()
        .into_iter()
        .find(|object| object["kind"] == "Pipeline")
        .unwrap();
    pipeline["spec"]["watermark"]["idleSource"]["stepInterval"] = json!("0s");
    let (status, answer) = api.apply(&pipeline).await;
    assert_eq!(status, 422, "{answer}");
    assert!(
        answer["message"].as_str().unwrap().contains("stepInterval"),
        "{answer}"
    );
    assert_eq!(cluster.names(), Vec::<String>::new());
}
