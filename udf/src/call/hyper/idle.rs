//! Connections that wait for their next request.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::connection::Connection;
use crate::call::http::IDLE_TIMEOUT;

/// Within this time nobody looks whether a connection's end has come.
const FRESH: Duration = Duration::from_millis(1);

/// The unused connections of one runtime; as many as calls were in flight at once.
#[derive(Default)]
pub(super) struct Idle {
    /// The latest used is taken first, so that those above what is needed grow old.
    connections: Mutex<Vec<(Connection, Instant)>>,
}

impl Idle {
    /// An unused connection. Its peer may have closed it; the connection knows that before it sends.
    pub(super) async fn take(&self) -> Option<Connection> {
        let (connection, unused) = self.latest()?;
        if unused > FRESH {
            // A lane's runtime learns what has happened to its sockets only when it waits.
            tokio::task::yield_now().await;
        }
        Some(connection)
    }

    fn latest(&self) -> Option<(Connection, Duration)> {
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

    /// Keeps a connection whose answer has been read, unless it is closed.
    pub(super) async fn put_back(&self, mut connection: Connection) {
        if connection.reusable().await {
            self.lock().push((connection, Instant::now()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Connection, Instant)>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
