//! Windows and results of a pipeline while it runs.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dataplane::{Observer, WindowClosed};
use tokio::io::{BufReader, Lines};
use tokio::process::ChildStdout;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::error::BenchError;

/// How long a result may take from the data plane to the sink.
const RESULT_TIMEOUT: Duration = Duration::from_secs(3);

/// What the endpoint answers as the service of `examples/score`, and so the mean of a window.
pub const SCORE: f64 = 0.5;

/// A closed window.
#[derive(Debug, Clone, Copy)]
pub struct Closed {
    pub events: u64,
    pub results: u64,
    /// From the end of its input to the end of its results, by the data plane's clock.
    pub tail: Duration,
    /// When its results ended.
    pub eof: Instant,
}

/// Windows and results so far.
#[derive(Debug, Default)]
pub struct Watch {
    seen: Mutex<Seen>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Seen {
    closed: Vec<Closed>,
    /// From the results: lines, events, and events that succeeded.
    lines: u64,
    reported: u64,
    ok: u64,
}

/// What every UDF's result contains.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    events: u64,
    ok: u64,
}

/// A result that is no record.
#[derive(Debug, serde::Deserialize)]
#[serde(untagged)]
enum Message {
    /// Of the peers.
    Peer { events: u64, ok: u64 },
    /// Of `examples/score` and its peers.
    Score { mean: f64, scored: u64, failed: u64 },
}

impl Counts {
    fn of(line: &wire::SinkLine) -> Self {
        if let Some(record) = &line.record {
            let (events, ok) = (record.events, record.ok());
            return Self { events, ok };
        }
        let text = line.text.as_deref();
        match text.and_then(|text| serde_json::from_str(text).ok()) {
            Some(Message::Peer { events, ok }) => Self { events, ok },
            Some(Message::Score { mean, scored, failed }) => Self {
                events: scored + failed,
                ok: if (mean - SCORE).abs() < 1e-9 { scored } else { 0 },
            },
            None => Self::default(),
        }
    }
}

impl Watch {
    /// Number of windows closed so far.
    pub fn count(&self) -> usize {
        self.lock().closed.len()
    }

    /// The windows from `first` to before `last`, in order of closing.
    pub fn closed(&self, first: usize, last: usize) -> Vec<Closed> {
        self.lock().closed.get(first..last).unwrap_or_default().to_vec()
    }

    /// When the results of this window ended, by its order of closing.
    pub fn eof(&self, number: usize) -> Instant {
        self.lock()
            .closed
            .get(number)
            .map_or_else(Instant::now, |closed| closed.eof)
    }

    /// Waits until at least `count` windows have closed; returns how many have.
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

    /// Waits for the results of all windows closed so far, and compares them with what was sent.
    pub async fn await_results(&self) -> Result<(), BenchError> {
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
        let _ = timeout(RESULT_TIMEOUT, arrived).await;
        let seen = self.lock();
        // Windows may close meanwhile, and their results may arrive, one of them even before its close is seen here;
        // the results of those counted above must be there.
        let at_least: u64 = seen.closed[..windows].iter().map(|closed| closed.events).sum();
        let largest = seen.closed.iter().map(|closed| closed.events).max();
        let at_most = seen.closed.iter().map(|closed| closed.events).sum::<u64>() + largest.unwrap_or(0);
        if !(at_least..=at_most).contains(&seen.reported) || seen.ok != seen.reported {
            return Err(BenchError::Counts {
                sent: at_least,
                reported: seen.reported,
                ok: seen.ok,
            });
        }
        Ok(())
    }

    /// Reads the sink's lines until its output ends.
    pub async fn read(&self, stdout: Option<Lines<BufReader<ChildStdout>>>) {
        let Some(mut lines) = stdout else { return };
        while let Ok(Some(line)) = lines.next_line().await {
            let Ok(line) = serde_json::from_str::<wire::SinkLine>(&line) else {
                continue;
            };
            let result = Counts::of(&line);
            let mut seen = self.lock();
            seen.lines += 1;
            seen.reported += result.events;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(text: &str) -> Counts {
        Counts::of(&wire::SinkLine {
            process: 0,
            line: 0,
            arrival_us: 0,
            id: String::new(),
            keys: Vec::new(),
            event_time_ms: 0,
            duplicate: false,
            record: None,
            text: Some(text.to_owned()),
            bytes: None,
        })
    }

    #[test]
    fn results_of_every_peer_are_counted() {
        let all = Counts { events: 7, ok: 6 };
        assert_eq!(counts(r#"{"events":7,"ok":6}"#), all);
        assert_eq!(counts(r#"{"mean": 0.5, "scored": 6, "failed": 1}"#), all);
        assert_eq!(counts("something else"), Counts::default());
    }

    #[test]
    fn a_wrong_mean_is_no_success() {
        let wrong = counts(r#"{"mean":0.6,"scored":7,"failed":0}"#);
        assert_eq!(wrong, Counts { events: 7, ok: 0 });
    }
}
