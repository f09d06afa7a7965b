//! What a run counts: the tasks write while they run, the end of the run reads once.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::windows::DropReason;

/// The counts of a finished run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages read from the source.
    pub read: u64,
    /// Reads that gave at least one message.
    pub read_batches: u64,
    /// Messages acknowledged to the source: only those that reached the buffer.
    pub acked: u64,
    /// Messages dropped as [`DropReason::LateMessage`].
    pub dropped_late: u64,
    /// Messages dropped as [`DropReason::OldMessage`].
    pub dropped_old: u64,
    /// Messages given to a window.
    pub delivered: u64,
    /// Windows opened.
    pub windows_opened: u64,
    /// Windows closed, with their results in the buffer before the sink.
    pub windows_closed: u64,
    /// Results of windows, closed or not.
    pub results: u64,
    /// Results that the sink has confirmed.
    pub sunk: u64,
    /// Results sent to the sink again because it answered that they failed.
    pub sink_retries: u64,
    /// Largest number of messages in the buffer between source and reduce.
    pub max_buffer_depth: u64,
}

/// The counters behind [`Counts`], shared by the tasks.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub read: AtomicU64,
    pub read_batches: AtomicU64,
    pub acked: AtomicU64,
    pub dropped_late: AtomicU64,
    pub dropped_old: AtomicU64,
    pub delivered: AtomicU64,
    pub windows_opened: AtomicU64,
    pub windows_closed: AtomicU64,
    pub results: AtomicU64,
    pub sunk: AtomicU64,
    pub sink_retries: AtomicU64,
    pub max_buffer_depth: AtomicU64,
}

impl Counts {
    /// Messages dropped for any reason.
    pub fn dropped(&self) -> u64 {
        self.dropped_late + self.dropped_old
    }
}

impl Counters {
    pub fn dropped(&self, reason: DropReason) -> &AtomicU64 {
        match reason {
            DropReason::LateMessage => &self.dropped_late,
            DropReason::OldMessage => &self.dropped_old,
        }
    }

    pub fn counts(&self) -> Counts {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            read: of(&self.read),
            read_batches: of(&self.read_batches),
            acked: of(&self.acked),
            dropped_late: of(&self.dropped_late),
            dropped_old: of(&self.dropped_old),
            delivered: of(&self.delivered),
            windows_opened: of(&self.windows_opened),
            windows_closed: of(&self.windows_closed),
            results: of(&self.results),
            sunk: of(&self.sunk),
            sink_retries: of(&self.sink_retries),
            max_buffer_depth: of(&self.max_buffer_depth),
        }
    }
}

/// Relaxed, because the counters are read only after the tasks have ended.
pub(crate) fn add(counter: &AtomicU64, by: usize) {
    counter.fetch_add(by as u64, Ordering::Relaxed);
}
