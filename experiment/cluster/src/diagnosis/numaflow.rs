//! Causes that Numaflow's controller reports in the status of its objects.

use super::scene::Diagnosis;
use super::status::NumaflowStatus;
use crate::text::line;

/// An object whose spec the controller refuses (condition `Configured`).
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

/// An InterStepBufferService that is absent or not ready. The texts are those of `reconcileFixedResources` in Numaflow's `pipeline/controller.go`.
pub(super) fn buffer_service(statuses: &[NumaflowStatus]) -> Option<Diagnosis> {
    let pipelines = statuses
        .iter()
        .filter(|status| status.kind == "Pipeline" || status.kind == "Vertex");
    let reported = pipelines
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
    let (what, advice) = match (reported, own) {
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
        (reported, Some(own)) => (
            format!(
                "the InterStepBufferService `{}` is not ready ({})",
                own.name,
                phase(own)
            ),
            format!(
                "{}`kubectl get pods -l app.kubernetes.io/component=isbsvc` shows its pods",
                reported
                    .map(|_| "every pipeline waits for it: ")
                    .unwrap_or_default()
            ),
        ),
        (Some(_), None) => (
            "the InterStepBufferService is not ready".to_owned(),
            "`kubectl get isbsvc` and `kubectl get pods -l app.kubernetes.io/component=isbsvc` show why"
                .to_owned(),
        ),
        (None, None) => return None,
    };
    // It is often installed together with the pipeline, and Numaflow retries.
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

/// Any other failed object, and objects that no controller has reconciled.
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
