//! The base: the manifests that every trial starts from, as the chart renders them. They are read and checked here, and
//! patched for a trial: names, owner, window, read timeout, and the containers' environment. Pure.

use std::path::Path;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde::Deserialize;
use serde_json::{Value, json};

mod patch;

/// The base that is built in: the chart's own rendering.
pub const EMBEDDED: &str = include_str!("../../../manifests/experiment/base.yaml");

/// The names that the vertices of a base must have, and the paths of their user containers (`API/*_types.go` of Numaflow).
const CONTAINERS: [(&str, &str); 3] = [
    ("generator", "/source/udsource/container"),
    ("udf", "/udf/container"),
    ("sink", "/sink/udsink/container"),
];

/// Where the generator's container mounts the user's own events.
const PAYLOADS_MOUNT: &str = "/payloads";

/// The name of their file in a run's ConfigMap.
pub(crate) const PAYLOADS_FILE: &str = "payloads.jsonl";

/// A checked base.
#[derive(Debug, Clone)]
pub struct Base {
    pipeline: Value,
    endpoint: Option<Endpoint>,
}

#[derive(Debug, Clone)]
struct Endpoint {
    deployment: Value,
    service: Value,
}

/// Why a base cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("--base: `{file}` {defect}; `helm template` of the chart with experiment.enabled=true renders one")]
pub struct BaseError {
    /// The file, or `built in`.
    pub file: String,
    #[source]
    pub defect: BaseDefect,
}

/// What is wrong with the text of a base.
#[derive(Debug, thiserror::Error)]
pub enum BaseDefect {
    #[error("cannot be read: {0}")]
    Reading(#[from] std::io::Error),
    #[error("is not YAML: {0}")]
    Yaml(#[from] serde_yaml::Error),
    #[error("must have exactly one Pipeline, not {0}")]
    Pipelines(usize),
    /// A vertex is missing or of another kind.
    #[error("its Pipeline needs a vertex `{vertex}` with `{needs}`")]
    Vertex {
        vertex: &'static str,
        needs: &'static str,
    },
    /// The endpoint is incomplete, or there is more than one.
    #[error(
        "must have one Deployment and one Service of the endpoint, or neither; it has {deployments} and {services}"
    )]
    Endpoint { deployments: usize, services: usize },
    #[error("its Deployment has no container")]
    NoContainer,
    /// It has an object that no trial needs.
    #[error("has a {0}: only a Pipeline and the endpoint's Deployment and Service are applied for a trial")]
    Kind(String),
}

/// What differs between the objects of one trial and those of the base.
#[derive(Debug, Clone)]
pub(crate) struct ForTrial<'a> {
    /// Name of the Pipeline. The names of the other objects derive from it.
    pub pipeline: &'a str,
    /// Id of the run.
    pub run: &'a str,
    /// The owner, with which the objects are deleted.
    pub owner: Option<&'a OwnerReference>,
    /// The release that the Pipeline belongs to; the base's if `None`.
    pub instance: Option<&'a str>,
    pub trial: &'a trials::trial::Trial,
    /// Events that the generator offers.
    pub count: u64,
    /// The user's own endpoint in place of the base's.
    pub endpoint_url: Option<&'a str>,
    /// The image of all our containers; the base's if `None`. A UDF of the user's own keeps its image.
    pub image: Option<&'a str>,
    /// Events of the user's own in place of the generator's.
    pub payloads: Option<ForGenerator<'a>>,
}

/// How the generator gets events of the user's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ForGenerator<'a> {
    File {
        /// From the run's ConfigMap, and not from a volume of the base.
        config_map: bool,
        /// Where each has its key.
        key_pointer: Option<&'a str>,
    },
    Template(&'a str),
}

/// The manifests of a trial, ready to be applied.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Manifests {
    pub pipeline: Value,
    /// The endpoint's Deployment and Service; absent if calls go elsewhere.
    pub endpoint: Option<(Value, Value)>,
}

/// The name of a trial's endpoint: that of its Deployment and of its Service.
pub(crate) fn endpoint_name(pipeline: &str) -> String {
    format!("{pipeline}-endpoint")
}

/// The name of a run's ConfigMap with the user's own events.
pub(crate) fn config_map_name(run: &str) -> String {
    format!("ar-{run}-payloads")
}

impl Base {
    /// Reads the base from a file, or takes the embedded one.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read or trials cannot be made of what it holds.
    pub fn read(file: Option<&Path>) -> Result<Self, BaseError> {
        let read = match file {
            Some(file) => std::fs::read_to_string(file)
                .map_err(BaseDefect::from)
                .and_then(|text| Self::parse(&text)),
            None => Self::parse(EMBEDDED),
        };
        read.map_err(|defect| BaseError {
            file: file.map_or("built in".to_owned(), |file| file.display().to_string()),
            defect,
        })
    }

    /// Reads the YAML documents of a base.
    ///
    /// # Errors
    /// Returns an error if trials cannot be made of them.
    pub fn parse(text: &str) -> Result<Self, BaseDefect> {
        let (mut pipelines, mut deployments, mut services) = (Vec::new(), Vec::new(), Vec::new());
        for document in serde_yaml::Deserializer::from_str(text) {
            let value = Value::deserialize(document)?;
            if value.is_null() {
                continue;
            }
            match value["kind"].as_str().unwrap_or("document without kind") {
                "Pipeline" => pipelines.push(value),
                "Deployment" => deployments.push(value),
                "Service" => services.push(value),
                other => return Err(BaseDefect::Kind(other.to_owned())),
            }
        }
        let pipeline = match pipelines.len() {
            1 => pipelines.remove(0),
            count => return Err(BaseDefect::Pipelines(count)),
        };
        let endpoint = match (deployments.len(), services.len()) {
            (0, 0) => None,
            (1, 1) => Some(Endpoint {
                deployment: deployments.remove(0),
                service: services.remove(0),
            }),
            (deployments, services) => {
                return Err(BaseDefect::Endpoint {
                    deployments,
                    services,
                });
            }
        };
        let base = Self { pipeline, endpoint };
        base.check()?;
        Ok(base)
    }

    fn check(&self) -> Result<(), BaseDefect> {
        let missing = |vertex, needs| BaseDefect::Vertex { vertex, needs };
        for ((vertex, pointer), needs) in CONTAINERS.into_iter().zip([
            "source.udsource.container",
            "udf.container and udf.groupBy",
            "sink.udsink.container",
        ]) {
            let found = self.vertex(vertex).ok_or(missing(vertex, needs))?;
            let grouped = vertex != "udf" || found.pointer("/udf/groupBy").is_some_and(Value::is_object);
            if !grouped || !found.pointer(pointer).is_some_and(Value::is_object) {
                return Err(missing(vertex, needs));
            }
        }
        let containers = self.endpoint.as_ref().map(|endpoint| {
            let containers = endpoint.deployment.pointer("/spec/template/spec/containers/0");
            containers.is_some_and(Value::is_object)
        });
        if containers == Some(false) {
            return Err(BaseDefect::NoContainer);
        }
        Ok(())
    }

    /// The InterStepBufferService that its Pipeline uses; Numaflow's default if it names none.
    pub fn isbsvc(&self) -> &str {
        let named = self.pipeline.pointer("/spec/interStepBufferServiceName");
        named.and_then(Value::as_str).unwrap_or("default")
    }

    /// Partitions of its UDF.
    pub fn partitions(&self) -> u64 {
        let partitions = self.vertex("udf").and_then(|udf| udf["partitions"].as_u64());
        partitions.unwrap_or(1)
    }

    pub fn has_endpoint(&self) -> bool {
        self.endpoint.is_some()
    }

    /// The image of its UDF.
    pub fn image(&self) -> Option<&str> {
        self.container("udf")?["image"].as_str()
    }

    /// Whether its UDF is a program of the user's own: its image is not the generator's.
    pub fn has_own_udf(&self) -> bool {
        let generator = self.container("generator").map(|container| &container["image"]);
        self.container("udf").map(|container| &container["image"]) != generator
    }

    /// The name of the file of events that its generator mounts.
    pub(crate) fn payloads_file(&self) -> Option<&str> {
        let variables = self.container("generator")?["env"].as_array()?;
        let variable = variables.iter().find(|variable| variable["name"] == "PAYLOADS")?;
        Path::new(variable["value"].as_str()?).file_name()?.to_str()
    }

    fn container(&self, vertex: &str) -> Option<&Value> {
        let (name, pointer) = CONTAINERS.into_iter().find(|(name, _)| *name == vertex)?;
        self.vertex(name)?.pointer(pointer)
    }

    fn vertex(&self, name: &str) -> Option<&Value> {
        let vertices = self.pipeline.pointer("/spec/vertices")?.as_array()?;
        vertices.iter().find(|vertex| vertex["name"] == name)
    }
}

/// Sets the value at a path of keys. Whatever is not an object on the way is replaced by one.
fn set(value: &mut Value, path: &[&str], new: Value) {
    let mut place = value;
    for key in path {
        if !place.is_object() {
            *place = json!({});
        }
        place = &mut place[*key];
    }
    *place = new;
}

#[cfg(test)]
mod tests;
