//! The record of a closed window and key, as the UDF emits it and the sink writes it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use crate::{Delay, Latencies, Outcome, Ranges, StartRule, StrategyKind, Workload};

/// The form of the records that this version writes. A reader refuses a record of a later one.
pub const RECORD_FORMAT: u32 = 1;

/// The tag of a message that is a record, for edges with conditions.
pub const RECORD_TAG: &str = "async-reduce-record";

/// Number of calls by outcome; outcomes that did not occur are absent.
pub type OutcomeCounts = BTreeMap<Outcome, u64>;

/// The settings that a UDF ran with, repeated in each record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// How the calls were scheduled.
    pub strategy: StrategyKind,
    /// When they could begin.
    pub start_rule: StartRule,
    /// What they did.
    pub workload: Workload,
    /// Calls in flight at once, per replica; 1 for `sequential` (per key and window).
    pub max_workers: u64,
    /// Delay asked of the endpoint, or processor time per event for the workload `cpu`.
    pub io_delay: Delay,
    /// Timeout of one attempt.
    #[serde(with = "crate::duration_text")]
    pub timeout: Duration,
    /// Attempts after the first.
    pub retries: u32,
    /// Whether `cpu` work under `async` was moved off the runtime's threads.
    pub cpu_offload: bool,
}

/// One closed window of one key. A UDF in another language may leave out what it does not measure. Stamps are
/// microseconds since the Unix epoch by the UDF's clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WindowRecord {
    /// Nonce of the UDF's process.
    pub process: u64,
    /// Start of the window, milliseconds since the epoch.
    pub window_start_ms: u64,
    /// End of the window (excluded), milliseconds since the epoch.
    pub window_end_ms: u64,
    /// The key of the window.
    pub keys: Vec<String>,
    /// The settings that the UDF ran with.
    pub settings: Settings,
    /// Events received; the sum of `outcomes`.
    pub events: u64,
    /// Events by how their call ended.
    pub outcomes: OutcomeCounts,
    /// Attempts made, at least one per event that was called.
    #[serde(default)]
    pub attempts: u64,
    /// Requests that were sent once more within their attempt, over a fresh connection, because the reused one ended
    /// before a byte of the answer. The service may have served both.
    #[serde(default)]
    pub reconnects: u64,
    /// Event numbers seen, by generator.
    pub seen: BTreeMap<u64, Ranges>,
    /// Events whose number had been seen before in this window and key.
    #[serde(default)]
    pub repeated: u64,
    /// In older records only: events whose payload could not be decoded (they count as `bad-body`). Such events are called
    /// like any other today, and are in `unnumbered`.
    #[serde(default)]
    pub undecoded: u64,
    /// Duration of each called event's last attempt, from getting its slot to its end: of events that ended as
    /// [`Outcome::Ok`] if `failed_latency` is there, else of all.
    #[serde(default)]
    pub latency: Latencies,
    /// The same of events that ended otherwise; `None` if they are among `latency`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_latency: Option<Latencies>,
    /// For each event, the time from when its call could begin to its first slot.
    #[serde(default)]
    pub slot_wait: Latencies,
    /// Highest number of calls of this window and key in flight at once.
    #[serde(default)]
    pub peak_in_flight: u64,
    /// How often reading stopped because `max_waiting` events were waiting in the process.
    #[serde(default)]
    pub reading_stopped: u64,
    /// When the first event arrived.
    pub first_arrival_us: u64,
    /// When the last event arrived.
    pub last_arrival_us: u64,
    /// Close of book: when the input of this key ended.
    pub close_us: u64,
    /// When this record was made, after the end of all its calls.
    pub result_us: u64,
    /// The form of this record; 0 before forms had numbers.
    #[serde(default, deserialize_with = "readable_format")]
    pub format: u32,
    /// Of the outcome `failed`, the events by the name that the program gave their failure.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub named: BTreeMap<String, u64>,
    /// Events that had no number of a generator; they were called like any other.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unnumbered: u64,
    /// Event times of the first of them, nanoseconds since the epoch, in the order of their arrival.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unnumbered_ns: Vec<i64>,
    /// Why the key and window has no result of the program's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

fn readable_format<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let format = u32::deserialize(deserializer)?;
    if format > RECORD_FORMAT {
        return Err(D::Error::custom(format_args!(
            "the record has format {format}, and this program reads formats up to {RECORD_FORMAT}: use the version of the UDF"
        )));
    }
    Ok(format)
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl WindowRecord {
    /// Events that ended as [`Outcome::Ok`].
    pub fn ok(&self) -> u64 {
        self.outcomes.get(&Outcome::Ok).copied().unwrap_or(0)
    }

    /// Events that ended with any other outcome.
    pub fn failed(&self) -> u64 {
        let failed = self
            .outcomes
            .iter()
            .filter(|(outcome, _)| **outcome != Outcome::Ok);
        failed.fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }
}

/// One line of the sink.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SinkLine {
    /// Nonce of the sink's process.
    pub process: u64,
    /// Running number within the process, from 0; it shows gaps to a reader of the log.
    pub line: u64,
    /// When the record arrived, microseconds since the epoch by the sink's clock.
    pub arrival_us: u64,
    /// The message's id.
    pub id: String,
    /// The message's keys.
    pub keys: Vec<String>,
    /// The message's event time, milliseconds since the epoch (end of its window − 1).
    pub event_time_ms: i64,
    /// Whether this process has already written a line for this window and key that is a record too, or none too.
    pub duplicate: bool,
    /// The record, if the payload was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<WindowRecord>,
    /// The first bytes of the payload as text, if it was no record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The length of the payload, if it was no record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// The first line of a sink's answer at `/records?from=LINE`. Its lines from that number on follow, as in its output and
/// up to a bound; a reader asks again from the number after the last one it got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptLines {
    /// Nonce of the sink's process.
    pub process: u64,
    /// Number of the oldest line in memory. Those before it can no longer be read.
    pub oldest: u64,
    /// Number that the next line will have.
    pub next: u64,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record() -> WindowRecord {
        let mut latency = Latencies::new();
        latency.record(Duration::from_millis(3));
        WindowRecord {
            process: u64::MAX,
            window_start_ms: 10_000,
            window_end_ms: 20_000,
            keys: vec!["key-0".into()],
            settings: Settings {
                strategy: StrategyKind::Async,
                start_rule: StartRule::AtClose,
                workload: Workload::Http,
                max_workers: 1_000,
                io_delay: Delay::Fixed(Duration::from_secs(1)),
                timeout: Duration::from_secs(30),
                retries: 0,
                cpu_offload: false,
            },
            events: 3,
            outcomes: BTreeMap::from([(Outcome::Ok, 2), (Outcome::Timeout, 1)]),
            attempts: 3,
            reconnects: 0,
            seen: BTreeMap::from([(7, Ranges::span(0, 2))]),
            repeated: 0,
            undecoded: 0,
            latency,
            failed_latency: Some(Latencies::new()),
            slot_wait: Latencies::new(),
            peak_in_flight: 3,
            reading_stopped: 0,
            first_arrival_us: 1,
            last_arrival_us: 2,
            close_us: 3,
            result_us: 4,
            format: RECORD_FORMAT,
            named: BTreeMap::new(),
            unnumbered: 0,
            unnumbered_ns: Vec::new(),
            failure: None,
        }
    }

    fn line() -> SinkLine {
        let record = record();
        SinkLine {
            process: 1,
            line: 0,
            arrival_us: 5,
            id: "out-0".into(),
            keys: record.keys.clone(),
            event_time_ms: 19_999,
            duplicate: false,
            record: Some(record),
            text: None,
            bytes: None,
        }
    }

    #[test]
    fn a_line_survives_its_json() {
        assert_eq!((record().ok(), record().failed()), (2, 1));
        let line = line();
        let json = serde_json::to_string(&line).unwrap();
        assert!(!json.contains('\n'));
        let back: SinkLine = serde_json::from_str(&json).unwrap();
        assert_eq!(serde_json::to_string(&back).unwrap(), json);
        assert_eq!(back.record.unwrap().outcomes, line.record.unwrap().outcomes);
    }

    #[test]
    fn a_record_of_a_later_format_is_refused_in_a_sentence() {
        let mut json = serde_json::to_value(record()).unwrap();
        json["format"] = (RECORD_FORMAT + 1).into();
        let error = serde_json::from_value::<WindowRecord>(json.clone()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the record has format 2, and this program reads formats up to 1: use the version of the UDF"
        );
        json.as_object_mut().unwrap().remove("format");
        assert_eq!(serde_json::from_value::<WindowRecord>(json).unwrap().format, 0);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = serde_json::from_slice::<SinkLine>(&bytes);
        }

        #[test]
        fn a_changed_line_is_read_or_refused(at in any::<prop::sample::Index>(), byte: u8) {
            let mut bytes = serde_json::to_vec(&line()).unwrap();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(SinkLine { record: Some(record), .. }) = serde_json::from_slice(&bytes) {
                prop_assert!(record.ok().checked_add(record.failed()).is_some());
            }
        }

        #[test]
        fn whatever_a_record_claims_can_be_counted(counts in proptest::collection::vec(any::<u64>(), Outcome::ALL.len())) {
            let mut record = record();
            record.outcomes = Outcome::ALL.iter().copied().zip(counts).collect();
            prop_assert!(record.failed() >= record.outcomes[&Outcome::Timeout]);
        }
    }
}
