//! What Numaflow says of its own objects.

use kube::api::DynamicObject;
use serde::Deserialize;

use super::Diagnosis;
use crate::text::line;

/// The part of a Numaflow object's status that all its kinds share (`Status` in its `v1alpha1/common.go`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NumaflowStatus {
    /// `Pipeline`, `Vertex` or `InterStepBufferService`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// `Running`, `Failed`, …; empty before it has been reconciled.
    pub phase: String,
    /// Why it is in that phase.
    pub message: String,
    /// Conditions.
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
    /// Why, in words.
    #[serde(default)]
    pub message: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Read {
    phase: String,
    message: String,
    conditions: Vec<Condition>,
}

impl NumaflowStatus {
    /// Of an object as the API server gave it; what is not of the known form is as absent.
    pub fn of(kind: &str, object: &DynamicObject) -> Self {
        let read = object.data.get("status").cloned().unwrap_or_default();
        let Read {
            phase,
            message,
            conditions,
        } = serde_json::from_value(read).unwrap_or_default();
        Self {
            kind: kind.to_owned(),
            name: object.metadata.name.clone().unwrap_or_default(),
            phase,
            message,
            conditions,
        }
    }

    /// The first condition that does not hold, in words that begin with `whose`, such as `its`; nothing where all hold.
    pub fn unmet(&self, whose: &str) -> Option<String> {
        let condition = self
            .conditions
            .iter()
            .find(|condition| condition.status != "True")?;
        let message = condition.message.as_deref().unwrap_or_default();
        let told = format!(
            "{whose} condition {} is {} {message}",
            condition.kind, condition.status
        );
        Some(told.trim_end().to_owned())
    }

    pub(super) fn false_condition(&self, kind: &str) -> Option<&Condition> {
        self.conditions
            .iter()
            .find(|condition| condition.kind == kind && condition.status == "False")
    }

    fn why(&self) -> String {
        let condition = self
            .conditions
            .iter()
            .find(|condition| condition.status == "False");
        let told = condition.and_then(|condition| condition.message.as_deref());
        line(if self.message.is_empty() {
            told.unwrap_or_default()
        } else {
            &self.message
        })
    }
}

/// What its controller refuses (condition `Configured`).
pub(super) fn invalid(statuses: &[NumaflowStatus]) -> Option<Diagnosis> {
    statuses.iter().find_map(|status| {
        let condition = status.false_condition("Configured")?;
        let message = line(condition.message.as_deref().unwrap_or_default());
        Some(Diagnosis {
            what: format!("Numaflow refuses the {} {}: {message}", status.kind, status.name),
            advice: "correct the base (--base, or the values of the chart that rendered it)".to_owned(),
            permanent: true,
        })
    })
}

/// The forms are those of `reconcileFixedResources` in Numaflow's `pipeline/controller.go`.
pub(super) fn buffer_service(statuses: &[NumaflowStatus]) -> Option<Diagnosis> {
    let pipelines = statuses
        .iter()
        .filter(|status| status.kind == "Pipeline" || status.kind == "Vertex");
    let told = pipelines
        .map(NumaflowStatus::why)
        .find(|why| why.contains("isbsvc"));
    let own = statuses
        .iter()
        .find(|status| status.kind == "InterStepBufferService" && status.phase != "Running");
    let absent = |name: &str| {
        (
            format!("there is no InterStepBufferService `{name}` in the namespace"),
            format!(
                "create one called `{name}` there, or name yours in the base's interStepBufferServiceName"
            ),
        )
    };
    let (what, advice) = match (told, own) {
        (Some(why), _) if why.contains("not found") => {
            let words: Vec<&str> = why.split(' ').collect();
            let at = words.iter().position(|word| *word == "isbsvc")?;
            absent(words.get(at + 1)?)
        }
        (Some(why), _) if why.contains("not managed by the same controller") => (
            why,
            "give InterStepBufferService and Pipeline the same annotation numaflow.numaproj.io/instance"
                .to_owned(),
        ),
        (told, Some(own)) => (
            format!(
                "the InterStepBufferService `{}` is not ready ({})",
                own.name,
                phase(own)
            ),
            format!(
                "{}`kubectl get pods -l app.kubernetes.io/component=isbsvc` shows its pods",
                told.map(|_| "every pipeline waits for it: ").unwrap_or_default()
            ),
        ),
        (Some(_), None) => (
            "the InterStepBufferService is not ready".to_owned(),
            "`kubectl get isbsvc` and `kubectl get pods -l app.kubernetes.io/component=isbsvc` show why"
                .to_owned(),
        ),
        (None, None) => return None,
    };
    // It is installed beside the pipeline as often as before it, and Numaflow tries again.
    let permanent = false;
    Some(Diagnosis {
        what,
        advice,
        permanent,
    })
}

fn phase(status: &NumaflowStatus) -> String {
    let phase = if status.phase.is_empty() {
        "not reconciled yet: does Numaflow's controller watch this namespace?"
    } else {
        &status.phase
    };
    match status.why() {
        why if why.is_empty() => phase.to_owned(),
        why => format!("{phase}: {why}"),
    }
}

/// Whatever else is said of a failed object, and objects that no controller has looked at.
pub(super) fn failed(statuses: &[NumaflowStatus]) -> Option<Diagnosis> {
    let failed = statuses.iter().find(|status| status.phase == "Failed");
    if let Some(failed) = failed {
        return Some(Diagnosis {
            what: format!("the {} {} has failed: {}", failed.kind, failed.name, failed.why()),
            advice: format!(
                "`kubectl describe {} {}` shows more",
                failed.kind.to_lowercase(),
                failed.name
            ),
            permanent: false,
        });
    }
    let unseen = |status: &&NumaflowStatus| status.phase.is_empty() && status.conditions.is_empty();
    let unseen = statuses.iter().find(unseen)?;
    Some(Diagnosis {
        what: format!("no controller of Numaflow has looked at the {} {}", unseen.kind, unseen.name),
        advice: "does the controller run (`kubectl get pods -A -l app.kubernetes.io/part-of=numaflow`), and does it watch this namespace?"
            .to_owned(),
        permanent: false,
    })
}
