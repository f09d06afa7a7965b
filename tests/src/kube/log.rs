//! The log of one container: lines with the time they were written, which any number of readers can follow.

use std::sync::Mutex;

use chrono::{DateTime, Utc};
use tokio::sync::watch;

use super::{lock, now};

/// A container's log. It only grows, and ends with its container.
#[derive(Debug)]
pub struct Log {
    lines: Mutex<Vec<(DateTime<Utc>, String)>>,
    state: watch::Sender<State>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct State {
    pub lines: usize,
    pub ended: bool,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            lines: Mutex::default(),
            state: watch::Sender::new(State::default()),
        }
    }
}

impl Log {
    pub fn push(&self, line: &str) {
        let mut lines = lock(&self.lines);
        lines.push((now(), line.to_owned()));
        let count = lines.len();
        self.state.send_modify(|state| state.lines = count);
    }

    /// No line will follow.
    pub fn end(&self) {
        self.state.send_modify(|state| state.ended = true);
    }

    pub(super) fn lines(&self) -> Vec<(DateTime<Utc>, String)> {
        lock(&self.lines).clone()
    }

    pub(super) fn line(&self, position: usize) -> Option<(DateTime<Utc>, String)> {
        lock(&self.lines).get(position).cloned()
    }

    pub(super) fn state(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }
}

/// Whether a line of the sink is a record and not one of the sink's own messages.
pub(super) fn is_record(line: &str) -> bool {
    line.starts_with('{') && !line.contains("\"listening\"")
}
