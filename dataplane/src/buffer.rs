//! The buffers between the vertices: their items, their room in bytes, and reading them in batches.

pub(crate) mod pull;
pub(crate) mod room;

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use self::room::Held;

/// An event on its way from the source to a window.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// The bytes that the source read, opaque to the data plane.
    pub payload: Vec<u8>,
    /// The keys given by the source.
    pub keys: Vec<String>,
    /// The event time given by the source.
    pub event_time: SystemTime,
    /// The headers given by the source.
    pub headers: HashMap<String, String>,
    /// The watermark of the message's read batch, in milliseconds since the epoch.
    pub watermark_ms: u64,
    /// Whether the message was older than the watermark when it was read.
    pub late: bool,
}

/// An item of the buffer between source and reduce.
#[derive(Debug)]
pub(crate) enum Item {
    /// An event, and its room until the UDF's call takes it.
    Event(Message, Held),
    /// The watermark of an idle source, in milliseconds since the epoch.
    Watermark(u64),
}

/// An item of the buffer between reduce and sink: a result of a window.
#[derive(Debug)]
pub(crate) struct Emitted {
    /// Unique over the run.
    pub id: String,
    pub keys: Vec<String>,
    pub payload: Vec<u8>,
    /// Event time and watermark, in milliseconds since the epoch.
    pub event_time_ms: u64,
}

impl Message {
    /// The event time in whole milliseconds since the epoch.
    pub fn event_time_ms(&self) -> u64 {
        epoch_ms(self.event_time)
    }

    /// What it takes of a buffer's room: payload, keys and headers.
    pub(crate) fn bytes(&self) -> usize {
        let headers = self.headers.iter().map(|(name, value)| name.len() + value.len());
        self.payload.len() + self.keys.iter().map(String::len).sum::<usize>() + headers.sum::<usize>()
    }
}

impl Emitted {
    /// What it takes of a buffer's room: payload and keys.
    pub fn bytes(&self) -> usize {
        self.payload.len() + self.keys.iter().map(String::len).sum::<usize>()
    }
}

/// Whole milliseconds since the epoch, 0 before it.
pub(crate) fn epoch_ms(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, crate::config::millis)
}

/// The protobuf form of a time in milliseconds since the epoch.
pub(crate) fn timestamp(time_ms: u64) -> prost_types::Timestamp {
    (UNIX_EPOCH + Duration::from_millis(time_ms)).into()
}
