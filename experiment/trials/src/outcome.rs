//! The outcome of a trial: measurements that the journal stores and the report draws.

#[cfg(test)]
pub(crate) mod example;
mod packed_latencies;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wire::OutcomeCounts;

use crate::predict::Prediction;
use crate::trial::Trial;

pub use packed_latencies::PackedLatencies;

/// The outcome of one trial. Timestamps are microseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrialOutcome {
    pub trial: Trial,
    /// Computed before the trial ran.
    pub prediction: Prediction,
    pub started_us: u64,
    /// After the trial was cleaned up.
    pub ended_us: u64,
    pub end: TrialEnd,
    /// Warm-up windows, then measured ones. Empty if the trial failed before its start.
    pub windows: Vec<WindowResult>,
    /// `None` if the trial failed, or if the UDF's results are no records that name event numbers.
    pub ledger: Option<Ledger>,
    /// Number of calls in all windows by outcome.
    pub outcomes: OutcomeCounts,
    /// Latency of the last attempts in the measured windows: of calls that succeeded if `failed_latency` is there, else of
    /// all.
    pub latency: PackedLatencies,
    /// Latency of the last attempts of failed calls in the measured windows; `None` if not recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_latency: Option<PackedLatencies>,
    /// Time that calls waited for a slot in the measured windows.
    pub slot_wait: PackedLatencies,
    /// `None` if the trial failed before the instruments could be read.
    pub instruments: Option<Instruments>,
    /// `None` if the UDF's cost could not be measured.
    pub cost: Option<Cost>,
    /// `None` if no result was a record, or if not recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_account: Option<CallAccount>,
}

/// What the UDF's records say of its calls, summed over all windows, later ones included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallAccount {
    /// Attempts made; 0 if the UDF does not count them.
    pub attempts: u64,
    /// Requests sent again on a fresh connection within their attempt.
    #[serde(default)]
    pub reconnects: u64,
    /// Events whose last attempt got an answer, good or bad.
    pub answered: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "how")]
pub enum TrialEnd {
    /// Every window gave its result.
    Completed,
    /// The time limit was reached; windows without a result are censored.
    CutOff,
    Failed {
        /// One line, then the last lines that the process which caused it wrote to standard error.
        reason: String,
    },
}

/// One window of a trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WindowResult {
    /// Position in the trial, from 0, warm-up windows included.
    pub index: u32,
    /// Whether it is a warm-up window, which no statistic includes.
    pub warmup: bool,
    /// Start of the window, milliseconds since the epoch.
    pub window_start_ms: u64,
    /// `None` if the window gave no result in time: it is censored.
    pub measured: Option<WindowMeasure>,
}

/// Measurements of a window with a result, over all its keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WindowMeasure {
    /// Keys that gave a record.
    pub keys: u64,
    /// Events in its records.
    pub events: u64,
    /// Events whose call succeeded.
    pub ok: u64,
    /// Events whose call failed.
    pub failed: u64,
    /// First event's arrival → last key's result, µs (contains the filling of the window). Like the close tail, the longest
    /// of the processes.
    pub execution_time_us: u64,
    /// Earliest close of book of any key → last key's result, µs, measured by the UDF's clock. Each process has its own
    /// clock, so it is measured for each process, and the longest counts.
    pub close_tail_us: u64,
    /// The data plane's half-close → EOF, µs; `None` if the engine does not see them.
    pub stream_tail_us: Option<u64>,
    /// End of the window → last record at the sink, µs.
    pub result_lag_us: u64,
    /// Highest number of calls in flight at once of any key.
    pub peak_in_flight: u64,
    /// How often reading stopped because `max_waiting` events waited.
    pub reading_stopped: u64,
    /// The processes that shared the window, one for each partition; empty if there was only one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub processes: Vec<ProcessMeasure>,
}

/// One process's share of a window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessMeasure {
    /// Nonce of the UDF's process.
    pub process: u64,
    /// Keys that it gave a record of.
    pub keys: u64,
    /// Events in its records.
    pub events: u64,
    /// Its earliest close of book of any key → its last key's result, µs.
    pub close_tail_us: u64,
}

/// Every event of a trial by category. All but `offered` are counted by event number, never by subtraction.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// Events due by schedule when reading stopped.
    pub offered: u64,
    /// Due, but never read.
    pub unsent: u64,
    /// Dropped by the data plane as late.
    pub late: u64,
    pub ok: u64,
    pub failed: u64,
    /// In a window that had no result when the trial was stopped.
    pub open: u64,
    /// In a window whose result does not contain the event.
    pub lost: u64,
    /// In a window whose result has an event without a number in its place, which may be this one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unknown: u64,
    /// Further appearances in results; not part of the sum.
    pub repeated: u64,
    /// Appearances without a number, found by their event time, as Numaflow replays the user's own payloads after a
    /// restart; not part of the sum. The generator's payloads keep their numbers, and are not among them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub replayed: u64,
    /// Contradictions, one line each.
    pub errors: Vec<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Ledger {
    /// Whether every event is in exactly one category.
    pub fn balances(&self) -> bool {
        let called = self.ok + self.failed;
        let missing = self.unsent + self.late + self.open + self.lost + self.unknown;
        self.errors.is_empty() && self.offered == called + missing
    }
}

/// Prefix of Numaflow's own counts in [`Instruments::engine`].
pub const NUMAFLOW_PREFIX: &str = "numaflow_";

/// The embedded data plane's count of reads with at least one event in [`Instruments::engine`].
pub const READ_BATCHES: &str = "read_batches";

/// The precision of generator, endpoint and data plane: differences below it mean nothing. The endpoint's figures are
/// `None` if calls went to the user's own endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Instruments {
    /// Delay of events against their due time.
    pub generator_lateness: PackedLatencies,
    /// Events sent more than one millisecond after they were due.
    pub overdue: u64,
    /// Time that the endpoint took beyond the requested delay, without waiting for capacity.
    #[serde(default)]
    pub endpoint_excess: Option<PackedLatencies>,
    /// From a call's arrival at the endpoint to the start of its answer, with its wait for capacity; `None` also if not
    /// recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint_given: Option<PackedLatencies>,
    #[serde(default)]
    pub endpoint_served: Option<u64>,
    #[serde(default)]
    pub endpoint_peak_in_flight: Option<u64>,
    /// Calls received more than once, by idempotency key.
    #[serde(default)]
    pub endpoint_repeats: Option<u64>,
    /// Calls served that were failed on purpose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint_failed: Option<u64>,
    /// Calls received that got no answer or were refused as malformed: not among those served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint_unanswered: Option<u64>,
    /// The engine's own counts, by name.
    pub engine: BTreeMap<String, u64>,
}

/// Resources that the UDF and its pool children used over the whole trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Processor time, user and system, µs.
    pub cpu_us: u64,
    pub calls: u64,
    /// Peak resident memory, bytes, summed over processes.
    pub peak_memory_bytes: u64,
    /// Peak number of threads, summed over processes; 0 if not counted.
    pub peak_threads: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoint_figures_may_be_absent_from_a_journal() {
        let plain = r#"{"generator_lateness":LAT,"overdue":1,"endpoint_excess":LAT,"endpoint_served":33,
            "endpoint_peak_in_flight":5,"endpoint_repeats":0,"engine":{}}"#;
        let none = serde_json::to_string(&PackedLatencies::default()).unwrap();
        let read: Instruments = serde_json::from_str(&plain.replace("LAT", &none)).unwrap();
        assert_eq!(
            (
                read.endpoint_served,
                read.endpoint_peak_in_flight,
                read.endpoint_repeats
            ),
            (Some(33), Some(5), Some(0))
        );
        assert_eq!(read.endpoint_excess, Some(PackedLatencies::default()));
        let absent = r#"{"generator_lateness":LAT,"overdue":1,"engine":{}}"#.replace("LAT", &none);
        let read: Instruments = serde_json::from_str(&absent).unwrap();
        assert_eq!((read.endpoint_served, read.endpoint_excess), (None, None));
    }
}
