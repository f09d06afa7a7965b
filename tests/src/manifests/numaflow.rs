//! Numaflow's own objects: the fields of its types (pkg/apis/numaflow/v1alpha1 of 1.8.3), the rules of its validation
//! (pkg/reconciler/validator), and faults that its validation accepts but its data plane does not survive.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

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
    let container = match kinds {
        [true, false, false] => {
            if replicas != (Some(1), Some(1)) || !vertex["partitions"].is_null() {
                faults.push(format!(
                    "{name}: a source of one rate has one replica and no partitions"
                ));
            }
            &vertex["source"]["udsource"]["container"]
        }
        [false, true, false] => {
            check_reduce(name, vertex, faults);
            &vertex["udf"]["container"]
        }
        [false, false, true] => {
            check_keys(name, &vertex["sink"], &["udsink", "retryStrategy"], faults);
            check_keys(
                name,
                &vertex["sink"]["retryStrategy"],
                &["backoff", "onFailure"],
                faults,
            );
            &vertex["sink"]["udsink"]["container"]
        }
        _ => return faults.push(format!("{name}: is not exactly one of source, udf and sink")),
    };
    let known: Vec<&str> = CONTAINER_TEMPLATE.iter().chain(&CONTAINER).copied().collect();
    check_keys(name, container, &known, faults);
    let pod = if vertex["securityContext"].is_null() {
        template
    } else {
        vertex
    };
    check_container(name, pod, container, faults);
    check_program(name, container, faults);
    check_labels(name, &vertex["metadata"]["labels"], faults);
    check_volumes(name, &vertex["volumes"], faults);
    check_mounts(name, &vertex["volumes"], container, faults);
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

fn check_edges(spec: &Value, names: &BTreeSet<&str>, faults: &mut Vec<String>) {
    let edges: Vec<(&str, &str)> = spec["edges"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|edge| {
            (
                edge["from"].as_str().unwrap_or_default(),
                edge["to"].as_str().unwrap_or_default(),
            )
        })
        .collect();
    if edges != [("generator", "udf"), ("udf", "sink")]
        || *names != BTreeSet::from(["generator", "sink", "udf"])
    {
        faults.push(format!(
            "the edges {edges:?} do not lead from generator over udf to sink"
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
