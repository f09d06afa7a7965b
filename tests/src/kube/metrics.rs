//! Numaflow's own metrics, derived from the embedded data plane.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use dataplane::{DropReason, Message, Observer, WindowClosed};

use super::lock;

/// Counts of one pipeline's reduce vertex.
#[derive(Debug, Default)]
pub(super) struct PipelineMetrics {
    pub pipeline: String,
    drops: Mutex<BTreeMap<&'static str, u64>>,
    closed: AtomicU64,
    read: AtomicU64,
    watermark_ms: AtomicU64,
}

impl PipelineMetrics {
    pub fn of(pipeline: &str) -> Self {
        Self {
            pipeline: pipeline.to_owned(),
            ..Self::default()
        }
    }

    /// The answer of `/runtime/watermark`: at least the end of the last window that closed.
    pub fn watermark(&self) -> String {
        format!(r#"{{"0":{}}}"#, self.watermark_ms.load(Ordering::Relaxed))
    }
}

impl Observer for PipelineMetrics {
    fn dropped(&self, _: &Message, reason: DropReason) {
        *lock(&self.drops).entry(reason.as_str()).or_default() += 1;
        self.read.fetch_add(1, Ordering::Relaxed);
    }

    fn window_closed(&self, closed: &WindowClosed) {
        self.closed.fetch_add(1, Ordering::Relaxed);
        self.watermark_ms.store(closed.end_ms, Ordering::Relaxed);
        self.read.fetch_add(closed.events, Ordering::Relaxed);
    }
}

/// The text of `:2469/metrics` of a vertex's pod.
pub(super) fn text(pod: &str, metrics: &PipelineMetrics) -> String {
    let vertex = pod
        .strip_prefix(&format!("{}-", metrics.pipeline))
        .and_then(|rest| rest.split('-').next())
        .unwrap_or_default();
    let kind = match vertex {
        "udf" => "ReduceUDF",
        "sink" => "Sink",
        _ => "Source",
    };
    let pipeline = &metrics.pipeline;
    let labels = format!(r#"vertex="{vertex}",pipeline="{pipeline}",vertex_type="{kind}",replica="0""#);
    let partition = format!(r#"{labels},partition_name="{pipeline}-{vertex}-0""#);
    let mut text = String::new();
    let mut say = |name: &str, labels: &str, value: u64| {
        let _ = writeln!(text, "{name}{{{labels}}} {value}");
    };
    let read = metrics.read.load(Ordering::Relaxed);
    say("forwarder_data_read_total", &partition, read);
    say("forwarder_read_total", &partition, read);
    if vertex == "udf" {
        for (reason, count) in lock(&metrics.drops).iter() {
            say(
                "forwarder_drop_total",
                &format!(r#"{partition},reason="{reason}""#),
                *count,
            );
        }
        say(
            "reduce_closed_windows_total",
            &labels,
            metrics.closed.load(Ordering::Relaxed),
        );
        say("reduce_active_windows", &labels, 1);
        say("reduce_watermark_lag", &labels, 120);
    }
    say("isb_jetstream_buffer_pending", &partition, 0);
    say("vertex_pending_messages_raw", &partition, 0);
    text.push_str("# EOF\n");
    text
}
