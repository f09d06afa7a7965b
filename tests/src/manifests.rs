//! Checks rendered Kubernetes objects without a cluster: finds what the API server, a namespace that enforces the pod
//! security standard `restricted`, and Numaflow 1.8's own validation would refuse.

mod numaflow;
mod openshift;
mod pods;
#[cfg(test)]
mod tests;

use std::path::Path;

pub use openshift::admitted_by_openshift;
use serde::Deserialize;
use serde_json::Value;

/// Longest name that Numaflow, and Kubernetes's Services, labels and host names allow.
const LONGEST_NAME: usize = 63;

/// An object and its origin.
#[derive(Debug, Clone)]
pub struct Object {
    /// The file, or the file and the ConfigMap's key, that contains it.
    pub file: String,
    pub json: Value,
}

impl Object {
    /// `Kind/name`.
    pub fn id(&self) -> String {
        let name = self.json.pointer("/metadata/name").and_then(Value::as_str);
        format!("{}/{}", self.kind(), name.unwrap_or("?"))
    }

    /// Its kind; empty if it has none.
    pub fn kind(&self) -> &str {
        self.json["kind"].as_str().unwrap_or_default()
    }

    /// The value at a path like `/spec/vertices/udf/scale/min`: a list's element is addressed by its `name` or its
    /// index, and `~1` stands for a slash.
    pub fn at(&self, path: &str) -> Option<&Value> {
        path.split('/').skip(1).try_fold(&self.json, |value, part| {
            let part = part.replace("~1", "/");
            match value {
                Value::Array(items) => items
                    .iter()
                    .find(|item| item["name"] == part.as_str())
                    .or_else(|| items.get(part.parse::<usize>().ok()?)),
                _ => value.get(&part),
            }
        })
    }
}

/// Reads the objects of a file of YAML documents, including those in a ConfigMap's `base.yaml`.
///
/// # Panics
/// Panics if the file cannot be read or is not YAML.
pub fn read(file: &Path) -> Vec<Object> {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{name}: {error}"));
    parse(&name, &text)
}

/// Reads the objects of YAML documents, including those in a ConfigMap's `base.yaml`.
///
/// # Panics
/// Panics if the text is not YAML.
pub fn parse(name: &str, text: &str) -> Vec<Object> {
    let mut objects = Vec::new();
    for document in serde_yaml::Deserializer::from_str(text) {
        let json = Value::deserialize(document).unwrap_or_else(|error| panic!("{name}: {error}"));
        if json.is_null() {
            continue;
        }
        if let Some(base) = json.pointer("/data/base.yaml").and_then(Value::as_str) {
            objects.extend(parse(&format!("{name}, base.yaml"), base));
        }
        let file = name.to_owned();
        objects.push(Object { file, json });
    }
    objects
}

/// The faults of the objects, one line each.
pub fn faults(objects: &[Object]) -> Vec<String> {
    let mut faults = Vec::new();
    for object in objects {
        let mut found = Vec::new();
        check_metadata(&object.json, &mut found);
        match object.kind() {
            "Pipeline" => numaflow::check_pipeline(&object.json, &mut found),
            "InterStepBufferService" => numaflow::check_isbsvc(&object.json, &mut found),
            "Deployment" => check_deployment(&object.json, &mut found),
            "Job" => pods::check_template(&object.json["spec"]["template"], &mut found),
            "Pod" => pods::check_pod("pod", &object.json["spec"], &mut found),
            "Service" => check_service(object, objects, &mut found),
            "Role" => check_role(&object.json, &mut found),
            "RoleBinding" => check_binding(object, objects, &mut found),
            "ServiceAccount" | "ConfigMap" | "NetworkPolicy" | "PodMonitor" => {}
            other => found.push(format!("unexpected kind `{other}`")),
        }
        let id = object.id();
        faults.extend(
            found
                .into_iter()
                .map(|fault| format!("{}: {id}: {fault}", object.file)),
        );
    }
    faults
}

fn check_metadata(object: &Value, faults: &mut Vec<String>) {
    let metadata = &object["metadata"];
    if object["apiVersion"].as_str().is_none_or(str::is_empty) {
        faults.push("apiVersion is missing".to_owned());
    }
    let name = metadata["name"].as_str().unwrap_or_default();
    if !is_name(name) {
        faults.push(format!(
            "`{name}` is no name of at most {LONGEST_NAME} lower-case characters"
        ));
    }
    for label in ["name", "instance", "component", "version"] {
        if metadata["labels"][format!("app.kubernetes.io/{label}")]
            .as_str()
            .is_none_or(str::is_empty)
        {
            faults.push(format!("has no label app.kubernetes.io/{label}"));
        }
    }
    check_labels("labels", &metadata["labels"], faults);
}

/// Whether a text is a DNS-1035 label: Numaflow's rule for pipelines and vertices, and Kubernetes's for Services.
fn is_name(text: &str) -> bool {
    let of_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    text.len() <= LONGEST_NAME
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(of_name)
        && !text.ends_with('-')
}

/// Values of labels are strings of at most 63 characters.
fn check_labels(at: &str, labels: &Value, faults: &mut Vec<String>) {
    let of_label = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    for (key, value) in labels.as_object().into_iter().flatten() {
        let valid = value
            .as_str()
            .is_some_and(|value| value.len() <= 63 && value.chars().all(of_label));
        if !valid {
            faults.push(format!(
                "{at}: {key} has the value {value}, which no label may have"
            ));
        }
    }
}

fn check_deployment(object: &Value, faults: &mut Vec<String>) {
    let spec = &object["spec"];
    pods::check_template(&spec["template"], faults);
    if !selects(
        &spec["selector"]["matchLabels"],
        &spec["template"]["metadata"]["labels"],
    ) {
        faults.push("its selector does not find its own pods".to_owned());
    }
    for container in spec["template"]["spec"]["containers"]
        .as_array()
        .into_iter()
        .flatten()
    {
        for probe in ["readinessProbe", "livenessProbe"] {
            if container[probe].is_null() {
                faults.push(format!("container {} has no {probe}", container["name"]));
            }
        }
    }
}

fn check_service(service: &Object, objects: &[Object], faults: &mut Vec<String>) {
    let spec = &service.json["spec"];
    let found = objects.iter().any(|object| {
        let template = &object.json["spec"]["template"];
        let ports = template["spec"]["containers"][0]["ports"].as_array();
        object.kind() == "Deployment"
            && object.file == service.file
            && selects(&spec["selector"], &template["metadata"]["labels"])
            && ports.is_some_and(|ports| {
                ports
                    .iter()
                    .any(|port| port["name"] == spec["ports"][0]["targetPort"])
            })
    });
    if !found {
        faults.push("no Deployment beside it has the pods and the port it selects".to_owned());
    }
}

fn selects(selector: &Value, labels: &Value) -> bool {
    selector.as_object().is_some_and(|selector| {
        !selector.is_empty() && selector.iter().all(|(key, value)| labels.get(key) == Some(value))
    })
}

fn check_role(role: &Value, faults: &mut Vec<String>) {
    for rule in role["rules"].as_array().into_iter().flatten() {
        for part in ["apiGroups", "resources", "verbs"] {
            let words: Vec<&str> = rule[part]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            if words.is_empty() || words.contains(&"*") {
                faults.push(format!(
                    "a rule's {part} are {}: name exactly those that are used",
                    rule[part]
                ));
            }
        }
    }
}

/// The account that a Role is bound to may be made elsewhere, but one of the release's Jobs must run as it.
fn check_binding(binding: &Object, objects: &[Object], faults: &mut Vec<String>) {
    let role = &binding.json["roleRef"];
    let there = objects
        .iter()
        .any(|o| o.json["kind"] == role["kind"] && o.json["metadata"]["name"] == role["name"]);
    let account = &binding.json["subjects"][0];
    let used = objects.iter().any(|o| {
        o.kind() == "Job" && o.json["spec"]["template"]["spec"]["serviceAccountName"] == account["name"]
    });
    if !there || !used || account["kind"] != "ServiceAccount" {
        faults.push("binds a Role that is not there, or an account that no Job has".to_owned());
    }
}

/// Reports unknown keys of an object, which the API server would drop or refuse.
fn check_keys(at: &str, object: &Value, known: &[&str], faults: &mut Vec<String>) {
    for key in object.as_object().into_iter().flatten().map(|(key, _)| key) {
        if !known.contains(&key.as_str()) {
            faults.push(format!("{at}: there is no field `{key}`"));
        }
    }
}
