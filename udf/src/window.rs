//! What the keys of one window share. The SDK creates a reducer for each key and window and closes the keys one after
//! another, so the close of the first key must open all of them.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use wire::Outcome;

use crate::deadline::Deadline;
use crate::metrics::{GaugeGuard, Metrics};

/// One window, shared by its keys.
#[derive(Debug)]
pub struct Window {
    /// Cancelled when the calls that wait for close of book may begin.
    open: CancellationToken,
    /// When its calls must have ended, if they must.
    deadline: Option<Arc<Deadline>>,
    start_ms: i64,
    failures: Mutex<BTreeMap<Outcome, Failures>>,
    _open_windows: GaugeGuard,
}

/// The events of a window that ended with the same outcome, not a good one.
#[derive(Debug, Default)]
struct Failures {
    count: u64,
    /// The first that is known.
    cause: Option<Box<str>>,
}

impl Window {
    /// Lets the calls of all keys begin that wait for close of book.
    pub fn open(&self) {
        self.open.cancel();
    }

    /// Notes the close of a key, which opens the others and, of the first key, begins the deadline.
    pub(crate) fn close(&self) {
        self.open();
        if let Some(deadline) = &self.deadline {
            deadline.begin();
        }
    }

    pub(crate) fn deadline(&self) -> Option<&Arc<Deadline>> {
        self.deadline.as_ref()
    }

    /// Waits until its calls must have ended; for ever if it has no deadline.
    pub(crate) async fn deadline_passed(&self) {
        match &self.deadline {
            Some(deadline) => deadline.passed().await,
            None => std::future::pending().await,
        }
    }

    /// Waits until the calls that wait for close of book may begin.
    pub async fn opened(&self) {
        self.open.cancelled().await;
    }

    /// Notes events of a key that ended with this outcome, which is not a good one.
    pub(crate) fn failed(&self, outcome: Outcome, count: u64, cause: Option<Box<str>>) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let failures = failures.entry(outcome).or_default();
        failures.count += count;
        failures.cause = failures.cause.take().or(cause);
    }
}

/// Warns once of each kind of failure, after the last key: an endpoint that is away must not fill the log.
impl Drop for Window {
    fn drop(&mut self) {
        let failures = self.failures.get_mut().unwrap_or_else(PoisonError::into_inner);
        for (outcome, Failures { count, cause }) in failures {
            let cause = cause.as_deref().unwrap_or("not known");
            let what = match outcome {
                Outcome::OwnLimit => {
                    "calls failed for lack of this process's own descriptors, ports, memory or threads"
                }
                Outcome::Missed => "events had not ended at their window's close deadline",
                _ => "calls failed",
            };
            tracing::warn!(window_start_ms = self.start_ms, %outcome, count, cause, "{what}");
        }
    }
}

/// The windows that have a reducer. A window is owned by its reducers and removed after the last one.
#[derive(Debug)]
pub struct Windows {
    metrics: Arc<Metrics>,
    /// How long after the close of its first key the calls of a window may last.
    close_deadline: Option<Duration>,
    by_interval: Mutex<HashMap<(i64, i64), Weak<Window>>>,
}

impl Windows {
    /// Creates an empty set.
    pub fn new(metrics: Arc<Metrics>, close_deadline: Option<Duration>) -> Self {
        Self {
            metrics,
            close_deadline,
            by_interval: Mutex::default(),
        }
    }

    /// Returns the window of an interval, in milliseconds since the epoch, and creates it for its first key.
    pub fn enter(&self, start_ms: i64, end_ms: i64) -> Arc<Window> {
        let mut windows = self.by_interval.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(window) = windows.get(&(start_ms, end_ms)).and_then(Weak::upgrade) {
            return window;
        }
        windows.retain(|_, window| window.strong_count() > 0);
        let window = Arc::new(Window {
            open: CancellationToken::new(),
            deadline: self.close_deadline.map(Deadline::new).map(Arc::new),
            start_ms,
            failures: Mutex::default(),
            _open_windows: GaugeGuard::new(&self.metrics.windows_open),
        });
        windows.insert((start_ms, end_ms), Arc::downgrade(&window));
        window
    }

    /// Lets all waiting calls of all windows begin.
    pub fn open_all(&self) {
        let windows = self.by_interval.lock().unwrap_or_else(PoisonError::into_inner);
        windows
            .values()
            .filter_map(Weak::upgrade)
            .for_each(|window| window.open());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::metrics;

    #[test]
    fn keys_of_a_window_share_it_and_it_is_forgotten_with_the_last() {
        let metrics = metrics();
        let windows = Windows::new(Arc::clone(&metrics), None);
        let first = windows.enter(0, 10);
        assert!(Arc::ptr_eq(&first, &windows.enter(0, 10)));
        let other = windows.enter(10, 20);
        assert!(!Arc::ptr_eq(&first, &other));
        assert_eq!(metrics.windows_open.get(), 2);
        drop(first);
        assert_eq!(metrics.windows_open.get(), 1);
        windows.enter(20, 30);
        assert_eq!(windows.by_interval.lock().unwrap().len(), 2);
    }
}
