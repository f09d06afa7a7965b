//! What the processes of the pipeline agree on: names and bytes that cross a process boundary.
//! Each has one spelling here, and every spelling is tested to survive its round trip.

mod clock;
mod delay;
mod duration;
mod event;
mod histogram;
mod names;
mod ports;
mod random;
mod ranges;
mod record;
pub mod settings;
mod stats;

pub use clock::{Clock, whole_nanos};
pub use delay::{Delay, DelayError};
pub use duration::{DurationError, MAX_DURATION, duration_text, format_duration, parse_duration};
pub use event::{Event, IDEMPOTENCY_KEY, idempotency_key, idempotency_prefix, parse_idempotency_key};
pub use histogram::{Latencies, LatenciesError};
pub use names::{Outcome, StartRule, StrategyKind, UnknownName, Workload};
pub use ports::{ENDPOINT_PORT, METRICS_PORT};
pub use random::splitmix64;
pub use ranges::{Ranges, RangesError};
pub use record::{OutcomeCounts, Settings, SinkLine, WindowRecord};
pub use stats::{AnnouncedAddress, DelayStats, EndpointStats, GeneratorStats, SentWindow};
