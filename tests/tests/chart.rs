//! The rendered manifests as they are committed. Needs no Helm: renders are refreshed by `make manifests` and compared
//! by `make verify`; `make test-chart` renders the chart itself.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tests::manifests::{Object, faults, parse, read};

const STRATEGIES: [&str; 4] = ["sequential", "async", "thread-pool", "process-pool"];

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn yaml(path: &Path) -> Value {
    serde_yaml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The files below a folder with this ending.
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
    assert_eq!(files.len(), STRATEGIES.len() + 3, "{files:?}");
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        for foreign in ["helm.sh", "managed-by: Helm", "namespace:", "async-reduce:latest"] {
            assert!(!text.contains(foreign), "{} holds `{foreign}`", file.display());
        }
        assert_eq!(faults(&read(&file)), Vec::<String>::new());
    }
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
    assert_eq!(shared[0].at("/spec/ports/http/port"), Some(&json!(9888)));
    let isbsvc = read(&root("manifests/shared/isbsvc.yaml"));
    assert_eq!(ids(&isbsvc), ["InterStepBufferService/default"]);
    for strategy in STRATEGIES {
        let objects = read(&root(&format!("manifests/{strategy}/pipeline.yaml")));
        assert_eq!(ids(&objects), [format!("Pipeline/async-reduce-{strategy}")]);
        let env = |name: &str| objects[0].at(&format!("/spec/vertices/udf/udf/container/env/{name}/value"));
        assert_eq!(env("STRATEGY"), Some(&json!(strategy)));
        assert_eq!(
            env("ENDPOINT_URL"),
            Some(&json!("http://async-reduce-endpoint:9888"))
        );
        assert_eq!(
            objects[0].at("/spec/interStepBufferServiceName"),
            Some(&json!("default"))
        );
    }
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

/// What is broken in the base, where, and what the check must say of it.
#[test]
fn each_fault_is_found() {
    let pipeline = 2;
    let endpoint = 1;
    let name = "x".repeat(45);
    for (object, path, value, said) in [
        (
            pipeline,
            "/metadata/name",
            json!(name),
            "-generator-headless` has 64 characters",
        ),
        (pipeline, "/metadata/name", json!("Upper"), "is no name"),
        (
            pipeline,
            "/metadata/labels/app.kubernetes.io~1instance",
            json!("a b"),
            "no label may have",
        ),
        (
            pipeline,
            "/spec/watermark/idleSource/stepInterval",
            json!("0s"),
            "stepInterval is \"0s\"",
        ),
        (
            pipeline,
            "/spec/watermark/idleSource/threshold",
            json!("1s"),
            "less than incrementBy",
        ),
        (
            pipeline,
            "/spec/watermark/idleSource",
            Value::Null,
            "idleSource.threshold is null",
        ),
        (
            pipeline,
            "/spec/limits/readTimeout",
            json!(200),
            "readTimeout is 200",
        ),
        (
            pipeline,
            "/spec/vertices/0/scale/max",
            json!(2),
            "a source of one rate",
        ),
        (
            pipeline,
            "/spec/vertices/1/partitions",
            json!(2),
            "each partition needs its pod",
        ),
        (
            pipeline,
            "/spec/vertices/1/udf/groupBy/storage",
            json!({}),
            "not exactly one kind",
        ),
        (
            pipeline,
            "/spec/vertices/1/udf/groupBy/storage/emptyDir",
            json!({}),
            "not exactly one kind",
        ),
        (
            pipeline,
            "/spec/vertices/1/udf/groupBy/storage/nostore",
            json!({}),
            "no field `nostore`",
        ),
        (
            pipeline,
            "/spec/vertices/1/udf/groupBy/window/fixed/length",
            json!("0s"),
            "length is \"0s\"",
        ),
        (
            pipeline,
            "/spec/vertices/1/udf/container/command",
            json!(["udf"]),
            "not one of the image's programs",
        ),
        (
            pipeline,
            "/spec/vertices/1/udf/container/lifecycle",
            json!({}),
            "no field `lifecycle`",
        ),
        (pipeline, "/spec/vertices/2/name", json!("udf"), "there twice"),
        (pipeline, "/spec/edges/1/to", json!("generator"), "do not lead"),
        (
            pipeline,
            "/spec/templates/vertex/containerTemplate/securityContext",
            json!({}),
            "privileges may be gained",
        ),
        (
            pipeline,
            "/spec/templates/daemon/securityContext",
            Value::Null,
            "without an fsGroup",
        ),
        (
            pipeline,
            "/spec/templates/job/automountServiceAccountToken",
            json!(true),
            "mounts the token",
        ),
        (
            pipeline,
            "/spec/templates/vertex/initContainerTemplate/resources/limits",
            json!({}),
            "limits.cpu is missing",
        ),
        (
            endpoint,
            "/spec/template/spec/hostNetwork",
            json!(true),
            "hostNetwork",
        ),
        (
            endpoint,
            "/spec/template/spec/volumes",
            json!([{"name": "x", "hostPath": {}}]),
            "hostPath",
        ),
        (
            endpoint,
            "/spec/template/spec/containers/0/securityContext/runAsUser",
            json!(0),
            "root",
        ),
        (
            endpoint,
            "/spec/template/spec/containers/0/securityContext/capabilities/add",
            json!(["SYS_ADMIN"]),
            "capabilities",
        ),
        (
            endpoint,
            "/spec/template/spec/containers/0/securityContext/readOnlyRootFilesystem",
            json!(false),
            "written to",
        ),
        (
            endpoint,
            "/spec/template/spec/containers/0/env/1/name",
            json!("LISTEN"),
            "`LISTEN` twice",
        ),
        (
            endpoint,
            "/spec/template/spec/containers/0/env/1/value",
            json!(5),
            "is no text",
        ),
        (
            endpoint,
            "/spec/template/spec/containers/0/readinessProbe",
            Value::Null,
            "no readinessProbe",
        ),
        (
            endpoint,
            "/spec/template/metadata/labels/app.kubernetes.io~1component",
            json!("x"),
            "does not find its own pods",
        ),
        (
            0,
            "/spec/ports/0/targetPort",
            json!("metrics"),
            "no Deployment beside it",
        ),
        (0, "/kind", json!("Servise"), "nobody expects"),
    ] {
        let mut objects = read(&root("manifests/experiment/base.yaml"));
        let (parent, key) = path.rsplit_once('/').unwrap();
        let parent = objects[object].json.pointer_mut(parent).unwrap();
        match parent {
            Value::Array(items) => items[key.parse::<usize>().unwrap()] = value,
            parent => parent[key.replace("~1", "/")] = value,
        }
        let found = faults(&objects);
        assert!(
            found.iter().any(|fault| fault.contains(said)),
            "{path}: {found:#?}"
        );
    }
}

#[test]
fn objects_inside_a_config_map_are_checked_too() {
    let base =
        "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {hostPID: true, containers: [{name: c}]}";
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"base.yaml": base}});
    let found = faults(&parse("map", &map.to_string()));
    assert!(
        found
            .iter()
            .any(|fault| fault.contains("base.yaml: Pod/p") && fault.contains("hostPID")),
        "{found:#?}"
    );
}
