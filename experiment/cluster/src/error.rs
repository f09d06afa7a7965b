//! Errors of the cluster engine, each in one line for the user.

use std::time::Duration;

use engine::EngineError;
use trials::endpoint_url::NeedsOurEndpoint;
use wire::format_duration;

use crate::base::BaseError;
use crate::client::{ClusterError, PodError};
use crate::payloads::PayloadsError;

/// Why a trial failed or could not be prepared.
#[derive(Debug, thiserror::Error)]
pub enum ClusterEngineError {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(transparent)]
    Base(#[from] BaseError),
    #[error(transparent)]
    NeedsOurEndpoint(#[from] NeedsOurEndpoint),
    #[error(transparent)]
    Payloads(#[from] PayloadsError),
    /// `--udf-command` is an option of the local engine.
    #[error(
        "--udf-command: the cluster engine starts no command: put your UDF's image into the base (--base FILE)"
    )]
    UdfCommand,
    /// A trial's reduce is unkeyed, but the base has several partitions, which Numaflow refuses.
    #[error(
        "keyed: a reduce without keys has one partition, but the base's udf has {0}: render the base with udf.partitions=1, or let the plan say keyed: true"
    )]
    UnkeyedPartitions(u64),
    #[error(
        "Numaflow is not installed in this cluster (its API numaflow.numaproj.io/v1alpha1 is unknown): install Numaflow 1.8, or use another --context"
    )]
    NotInstalled,
    #[error(
        "not permitted in namespace `{namespace}`: {what}; have a Role bound that permits it, or use another --context or --namespace"
    )]
    NotPermitted {
        namespace: String,
        /// Verbs and resources.
        what: String,
    },
    /// The InterStepBufferService is absent or not ready.
    #[error("the InterStepBufferService `{name}` in namespace `{namespace}` {how}")]
    BufferService {
        name: String,
        namespace: String,
        /// The problem and the advice, as the rest of the sentence.
        how: String,
    },
    #[error("the pipeline was not running after {}: {why}", format_duration(*after))]
    NotReady { after: Duration, why: String },
    #[error(transparent)]
    Pod(#[from] PodError),
    /// A vertex, or the endpoint, has no pod.
    #[error("there is no {0} pod")]
    NoPod(&'static str),
    #[error("the run has no Lease and no Job any more")]
    NoOwner,
    #[error("the generator did not begin within {}: nothing has read from it since its start", format_duration(*.0))]
    NoStart(Duration),
    #[error("the generator restarted during the trial: its events can no longer be accounted for")]
    GeneratorRestarted,
    /// One of the other errors, with the cause that the state of the pods shows.
    #[error("{error}: {why}")]
    Explained { error: Box<Self>, why: String },
    /// Neither its memory nor its log could be read.
    #[error("cannot read the records of the sink pod `{pod}`: {message}")]
    Records { pod: String, message: String },
    /// A line of the sink's log is missing.
    #[error(
        "line {expected} of sink is missing in its log: the next one is {found} (a log that was rotated too soon?)"
    )]
    SinkGap { expected: u64, found: u64 },
    /// Lines left the sink's memory before they were read.
    #[error(
        "lines {first} to {last} of sink were dropped from its memory before they could be read: it keeps the last 16 MiB, or KEPT_BYTES of its environment; raise that, or use fewer keys or longer windows"
    )]
    SinkDropped { first: u64, last: u64 },
    /// A result of the UDF that is not a window record.
    #[error(
        "no result of the UDF is a record, by which alone a window can be measured in a cluster: build the UDF on the library, or measure it with --engine local --udf-command"
    )]
    NoRecord,
}

impl ClusterEngineError {
    /// Whether a setting is wrong, rather than that something failed.
    pub fn is_wrong_use(&self) -> bool {
        match self {
            Self::Cluster(error) => error.is_wrong_use(),
            Self::Base(_) | Self::NeedsOurEndpoint(_) | Self::UdfCommand | Self::UnkeyedPartitions(_) => true,
            _ => false,
        }
    }

    /// Whether the state of the pods may show the cause.
    pub(crate) fn may_be_explained(&self) -> bool {
        matches!(
            self,
            Self::Pod(PodError::Request { .. })
                | Self::NoPod(_)
                | Self::NoStart(_)
                | Self::GeneratorRestarted
                | Self::Records { .. }
        )
    }
}

impl From<ClusterEngineError> for EngineError {
    fn from(error: ClusterEngineError) -> Self {
        Self::new(error.is_wrong_use(), error)
    }
}
