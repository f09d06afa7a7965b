//! Percentiles of a row's merged histograms. The histograms are not kept: each takes 100 KB, and a plan may have thousands
//! of rows.

use std::time::Duration;

use trials::outcome::PackedLatencies;
use wire::Latencies;

/// Each is `None` if nothing was counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Percentiles {
    pub count: u64,
    pub p50: Option<Duration>,
    pub p90: Option<Duration>,
    pub p99: Option<Duration>,
    pub p999: Option<Duration>,
    pub max: Option<Duration>,
}

impl Percentiles {
    /// Merges the histograms.
    pub(super) fn of<'a>(packed: impl Iterator<Item = &'a PackedLatencies>) -> Self {
        merged(packed).map_or_else(Self::default, |merged| Self::of_one(&merged))
    }

    /// The percentiles and the mean.
    pub(super) fn with_mean<'a>(
        packed: impl Iterator<Item = &'a PackedLatencies>,
    ) -> (Self, Option<Duration>) {
        merged(packed).map_or_else(Default::default, |merged| (Self::of_one(&merged), merged.mean()))
    }

    fn of_one(merged: &Latencies) -> Self {
        Self {
            count: merged.count(),
            p50: merged.quantile(0.5),
            p90: merged.quantile(0.9),
            p99: merged.quantile(0.99),
            p999: merged.quantile(0.999),
            max: merged.max(),
        }
    }
}

fn merged<'a>(packed: impl Iterator<Item = &'a PackedLatencies>) -> Option<Latencies> {
    packed.map(PackedLatencies::open).reduce(|mut merged, other| {
        merged.merge(&other);
        merged
    })
}
