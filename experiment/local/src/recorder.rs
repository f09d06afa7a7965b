//! Records a running trial: windows closed and events dropped by the data plane, lines written by the sink. The engine
//! waits here until every window has its results.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use dataplane::{DropReason, Message, Observer, WindowClosed};
use engine::sequence::{Gap, Sequence, Taken};
use engine::windows::{self, ByWindow};
use tokio::io::{BufReader, Lines};
use tokio::process::ChildStdout;
use tokio::sync::Notify;
use wire::{EVENT_ID_HEADER, Ranges, SinkLine, event_number};

use crate::error::LocalError;

/// Shared by the data plane, the reader of the sink and the engine.
#[derive(Debug)]
pub(crate) struct Recorder {
    window_ms: u64,
    recorded: Mutex<Recorded>,
    changed: Notify,
}

/// The records so far, by the window's start in milliseconds since the epoch.
#[derive(Debug, Default, Clone)]
pub(crate) struct Recorded {
    /// Windows closed by the data plane.
    pub closings: BTreeMap<u64, Closing>,
    /// Lines written by the sink.
    pub arrivals: ByWindow,
    /// Events dropped by the data plane, by window and key.
    pub late: BTreeMap<(u64, String), Ranges>,
    /// Dropped messages that are not events of ours.
    pub late_undecoded: u64,
    sequence: Sequence,
}

/// The close of one window.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Closing {
    /// Events sent to the UDF.
    pub events: u64,
    pub results: u64,
    /// End of the input.
    pub half_close: Instant,
    /// End of the results.
    pub eof: Instant,
}

impl Recorded {
    /// Whether all results of a window have arrived at the sink.
    pub fn complete(&self, window_start_ms: u64) -> bool {
        let arrived = self
            .arrivals
            .get(&window_start_ms)
            .map_or(0, |arrivals| arrivals.lines);
        self.closings
            .get(&window_start_ms)
            .is_some_and(|closing| closing.results > 0 && arrived >= closing.results)
    }

    fn add_line(&mut self, line: SinkLine, window_ms: u64) -> Result<(), LocalError> {
        match self.sequence.take(line.process, line.line) {
            Ok(Taken::New) => windows::add_line(&mut self.arrivals, line, window_ms),
            // The output is read once, so a repeated number is an error.
            Ok(Taken::Repeated) => {
                return Err(LocalError::SinkRepeats { line: line.line });
            }
            Err(Gap { expected, found }) => return Err(LocalError::SinkGap { expected, found }),
        }
        Ok(())
    }

    fn add_drop(&mut self, message: &Message, window_ms: u64) {
        let id = message.headers.get(EVENT_ID_HEADER).map(String::as_str);
        match event_number(id, &message.payload) {
            Some(number) => {
                let event_ms = message.event_time_ms();
                let start_ms = event_ms - event_ms % window_ms.max(1);
                self.late
                    .entry((start_ms, message.keys.join(":")))
                    .or_default()
                    .insert(number);
            }
            None => self.late_undecoded += 1,
        }
    }
}

impl Recorder {
    pub fn new(window_ms: u64) -> Arc<Self> {
        Arc::new(Self {
            window_ms,
            recorded: Mutex::default(),
            changed: Notify::new(),
        })
    }

    /// A copy of the records so far.
    pub fn recorded(&self) -> Recorded {
        self.lock().clone()
    }

    /// Waits until all of `windows` (their starts) are complete. Calls `progress` with their number at every change.
    pub async fn complete(&self, windows: &[u64], progress: impl Fn(usize)) {
        loop {
            let changed = self.changed.notified();
            let closed = {
                let recorded = self.lock();
                windows
                    .iter()
                    .filter(|start_ms| recorded.complete(**start_ms))
                    .count()
            };
            progress(closed);
            if closed == windows.len() {
                return;
            }
            changed.await;
        }
    }

    /// Reads the sink's output to its end.
    ///
    /// # Errors
    /// Returns an error if a line cannot be parsed, is missing or is repeated.
    pub async fn read_sink(&self, mut lines: Lines<BufReader<ChildStdout>>) -> Result<(), LocalError> {
        while let Some(text) = lines.next_line().await.map_err(LocalError::SinkRead)? {
            let line = serde_json::from_str(&text).map_err(|source| LocalError::SinkLine { source })?;
            self.lock().add_line(line, self.window_ms)?;
            self.changed.notify_one();
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Recorded> {
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Recorder {
    fn dropped(&self, message: &Message, _reason: DropReason) {
        self.lock().add_drop(message, self.window_ms);
    }

    fn window_closed(&self, closed: &WindowClosed) {
        let mut recorded = self.lock();
        let closing = recorded.closings.entry(closed.start_ms).or_insert(Closing {
            events: 0,
            results: 0,
            half_close: closed.half_close,
            eof: closed.eof,
        });
        closing.events += closed.events;
        closing.results += closed.results;
        closing.eof = closed.eof;
        drop(recorded);
        self.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

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
            bytes: None,
        }
    }

    #[test]
    fn lines_belong_to_the_window_that_ends_with_them() {
        let mut recorded = Recorded::default();
        for (number, event_time_ms) in [(0, 10_999), (1, 10_999), (2, 11_999)] {
            recorded.add_line(line(number, event_time_ms), 1_000).unwrap();
        }
        let found: Vec<_> = recorded
            .arrivals
            .iter()
            .map(|(start, of)| (*start, of.lines, of.duplicates, of.last_us))
            .collect();
        assert_eq!(found, [(10_000, 2, 1, 41), (11_000, 1, 0, 42)]);
    }

    #[test]
    fn late_events_are_known_by_their_number_wherever_it_is() {
        let mut recorded = Recorded::default();
        let own = wire::Event {
            generator: 1,
            index: 8,
            number: 4,
            padding: String::new(),
        };
        let header = HashMap::from([(EVENT_ID_HEADER.to_owned(), wire::event_id(1, 6, 3))]);
        for (payload, headers) in [
            (own.encode().unwrap(), HashMap::new()),
            (b"{}".to_vec(), header),
            (b"{}".to_vec(), HashMap::new()),
        ] {
            let message = Message {
                payload,
                keys: vec!["a".to_owned()],
                event_time: std::time::UNIX_EPOCH + std::time::Duration::from_millis(10_500),
                headers,
                watermark_ms: 0,
                late: true,
            };
            recorded.add_drop(&message, 1_000);
        }
        let late = BTreeMap::from([((10_000, "a".to_owned()), Ranges::span(3, 4))]);
        assert_eq!((recorded.late, recorded.late_undecoded), (late, 1));
    }

    #[test]
    fn generator_and_data_plane_have_one_name_for_the_key_of_an_unkeyed_reduce() {
        assert_eq!(dataplane::config::NON_KEYED_STREAM, wire::UNKEYED);
    }

    #[test]
    fn a_missing_line_is_noticed() {
        let mut recorded = Recorded::default();
        recorded.add_line(line(0, 999), 1_000).unwrap();
        let gap = recorded.add_line(line(2, 999), 1_000);
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
        let recorder = Recorder::new(1_000);
        let closed = |start_ms: u64| {
            let now = Instant::now();
            recorder.window_closed(&WindowClosed {
                start_ms,
                end_ms: start_ms + 1_000,
                events: 5,
                results: 2,
                half_close: now,
                eof: now,
            });
        };
        let arrive = |number: u64, event_time_ms: i64| {
            recorder
                .lock()
                .add_line(line(number, event_time_ms), 1_000)
                .unwrap();
            recorder.changed.notify_one();
        };
        let progress = Mutex::new(Vec::new());
        let complete = recorder.complete(&[10_000, 11_000], |closed| progress.lock().unwrap().push(closed));
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
        assert!(recorder.recorded().complete(10_000) && !recorder.recorded().complete(12_000));
    }
}
