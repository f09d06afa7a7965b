//! Connections that wait for their next request.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A connection that was unused for no longer than this is used without looking for what has arrived since.
pub(super) const FRESH: Duration = Duration::from_millis(1);

/// Unused connections: never more than calls were in flight at once, as a new one is opened only when none is here.
pub(super) struct Idle<C> {
    /// The latest used is at the back and taken first, so that those above what is needed grow old at the front.
    connections: Mutex<VecDeque<(C, Instant)>>,
    /// How long one may stay unused.
    timeout: Duration,
}

impl<C> Idle<C> {
    pub(super) fn new(timeout: Duration) -> Self {
        Self {
            connections: Mutex::default(),
            timeout,
        }
    }

    /// An unused connection, which its peer may have closed, and for how long it was unused.
    pub(super) fn take(&self) -> Option<(C, Duration)> {
        let mut connections = self.lock();
        let (connection, since) = connections.pop_back()?;
        let unused = since.elapsed();
        if unused > self.timeout {
            // Those before it have waited even longer.
            connections.clear();
            return None;
        }
        Some((connection, unused))
    }

    /// Keeps a connection, and closes those that have been unused for too long.
    pub(super) fn put(&self, connection: C) {
        let now = Instant::now();
        let mut connections = self.lock();
        connections.push_back((connection, now));
        while let Some((_, since)) = connections.front()
            && now.duration_since(*since) > self.timeout
        {
            connections.pop_front();
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(C, Instant)>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
