//! Errors of work in the cluster, each in one line for the user.

use std::time::Duration;

use wire::format_duration;

use super::api_error::describe_error;

/// Why work in the cluster failed.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// There is no usable kubeconfig or service account.
    #[error("{setting}: {what}; {advice}")]
    Configure {
        setting: &'static str,
        what: String,
        advice: &'static str,
    },
    /// A request to the API server failed.
    #[error("cannot {verb} {subject}: {}", describe_error(error))]
    Request {
        /// Such as `delete`.
        verb: &'static str,
        /// Such as `Pipeline x`.
        subject: String,
        /// Not a source: the message contains it.
        error: Box<kube::Error>,
    },
    /// There is no Job of this name.
    #[error("--job: no Job `{name}` in namespace `{namespace}`{found}")]
    NoJob {
        /// The name or its beginning, as given.
        name: String,
        namespace: String,
        /// What there is instead, as the rest of the sentence.
        found: String,
    },
    /// The Lease was deleted, taken by another run, or could not be renewed.
    #[error(
        "the Lease `{lease}` of this run {how}: another run may already be removing what this one created, so it stops"
    )]
    LeaseLost { lease: String, how: String },
    /// Deleted objects were left when the time was up.
    #[error("still there after {}: {left}; {advice}", format_duration(*within))]
    Remains {
        within: Duration,
        /// The objects.
        left: String,
        advice: &'static str,
    },
    /// The run's journal may be too long for a container's log.
    #[error(
        "the journal of {trials} trials may take {expected_bytes} bytes, more than the {limit_bytes} that a container's log is sure to keep: split the plan, or run it from outside the cluster"
    )]
    JournalTooLong {
        trials: usize,
        expected_bytes: u64,
        limit_bytes: u64,
    },
}

impl ClusterError {
    /// An error from before the first request.
    pub(super) fn client(source: kube::Error) -> Self {
        Self::request("connect to", "the cluster", source)
    }

    /// The failure of a request to `verb` the `subject`.
    pub fn request(verb: &'static str, subject: impl Into<String>, error: kube::Error) -> Self {
        Self::Request {
            verb,
            subject: subject.into(),
            error: Box::new(error),
        }
    }

    /// Whether a setting is wrong, rather than that something failed.
    pub fn is_wrong_use(&self) -> bool {
        matches!(
            self,
            Self::Configure { .. } | Self::NoJob { .. } | Self::JournalTooLong { .. }
        )
    }
}
