//! What a row keeps of its histograms: the merged ones take 100 KB each, and a plan may have thousands of rows.

use std::time::Duration;

use wire::Latencies;

use trials::outcome::PackedLatencies;

/// Percentiles of merged latencies, each absent where nothing was counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Percentiles {
    /// How many were counted.
    pub count: u64,
    /// Half of them took at most so long.
    pub p50: Option<Duration>,
    /// 90 % took at most so long.
    pub p90: Option<Duration>,
    /// 99 % took at most so long.
    pub p99: Option<Duration>,
    /// 99.9 % took at most so long.
    pub p999: Option<Duration>,
    /// The longest.
    pub max: Option<Duration>,
}

impl Percentiles {
    /// Of all the histograms together.
    pub(super) fn of<'a>(packed: impl Iterator<Item = &'a PackedLatencies>) -> Self {
        let merged = packed.map(PackedLatencies::open).reduce(|mut merged, other| {
            merged.merge(&other);
            merged
        });
        merged.map_or_else(Self::default, |merged: Latencies| Self {
            count: merged.count(),
            p50: merged.quantile(0.5),
            p90: merged.quantile(0.9),
            p99: merged.quantile(0.99),
            p999: merged.quantile(0.999),
            max: merged.max(),
        })
    }
}
