//! Makes a trial's manifests from the base. The trial's settings are set; everything else stays as it was rendered.

use serde_json::{Value, json};
use wire::settings::Program;
use wire::{ENDPOINT_PORT, METRICS_PORT, format_duration};

use super::{
    Base, CONTAINERS, ForGenerator, ForTrial, Manifests, PAYLOADS_FILE, PAYLOADS_MOUNT, config_map_name,
    endpoint_name, set,
};
use crate::labels::{INSTANCE_LABEL, RUN_LABEL, TRIAL_ANNOTATION};

/// Variables that a trial sets in a container. Those without a value are removed.
type Environment = Vec<(&'static str, Option<String>)>;

impl Base {
    pub(crate) fn manifests(&self, of: &ForTrial<'_>) -> Manifests {
        let url = match (of.endpoint_url, &self.endpoint) {
            (Some(url), _) => Some(url.to_owned()),
            (None, Some(_)) => Some(format!("http://{}:{ENDPOINT_PORT}", endpoint_name(of.pipeline))),
            (None, None) => None,
        };
        let endpoint = self
            .endpoint
            .as_ref()
            .filter(|_| of.endpoint_url.is_none())
            .map(|endpoint| {
                let (mut deployment, mut service) = (endpoint.deployment.clone(), endpoint.service.clone());
                patch_endpoint(&mut deployment, &mut service, of);
                (deployment, service)
            });
        Manifests {
            pipeline: self.pipeline(of, url.as_deref()),
            endpoint,
        }
    }

    fn pipeline(&self, of: &ForTrial<'_>, url: Option<&str>) -> Value {
        let settings = &of.trial.settings;
        let mut pipeline = self.pipeline.clone();
        identify(&mut pipeline, of.pipeline, of);
        for template in [
            &["metadata"][..],
            &["spec", "templates", "vertex", "metadata"],
            &["spec", "templates", "daemon", "metadata"],
            &["spec", "templates", "job", "metadata"],
        ] {
            let labels = [template, &["labels"]].concat();
            set(
                &mut pipeline,
                &[&labels[..], &[RUN_LABEL]].concat(),
                json!(of.run),
            );
            if let Some(instance) = of.instance {
                set(
                    &mut pipeline,
                    &[&labels[..], &[INSTANCE_LABEL]].concat(),
                    json!(instance),
                );
            }
        }
        let read_timeout = json!(format_duration(settings.read_timeout));
        set(
            &mut pipeline,
            &["spec", "limits", "readTimeout"],
            read_timeout.clone(),
        );
        let ordered = pipeline.pointer("/spec/ordered/enabled") == Some(&json!(true));
        let vertices = pipeline
            .pointer_mut("/spec/vertices")
            .and_then(Value::as_array_mut);
        for vertex in vertices.into_iter().flatten() {
            // A vertex's own limit takes precedence over the Pipeline's.
            if let Some(own) = vertex.pointer_mut("/limits/readTimeout") {
                *own = read_timeout.clone();
            }
            if vertex["name"] == "udf" {
                let fixed = json!({"fixed": {"length": format_duration(settings.window)}});
                set(vertex, &["udf", "groupBy", "window"], fixed);
                set(vertex, &["udf", "groupBy", "keyed"], json!(settings.is_keyed()));
            }
            // Each generator pod offers the full rate, and only one sink pod is read.
            if vertex["name"] == "sink" && ordered {
                // Numaflow gives an ordered sink one pod for each partition, and refuses a scale.
                set(vertex, &["partitions"], json!(1));
                set(vertex, &["scale"], json!({}));
            } else if vertex["name"] == "generator" || vertex["name"] == "sink" {
                set(vertex, &["scale"], json!({"min": 1, "max": 1}));
            }
            let place = CONTAINERS.into_iter().find(|(name, _)| vertex["name"] == *name);
            let Some((name, pointer)) = place else { continue };
            if let Some(container) = vertex.pointer_mut(pointer) {
                if name != "udf" || !self.has_own_udf() {
                    set_image(container, of);
                }
                set_environment(container, environment(name, of, url));
            }
            let from_config_map = matches!(of.payloads, Some(ForGenerator::File { config_map: true, .. }));
            if name == "generator" && from_config_map {
                mount_payloads(vertex, pointer, of.run);
            }
        }
        pipeline
    }
}

/// The variables of a vertex's container.
fn environment(vertex: &str, of: &ForTrial<'_>, url: Option<&str>) -> Environment {
    let mut environment: Environment = vec![("STATS_LISTEN", Some(format!("0.0.0.0:{METRICS_PORT}")))];
    match vertex {
        "generator" => {
            environment.extend(set_by(of, Program::Generator));
            environment.extend([
                ("COUNT", Some(of.count.to_string())),
                ("ALIGN", Some(format_duration(of.trial.settings.window))),
                ("HOLD", Some("true".to_owned())),
                ("SATURATE", None),
            ]);
            // Without payloads in the plan, those of the base stay.
            match of.payloads {
                Some(ForGenerator::File {
                    config_map,
                    key_pointer,
                }) => {
                    environment.push(("PAYLOAD_TEMPLATE", None));
                    environment.push(("KEY_POINTER", key_pointer.map(str::to_owned)));
                    let path = format!("{PAYLOADS_MOUNT}/{PAYLOADS_FILE}");
                    environment.extend(config_map.then_some(("PAYLOADS", Some(path))));
                }
                Some(ForGenerator::Template(text)) => environment.extend([
                    ("PAYLOAD_TEMPLATE", Some(verbatim(text))),
                    ("PAYLOADS", None),
                    ("KEY_POINTER", None),
                ]),
                None => {}
            }
        }
        "udf" => {
            environment.extend(set_by(of, Program::Udf));
            // If the trial has no endpoint, the base's address stays.
            environment.extend(url.map(|url| ("ENDPOINT_URL", Some(url.to_owned()))));
            // The record: alone, or beside the results of a program that has its own.
            environment.push(("RESULT_FORMAT", Some("record".to_owned())));
            environment.push(("RECORDS", None));
            environment.push(("EXEC_TYPE", None));
        }
        _ => {}
    }
    environment
}

/// The text of a variable from which Kubernetes makes `text`: it replaces `$(NAME)` and `$$`.
fn verbatim(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        written.push_str(&rest[..at]);
        let (escaped, taken) = match rest.as_bytes().get(at + 1) {
            Some(b'$') => ("$$$$", 2),
            Some(b'(') => ("$$", 1),
            _ => ("$", 1),
        };
        written.push_str(escaped);
        rest = &rest[at + taken..];
    }
    written + rest
}

/// Mounts the run's ConfigMap in place of a volume of the same name.
fn mount_payloads(vertex: &mut Value, container: &str, run: &str) {
    let volume = json!({"name": "payloads", "configMap": {"name": config_map_name(run)}});
    put_named(&mut vertex["volumes"], volume);
    if let Some(container) = vertex.pointer_mut(container) {
        let mount = json!({"name": "payloads", "mountPath": PAYLOADS_MOUNT, "readOnly": true});
        put_named(&mut container["volumeMounts"], mount);
    }
}

/// Puts an object into a list, in place of the one with its name.
fn put_named(list: &mut Value, object: Value) {
    if !list.is_array() {
        *list = json!([]);
    }
    if let Some(list) = list.as_array_mut() {
        list.retain(|other| other["name"] != object["name"]);
        list.push(object);
    }
}

/// The settings that a program takes.
fn set_by<'a>(
    of: &'a ForTrial<'_>,
    program: Program,
) -> impl Iterator<Item = (&'static str, Option<String>)> + 'a {
    let settings = of.trial.settings.of_program(program);
    settings.map(|(setting, text)| (setting.env, Some(text)))
}

fn patch_endpoint(deployment: &mut Value, service: &mut Value, of: &ForTrial<'_>) {
    let name = endpoint_name(of.pipeline);
    identify(deployment, &name, of);
    identify(service, &name, of);
    // A trial's pods differ by the instance, so that no Service selects the pods of another trial or of a release.
    let instance = json!(of.pipeline);
    set(
        deployment,
        &["spec", "selector", "matchLabels", INSTANCE_LABEL],
        instance.clone(),
    );
    set(service, &["spec", "selector", INSTANCE_LABEL], instance.clone());
    let pod = ["spec", "template", "metadata", "labels"];
    set(
        deployment,
        &[pod.as_slice(), &[INSTANCE_LABEL]].concat(),
        instance.clone(),
    );
    set(
        deployment,
        &[pod.as_slice(), &[RUN_LABEL]].concat(),
        json!(of.run),
    );
    for object in [&mut *deployment, service] {
        set(object, &["metadata", "labels", INSTANCE_LABEL], instance.clone());
    }
    set(deployment, &["spec", "replicas"], json!(1));
    if let Some(container) = deployment.pointer_mut("/spec/template/spec/containers/0") {
        set_image(container, of);
        set_environment(container, set_by(of, Program::Endpoint).collect());
    }
}

/// Sets name, run, trial and owner, and removes what a server has added.
fn identify(value: &mut Value, name: &str, of: &ForTrial<'_>) {
    let metadata = ["labels", "annotations"]
        .into_iter()
        .filter_map(|key| Some((key.to_owned(), value["metadata"].get(key)?.clone())));
    value["metadata"] = Value::Object(metadata.collect());
    set(value, &["metadata", "name"], json!(name));
    if let Some(owner) = of.owner {
        set(value, &["metadata", "ownerReferences"], json!([owner]));
    }
    set(value, &["metadata", "labels", RUN_LABEL], json!(of.run));
    set(
        value,
        &["metadata", "labels", "app.kubernetes.io/managed-by"],
        json!("async-reduce"),
    );
    set(
        value,
        &["metadata", "annotations", TRIAL_ANNOTATION],
        json!(of.trial.id),
    );
    if let Value::Object(map) = value {
        map.remove("status");
    }
}

fn set_image(container: &mut Value, of: &ForTrial<'_>) {
    if let Some(image) = of.image {
        container["image"] = json!(image);
    }
}

/// Sets variables by name. An existing one is replaced, whether it has a value or a reference; one without a value is
/// removed.
fn set_environment(container: &mut Value, environment: Environment) {
    if !container["env"].is_array() {
        container["env"] = json!([]);
    }
    let Some(variables) = container["env"].as_array_mut() else {
        return;
    };
    for (name, value) in environment {
        let place = variables.iter().position(|variable| variable["name"] == name);
        match (place, value) {
            (Some(place), Some(value)) => variables[place] = json!({"name": name, "value": value}),
            (None, Some(value)) => variables.push(json!({"name": name, "value": value})),
            (Some(place), None) => drop(variables.remove(place)),
            (None, None) => {}
        }
    }
}
