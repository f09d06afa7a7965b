//! Why something in the cluster could not be done, each in one line for the user.

use std::time::Duration;

use wire::format_duration;

use super::api_error::describe_error;

/// Why something in the cluster could not be done.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// There is no usable configuration.
    #[error("{setting}: {what}; {advice}")]
    Configure {
        /// Which setting is wrong.
        setting: &'static str,
        /// What is wrong with it.
        what: String,
        /// What to do.
        advice: &'static str,
    },
    /// The API server did not do what was asked.
    #[error("cannot {doing} {subject}: {}", describe_error(said))]
    Request {
        /// What was being done, such as `delete`.
        doing: &'static str,
        /// To what, such as `Pipeline x`.
        subject: String,
        /// What the client said; no source, as the sentence tells it already.
        said: Box<kube::Error>,
    },
    /// The Job that was named is not there.
    #[error("--job: no Job `{name}` in namespace `{namespace}`{found}")]
    NoJob {
        /// The name or prefix that was given.
        name: String,
        /// Where it was looked for.
        namespace: String,
        /// What was found instead, as the rest of the sentence.
        found: String,
    },
    /// Another run has the Lease, or nobody.
    #[error(
        "the Lease `{lease}` of this run {how}: another run may already be removing what this one created, so it stops"
    )]
    LeaseLost {
        /// Its name.
        lease: String,
        /// How it was lost.
        how: String,
    },
    /// Something was still there when the time was up.
    #[error("still there after {}: {left}; {advice}", format_duration(*within))]
    Remains {
        /// How long was waited.
        within: Duration,
        /// What is left.
        left: String,
        /// What to do.
        advice: &'static str,
    },
    /// The run's journal would be too long for a container's log.
    #[error(
        "the journal of {trials} trials may take {expected_bytes} bytes, more than the {limit_bytes} that a container's log is sure to keep: split the plan, or run it from outside the cluster"
    )]
    JournalTooLong {
        /// Trials of the plan.
        trials: usize,
        /// Bytes that they may take.
        expected_bytes: u64,
        /// Bytes that a journal may have.
        limit_bytes: u64,
    },
}

impl ClusterError {
    /// What [`kube::Client`] says before anything has been asked.
    pub(super) fn client(source: kube::Error) -> Self {
        Self::request("connect to", "the cluster", source)
    }

    /// An answer to `doing` (a verb) on `subject`.
    pub fn request(doing: &'static str, subject: impl Into<String>, source: kube::Error) -> Self {
        Self::Request {
            doing,
            subject: subject.into(),
            said: Box::new(source),
        }
    }

    /// Whether a setting is wrong, in contrast to something that failed.
    pub fn is_wrong_use(&self) -> bool {
        matches!(
            self,
            Self::Configure { .. } | Self::NoJob { .. } | Self::JournalTooLong { .. }
        )
    }
}
