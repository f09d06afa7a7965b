//! Reads the metrics of Numaflow and of our programs, and selects the few that a report shows. Pure.

use std::collections::BTreeMap;

use trials::outcome::NUMAFLOW_PREFIX;

use crate::exposition::{Sample, samples};

/// Counters of every vertex, by our names and by Numaflow's (`CORE/metrics/mod.rs`).
const OF_EVERY_VERTEX: [(&str, &[&str]); 4] = [
    ("read", &["forwarder_data_read"]),
    ("written", &["forwarder_write"]),
    (
        "read_errors",
        &["forwarder_read_error", "isb_jetstream_read_error"],
    ),
    (
        "write_errors",
        &[
            "forwarder_write_error",
            "isb_jetstream_write_error",
            "isb_jetstream_isFull_error",
        ],
    ),
];

/// Further metrics of a reduce vertex.
const OF_REDUCE: [(&str, &[&str]); 3] = [
    ("windows_open", &["reduce_active_windows"]),
    // Closed, and their results not written yet.
    ("windows_closing", &["reduce_closed_windows"]),
    ("watermark_lag_ms", &["reduce_watermark_lag"]),
];

/// Metrics of the buffers that a vertex writes to or reads from; the highest of its partitions.
const OF_BUFFERS: [(&str, &str, f64); 3] = [
    ("buffer_pending", "isb_jetstream_buffer_pending", 1.0),
    ("buffer_ack_pending", "isb_jetstream_buffer_ack_pending", 1.0),
    // A fraction of its length.
    ("buffer_use_permille", "isb_jetstream_buffer_soft_usage", 1_000.0),
];

/// Numaflow's counter of dropped messages.
const DROPS: &str = "forwarder_drop";

/// The metrics of a vertex by our names, from the text of one pod, and how many messages it has dropped for any reason.
pub(super) fn of_vertex(vertex: &str, text: &str) -> (BTreeMap<String, u64>, u64) {
    let samples: Vec<Sample<'_>> = samples(text).collect();
    let mut metrics = BTreeMap::new();
    let mut put = |name: &str, value: f64| {
        metrics.insert(format!("{NUMAFLOW_PREFIX}{vertex}_{name}"), whole(value));
    };
    let of_reduce = OF_REDUCE.iter().filter(|_| vertex == "udf");
    for (name, metrics) in OF_EVERY_VERTEX.iter().chain(of_reduce) {
        let found: Vec<f64> = metrics
            .iter()
            .filter_map(|metric| sum(&samples, metric))
            .collect();
        // Counters of errors appear with the first of them.
        if !found.is_empty() || name.ends_with("errors") {
            put(name, found.iter().sum());
        }
    }
    for (name, metric, factor) in OF_BUFFERS {
        let highest = of(&samples, metric).map(|sample| sample.value).reduce(f64::max);
        if let Some(highest) = highest {
            put(name, highest * factor);
        }
    }
    let mut by_reason: BTreeMap<String, f64> = BTreeMap::new();
    for sample in of(&samples, DROPS) {
        let reason = sample.label("reason").chars().map(plain).collect();
        *by_reason.entry(reason).or_default() += sample.value;
    }
    for (reason, dropped) in by_reason {
        put(format!("dropped_{reason}").trim_end_matches('_'), dropped);
    }
    (metrics, whole(sum(&samples, DROPS).unwrap_or(0.0)))
}

/// Adds the metrics of another pod of the same vertex. Of delays and fractions the highest is kept.
pub(super) fn merge(all: &mut BTreeMap<String, u64>, other: BTreeMap<String, u64>) {
    for (name, value) in other {
        let highest = ["_ms", "_permille"].iter().any(|unit| name.ends_with(unit));
        let entry = all.entry(name).or_default();
        *entry = if highest {
            value.max(*entry)
        } else {
            *entry + value
        };
    }
}

/// What a process of ours has used: processor seconds, and resident bytes.
pub(super) fn process(text: &str) -> Option<(f64, u64)> {
    let samples: Vec<Sample<'_>> = samples(text).collect();
    let seconds = sum(&samples, "process_cpu_seconds")?;
    let bytes = sum(&samples, "process_resident_memory_bytes")?;
    Some((seconds, whole(bytes)))
}

/// A character of a metric's name: letters and digits stay, in lower case.
fn plain(letter: char) -> char {
    match letter.to_ascii_lowercase() {
        letter if letter.is_ascii_alphanumeric() => letter,
        _ => '_',
    }
}

/// The lowest watermark (ms) of the partitions in the answer of `/runtime/watermark`, such as `{"0":1795425376396}`.
/// `None` if a partition has none (−1).
pub(super) fn watermark_ms(text: &str) -> Option<u64> {
    let partitions: BTreeMap<String, i64> = serde_json::from_str(text).ok()?;
    u64::try_from(*partitions.values().min()?).ok()
}

/// The samples of a metric, with or without the suffix of counters.
fn of<'s, 'a>(samples: &'s [Sample<'a>], metric: &'s str) -> impl Iterator<Item = &'s Sample<'a>> {
    samples
        .iter()
        .filter(move |sample| sample.name.strip_suffix("_total").unwrap_or(sample.name) == metric)
}

fn sum(samples: &[Sample<'_>], metric: &str) -> Option<f64> {
    of(samples, metric)
        .map(|sample| sample.value)
        .reduce(|a, b| a + b)
}

/// A count. Negative values and NaN become 0.
fn whole(value: f64) -> u64 {
    value.max(0.0).round() as u64
}

#[cfg(test)]
mod tests;
