//! Pods: the pod security standard `restricted` (Kubernetes 1.33) and this project's further rules: a read-only root,
//! requests and limits, and no service account token where none is used.

use std::collections::BTreeSet;

use serde_json::Value;

use super::check_labels;

/// Volumes that `restricted` admits.
const VOLUMES: [&str; 8] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

/// Programs of the image.
const PROGRAMS: [&str; 5] = ["generator", "udf", "sink", "endpoint", "experiment"];

/// The pod template of a Deployment or a Job.
pub fn check_template(template: &Value, faults: &mut Vec<String>) {
    check_labels("pod's labels", &template["metadata"]["labels"], faults);
    check_pod("pod", &template["spec"], faults);
}

/// A complete pod of ours.
pub fn check_pod(at: &str, spec: &Value, faults: &mut Vec<String>) {
    check_level(at, spec, faults);
    let containers = spec["containers"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    if containers.is_empty() {
        faults.push(format!("{at}: has no container"));
    }
    check_volumes(at, &spec["volumes"], faults);
    for container in containers {
        let at = format!("{at}, container {}", container["name"].as_str().unwrap_or("?"));
        check_container(&at, spec, container, faults);
        check_program(&at, container, faults);
        check_mounts(&at, &spec["volumes"], container, faults);
    }
}

/// The volumes of a pod or of a vertex.
pub fn check_volumes(at: &str, volumes: &Value, faults: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for name in names(volumes).filter(|name| !seen.insert(*name)) {
        faults.push(format!("{at}: has the volume `{name}` twice"));
    }
    for volume in volumes.as_array().into_iter().flatten() {
        let kinds = volume
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, _)| key.as_str());
        for kind in kinds.filter(|kind| *kind != "name" && !VOLUMES.contains(kind)) {
            faults.push(format!("{at}: a volume of kind {kind} is not restricted"));
        }
    }
}

/// The mounts of a container, which must be volumes of its pod.
pub fn check_mounts(at: &str, volumes: &Value, container: &Value, faults: &mut Vec<String>) {
    let volumes: BTreeSet<&str> = names(volumes).collect();
    for mount in names(&container["volumeMounts"]).filter(|mount| !volumes.contains(mount)) {
        faults.push(format!(
            "{at}: mounts the volume `{mount}`, which the pod does not have"
        ));
    }
}

/// The fields that apply to all containers of a pod; Numaflow's pod templates have the same fields.
pub fn check_level(at: &str, spec: &Value, faults: &mut Vec<String>) {
    for host in ["hostNetwork", "hostPID", "hostIPC"] {
        if spec[host] == true {
            faults.push(format!("{at}: {host} is not restricted"));
        }
    }
    let token = spec["automountServiceAccountToken"].as_bool();
    let account = spec["serviceAccountName"]
        .as_str()
        .is_some_and(|name| !name.is_empty());
    if token.is_none_or(|token| token && !account) {
        faults.push(format!(
            "{at}: mounts the token of an account: {token:?}, names one: {account}"
        ));
    }
    if spec["securityContext"]["fsGroup"]
        .as_u64()
        .is_none_or(|group| group == 0)
    {
        faults.push(format!("{at}: without an fsGroup, volumes belong to root"));
    }
}

/// A container in a pod: security, resources, environment, ports.
pub fn check_container(at: &str, pod: &Value, container: &Value, faults: &mut Vec<String>) {
    let mut fault = |what: &str| faults.push(format!("{at}: {what}"));
    let own = &container["securityContext"];
    let either = |field: &str| own.get(field).unwrap_or(&pod["securityContext"][field]).clone();
    if either("runAsNonRoot") != true {
        fault("runAsNonRoot is not true");
    }
    if either("runAsUser").as_u64().is_none_or(|user| user == 0) {
        fault("runAsUser is root, or left to an image that names no user");
    }
    let seccomp = &either("seccompProfile")["type"];
    if seccomp != "RuntimeDefault" && seccomp != "Localhost" {
        fault("seccompProfile is not RuntimeDefault");
    }
    if own["allowPrivilegeEscalation"] != false || own["privileged"] == true {
        fault("privileges may be gained");
    }
    let dropped = own["capabilities"]["drop"].as_array();
    if dropped.is_none_or(|dropped| !dropped.contains(&"ALL".into())) || !own["capabilities"]["add"].is_null()
    {
        fault("capabilities are not all dropped");
    }
    if own["readOnlyRootFilesystem"] != true {
        fault("its root file system can be written to");
    }
    for kind in ["requests", "limits"] {
        for of in ["cpu", "memory"] {
            if container["resources"][kind][of]
                .as_str()
                .is_none_or(str::is_empty)
            {
                fault(&format!("resources.{kind}.{of} is missing"));
            }
        }
    }
    for list in ["env", "ports", "volumeMounts"] {
        let mut seen = BTreeSet::new();
        for name in names(&container[list]).filter(|name| !seen.insert(*name)) {
            fault(&format!("{list} has `{name}` twice"));
        }
    }
    for variable in container["env"].as_array().into_iter().flatten() {
        if !variable["value"].is_string() && variable["valueFrom"].is_null() {
            fault(&format!("the value of {} is no text", variable["name"]));
        }
    }
    if container["ports"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|port| !port["hostPort"].is_null())
    {
        fault("a host's port is not restricted");
    }
}

/// A container of our image and the program that it runs.
pub fn check_program(at: &str, container: &Value, faults: &mut Vec<String>) {
    if container["image"].as_str().is_none_or(str::is_empty) {
        faults.push(format!("{at}: names no image"));
    }
    let command = container["command"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let program = command
        .first()
        .and_then(Value::as_str)
        .and_then(|path| path.strip_prefix("/usr/local/bin/"));
    if command.len() != 1 || !program.is_some_and(|program| PROGRAMS.contains(&program)) {
        faults.push(format!(
            "{at}: its command is {}, not one of the image's programs",
            container["command"]
        ));
    }
}

fn names(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(|item| item["name"].as_str())
}
