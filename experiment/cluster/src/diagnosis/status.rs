//! The status of Numaflow's own objects, as its controller reports it.

use kube::api::DynamicObject;
use serde::Deserialize;

use crate::text::line;

/// The part of a Numaflow object's status that all its kinds share (`Status` in its `v1alpha1/common.go`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NumaflowStatus {
    /// `Pipeline`, `Vertex` or `InterStepBufferService`.
    pub kind: String,
    pub name: String,
    /// `Running`, `Failed`, …; empty before the first reconciliation.
    pub phase: String,
    /// Why it is in that phase.
    pub message: String,
    pub conditions: Vec<Condition>,
}

/// One condition of a status.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Condition {
    /// Such as `Configured`, `Deployed`, `VerticesHealthy`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Why, in one word.
    #[serde(default)]
    pub reason: Option<String>,
    /// Why, in a sentence.
    #[serde(default)]
    pub message: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawStatus {
    phase: String,
    message: String,
    conditions: Vec<Condition>,
}

impl NumaflowStatus {
    /// Reads the status of an object. A status of another form is treated as absent.
    pub fn of(kind: &str, object: &DynamicObject) -> Self {
        let status = object.data.get("status").cloned().unwrap_or_default();
        let RawStatus {
            phase,
            message,
            conditions,
        } = serde_json::from_value(status).unwrap_or_default();
        Self {
            kind: kind.to_owned(),
            name: object.metadata.name.clone().unwrap_or_default(),
            phase,
            message,
            conditions,
        }
    }

    /// The first condition that does not hold, in a sentence that starts with `whose`, such as `its`.
    pub fn unmet(&self, whose: &str) -> Option<String> {
        let condition = self
            .conditions
            .iter()
            .find(|condition| condition.status != "True")?;
        let message = condition.message.as_deref().unwrap_or_default();
        let sentence = format!(
            "{whose} condition {} is {} {message}",
            condition.kind, condition.status
        );
        Some(sentence.trim_end().to_owned())
    }

    /// The condition of this kind, if it is `False`.
    pub(super) fn false_condition(&self, kind: &str) -> Option<&Condition> {
        self.conditions
            .iter()
            .find(|condition| condition.kind == kind && condition.status == "False")
    }

    /// Its message, or that of its first false condition.
    pub(super) fn why(&self) -> String {
        let condition = self
            .conditions
            .iter()
            .find(|condition| condition.status == "False");
        let message = condition.and_then(|condition| condition.message.as_deref());
        line(if self.message.is_empty() {
            message.unwrap_or_default()
        } else {
            &self.message
        })
    }
}
