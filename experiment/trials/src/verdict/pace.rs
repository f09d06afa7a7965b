//! Whether a strategy kept its pace, by the close tails and result lags of the measured windows of a trial.

use super::growth::{Growth, MIN_WINDOWS_FOR_INTERVAL};
use crate::outcome::WindowMeasure;
use crate::trial::TrialSettings;

/// Growth per window, as a fraction of the window's length, above which a strategy falls behind: a load factor of 1.05
/// causes it, the noise of a quiet machine does not.
const TOLERATED_GROWTH: f64 = 0.05;

/// Variation of the result lag under Numaflow, independent of the strategy: in the chart's base each of two hops forwards
/// its watermark once a second.
pub(super) const NUMAFLOW_LAG_VARIATION_US: f64 = 2_000_000.0;

/// Variation of the result lag under the embedded data plane, in read batches: source and sink wait for one each.
const LOCAL_LAG_VARIATION_BATCHES: f64 = 2.0;

/// The most windows that a plan may have.
pub(super) const MAX_WINDOWS: u64 = 10_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    KeptUp,
    FellBehind,
    /// By how many windows it would be decided; `None` if no plan can have that many.
    Undecided {
        needed: Option<u64>,
    },
}

/// Judges the measured windows of a trial that all gave a result.
///
/// A close tail is measured by the UDF's clock alone, so it shows a backlog sharply, until it is as long as a window and
/// delays the next one. The result lag shows every delay, and varies with the read batches of the data plane, which are no
/// growth. So both must not grow. As long as every tail is below half a window, the tails are the whole backlog, and two
/// windows tell whether it grows; above, the windows must be enough to rule a growth out.
pub(super) fn pace(
    windows: &[&WindowMeasure],
    settings: &TrialSettings,
    by_numaflow: bool,
    predicted_load: f64,
) -> Pace {
    let window_us = settings.window.as_micros() as f64;
    let (of_fall, of_growth) = if by_numaflow {
        (NUMAFLOW_LAG_VARIATION_US, NUMAFLOW_LAG_VARIATION_US)
    } else {
        let batch_us = settings.read_timeout.as_micros() as f64;
        (0.0, LOCAL_LAG_VARIATION_BATCHES * batch_us)
    };
    let values =
        |of: fn(&WindowMeasure) -> u64| -> Vec<f64> { windows.iter().map(|w| of(w) as f64).collect() };
    let (lags, tails) = (
        values(|window| window.result_lag_us),
        values(|window| window.close_tail_us),
    );
    if falls_behind(&lags, window_us, of_fall) {
        return Pace::FellBehind;
    }
    let is_short = tails.iter().all(|tail| *tail < window_us / 2.0);
    let least = if is_short { 2 } else { MIN_WINDOWS_FOR_INTERVAL };
    let growths = [Growth::of(&tails, 0.0), Growth::of(&lags, of_growth)];
    let tolerated_us = TOLERATED_GROWTH * window_us;
    let climbs = predicted_load > 1.0 && tails.len() > 1 && tails.is_sorted_by(|a, b| a < b);
    let grows_not = |growth: &Option<Growth>| growth.is_some_and(|growth| growth.at_most <= tolerated_us);
    if windows.len() >= least && !climbs && growths.iter().all(grows_not) {
        return Pace::KeptUp;
    }
    let needed = growths
        .iter()
        .flatten()
        .map(|growth| needed(windows.len(), growth, tolerated_us, of_fall));
    let needed = needed.fold(windows.len() as u64 + 1, u64::max).max(least as u64);
    Pace::Undecided {
        needed: Some(needed).filter(|needed| *needed <= MAX_WINDOWS),
    }
}

/// Estimates how many windows would decide. The interval shrinks with the number of windows to the power of 3/2; a growth
/// above the tolerated one is found by [`falls_behind`], whose halves need four windows, or as many as it takes to exceed
/// `variation_us`.
fn needed(windows: usize, growth: &Growth, tolerated_us: f64, variation_us: f64) -> u64 {
    let room = tolerated_us - growth.typical;
    if growth.at_most <= tolerated_us {
        return 0;
    }
    if room <= 0.0 {
        let half = (variation_us / -room).ceil() as u64;
        return half.saturating_mul(2).max(MIN_WINDOWS_FOR_INTERVAL as u64);
    }
    let factor = ((growth.at_most - growth.typical) / room).powf(2.0 / 3.0);
    (windows as f64 * factor).ceil() as u64
}

/// Compares the lower medians of the first and the last half, so that one slow window does not decide. With fewer windows
/// than [`MIN_WINDOWS_FOR_INTERVAL`] the median lag itself must not exceed a window. Both allow for `variation_us`.
pub(super) fn falls_behind(lags: &[f64], window_us: f64, variation_us: f64) -> bool {
    let half = lags.len() / 2;
    let median = |part: &[f64]| {
        let mut part = part.to_vec();
        part.sort_by(f64::total_cmp);
        part.get(part.len().saturating_sub(1) / 2).copied().unwrap_or(0.0)
    };
    if lags.len() < MIN_WINDOWS_FOR_INTERVAL {
        return median(lags) > window_us + variation_us;
    }
    let between = (lags.len() - half) as f64;
    let growth = (median(&lags[lags.len() - half..]) - median(&lags[..half]) - variation_us) / between;
    growth > TOLERATED_GROWTH * window_us
}
