//! What every program of the pipeline tells Prometheus in the same way: the process' own figures, durations in the
//! same buckets, and the text of a registry.

mod durations;
mod process;

use std::fmt;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

pub use durations::{BOUNDS, DurationHistogram};
pub use process::Process;

/// What the text of [`text`] is, as the header `content-type` says it.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A registry as OpenMetrics text, ending in `# EOF`
/// ([OpenMetrics 1.0](https://prometheus.io/docs/specs/om/open_metrics_spec/)).
///
/// # Errors
/// None but those of writing to memory.
pub fn text(registry: &Registry) -> Result<String, fmt::Error> {
    let mut text = String::new();
    encode(&mut text, registry)?;
    Ok(text)
}
