//! Names and bytes that cross a process boundary: the one definition that the programs of the pipeline and the
//! experiment share. Every text and byte form is tested to survive its round trip.
//!
//! # Layout
//!
//! - `clock`: a process's clock, from which all stamps are taken.
//! - `delay`: an endpoint's delay: a fixed time or a distribution.
//! - `duration`: durations as text.
//! - `event`: the payload of a message, and the idempotency key of its calls.
//! - `histogram`: latencies as a mergeable histogram.
//! - `keys`: the key and number of each event.
//! - `names`: closed sets of names: strategies, start rules, workloads, outcomes.
//! - `payload_file`, `payload_template`: payloads of the user's own, from a file or from a template.
//! - `ports`: default ports.
//! - `random`: random numbers that depend on a seed alone.
//! - `ranges`: sets of event numbers.
//! - `record`: the record of a closed window, the sink's line, and which lines the sink keeps.
//! - `schedule`: when each event is due.
//! - [`settings`]: the table of settings.
//! - `statuses`: sets of HTTP statuses.
//! - `stats`: what generator and endpoint report at `/stats`.
//! - [`template`]: texts with fields: URLs, headers, bodies and payloads.

mod clock;
mod delay;
mod duration;
mod event;
mod histogram;
mod keys;
mod names;
mod payload_file;
mod payload_template;
mod ports;
mod random;
mod ranges;
mod record;
mod schedule;
pub mod settings;
mod stats;
mod statuses;
pub mod template;

pub use clock::{Clock, whole_nanos};
pub use delay::{Delay, DelayError};
pub use duration::{DurationError, MAX_DURATION, duration_text, format_duration, parse_duration};
pub use event::{
    EVENT_ID_HEADER, Event, IDEMPOTENCY_KEY, UNKEYED, event_id, event_number, idempotency_key,
    idempotency_prefix, parse_event_id, parse_idempotency_key,
};
pub use histogram::{Latencies, LatenciesError};
pub use keys::Keys;
pub use names::{Calls, HttpClient, HttpMethod, Outcome, StartRule, StrategyKind, UnknownName, Workload};
pub use payload_file::{
    MAX_PAYLOAD_LINE_BYTES, MAX_PAYLOADS_BYTES, PayloadFile, PayloadFileError, PayloadKeys,
};
pub use payload_template::{PayloadFields, PayloadTemplate, PayloadTemplateError};
pub use ports::{ENDPOINT_PORT, METRICS_PORT};
pub use random::splitmix64;
pub use ranges::{Ranges, RangesError};
pub use record::{KeptLines, OutcomeCounts, RECORD_FORMAT, RECORD_TAG, Settings, SinkLine, WindowRecord};
pub use schedule::Rate;
pub use stats::{AnnouncedAddress, DelayStats, EndpointStats, GeneratorStats, SentWindow};
pub use statuses::{Statuses, StatusesError};
