//! What the prediction assumes of machine and data plane, as no setting says it.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Costs that are no settings. Its default is for one machine, to be compared with what is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assumptions {
    /// Duration of an HTTP call beyond its delay: both ways and the endpoint's own work.
    pub call_overhead: Duration,
    /// Processor time of an HTTP call in UDF and endpoint on the same cores. It bounds the rate of calls without delay.
    pub call_processor_time: Duration,
    /// Messages of a read batch (Numaflow's `limits.readBatchSize`).
    pub read_batch: NonZeroU32,
    /// Time from the end of a read to the begin of the next one, to write and acknowledge its batch.
    pub batch_time: Duration,
    /// Time that a key adds to the close of its window, as Numaflow's SDK closes keys one after another.
    pub key_time: Duration,
}

impl Default for Assumptions {
    fn default() -> Self {
        Self {
            call_overhead: Duration::from_micros(300),
            call_processor_time: Duration::from_micros(60),
            read_batch: NonZeroU32::MIN.saturating_add(499),
            batch_time: Duration::from_micros(1_300),
            key_time: Duration::from_micros(20),
        }
    }
}
