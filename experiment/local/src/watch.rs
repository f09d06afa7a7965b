//! What a trial shows while it runs: windows closed and events dropped by the data plane, records that reached the
//! sink. Both sides write here; the engine waits for the moment when every window has given its results.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use dataplane::{DropReason, Message, Observer, WindowClosed};
use tokio::io::{BufReader, Lines};
use tokio::process::ChildStdout;
use tokio::sync::Notify;
use wire::{Event, Ranges, SinkLine};

use super::LocalError;
use ::engine::sequence::{Gap, Sequence, Taken};
use ::engine::windows::{self, ByWindow};

/// Collects; shared by the data plane, the reader of the sink and the engine.
#[derive(Debug)]
pub(super) struct Watch {
    window_ms: u64,
    seen: Mutex<Seen>,
    changed: Notify,
}

/// What has been seen so far; by the start of the window, milliseconds since the epoch.
#[derive(Debug, Default, Clone)]
pub(super) struct Seen {
    /// Windows that the data plane has closed.
    pub closings: BTreeMap<u64, Closing>,
    /// What the sink has written.
    pub arrivals: ByWindow,
    /// Events that the data plane dropped, by window and key.
    pub late: BTreeMap<(u64, String), Ranges>,
    /// Dropped messages that are no event of ours.
    pub late_undecoded: u64,
    sequence: Sequence,
}

/// The close of one window by the data plane.
#[derive(Debug, Clone, Copy)]
pub(super) struct Closing {
    /// Events it was given.
    pub events: u64,
    /// Results it gave.
    pub results: u64,
    /// When the data plane ended its input.
    pub half_close: Instant,
    /// When its last result had come.
    pub eof: Instant,
}

impl Seen {
    /// Whether a window has given all its results and the sink has them.
    pub fn complete(&self, window_start_ms: u64) -> bool {
        let arrived = self
            .arrivals
            .get(&window_start_ms)
            .map_or(0, |arrivals| arrivals.lines);
        self.closings
            .get(&window_start_ms)
            .is_some_and(|closing| closing.results > 0 && arrived >= closing.results)
    }

    fn arrive(&mut self, line: SinkLine, window_ms: u64) -> Result<(), LocalError> {
        match self.sequence.take(line.process, line.line) {
            Ok(Taken::New) => windows::arrive(&mut self.arrivals, line, window_ms),
            // Nothing is read twice here, so neither should a number come twice.
            Ok(Taken::Repeated) => {
                return Err(LocalError::SinkRepeats { line: line.line });
            }
            Err(Gap { expected, found }) => return Err(LocalError::SinkGap { expected, found }),
        }
        Ok(())
    }

    fn drop_event(&mut self, message: &Message, window_ms: u64) {
        match Event::decode(&message.payload) {
            Ok(event) => {
                let event_ms = message.event_time_ms();
                let start_ms = event_ms - event_ms % window_ms.max(1);
                self.late
                    .entry((start_ms, message.keys.join(":")))
                    .or_default()
                    .insert(event.number);
            }
            Err(_) => self.late_undecoded += 1,
        }
    }
}

impl Watch {
    /// For windows of `window_ms` milliseconds.
    pub fn new(window_ms: u64) -> Arc<Self> {
        Arc::new(Self {
            window_ms,
            seen: Mutex::default(),
            changed: Notify::new(),
        })
    }

    /// What has been seen so far.
    pub fn seen(&self) -> Seen {
        self.lock().clone()
    }

    /// Waits until all of `windows` (their starts) are complete; `progress` hears how many are at every change.
    pub async fn complete(&self, windows: &[u64], progress: impl Fn(usize)) {
        loop {
            let changed = self.changed.notified();
            let closed = {
                let seen = self.lock();
                windows
                    .iter()
                    .filter(|start_ms| seen.complete(**start_ms))
                    .count()
            };
            progress(closed);
            if closed == windows.len() {
                return;
            }
            changed.await;
        }
    }

    /// Reads what the sink writes, until it ends.
    ///
    /// # Errors
    /// Where a line is none of a sink's, or one is missing.
    pub async fn read_sink(&self, mut lines: Lines<BufReader<ChildStdout>>) -> Result<(), LocalError> {
        while let Some(text) = lines.next_line().await.map_err(LocalError::SinkRead)? {
            let line = serde_json::from_str(&text).map_err(|source| LocalError::SinkLine { source })?;
            self.lock().arrive(line, self.window_ms)?;
            self.changed.notify_one();
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Watch {
    fn dropped(&self, message: &Message, _reason: DropReason) {
        self.lock().drop_event(message, self.window_ms);
    }

    fn window_closed(&self, closed: &WindowClosed) {
        let mut seen = self.lock();
        let closing = seen.closings.entry(closed.start_ms).or_insert(Closing {
            events: 0,
            results: 0,
            half_close: closed.half_close,
            eof: closed.eof,
        });
        closing.events += closed.events;
        closing.results += closed.results;
        closing.eof = closed.eof;
        drop(seen);
        self.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(line: u64, event_time_ms: i64) -> SinkLine {
        SinkLine {
            process: 1,
            line,
            arrival_us: 40 + line,
            id: format!("id-{line}"),
            keys: Vec::new(),
            event_time_ms,
            duplicate: line == 1,
            record: None,
            text: Some("done".to_owned()),
        }
    }

    #[test]
    fn lines_belong_to_the_window_that_ends_with_them() {
        let mut seen = Seen::default();
        for (number, event_time_ms) in [(0, 10_999), (1, 10_999), (2, 11_999)] {
            seen.arrive(line(number, event_time_ms), 1_000).unwrap();
        }
        let found: Vec<_> = seen
            .arrivals
            .iter()
            .map(|(start, of)| (*start, of.lines, of.duplicates, of.last_us))
            .collect();
        assert_eq!(found, [(10_000, 2, 1, 41), (11_000, 1, 0, 42)]);
    }

    #[test]
    fn a_missing_line_is_noticed() {
        let mut seen = Seen::default();
        seen.arrive(line(0, 999), 1_000).unwrap();
        let gap = seen.arrive(line(2, 999), 1_000);
        assert!(matches!(
            gap,
            Err(LocalError::SinkGap {
                expected: 1,
                found: 2
            })
        ));
    }

    #[tokio::test]
    async fn a_trial_is_complete_when_every_window_has_all_its_results() {
        let watch = Watch::new(1_000);
        let closed = |start_ms: u64| {
            let now = Instant::now();
            watch.window_closed(&WindowClosed {
                start_ms,
                end_ms: start_ms + 1_000,
                events: 5,
                results: 2,
                half_close: now,
                eof: now,
            });
        };
        let arrive = |number: u64, event_time_ms: i64| {
            watch.lock().arrive(line(number, event_time_ms), 1_000).unwrap();
            watch.changed.notify_one();
        };
        let progress = Mutex::new(Vec::new());
        let complete = watch.complete(&[10_000, 11_000], |closed| progress.lock().unwrap().push(closed));
        let happen = async {
            for (start_ms, first) in [(10_000, 0), (11_000, 2)] {
                closed(start_ms);
                tokio::task::yield_now().await;
                for number in [first, first + 1] {
                    arrive(number, start_ms as i64 + 999);
                    tokio::task::yield_now().await;
                }
            }
        };
        tokio::join!(complete, happen);
        let mut progress = progress.into_inner().unwrap();
        progress.dedup();
        assert_eq!(progress, [0, 1, 2]);
        assert!(watch.seen().complete(10_000) && !watch.seen().complete(12_000));
    }
}
