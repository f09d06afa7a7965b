//! When the calls of a window must have ended: a fixed time after the close of its first key, for all of its keys. The
//! SDK closes the keys one after another, so a later key has what is left of it.

use std::time::Duration;

use tokio::sync::SetOnce;
use tokio::time::Instant;

/// Cap for durations too large to add to an `Instant`.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3_600);

/// The close deadline of one window.
#[derive(Debug)]
pub(crate) struct Deadline {
    after: Duration,
    /// Set at the close of the window's first key.
    at: SetOnce<Instant>,
}

impl Deadline {
    pub(crate) fn new(after: Duration) -> Self {
        Self {
            after,
            at: SetOnce::new(),
        }
    }

    /// Counts from now on, unless it counts already.
    pub(crate) fn begin(&self) {
        // An error says that another key was the first.
        let _ = self.at.set(from_now(self.after));
    }

    /// Whether it counts and passes before `pause` is over.
    pub(crate) fn is_within(&self, pause: Duration) -> bool {
        self.at.get().is_some_and(|at| from_now(pause) >= *at)
    }

    /// Waits until it has passed.
    pub(crate) async fn passed(&self) {
        tokio::time::sleep_until(*self.at.wait().await).await;
    }
}

/// Now and this long, or a year from now if that overflows.
pub(crate) fn from_now(duration: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(duration).unwrap_or(now + LONGEST)
}
