//! What every program reports to Prometheus in the same way: metrics of its process, durations in the same buckets,
//! and a registry's text.

mod durations;
mod process;

use std::fmt;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

pub use durations::{BOUNDS, DurationHistogram};
pub use process::Process;

/// The `content-type` of [`text`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A registry as OpenMetrics text, ending in `# EOF`
/// ([OpenMetrics 1.0](https://prometheus.io/docs/specs/om/open_metrics_spec/)).
///
/// # Errors
/// Returns an error only if writing to memory fails.
pub fn text(registry: &Registry) -> Result<String, fmt::Error> {
    let mut text = String::new();
    encode(&mut text, registry)?;
    Ok(text)
}
