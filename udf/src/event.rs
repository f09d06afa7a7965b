//! One event of a window, as calls and aggregates see it. Cloning it copies no payload.

mod fnv;
mod headers;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::call_error::CallError;

use fnv::Fnv;
pub(crate) use headers::PackedHeaders;

/// The watermark that stands for none.
const NO_WATERMARK_MS: i64 = -1;

/// Longest text of a payload that is used as an idempotency key as it is; a longer one is hashed.
const MAX_KEY_BYTES: usize = 128;

/// The headers of a message.
pub type Headers = HashMap<String, String>;

/// A window of time: `[start, end)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Its first instant.
    pub start: DateTime<Utc>,
    /// The first instant after it.
    pub end: DateTime<Utc>,
}

/// One event of a window.
///
/// # Examples
/// ```
/// use async_reduce::Event;
///
/// #[derive(serde::Deserialize)]
/// struct Payment { amount: f64 }
///
/// let event = Event::new(r#"{"amount": 12.5}"#).with_keys(["u1"]);
/// assert_eq!(event.json::<Payment>().unwrap().amount, 12.5);
/// assert_eq!((event.keys(), event.watermark()), (&["u1".to_owned()][..], None));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Event {
    pub(crate) place: Arc<Place>,
    pub(crate) payload: Bytes,
    pub(crate) meta: Meta,
    pub(crate) reconnects: Reconnects,
}

/// Counts requests that were sent once more within their attempt, over a fresh connection. It belongs to the event, not to
/// the answer of a call, as a call that is dropped at its timeout has no answer.
#[derive(Debug, Default)]
pub(crate) struct Reconnects(AtomicU32);

/// What all events of a key and window have in common.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) keys: Arc<[String]>,
    pub(crate) window: Window,
    /// Where a payload has the text that identifies it: a JSON pointer.
    pub(crate) event_id: Option<Arc<str>>,
}

/// What an event has beside its payload.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) headers: Option<PackedHeaders>,
    /// Of a payload that the experiment's generator made, if it was decoded at its arrival.
    pub(crate) id: Option<EventId>,
    pub(crate) event_time_ns: i64,
    pub(crate) watermark_ms: i64,
    pub(crate) position: u32,
}

/// Names an event among all of its generator's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventId {
    /// Nonce of the generator's process.
    pub generator: u64,
    /// Number among all events of the generator.
    pub index: u64,
}

impl Reconnects {
    pub(crate) fn add(&self, count: u32) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Clone for Reconnects {
    fn clone(&self) -> Self {
        Self(self.get().into())
    }
}

impl PartialEq for Reconnects {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl Eq for Reconnects {}

impl Event {
    /// An event with this payload and nothing else, for tests of one's own calls and aggregates.
    pub fn new(payload: impl Into<Bytes>) -> Self {
        let window = Window {
            start: DateTime::UNIX_EPOCH,
            end: DateTime::UNIX_EPOCH,
        };
        let payload = payload.into();
        Self {
            place: Arc::new(Place {
                keys: Arc::from([]),
                window,
                event_id: None,
            }),
            payload,
            meta: Meta {
                headers: None,
                id: None,
                event_time_ns: 0,
                watermark_ms: NO_WATERMARK_MS,
                position: 0,
            },
            reconnects: Reconnects::default(),
        }
    }

    /// The same with these keys.
    #[must_use]
    pub fn with_keys<K: Into<String>>(mut self, keys: impl IntoIterator<Item = K>) -> Self {
        self.place = Arc::new(Place {
            keys: keys.into_iter().map(Into::into).collect(),
            window: self.place.window,
            event_id: self.place.event_id.clone(),
        });
        self
    }

    /// The same with these headers.
    #[must_use]
    pub fn with_headers(mut self, headers: Headers) -> Self {
        self.meta.headers = PackedHeaders::of(&headers);
        self
    }

    /// The same at this time.
    #[must_use]
    pub fn with_event_time(mut self, time: DateTime<Utc>) -> Self {
        self.meta.event_time_ns = nanos(time);
        self
    }

    /// The keys of its window.
    pub fn keys(&self) -> &[String] {
        &self.place.keys
    }

    /// The message's payload.
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// Reads the payload as JSON.
    ///
    /// # Errors
    /// Returns an error of the kind `bad-input`, which is not tried again, if the payload is no JSON of this type.
    pub fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, CallError> {
        serde_json::from_slice(&self.payload).map_err(|error| {
            // Without the error's text, which quotes the payload.
            let (class, line, column) = (error.classify(), error.line(), error.column());
            CallError::bad_input(format_args!("{class:?} error in line {line}, column {column}"))
        })
    }

    /// A header of the message. Numaflow does not keep headers when it replays its file after a restart.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.meta.headers.as_ref()?.get(name)
    }

    /// All headers of the message, in no order.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.meta.headers.iter().flat_map(|headers| headers.iter())
    }

    /// When it happened, by its source.
    pub fn event_time(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_nanos(self.meta.event_time_ns)
    }

    /// The watermark when it was read; `None` while Numaflow knows none.
    pub fn watermark(&self) -> Option<DateTime<Utc>> {
        match self.meta.watermark_ms {
            NO_WATERMARK_MS => None,
            ms => DateTime::from_timestamp_millis(ms),
        }
    }

    /// Its window.
    pub fn window(&self) -> &Window {
        &self.place.window
    }

    /// Its number in the order of arrival within its key and window, from 0.
    pub fn position(&self) -> u64 {
        self.meta.position.into()
    }

    /// How many requests of its calls were sent once more, over a fresh connection.
    pub fn reconnects(&self) -> u32 {
        self.reconnects.get()
    }

    /// A text that is the same for every attempt and every repetition of this event, also after a restart: the number
    /// in a payload of the experiment's generator, else the value at `--event-id`, else a hash of keys, event time and
    /// payload.
    pub fn idempotency_key(&self) -> String {
        let decoded = || wire::Event::decode(&self.payload).map(EventId::from);
        if let Some(id) = self.meta.id.or_else(decoded) {
            return wire::idempotency_key(id.generator, id.index);
        }
        if let Some(key) = self.place.event_id.as_deref().and_then(|at| self.key_at(at)) {
            return key;
        }
        let mut hash = Fnv::default();
        for key in self.keys() {
            hash.add(&key.len().to_le_bytes());
            hash.add(key.as_bytes());
        }
        hash.add(&self.meta.event_time_ns.to_le_bytes());
        hash.add(&self.payload);
        hash.text()
    }

    /// The text or number at a JSON pointer into the payload.
    fn key_at(&self, pointer: &str) -> Option<String> {
        let payload: serde_json::Value = serde_json::from_slice(&self.payload).ok()?;
        let text = match payload.pointer(pointer)? {
            serde_json::Value::String(text) => text.clone(),
            serde_json::Value::Number(number) => number.to_string(),
            _ => return None,
        };
        let as_it_is = text.len() <= MAX_KEY_BYTES && text.bytes().all(|byte| byte.is_ascii_graphic());
        if as_it_is && !text.is_empty() {
            return Some(text);
        }
        let mut hash = Fnv::default();
        hash.add(text.as_bytes());
        Some(hash.text())
    }
}

/// Without payload and headers, which may hold secrets.
impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("keys", &self.keys())
            .field("window", self.window())
            .field("position", &self.position())
            .field("payload_bytes", &self.payload.len())
            .finish_non_exhaustive()
    }
}

impl From<wire::Event> for EventId {
    fn from(event: wire::Event) -> Self {
        Self {
            generator: event.generator,
            index: event.index,
        }
    }
}

/// Nanoseconds since the epoch; the nearest that there are for a time before 1677 or after 2262.
pub(crate) fn nanos(time: DateTime<Utc>) -> i64 {
    let bound = if time < DateTime::UNIX_EPOCH {
        i64::MIN
    } else {
        i64::MAX
    };
    time.timestamp_nanos_opt().unwrap_or(bound)
}

#[cfg(test)]
mod tests;
