//! What the API server knows of resources: their kinds, discovery, and rules for storing objects.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::Inner;
use super::selectors::Selectors;
use super::serve::{json_answer, refuse};
use super::store::{Key, NUMAFLOW};

/// Longest name of an object that must be a DNS label, in bytes.
const MAX_LABEL: usize = 63;

/// Group, version, resource, kind.
const KNOWN: [(&str, &str, &str, &str); 17] = [
    ("", "v1", "pods", "Pod"),
    ("", "v1", "services", "Service"),
    ("", "v1", "configmaps", "ConfigMap"),
    ("", "v1", "events", "Event"),
    ("", "v1", "namespaces", "Namespace"),
    ("", "v1", "secrets", "Secret"),
    ("", "v1", "nodes", "Node"),
    ("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim"),
    ("apps", "v1", "deployments", "Deployment"),
    ("apps", "v1", "replicasets", "ReplicaSet"),
    ("batch", "v1", "jobs", "Job"),
    ("coordination.k8s.io", "v1", "leases", "Lease"),
    (
        "authorization.k8s.io",
        "v1",
        "selfsubjectaccessreviews",
        "SelfSubjectAccessReview",
    ),
    ("events.k8s.io", "v1", "events", "Event"),
    (NUMAFLOW, "v1alpha1", "pipelines", "Pipeline"),
    (NUMAFLOW, "v1alpha1", "vertices", "Vertex"),
    (
        NUMAFLOW,
        "v1alpha1",
        "interstepbufferservices",
        "InterStepBufferService",
    ),
];

pub(super) fn kind(group: &str, resource: &str) -> (String, &'static str) {
    let found = KNOWN
        .iter()
        .find(|(known, _, plural, _)| (*known, *plural) == (group, resource));
    let (_, version, _, kind) = found.unwrap_or(&("", "v1", "", "Unknown"));
    let separator = if group.is_empty() { "" } else { "/" };
    (format!("{group}{separator}{version}"), kind)
}

pub(super) fn keys(inner: &Inner, key: &Key, selectors: &Selectors) -> Vec<Key> {
    let listed = inner
        .store()
        .list(&key.group, &key.resource, &key.namespace, selectors);
    let of = |object: &Value| {
        let text = |name: &str| object["metadata"][name].as_str().unwrap_or_default().to_owned();
        Key::new(&key.group, &key.resource, &text("namespace"), &text("name"))
    };
    listed.iter().map(of).collect()
}

/// Paths above the resources.
pub(super) fn discovery(path: &str, numaflow_missing: bool) -> Response {
    let known = |group: &str| !(numaflow_missing && group == NUMAFLOW);
    let versions = |group: &str, version: &str| json!({"groupVersion": format!("{group}/{version}"), "version": version});
    let groups = || {
        let mut groups: Vec<(&str, &str)> = KNOWN
            .iter()
            .filter(|(group, ..)| !group.is_empty() && known(group))
            .map(|(group, version, ..)| (*group, *version))
            .collect();
        groups.dedup();
        groups
    };
    let group = |(name, version): (&str, &str)| json!({"name": name, "versions": [versions(name, version)], "preferredVersion": versions(name, version)});
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let body = match parts.as_slice() {
        ["version"] => {
            json!({"major": "1", "minor": "33", "gitVersion": "v1.33.0", "gitCommit": "", "gitTreeState": "clean",
            "buildDate": "2026-01-01T00:00:00Z", "goVersion": "go1.24", "compiler": "gc", "platform": "linux/amd64"})
        }
        ["healthz" | "livez" | "readyz"] => return "ok".into_response(),
        ["api"] => json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}),
        ["apis"] => json!({"kind": "APIGroupList", "apiVersion": "v1",
            "groups": groups().into_iter().map(group).collect::<Vec<_>>()}),
        ["api", version] => resources("", version),
        ["apis", name] if groups().iter().any(|(group, _)| group == name) => {
            let mut body = group((name, if *name == NUMAFLOW { "v1alpha1" } else { "v1" }));
            body["kind"] = json!("APIGroup");
            body["apiVersion"] = json!("v1");
            body
        }
        ["apis", name, version] if groups().contains(&(name, version)) => resources(name, version),
        _ => return (StatusCode::NOT_FOUND, "404 page not found\n").into_response(),
    };
    json_answer(StatusCode::OK, &body)
}

fn resources(group: &str, version: &str) -> Value {
    let separator = if group.is_empty() { "" } else { "/" };
    let resources: Vec<Value> = KNOWN
        .iter()
        .filter(|(known, ..)| *known == group)
        .map(|(_, _, plural, kind)| {
            json!({"name": plural, "singularName": kind.to_lowercase(), "kind": kind, "namespaced": *plural != "namespaces",
                "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]})
        })
        .collect();
    json!({"kind": "APIResourceList", "apiVersion": "v1",
        "groupVersion": format!("{group}{separator}{version}"), "resources": resources})
}

/// Why the real server or Numaflow's validation would refuse an object.
pub(super) fn refused(key: &Key, object: &Value) -> Option<Response> {
    let invalid = |message: String| {
        let message = format!("{} \"{}\" is invalid: {message}", key.resource, key.name);
        Some(refuse(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", &message))
    };
    let (version, kind) = kind(&key.group, &key.resource);
    if object["kind"] != kind || object["apiVersion"] != version.as_str() {
        return invalid(format!("expected apiVersion {version} and kind {kind}"));
    }
    if object["metadata"]["name"]
        .as_str()
        .is_some_and(|name| name != key.name)
    {
        return invalid("metadata.name: does not match the URL".to_owned());
    }
    let namespace = object["metadata"]["namespace"].as_str();
    if namespace.is_some_and(|namespace| namespace != key.namespace) {
        return invalid("metadata.namespace: does not match the URL".to_owned());
    }
    let owners = object["metadata"]["ownerReferences"].as_array();
    let whole = |owner: &Value| {
        ["apiVersion", "kind", "name", "uid"]
            .iter()
            .all(|part| owner[*part].is_string())
    };
    if owners.is_some_and(|owners| !owners.iter().all(whole)) {
        return invalid("metadata.ownerReferences: apiVersion, kind, name and uid are required".to_owned());
    }
    let labels = object["metadata"]["labels"].as_object();
    let text = |value: &Value| value.as_str().is_some_and(|text| text.len() <= MAX_LABEL);
    if labels.is_some_and(|labels| !labels.values().all(text)) {
        return invalid("metadata.labels: values are texts of at most 63 characters".to_owned());
    }
    match key.resource.as_str() {
        "pipelines" => pipeline(key, object).and_then(invalid),
        "services" | "pods" if key.name.len() > MAX_LABEL => {
            invalid("metadata.name: more than 63 characters".to_owned())
        }
        _ => None,
    }
}

/// Numaflow's own rules, as far as our Pipelines could break them.
fn pipeline(key: &Key, object: &Value) -> Option<String> {
    let vertices = object["spec"]["vertices"].as_array();
    for vertex in vertices.into_iter().flatten() {
        let name = vertex["name"].as_str().unwrap_or_default();
        if format!("{}-{name}-headless", key.name).len() > MAX_LABEL {
            return Some(format!(
                "vertex {name}: the name of its Service has more than 63 characters"
            ));
        }
        let group_by = &vertex["udf"]["groupBy"];
        if group_by.is_object() && !group_by["storage"].is_object() {
            return Some(format!("vertex {name}: \"storage\" is missing"));
        }
        if vertex["scale"]["min"] != 1 || vertex["scale"]["max"] != 1 {
            return Some(format!(
                "vertex {name}: two replicas would each generate the full rate"
            ));
        }
    }
    let idle = &object["spec"]["watermark"]["idleSource"];
    let zero = ["", "0", "0s"].contains(&idle["stepInterval"].as_str().unwrap_or_default());
    (idle.is_object() && zero).then(|| "idleSource.stepInterval of 0 lets Numaflow panic".to_owned())
}
