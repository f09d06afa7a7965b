//! The spread over the repeats of a cell: one figure for each trial, the median of its windows, because the windows of a
//! trial are not independent of one another.

use std::time::Duration;

use trials::metric::Metric;
use trials::outcome::TrialOutcome;
use trials::statistics::{Estimate, MIN_FIGURES, drift, median};

use super::row::Spread;

/// The interval misses the true value this often.
const ALPHA: f64 = 0.05;

/// How often a drift is told where there is none, over all rows of a run.
const DRIFT_ALPHA: f64 = 0.01;

/// A smaller change over a run is not told.
const LEAST_DRIFT: f64 = 0.02;

/// The difference that [`Repeats::needed`] is about.
const DIFFERENCE: f64 = 0.1;

/// More are not asked for.
pub const MOST_REPEATS: usize = 1_000;

/// The close tail over the repeats of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Repeats {
    pub number: usize,
    /// Median of the trials' medians, with the ends of the 95 % interval (Student's t of their logarithms).
    pub tail: Spread,
    /// How many repeats on each side a comparison needs to find a difference of 10 %; `None` above [`MOST_REPEATS`].
    pub needed: Option<usize>,
    /// The change from the first repeat to the last as a share, and how often one like it happens by chance.
    drift: Option<(f64, f64)>,
}

impl Repeats {
    /// `None` for fewer than three repeats, or if one of them has no figure.
    pub(super) fn of(trials: &[&TrialOutcome]) -> Option<Self> {
        let mut ordered = trials.to_vec();
        ordered.sort_by_key(|outcome| outcome.started_us);
        let figures: Option<Vec<f64>> = ordered
            .iter()
            .map(|outcome| Metric::CloseTail.figure(outcome))
            .collect();
        let figures = figures.filter(|figures| figures.len() >= MIN_FIGURES)?;
        let logarithms: Vec<f64> = figures.iter().map(|figure| figure.max(1.0).ln()).collect();
        let (low, high) = Estimate::of(&logarithms)?.interval(ALPHA);
        let micros = |figure: f64| Duration::from_nanos((figure * 1e3) as u64);
        let median = median(&figures)?;
        Some(Self {
            number: figures.len(),
            tail: Spread {
                median: micros(median),
                // The median of a skewed sample may lie beyond the interval of the mean of logarithms.
                min: micros(low.exp().min(median)),
                max: micros(high.exp().max(median)),
            },
            needed: Estimate::between(&logarithms, &logarithms)?.needed_for(
                DIFFERENCE.ln_1p(),
                trials::comparison::ALPHA,
                MOST_REPEATS,
            ),
            drift: drift(&logarithms).map(|drift| (drift.change.exp_m1(), drift.p_value)),
        })
    }

    /// The change from the first repeat to the last as a share, if it is no chance among the drifts of so many rows.
    pub fn drift(&self, rows: usize) -> Option<f64> {
        let (change, p_value) = self.drift?;
        (p_value < DRIFT_ALPHA / rows.max(1) as f64 && change.abs() > LEAST_DRIFT).then_some(change)
    }
}
