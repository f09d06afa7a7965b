//! A histogram of durations that counts with two atomic additions. The client library's own takes a lock, for which
//! calls on many threads would wait.

use std::array;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};

/// Upper bounds of the buckets; longer durations count in a last bucket without a bound.
pub const BOUNDS: [Duration; 18] = [
    Duration::from_micros(100),
    Duration::from_micros(200),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_millis(2),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(20),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(20),
    Duration::from_secs(60),
];

/// A histogram of durations, in seconds for Prometheus. Clones share their counts.
#[derive(Debug, Clone, Default)]
pub struct DurationHistogram(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    /// One for each bound, and one for longer durations.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    sum_us: AtomicU64,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            buckets: array::from_fn(|_| AtomicU64::new(0)),
            sum_us: AtomicU64::new(0),
        }
    }
}

impl DurationHistogram {
    /// Counts one duration, rounded to microseconds in the sum.
    pub fn observe(&self, duration: Duration) {
        let bucket = BOUNDS.partition_point(|bound| *bound < duration);
        self.0.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from((duration.as_nanos() + 500) / 1_000).unwrap_or(u64::MAX);
        self.0.sum_us.fetch_add(micros, Ordering::Relaxed);
    }
}

impl TypedMetric for DurationHistogram {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for DurationHistogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let bounds = BOUNDS.iter().map(Duration::as_secs_f64).chain([f64::INFINITY]);
        let counts = self.0.buckets.iter().map(|count| count.load(Ordering::Relaxed));
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        // Summed over the buckets, so that it equals the last running sum even if calls are counted meanwhile.
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = Duration::from_micros(self.0.sum_us.load(Ordering::Relaxed)).as_secs_f64();
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::text;
    use prometheus_client::registry::{Registry, Unit};

    #[test]
    fn a_duration_is_in_the_bucket_of_the_first_bound_that_is_not_below_it() {
        let histogram = DurationHistogram::default();
        for micros in [0, 100, 101, 60_000_000, 60_000_001] {
            histogram.observe(Duration::from_micros(micros));
        }
        let mut registry = Registry::default();
        registry.register_with_unit("wait", "A wait", Unit::Seconds, histogram);
        let text = text(&registry).unwrap();
        for line in [
            "# TYPE wait_seconds histogram",
            "# UNIT wait_seconds seconds",
            "wait_seconds_bucket{le=\"0.0001\"} 2",
            "wait_seconds_bucket{le=\"0.0002\"} 3",
            "wait_seconds_bucket{le=\"20.0\"} 3",
            "wait_seconds_bucket{le=\"60.0\"} 4",
            "wait_seconds_bucket{le=\"+Inf\"} 5",
            "wait_seconds_count 5",
            "wait_seconds_sum 120.000202",
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
    }

    #[test]
    fn bounds_rise() {
        assert!(BOUNDS.is_sorted_by(|a, b| a < b));
    }
}
