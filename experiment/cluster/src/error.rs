//! Why a trial in a cluster cannot be run.

use std::time::Duration;

use engine::EngineError;
use trials::endpoint_url::NeedsOurEndpoint;
use wire::format_duration;

use crate::base::BaseError;
use crate::client::{ClusterError, PodError};

/// Why a trial could not be run to its end, or the engine not be set up.
#[derive(Debug, thiserror::Error)]
pub enum ClusterEngineError {
    /// The API server did not do what was asked, or is not there.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The base cannot be used.
    #[error(transparent)]
    Base(#[from] BaseError),
    /// A trial needs our own endpoint.
    #[error(transparent)]
    NeedsOurEndpoint(#[from] NeedsOurEndpoint),
    /// A UDF that a shell starts.
    #[error(
        "--udf-command: the cluster engine starts no command: put your UDF's image into the base (--base FILE)"
    )]
    UdfCommand,
    /// Numaflow's kinds are unknown.
    #[error(
        "Numaflow is not installed in this cluster (its API numaflow.numaproj.io/v1alpha1 is unknown): install Numaflow 1.8, or use another --context"
    )]
    NotInstalled,
    /// Something is not permitted.
    #[error(
        "not permitted in namespace `{namespace}`: {what}; have a Role bound that permits it, or use another --context or --namespace"
    )]
    NotPermitted {
        /// Where.
        namespace: String,
        /// Verbs and resources.
        what: String,
    },
    /// The service that holds the messages between vertices is absent or not ready.
    #[error("the InterStepBufferService `{name}` in namespace `{namespace}` {how}")]
    BufferService {
        /// Its name.
        name: String,
        /// Where.
        namespace: String,
        /// What is wrong with it, and what to do.
        how: String,
    },
    /// The pipeline does not run.
    #[error("the pipeline was not running after {}: {why}", format_duration(*after))]
    NotReady {
        /// How long was waited.
        after: Duration,
        /// What is known of it.
        why: String,
    },
    /// A pod does not answer as expected.
    #[error(transparent)]
    Pod(#[from] PodError),
    /// There is no pod of a part.
    #[error("there is no {0} pod")]
    NoPod(&'static str),
    /// The run has ended, or has no owner for another reason.
    #[error("the run has no Lease and no Job any more")]
    NoOwner,
    /// The generator did not begin.
    #[error("the generator did not begin within {}: nothing has read from it since its start", format_duration(*.0))]
    NoStart(Duration),
    /// The generator began anew, so that its events can no longer be accounted for.
    #[error("the generator restarted during the trial: its events can no longer be accounted for")]
    GeneratorRestarted,
    /// Something of the above, and what the cluster tells of the pods.
    #[error("{error}: {why}")]
    Explained {
        /// What happened.
        error: Box<Self>,
        /// Why.
        why: String,
    },
    /// The sink's log cannot be read.
    #[error("cannot read the log of the sink pod `{pod}`: {said}")]
    Log {
        /// The pod.
        pod: String,
        /// What happened.
        said: String,
    },
    /// A line of the sink is missing.
    #[error(
        "line {expected} of sink is missing in its log: the next one is {found} (a log that was rotated too soon?)"
    )]
    SinkGap {
        /// The number that was to come.
        expected: u64,
        /// The number that came.
        found: u64,
    },
    /// A result of the UDF that says nothing of its window.
    #[error(
        "a result of the UDF is no record, by which alone a window can be measured in a cluster: have the image write records (RESULT_FORMAT=record), or measure this UDF with --engine local --udf-command"
    )]
    NoRecord,
}

impl ClusterEngineError {
    /// Whether a setting is wrong, in contrast to something that failed.
    pub fn is_wrong_use(&self) -> bool {
        match self {
            Self::Cluster(error) => error.is_wrong_use(),
            Self::Base(_) | Self::NeedsOurEndpoint(_) | Self::UdfCommand => true,
            _ => false,
        }
    }

    /// Whether the state of the pods may tell why.
    pub(crate) fn may_be_explained(&self) -> bool {
        matches!(
            self,
            Self::Pod(PodError::Request { .. })
                | Self::NoPod(_)
                | Self::NoStart(_)
                | Self::GeneratorRestarted
                | Self::Log { .. }
        )
    }
}

impl From<ClusterEngineError> for EngineError {
    fn from(error: ClusterEngineError) -> Self {
        Self::new(error.is_wrong_use(), error)
    }
}
