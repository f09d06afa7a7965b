//! The plan's own events on their way to the generator of each trial: in a ConfigMap that belongs to the run, or on a
//! volume that the base mounts.

use std::io;
use std::path::PathBuf;

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::{Value, json};
use trials::plan::Payloads;

use crate::base::{Base, ForGenerator, PAYLOADS_FILE, config_map_name};
use crate::client::requests::apply;
use crate::client::{Cluster, ClusterError};
use crate::labels::RUN_LABEL;

/// The largest file that a ConfigMap takes: Kubernetes allows 1 MiB for all of it.
const MAX_BYTES: u64 = 1_000_000;

/// Why a plan's payloads cannot be sent in a cluster.
#[derive(Debug, thiserror::Error)]
pub enum PayloadsError {
    #[error("payloads: `{}`: cannot be read: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// Neither a ConfigMap has room for it nor is it on a volume.
    #[error(
        "payloads: `{}` has {bytes} bytes, and a ConfigMap has room for {MAX_BYTES}: put it on a volume of the cluster, and render a base with the chart's values generator.payloads.existingClaim and generator.payloads.file={file}",
        path.display()
    )]
    TooLarge { path: PathBuf, bytes: u64, file: String },
    #[error("payloads: `{}` is no UTF-8, and a ConfigMap's data is", path.display())]
    NoText { path: PathBuf },
}

/// How the generator of each trial gets them.
#[derive(Debug, Clone)]
pub(crate) enum TrialPayloads {
    /// A file.
    Lines {
        /// The content of the run's ConfigMap; `None` if the base mounts the file.
        lines: Option<String>,
        key_pointer: Option<String>,
    },
    Template(String),
}

impl TrialPayloads {
    /// # Errors
    /// Returns an error if the file cannot be read, or is too large and not on a volume of the base.
    pub fn new(payloads: &Payloads, base: &Base) -> Result<Self, PayloadsError> {
        let (path, key_pointer) = match payloads {
            Payloads::File { path, key_pointer } => (path.clone(), key_pointer.clone()),
            Payloads::Template(text) => return Ok(Self::Template(text.clone())),
        };
        // The base's path is one in the generator's pod, where the folder may be another.
        let file = path.file_name().unwrap_or_default();
        if base.payloads_file() == file.to_str() {
            let lines = None;
            return Ok(Self::Lines { lines, key_pointer });
        }
        let read = |source| PayloadsError::Read {
            path: path.clone(),
            source,
        };
        let bytes = std::fs::metadata(&path).map_err(read)?.len();
        if bytes > MAX_BYTES {
            let file = file.to_string_lossy().into_owned();
            return Err(PayloadsError::TooLarge { path, bytes, file });
        }
        let bytes = std::fs::read(&path).map_err(read)?;
        let lines = String::from_utf8(bytes).map_err(|_| PayloadsError::NoText { path })?;
        Ok(Self::Lines {
            lines: Some(lines),
            key_pointer,
        })
    }

    /// Whether the run has a ConfigMap of them.
    pub fn has_config_map(&self) -> bool {
        matches!(self, Self::Lines { lines: Some(_), .. })
    }

    pub fn for_generator(&self) -> ForGenerator<'_> {
        match self {
            Self::Lines { lines, key_pointer } => ForGenerator::File {
                config_map: lines.is_some(),
                key_pointer: key_pointer.as_deref(),
            },
            Self::Template(text) => ForGenerator::Template(text),
        }
    }

    /// Creates the ConfigMap, if there is one. Kubernetes deletes it together with its owner.
    pub async fn apply(
        &self,
        cluster: &Cluster,
        run: &str,
        owner: &OwnerReference,
    ) -> Result<(), ClusterError> {
        let Self::Lines {
            lines: Some(lines), ..
        } = self
        else {
            return Ok(());
        };
        let name = config_map_name(run);
        let object = config_map(&name, run, owner, lines);
        apply(&cluster.api::<ConfigMap>(), "ConfigMap", &name, &object).await
    }
}

fn config_map(name: &str, run: &str, owner: &OwnerReference, lines: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": name,
            "labels": {RUN_LABEL: run, "app.kubernetes.io/managed-by": "async-reduce"},
            "ownerReferences": [owner],
        },
        "immutable": true,
        "data": {PAYLOADS_FILE: lines},
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::EMBEDDED;

    fn of(path: PathBuf, base: &Base) -> Result<TrialPayloads, PayloadsError> {
        let key_pointer = Some("/user".to_owned());
        TrialPayloads::new(&Payloads::File { path, key_pointer }, base)
    }

    #[test]
    fn a_config_map_has_a_million_bytes_and_a_volume_any_number() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let base = Base::parse(EMBEDDED).unwrap();
        for (bytes, fits) in [(1, true), (1_000_000, true), (1_000_001, false)] {
            std::fs::write(&path, vec![b'x'; bytes]).unwrap();
            match of(path.clone(), &base) {
                Ok(payloads) => assert!(fits && payloads.has_config_map()),
                Err(error) => {
                    let text = error.to_string();
                    assert!(!fits && text.contains("has 1000001 bytes"), "{text}");
                    assert!(text.contains("generator.payloads.file=events.jsonl"), "{text}");
                }
            }
        }
        let variable =
            "- name: PAYLOADS\n                value: /payloads/events.jsonl\n              - name: RPU";
        let text = EMBEDDED.replacen("- name: RPU", variable, 1);
        let on_volume = of(path, &Base::parse(&text).unwrap()).unwrap();
        assert!(!on_volume.has_config_map());
        let key_pointer = Some("/user");
        assert_eq!(
            on_volume.for_generator(),
            ForGenerator::File {
                config_map: false,
                key_pointer
            }
        );
    }

    #[test]
    fn what_is_no_text_or_not_there_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events");
        let base = Base::parse(EMBEDDED).unwrap();
        assert!(
            of(path.clone(), &base)
                .unwrap_err()
                .to_string()
                .contains("cannot be read")
        );
        std::fs::write(&path, b"\xff\n").unwrap();
        assert!(of(path, &base).unwrap_err().to_string().contains("is no UTF-8"));
    }
}
