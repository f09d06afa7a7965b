//! What generator and endpoint report at `/stats`, and the line in which a server announces its address.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::{Latencies, Ranges};

/// The one line that a server writes to stdout once it accepts connections. The process that started it with port 0
/// reads the port from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnnouncedAddress {
    /// The address it listens on.
    pub listening: SocketAddr,
}

/// What a generator has done so far. Stamps are microseconds since the Unix epoch by its clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GeneratorStats {
    /// Nonce of the process; part of every event and offset.
    pub generator: u64,
    /// When event 0 is due; `None` before the first read. Event *i* is due at `t0 + i/rpu`.
    pub t0_us: Option<u64>,
    /// The same, nanoseconds since the epoch: the time of event *i* is `t0 + i/rpu` to the nanosecond. `None` without a
    /// schedule, as times are not unique then, and before the first read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub t0_ns: Option<u64>,
    /// The current time by the same clock.
    pub now_us: u64,
    /// Events due by schedule up to now (at most `count`).
    pub offered: u64,
    /// Events handed to the reader at least once: exactly those with index 0 to `sent` − 1.
    pub sent: u64,
    /// Events acknowledged.
    pub acked: u64,
    /// Events returned by `nack`.
    pub nacked: u64,
    /// Events sent more than one millisecond after they were due.
    pub overdue: u64,
    /// How long after its due time each event was sent.
    pub lateness: Latencies,
    /// Events sent, grouped by the window of their event time, oldest first.
    pub windows: Vec<SentWindow>,
}

/// The events of one window that a generator has sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SentWindow {
    /// Start of the window, milliseconds since the epoch.
    pub window_start_ms: u64,
    /// The numbers sent, by key (keys joined by `:`).
    pub numbers: BTreeMap<String, Ranges>,
}

/// What an endpoint has done so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EndpointStats {
    /// Calls answered, including failures on purpose.
    pub served: u64,
    /// Calls received and not yet answered.
    pub in_flight: u64,
    /// Highest number in flight at once.
    pub peak_in_flight: u64,
    /// Calls failed on purpose, by kind (`status`, `reset`, `hang`, `body`).
    pub failures: BTreeMap<String, u64>,
    /// Calls whose client disconnected before the answer; calls that hang on purpose are among them.
    #[serde(default)]
    pub abandoned: u64,
    /// Calls refused for their query, their body, or a header that they lack; not among those served.
    #[serde(default)]
    pub refused: u64,
    /// Calls whose idempotency key had been seen before, by generator.
    pub repeats: BTreeMap<u64, u64>,
    /// Indices of the events called, by generator.
    pub called: BTreeMap<u64, Ranges>,
    /// Delays requested and given.
    pub delay: DelayStats,
}

impl EndpointStats {
    /// Calls served that were failed on purpose. A call that hangs is never served.
    pub fn failed(&self) -> u64 {
        let served = self.failures.iter().filter(|(kind, _)| *kind != "hang");
        served.fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }
}

/// Delays of an endpoint's calls.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DelayStats {
    /// Delays requested.
    pub asked: Latencies,
    /// From the arrival of a call to the start of its answer, including the wait for capacity.
    pub given: Latencies,
    /// Given − wait for capacity − requested: the endpoint's inaccuracy; never negative.
    pub excess: Latencies,
}
