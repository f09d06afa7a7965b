//! The committed renders of the chart. Needs no Helm: `make manifests` refreshes them, `make verify` compares them,
//! and `make test-chart` renders the chart itself.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tests::manifests::{Object, faults, read};

const STRATEGIES: [&str; 4] = ["sequential", "async", "thread-pool", "process-pool"];

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn yaml(path: &Path) -> Value {
    serde_yaml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The files below a folder with this extension.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_str().unwrap().ends_with(ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn ids(objects: &[Object]) -> Vec<String> {
    objects.iter().map(Object::id).collect()
}

#[test]
fn the_manifests_are_what_kubernetes_and_numaflow_admit() {
    let files = files("manifests", ".yaml");
    assert_eq!(files.len(), STRATEGIES.len() + 4, "{files:?}");
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        for foreign in ["helm.sh", "managed-by: Helm", "namespace:", "async-reduce:latest"] {
            assert!(!text.contains(foreign), "{} holds `{foreign}`", file.display());
        }
        assert_eq!(faults(&read(&file)), Vec::<String>::new());
    }
}

#[test]
fn the_chart_knows_the_programs_ports_numaflows_and_no_other() {
    let mut found = BTreeSet::new();
    for ending in [".tpl", ".yaml"] {
        for file in files("helm/templates", ending) {
            let text = std::fs::read_to_string(&file).unwrap();
            let words = text.split(|c: char| !c.is_ascii_alphanumeric());
            let numbers = words.filter_map(|word| word.parse::<u16>().ok());
            found.extend(numbers.filter(|number| *number >= 1_000));
        }
    }
    // Numaflow's metrics, monitor and daemon, and JetStream.
    let numaflows = [2469, 2470, 4327, 4222];
    let ports = numaflows
        .into_iter()
        .chain([wire::METRICS_PORT, wire::ENDPOINT_PORT]);
    assert_eq!(found, ports.collect());
}

#[test]
fn every_strategy_has_its_pipeline_and_calls_the_shared_endpoint() {
    let shared = read(&root("manifests/shared/endpoint.yaml"));
    assert_eq!(
        ids(&shared),
        [
            "Service/async-reduce-endpoint",
            "Deployment/async-reduce-endpoint"
        ]
    );
    assert_eq!(
        shared[0].at("/spec/ports/http/port"),
        Some(&json!(wire::ENDPOINT_PORT))
    );
    let isbsvc = read(&root("manifests/shared/isbsvc.yaml"));
    assert_eq!(ids(&isbsvc), ["InterStepBufferService/default"]);
    for strategy in STRATEGIES {
        let objects = read(&root(&format!("manifests/{strategy}/pipeline.yaml")));
        assert_eq!(ids(&objects), [format!("Pipeline/async-reduce-{strategy}")]);
        let env = |name: &str| objects[0].at(&format!("/spec/vertices/udf/udf/container/env/{name}/value"));
        assert_eq!(env("STRATEGY"), Some(&json!(strategy)));
        assert_eq!(
            env("ENDPOINT_URL"),
            Some(&json!(format!(
                "http://async-reduce-endpoint:{}",
                wire::ENDPOINT_PORT
            )))
        );
        assert_eq!(
            objects[0].at("/spec/interStepBufferServiceName"),
            Some(&json!("default"))
        );
    }
}

/// Its own entrypoint, and nothing else that it would need besides Numaflow.
#[test]
fn an_image_of_ones_own_has_its_pipeline() {
    let objects = read(&root("manifests/own-image/pipeline.yaml"));
    assert_eq!(ids(&objects), ["Pipeline/async-reduce-own"]);
    let udf = |path: &str| objects[0].at(&format!("/spec/vertices/udf/udf/container/{path}"));
    assert_eq!(udf("image"), Some(&json!("my-udf:1.0.0")));
    assert_eq!(udf("command"), None);
    assert_eq!(udf("env/ENDPOINT_URL"), None);
    assert_eq!(udf("env/RECORDS/value"), Some(&json!("off")));
}

#[test]
fn the_images_have_the_version_of_the_programs() {
    let image = json!(concat!("async-reduce:", env!("CARGO_PKG_VERSION")));
    let base = read(&root("manifests/experiment/base.yaml"));
    let images: Vec<_> = [
        (1, "/spec/template/spec/containers/endpoint/image"),
        (2, "/spec/vertices/generator/source/udsource/container/image"),
        (2, "/spec/vertices/udf/udf/container/image"),
        (2, "/spec/vertices/sink/sink/udsink/container/image"),
    ]
    .map(|(object, path): (usize, &str)| base[object].at(path).unwrap().clone())
    .to_vec();
    assert_eq!(images, vec![image; 4]);
    let chart = yaml(&root("helm/Chart.yaml"));
    assert_eq!(
        [&chart["version"], &chart["appVersion"]],
        [env!("CARGO_PKG_VERSION"); 2]
    );
}

#[test]
fn the_base_of_the_experiment_is_one_pipeline_and_its_endpoint() {
    let base = read(&root("manifests/experiment/base.yaml"));
    let expected = [
        "Service/async-reduce-endpoint",
        "Deployment/async-reduce-endpoint",
        "Pipeline/async-reduce",
    ];
    assert_eq!(ids(&base), expected);
}

#[test]
fn the_defaults_avoid_numaflows_traps() {
    let pipeline = &read(&root("manifests/experiment/base.yaml"))[2];
    for (path, value) in [
        (
            "/spec/watermark/idleSource",
            json!({"threshold": "5s", "incrementBy": "3s", "stepInterval": "1s"}),
        ),
        ("/spec/limits/readTimeout", json!("200ms")),
        ("/spec/lifecycle/deletionGracePeriodSeconds", json!(5)),
        ("/spec/vertices/generator/scale", json!({"min": 1, "max": 1})),
        ("/spec/vertices/udf/scale", json!({"min": 1, "max": 1})),
        ("/spec/vertices/sink/scale", json!({"min": 1, "max": 1})),
        ("/spec/vertices/udf/udf/groupBy/storage", json!({"no_store": {}})),
        ("/spec/vertices/udf/udf/groupBy/keyed", json!(true)),
    ] {
        assert_eq!(pipeline.at(path), Some(&value), "{path}");
    }
}
