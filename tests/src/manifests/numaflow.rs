//! Numaflow's own objects: the fields of its types (pkg/apis/numaflow/v1alpha1 of 1.8.3), the rules of its validation
//! (pkg/reconciler/validator), and faults that its validation accepts but its data plane does not survive.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::pods::{check_container, check_level, check_mounts, check_program, check_volumes};
use super::{LONGEST_NAME, check_keys, check_labels, is_name};

/// Fields of `AbstractPodTemplate`, which vertices, templates and the JetStream spec inline.
const POD: [&str; 14] = [
    "metadata",
    "nodeSelector",
    "tolerations",
    "securityContext",
    "imagePullSecrets",
    "priorityClassName",
    "priority",
    "affinity",
    "serviceAccountName",
    "runtimeClassName",
    "automountServiceAccountToken",
    "dnsPolicy",
    "dnsConfig",
    "resourceClaims",
];

/// Fields of `ContainerTemplate`.
const CONTAINER_TEMPLATE: [&str; 7] = [
    "resources",
    "imagePullPolicy",
    "securityContext",
    "env",
    "envFrom",
    "readinessProbe",
    "livenessProbe",
];

/// Fields of `Container` beyond those of `ContainerTemplate`.
const CONTAINER: [&str; 5] = ["image", "command", "args", "volumeMounts", "ports"];

/// Kinds of a source: `Source`, without `serving`, which no reduce may follow.
const SOURCES: [&str; 8] = [
    "generator",
    "http",
    "jetstream",
    "kafka",
    "nats",
    "pulsar",
    "sqs",
    "udsource",
];

/// Kinds of a sink: `AbstractSink`, without `serve`, which is of a ServingPipeline.
const SINKS: [&str; 6] = ["blackhole", "kafka", "log", "pulsar", "sqs", "udsink"];

/// Longest suffix that Kubernetes and Numaflow add to the name of an InterStepBufferService: the StatefulSet's hash in
/// a label, `isbsvc-<name>-js-<10 characters>`.
const ISBSVC_AFFIXES: usize = 21;

/// A Pipeline.
pub fn check_pipeline(pipeline: &Value, faults: &mut Vec<String>) {
    let spec = &pipeline["spec"];
    let known = [
        "interStepBufferServiceName",
        "vertices",
        "edges",
        "lifecycle",
        "limits",
        "watermark",
        "ordered",
        "templates",
    ];
    check_keys("spec", spec, &known, faults);
    let limits = [
        "readBatchSize",
        "readTimeout",
        "bufferMaxLength",
        "bufferUsageLimit",
        "concurrency",
    ];
    check_keys("spec.limits", &spec["limits"], &limits, faults);
    positive("spec.limits.readTimeout", &spec["limits"]["readTimeout"], faults);
    check_watermark(&spec["watermark"], faults);
    let graces = ["deletionGracePeriodSeconds", "pauseGracePeriodSeconds"];
    check_keys("spec.lifecycle", &spec["lifecycle"], &graces, faults);
    check_templates(&spec["templates"], faults);
    let pipeline = pipeline["metadata"]["name"].as_str().unwrap_or_default();
    let mut names = BTreeSet::new();
    for vertex in spec["vertices"].as_array().into_iter().flatten() {
        let name = vertex["name"].as_str().unwrap_or_default();
        if !is_name(name) || !names.insert(name) {
            faults.push(format!("the vertex's name `{name}` is invalid or there twice"));
        }
        let service = format!("{pipeline}-{name}-headless");
        if service.len() > LONGEST_NAME {
            faults.push(format!(
                "`{service}` has {} characters, {LONGEST_NAME} are allowed",
                service.len()
            ));
        }
        let ordered = spec["ordered"]["enabled"] == true && !vertex["sink"].is_null();
        check_vertex(name, vertex, ordered, &spec["templates"]["vertex"], faults);
    }
    check_edges(spec, &names, faults);
}

fn check_watermark(watermark: &Value, faults: &mut Vec<String>) {
    check_keys(
        "spec.watermark",
        watermark,
        &["disabled", "maxDelay", "idleSource"],
        faults,
    );
    // Numaflow needs none; the expected renders say where there must be one.
    let Some(idle) = watermark.get("idleSource") else {
        return;
    };
    check_keys(
        "idleSource",
        idle,
        &["threshold", "incrementBy", "stepInterval", "initSourceDelay"],
        faults,
    );
    let threshold = positive("idleSource.threshold", &idle["threshold"], faults);
    let increment = positive("idleSource.incrementBy", &idle["incrementBy"], faults);
    if threshold < increment {
        faults.push("idleSource.threshold is less than incrementBy".to_owned());
    }
    // Numaflow does not check this: its default of 0 makes every vertex panic.
    positive("idleSource.stepInterval", &idle["stepInterval"], faults);
}

fn check_templates(templates: &Value, faults: &mut Vec<String>) {
    check_keys("spec.templates", templates, &["vertex", "daemon", "job"], faults);
    for (name, own) in [
        ("vertex", &["containerTemplate", "initContainerTemplate"][..]),
        (
            "daemon",
            &["containerTemplate", "initContainerTemplate", "replicas"],
        ),
        (
            "job",
            &["containerTemplate", "ttlSecondsAfterFinished", "backoffLimit"],
        ),
    ] {
        let at = format!("spec.templates.{name}");
        let template = &templates[name];
        let known: Vec<&str> = POD.iter().chain(own).copied().collect();
        check_keys(&at, template, &known, faults);
        check_labels(&at, &template["metadata"]["labels"], faults);
        check_level(&at, template, faults);
        for container in ["containerTemplate", "initContainerTemplate"]
            .iter()
            .filter(|c| own.contains(c))
        {
            check_keys(&at, &template[container], &CONTAINER_TEMPLATE, faults);
            check_container(
                &format!("{at}.{container}"),
                template,
                &template[container],
                faults,
            );
        }
    }
}

fn check_vertex(name: &str, vertex: &Value, ordered: bool, template: &Value, faults: &mut Vec<String>) {
    let own = ["name", "source", "udf", "sink", "scale", "partitions", "volumes"];
    let known: Vec<&str> = POD.iter().chain(&own).copied().collect();
    check_keys(name, vertex, &known, faults);
    let scale = &vertex["scale"];
    let replicas = (scale["min"].as_u64(), scale["max"].as_u64());
    if ordered {
        if !scale.is_null() {
            faults.push(format!("{name}: an ordered vertex has no scale, but partitions"));
        }
    } else if replicas.0.is_none_or(|min| min == 0) || replicas.0 > replicas.1 {
        faults.push(format!("{name}: scale.min is 0, absent or above scale.max"));
    }
    let kinds = ["source", "udf", "sink"].map(|kind| !vertex[kind].is_null());
    let pod = if vertex["securityContext"].is_null() {
        template
    } else {
        vertex
    };
    match kinds {
        [true, false, false] => {
            // A second replica of the generator would offer the whole rate again.
            let one = name != "generator" || replicas == (Some(1), Some(1));
            if !one || !vertex["partitions"].is_null() {
                faults.push(format!(
                    "{name}: a source of one rate has one replica and no partitions"
                ));
            }
            check_end(
                name,
                pod,
                vertex,
                &vertex["source"],
                &SOURCES,
                &["transformer"],
                faults,
            );
        }
        [false, true, false] => {
            check_reduce(name, vertex, faults);
            check_user_container(name, pod, vertex, &vertex["udf"]["container"], faults);
        }
        [false, false, true] => {
            let sink = &vertex["sink"];
            let own = ["fallback", "onSuccess", "retryStrategy"];
            check_end(name, pod, vertex, sink, &SINKS, &own, faults);
            for part in ["fallback", "onSuccess"] {
                if !sink[part].is_null() {
                    check_end(
                        &format!("{name}.{part}"),
                        pod,
                        vertex,
                        &sink[part],
                        &SINKS,
                        &[],
                        faults,
                    );
                }
            }
            let retry = &sink["retryStrategy"];
            check_keys(name, retry, &["backoff", "onFailure"], faults);
            if retry["onFailure"] == "fallback" && sink["fallback"].is_null() {
                faults.push(format!("{name}: there is no fallback sink"));
            }
        }
        _ => faults.push(format!("{name}: is not exactly one of source, udf and sink")),
    }
    check_labels(name, &vertex["metadata"]["labels"], faults);
    check_volumes(name, &vertex["volumes"], faults);
}

/// A source or sink: one kind, and the containers in it.
fn check_end(
    name: &str,
    pod: &Value,
    vertex: &Value,
    end: &Value,
    kinds: &[&str],
    own: &[&str],
    faults: &mut Vec<String>,
) {
    let known: Vec<&str> = kinds.iter().chain(own).copied().collect();
    check_keys(name, end, &known, faults);
    if kinds.iter().filter(|kind| !end[**kind].is_null()).count() != 1 {
        faults.push(format!("{name}: is not exactly one kind"));
    }
    for part in ["udsource", "transformer", "udsink"] {
        if !end[part].is_null() {
            check_user_container(name, pod, vertex, &end[part]["container"], faults);
        }
    }
}

/// A container of ours, or one of the user's.
fn check_user_container(
    name: &str,
    pod: &Value,
    vertex: &Value,
    container: &Value,
    faults: &mut Vec<String>,
) {
    let known: Vec<&str> = CONTAINER_TEMPLATE.iter().chain(&CONTAINER).copied().collect();
    check_keys(name, container, &known, faults);
    check_container(name, pod, container, faults);
    check_mounts(name, &vertex["volumes"], container, faults);
    if !is_ours(container) {
        if container["image"].as_str().is_none_or(str::is_empty) {
            faults.push(format!("{name}: names no image"));
        }
        return;
    }
    check_program(name, container, faults);
    let ports = container["ports"].as_array().into_iter().flatten();
    // Numaflow's own container uses the ports `metrics` and `monitor` of the same pod.
    if ports
        .filter(|port| port["name"] == "http-metrics" && port["containerPort"] == wire::METRICS_PORT)
        .count()
        != 1
    {
        faults.push(format!("{name}: has no port http-metrics"));
    }
}

/// Whether a container has our image, whatever its registry and version.
fn is_ours(container: &Value) -> bool {
    let image = container["image"].as_str().unwrap_or_default();
    let name = image.rsplit('/').next().unwrap_or_default();
    name.split([':', '@']).next() == Some("async-reduce")
}

fn check_reduce(name: &str, vertex: &Value, faults: &mut Vec<String>) {
    let group = &vertex["udf"]["groupBy"];
    check_keys(
        name,
        group,
        &["window", "keyed", "allowedLateness", "storage"],
        faults,
    );
    check_keys(name, &group["window"], &["fixed"], faults);
    positive(
        &format!("{name}: window.fixed.length"),
        &group["window"]["fixed"]["length"],
        faults,
    );
    let storage = ["no_store", "emptyDir", "persistentVolumeClaim"];
    check_keys(name, &group["storage"], &storage, faults);
    if storage
        .iter()
        .filter(|kind| group["storage"][**kind].is_object())
        .count()
        != 1
    {
        faults.push(format!("{name}: groupBy.storage is not exactly one kind"));
    }
    let partitions = vertex["partitions"].as_u64().unwrap_or(1);
    if partitions > 1 && group["keyed"] != true {
        faults.push(format!("{name}: a reduce without keys has one partition"));
    }
    let scale = (vertex["scale"]["min"].as_u64(), vertex["scale"]["max"].as_u64());
    if scale != (Some(partitions), Some(partitions)) {
        faults.push(format!(
            "{name}: each partition needs its pod, and the scale is {scale:?}"
        ));
    }
}

/// From the source over the UDF to the sink. A sink of the user's gets no record; these go to a recorder, if there is one.
fn check_edges(spec: &Value, names: &BTreeSet<&str>, faults: &mut Vec<String>) {
    let vertices = spec["vertices"].as_array().map(Vec::as_slice).unwrap_or_default();
    let sink = vertices.iter().find(|vertex| vertex["name"] == "sink");
    let recorder = sink.is_some_and(|sink| is_ours(&sink["sink"]["udsink"]["container"]));
    let source = if names.contains("source") {
        "source"
    } else {
        "generator"
    };
    let only = |operator: &str| json!({"tags": {"operator": operator, "values": [wire::RECORD_TAG]}});
    let edge = |from: &str, to: &str, conditions: Value| (from.to_owned(), to.to_owned(), conditions);
    let mut expected = vec![edge(source, "udf", Value::Null)];
    let mut vertices = BTreeSet::from([source, "udf", "sink"]);
    if recorder {
        expected.push(edge("udf", "sink", Value::Null));
    } else {
        expected.push(edge("udf", "sink", only("not")));
        if names.contains("records") {
            expected.push(edge("udf", "records", only("or")));
            vertices.insert("records");
        }
    }
    let edges = spec["edges"].as_array().into_iter().flatten();
    let edges: Vec<_> = edges
        .map(|found| {
            let of = |end: &str| found[end].as_str().unwrap_or_default();
            edge(of("from"), of("to"), found["conditions"].clone())
        })
        .collect();
    if edges != expected || *names != vertices {
        faults.push(format!(
            "the edges {edges:?} do not lead from {source} over udf to sink: expected {expected:?}"
        ));
    }
}

/// An InterStepBufferService.
pub fn check_isbsvc(isbsvc: &Value, faults: &mut Vec<String>) {
    let name = isbsvc["metadata"]["name"].as_str().unwrap_or_default();
    if name.len() + ISBSVC_AFFIXES > LONGEST_NAME {
        faults.push("its name is too long for what is made from it".to_owned());
    }
    let spec = &isbsvc["spec"]["jetstream"];
    let containers = [
        "containerTemplate",
        "reloaderContainerTemplate",
        "metricsContainerTemplate",
    ];
    let own = ["version", "replicas", "persistence", "settings", "bufferConfig"];
    let known: Vec<&str> = POD.iter().chain(&own).chain(&containers).copied().collect();
    check_keys("spec.jetstream", spec, &known, faults);
    if !spec["version"].is_string() {
        faults.push("its version is no text".to_owned());
    }
    if spec["replicas"]
        .as_u64()
        .is_none_or(|replicas| replicas == 0 || replicas == 2)
    {
        faults.push("its replicas are absent, 0 or 2".to_owned());
    }
    check_level("spec.jetstream", spec, faults);
    for container in containers {
        check_keys(container, &spec[container], &CONTAINER_TEMPLATE, faults);
        check_container(container, spec, &spec[container], faults);
    }
}

fn positive(at: &str, value: &Value, faults: &mut Vec<String>) -> Duration {
    let duration = value
        .as_str()
        .and_then(|text| wire::parse_duration(text).ok())
        .unwrap_or_default();
    if duration.is_zero() {
        faults.push(format!("{at} is {value}, and must be a duration above 0"));
    }
    duration
}
