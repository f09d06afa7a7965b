//! Connections that wait for their next request.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use wire::Outcome;

use super::Failure;
use super::answer::Answer;
use crate::call::http::IDLE_TIMEOUT;

/// Within this time nobody asks the system whether a connection's end has come.
pub(super) const FRESH: Duration = Duration::from_millis(1);

/// Unused connections; as many as calls were in flight at once.
pub(super) struct Idle<C> {
    /// The latest used is taken first, so that those above what is needed grow old.
    connections: Mutex<Vec<(C, Instant)>>,
}

impl<C> Default for Idle<C> {
    fn default() -> Self {
        Self {
            connections: Mutex::default(),
        }
    }
}

impl<C> Idle<C> {
    /// An unused connection, which its peer may have closed, and for how long it was unused.
    pub(super) fn take(&self) -> Option<(C, Duration)> {
        let mut connections = self.lock();
        let (connection, since) = connections.pop()?;
        let unused = since.elapsed();
        if unused > IDLE_TIMEOUT {
            // Those below have waited even longer.
            connections.clear();
            return None;
        }
        Some((connection, unused))
    }

    /// What came of a call; its connection is kept where it can carry another request.
    pub(super) fn ended(&self, connection: C, exchanged: Result<Answer, Failure>) -> Outcome {
        match exchanged {
            Ok(answer) => {
                if answer.reusable {
                    self.lock().push((connection, Instant::now()));
                }
                answer.outcome()
            }
            Err(failure) => failure.outcome(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(C, Instant)>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
