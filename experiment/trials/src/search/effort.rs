//! How long the trials of a search last, how close its brackets become, and what a journal keeps of it.

use std::num::NonZeroUsize;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Quantity;

/// How long the trials of a search last, and how close its brackets become.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Effort {
    /// Windows of a plan that gives them no length.
    pub window: Duration,
    /// The measured windows of a trial last at least so long together.
    pub measure: Duration,
    /// The ratio of the ends of a bracket that is close enough. Ends that are neighbours are, whatever their ratio.
    pub precision: f64,
}

/// That a run is a search, and of what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SearchFacts {
    pub quantity: Quantity,
    /// The ratio of the ends of a bracket that is close enough.
    pub precision: f64,
    /// Of the machine, by which predictions and limits were computed.
    pub cores: NonZeroUsize,
    /// The predicted limit of each cell, in the order of the plan.
    pub predicted: Vec<u64>,
}

impl Effort {
    /// On one machine. Workers are whole and few, so up to 50 of them the ends are neighbours.
    pub const fn local(quantity: Quantity) -> Self {
        Self {
            window: Duration::from_secs(2),
            measure: Duration::ZERO,
            precision: match quantity {
                Quantity::Capacity => 1.10,
                Quantity::Demand => 1.02,
            },
        }
    }

    /// In a cluster, where a trial takes a minute to set up and to remove, and Numaflow adds lags of seconds that vary.
    pub const CLUSTER: Self = Self {
        window: Duration::from_secs(12),
        measure: Duration::from_secs(120),
        precision: 1.25,
    };

    /// How many windows of this length a trial measures at least.
    pub(crate) fn windows(&self, window: Duration) -> u32 {
        let windows = self.measure.as_nanos().div_ceil(window.as_nanos().max(1));
        u32::try_from(windows).unwrap_or(u32::MAX)
    }
}
