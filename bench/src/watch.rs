//! What is seen of a pipeline: windows that closed, and what their results tell.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dataplane::{Observer, WindowClosed};
use tokio::io::{BufReader, Lines};
use tokio::process::ChildStdout;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::error::BenchError;

/// How long a result may be on its way from the data plane to the sink.
const ON_ITS_WAY: Duration = Duration::from_secs(3);

/// A window that closed.
#[derive(Debug, Clone, Copy)]
pub struct Closed {
    /// Its events.
    pub events: u64,
    /// Its results.
    pub results: u64,
    /// From the end of its input to the end of its results, by the data plane's clock.
    pub tail: Duration,
    /// The end of its results.
    pub eof: Instant,
}

/// What is seen so far.
#[derive(Debug, Default)]
pub struct Watch {
    seen: Mutex<Seen>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Seen {
    closed: Vec<Closed>,
    /// By the results: lines, events, and those that ended well.
    lines: u64,
    told: u64,
    ok: u64,
}

/// What every UDF's result has, ours as a record and the peers' as text.
#[derive(Debug, serde::Deserialize)]
struct PeerResult {
    events: u64,
    ok: u64,
}

impl Watch {
    /// Windows closed so far.
    pub fn count(&self) -> usize {
        self.lock().closed.len()
    }

    /// Windows from `first` to before `last`, by their order of closing.
    pub fn closed(&self, first: usize, last: usize) -> Vec<Closed> {
        self.lock().closed.get(first..last).unwrap_or_default().to_vec()
    }

    /// When the window of that number had closed.
    pub fn eof(&self, number: usize) -> Instant {
        self.lock()
            .closed
            .get(number)
            .map_or_else(Instant::now, |closed| closed.eof)
    }

    /// Waits until at least `count` windows have closed; says how many have.
    pub async fn until(&self, count: usize) -> usize {
        loop {
            let changed = self.changed.notified();
            let closed = self.count();
            if closed >= count {
                return closed;
            }
            changed.await;
        }
    }

    /// Waits until the results of all windows closed by now have come, and compares them with what was sent.
    ///
    /// # Errors
    /// Where they do not come, or do not tell of every event as ended well.
    pub async fn told_all(&self) -> Result<(), BenchError> {
        let (results, windows) = {
            let seen = self.lock();
            (
                seen.closed.iter().map(|closed| closed.results).sum::<u64>(),
                seen.closed.len(),
            )
        };
        let arrived = async {
            loop {
                let changed = self.changed.notified();
                if self.lock().lines >= results {
                    return;
                }
                changed.await;
            }
        };
        let _ = timeout(ON_ITS_WAY, arrived).await;
        let seen = self.lock();
        // Windows that close meanwhile may be told already, one of them before it is seen here; those above must be.
        let at_least: u64 = seen.closed[..windows].iter().map(|closed| closed.events).sum();
        let largest = seen.closed.iter().map(|closed| closed.events).max();
        let at_most = seen.closed.iter().map(|closed| closed.events).sum::<u64>() + largest.unwrap_or(0);
        if !(at_least..=at_most).contains(&seen.told) || seen.ok != seen.told {
            return Err(BenchError::Counts {
                sent: at_least,
                told: seen.told,
                ok: seen.ok,
            });
        }
        Ok(())
    }

    /// Reads what the sink writes until it ends.
    pub async fn read(&self, stdout: Option<Lines<BufReader<ChildStdout>>>) {
        let Some(mut lines) = stdout else { return };
        while let Ok(Some(line)) = lines.next_line().await {
            let Ok(line) = serde_json::from_str::<wire::SinkLine>(&line) else {
                continue;
            };
            let text = line.text.and_then(|text| serde_json::from_str(&text).ok());
            let result = match (&line.record, text) {
                (Some(record), _) => PeerResult {
                    events: record.events,
                    ok: record.ok(),
                },
                (None, Some(result)) => result,
                (None, None) => PeerResult { events: 0, ok: 0 },
            };
            let mut seen = self.lock();
            seen.lines += 1;
            seen.told += result.events;
            seen.ok += result.ok;
            drop(seen);
            self.changed.notify_waiters();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Watch {
    fn window_closed(&self, closed: &WindowClosed) {
        self.lock().closed.push(Closed {
            events: closed.events,
            results: closed.results,
            tail: closed.eof.saturating_duration_since(closed.half_close),
            eof: closed.eof,
        });
        self.changed.notify_waiters();
    }
}
