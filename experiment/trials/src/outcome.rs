//! What came of a trial: the facts that the journal keeps and the report draws.

mod packed;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wire::OutcomeCounts;

use crate::predict::Prediction;
use crate::trial::Trial;
pub use packed::PackedLatencies;

/// What came of one trial. Stamps are microseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrialOutcome {
    /// What was asked.
    pub trial: Trial,
    /// What was expected, computed before it ran.
    pub prediction: Prediction,
    /// When it started.
    pub started_us: u64,
    /// When it had ended and been cleaned up.
    pub ended_us: u64,
    /// How it ended.
    pub end: TrialEnd,
    /// Its windows in order: warm-up windows, then measured ones. Empty where the trial failed before its start.
    pub windows: Vec<WindowResult>,
    /// Where every event went; absent where the trial failed before it could be drawn up.
    pub ledger: Option<Ledger>,
    /// Calls of all windows by how they ended.
    pub outcomes: OutcomeCounts,
    /// Latency of the calls' attempts in the measured windows.
    pub latency: PackedLatencies,
    /// Waiting for a slot in the measured windows.
    pub slot_wait: PackedLatencies,
    /// How exact the instruments were; absent where the trial failed before they could be read.
    pub instruments: Option<Instruments>,
    /// What the UDF cost; absent where it could not be measured.
    pub cost: Option<Cost>,
}

/// How a trial ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "how")]
pub enum TrialEnd {
    /// Every window gave its result.
    Completed,
    /// The time was up; windows without result are censored.
    CutOff,
    /// It could not be run to its end.
    Failed {
        /// One line that says why.
        reason: String,
    },
}

/// One window of a trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WindowResult {
    /// Position in the trial, from 0, warm-up windows included.
    pub index: u32,
    /// Whether it only warms up and is in no figure.
    pub warmup: bool,
    /// Start of the window, milliseconds since the epoch.
    pub window_start_ms: u64,
    /// What was measured; absent for a window that gave no result in time: it is censored.
    pub measured: Option<WindowMeasure>,
}

/// What was measured of a window with a result, over all its keys.
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
    /// First event's arrival → last key's result, µs (contains the filling of the window).
    pub execution_time_us: u64,
    /// Earliest close of book of any key → last key's result, µs, by the UDF's clock.
    pub close_tail_us: u64,
    /// The data plane's half-close → EOF, µs; absent where the engine cannot tell.
    pub stream_tail_us: Option<u64>,
    /// End of the window → last record at the sink, µs.
    pub result_lag_us: u64,
    /// Highest number of calls in flight at once of any key.
    pub peak_in_flight: u64,
    /// How often reading stopped because `max_waiting` events waited.
    pub reading_stopped: u64,
}

/// Where every event of a trial went. All but `offered` are found by event number, never by subtraction.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// Due by schedule when reading stopped.
    pub offered: u64,
    /// Due, but never handed to the reader.
    pub unsent: u64,
    /// Dropped by the data plane as late.
    pub late: u64,
    /// Called, with success.
    pub ok: u64,
    /// Called, and failed.
    pub failed: u64,
    /// Sent, of a window that had no result when the trial was stopped.
    pub open: u64,
    /// Sent, of a window whose result does not contain it.
    pub lost: u64,
    /// Contained in more than one result or twice in one; not part of the sum.
    pub repeated: u64,
    /// What does not balance, in words; empty where everything does.
    pub errors: Vec<String>,
}

impl Ledger {
    /// Whether every event is accounted for exactly once.
    pub fn balances(&self) -> bool {
        self.errors.is_empty()
            && self.offered == self.unsent + self.late + self.ok + self.failed + self.open + self.lost
    }
}

/// What the names of Numaflow's own counts begin with in [`Instruments::engine`].
pub const NUMAFLOW_PREFIX: &str = "numaflow_";

/// How exact generator, endpoint and data plane were, so that a reader can tell the instrument from the thing measured.
/// The endpoint's figures are absent where the calls went to the user's own endpoint: it is not measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Instruments {
    /// How late events were sent against their due time.
    pub generator_lateness: PackedLatencies,
    /// Events sent later than one millisecond after they were due.
    pub overdue: u64,
    /// How much longer the endpoint took than asked, waiting for capacity apart.
    #[serde(default)]
    pub endpoint_excess: Option<PackedLatencies>,
    /// Calls that the endpoint saw.
    #[serde(default)]
    pub endpoint_served: Option<u64>,
    /// Highest number of calls in flight that the endpoint saw.
    #[serde(default)]
    pub endpoint_peak_in_flight: Option<u64>,
    /// Calls that the endpoint saw more than once, by idempotency key.
    #[serde(default)]
    pub endpoint_repeats: Option<u64>,
    /// Whatever else the engine knows of itself, by name (counts).
    pub engine: BTreeMap<String, u64>,
}

/// What the UDF cost, its pool children included, over the whole trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Processor time, user and system, µs.
    pub cpu_us: u64,
    /// Calls made in that time.
    pub calls: u64,
    /// Highest resident memory seen, bytes, summed over its processes.
    pub peak_memory_bytes: u64,
    /// Highest number of threads seen, summed over its processes; 0 where they are not counted.
    pub peak_threads: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_the_endpoint_are_plain_or_absent_in_a_journal() {
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
