//! What a test lets go wrong in the cluster.

use serde_json::{Value, json};

/// What goes wrong; by default nothing.
#[derive(Debug, Clone, Default)]
pub struct Trouble {
    /// Numaflow's API group is missing.
    pub numaflow_missing: bool,
    /// State of the isbsvc `default`.
    pub buffers: Buffers,
    /// Verbs that are not allowed on resources: `("get", "pods/log")`.
    pub denied: Vec<(&'static str, &'static str)>,
    /// Answers to the next requests in place of the real ones.
    pub refusals: Vec<u16>,
    /// A vertex whose pod does not come up.
    pub vertex: Option<(&'static str, PodTrouble)>,
    /// Trouble of the endpoint's pod.
    pub endpoint: Option<PodTrouble>,
    /// The first stream of the sink's log breaks after this many records.
    pub log_breaks_after: Option<usize>,
    /// The sink's record at this position, from 0, is missing from every log.
    pub log_loses: Option<usize>,
    /// The log of the sink was rotated: a request gets only what is written after it, except the first one where it
    /// breaks.
    pub log_rotates: bool,
    /// The sink is of an image that does not serve its lines.
    pub sink_without_records: bool,
    /// The watermark follows the clock instead of the data: events read after a pause are late.
    pub watermark_runs_ahead: bool,
    /// The vertex whose process is killed once after the first record, and whose container restarts.
    pub restarts: Option<&'static str>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Buffers {
    /// Healthy.
    #[default]
    Healthy,
    /// Missing.
    Absent,
    /// Its pods do not exist yet.
    Pending,
}

/// Why a pod does not start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PodTrouble {
    /// The image cannot be pulled.
    ImagePull,
    /// The user's container ends at once, repeatedly.
    CrashLoop { exit_code: i32, log: Vec<&'static str> },
    /// The user's container is killed for its memory use, repeatedly.
    OutOfMemory,
    /// No node fits it.
    Unschedulable,
}

impl Buffers {
    pub(super) fn object(self) -> Option<Value> {
        let (phase, state) = match self {
            Self::Healthy => ("Running", "True"),
            Self::Pending => ("Pending", "False"),
            Self::Absent => return None,
        };
        let condition = |kind: &str| {
            json!({"type": kind, "status": state, "reason": "Successful", "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z"})
        };
        Some(json!({
            "apiVersion": "numaflow.numaproj.io/v1alpha1", "kind": "InterStepBufferService",
            "metadata": {"name": "default"},
            "spec": {"jetstream": {"version": "2.10.29", "replicas": 1}},
            "status": {"phase": phase, "type": "jetstream", "observedGeneration": 1,
                "conditions": [condition("Configured"), condition("Deployed"), condition("ChildrenResourcesHealthy")]},
        }))
    }
}

impl PodTrouble {
    /// The pod's phase, and the state of the user's container: `waiting`, and `lastState` if it has run.
    pub(super) fn waiting(&self, image: &str) -> (Value, Value, u32) {
        let back_off =
            json!({"reason": "CrashLoopBackOff", "message": "back-off 20s restarting failed container"});
        let ended = |code: i32, reason: &str| {
            json!({"terminated": {"exitCode": code, "reason": reason,
                "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:01Z"}})
        };
        match self {
            Self::ImagePull => {
                let message = format!("Back-off pulling image \"{image}\"");
                (
                    json!({"waiting": {"reason": "ImagePullBackOff", "message": message}}),
                    json!({}),
                    0,
                )
            }
            Self::CrashLoop { exit_code, .. } => {
                (json!({"waiting": back_off}), ended(*exit_code, "Error"), 3)
            }
            Self::OutOfMemory => (json!({"waiting": back_off}), ended(137, "OOMKilled"), 3),
            Self::Unschedulable => (json!({"waiting": {"reason": "PodInitializing"}}), json!({}), 0),
        }
    }

    /// The warning of the kubelet or the scheduler: reason and message.
    pub(super) fn event(&self, image: &str) -> (&'static str, String) {
        match self {
            Self::ImagePull => (
                "Failed",
                format!("Failed to pull image \"{image}\": rpc error: code = NotFound desc = not found"),
            ),
            Self::CrashLoop { .. } | Self::OutOfMemory => {
                ("BackOff", "Back-off restarting failed container".to_owned())
            }
            Self::Unschedulable => (
                "FailedScheduling",
                "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available".to_owned(),
            ),
        }
    }
}
