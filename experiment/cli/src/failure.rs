//! The error of a command with its exit status.

use cluster::ClusterError;
use cluster::collect::CollectError;
use engine::EngineError;
use trials::journal::JournalError;

pub struct Failure {
    pub error: anyhow::Error,
    /// 1 for a failure, 2 for wrong use, 3 for a threshold that was not met, 128 and its number for a signal.
    pub exit: u8,
}

impl Failure {
    /// An error in the command line or in a given file.
    pub fn wrong_use(error: impl Into<anyhow::Error>) -> Self {
        Self::new(error, true)
    }

    fn new(error: impl Into<anyhow::Error>, wrong_use: bool) -> Self {
        Self {
            error: error.into(),
            exit: if wrong_use { 2 } else { 1 },
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::new(error, false)
    }
}

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Self {
        let wrong_use = error.is_wrong_use();
        Self::new(error, wrong_use)
    }
}

impl From<ClusterError> for Failure {
    fn from(error: ClusterError) -> Self {
        let wrong_use = error.is_wrong_use();
        Self::new(error, wrong_use)
    }
}

impl From<CollectError> for Failure {
    fn from(error: CollectError) -> Self {
        let wrong_use = error.is_wrong_use();
        Self::new(error, wrong_use)
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        let wrong_use = error.wrong_use;
        Self::new(error, wrong_use)
    }
}
