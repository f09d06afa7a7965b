//! What generator and endpoint tell of themselves at `/stats`, and how a server tells where it listens.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::{Latencies, Ranges};

/// The one line that a server with an address writes to stdout when it accepts connections, so that
/// whoever started it with port 0 learns the port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnnouncedAddress {
    /// Where it listens.
    pub listening: SocketAddr,
}

/// What a generator has done so far. Stamps are microseconds since the Unix epoch by its clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GeneratorStats {
    /// Nonce of the process; part of every event and offset.
    pub generator: u64,
    /// When event 0 is due; nothing before the first read. Event *i* is due at `t0 + i/rpu`.
    pub t0_us: Option<u64>,
    /// Now, by the same clock.
    pub now_us: u64,
    /// Events due by schedule up to now (at most `count`).
    pub offered: u64,
    /// Events handed to the reader at least once: always those with index 0 to `sent` − 1.
    pub sent: u64,
    /// Events acknowledged.
    pub acked: u64,
    /// Events that were put back by `nack`.
    pub nacked: u64,
    /// Events that were sent later than one millisecond after they were due.
    pub overdue: u64,
    /// How late events were sent against their due time.
    pub lateness: Latencies,
    /// Events sent by window of their event time, oldest first.
    pub windows: Vec<SentWindow>,
}

/// The events of one window that a generator has sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SentWindow {
    /// Start of the window, milliseconds since the epoch.
    pub window_start_ms: u64,
    /// By key (joined by `:`), the numbers sent.
    pub numbers: BTreeMap<String, Ranges>,
}

/// What an endpoint has done so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EndpointStats {
    /// Calls answered, failures on purpose included.
    pub served: u64,
    /// Calls that have been received and not yet answered.
    pub in_flight: u64,
    /// Highest number in flight at once.
    pub peak_in_flight: u64,
    /// Calls that were made to fail on purpose, by kind (`status`, `reset`, `hang`, `body`).
    pub failures: BTreeMap<String, u64>,
    /// Calls whose idempotency key had been seen before, by generator.
    pub repeats: BTreeMap<u64, u64>,
    /// Indices of events called, by generator.
    pub called: BTreeMap<u64, Ranges>,
    /// Delays asked for and given.
    pub delay: DelayStats,
}

/// Delays of an endpoint's calls.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DelayStats {
    /// What was asked for.
    pub asked: Latencies,
    /// From the arrival of a call to the start of its answer, waiting for capacity included.
    pub given: Latencies,
    /// Given − waiting for capacity − asked: how inexact the endpoint was; never negative.
    pub excess: Latencies,
}
