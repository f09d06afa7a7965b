//! Whether a strategy kept up, judged from the windows' results and their lag. The report's page has the same rule in
//! words.

use crate::outcome::{NUMAFLOW_PREFIX, TrialOutcome, WindowResult};

/// Growth of the result lag per window, as a fraction of the window's length, above which a strategy falls behind: a load
/// factor of 1.05 causes it, the noise of a quiet machine does not.
const TOLERATED_LAG_GROWTH: f64 = 0.05;

/// With fewer windows growth cannot be distinguished from noise.
const MIN_WINDOWS_FOR_GROWTH: usize = 4;

/// Variation of the result lag under Numaflow, independent of the strategy: in the chart's base each of two hops forwards
/// its watermark once a second.
const NUMAFLOW_LAG_VARIATION_US: f64 = 2_000_000.0;

/// Whether a strategy kept up with its rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Every window gave its result, and the result lag did not grow.
    KeptUp,
    /// The result lag grew, or exceeded a window's length.
    FellBehind,
    /// Some windows gave no result in time.
    Censored,
}

/// The worst condition of any repeat; `None` without windows.
pub fn condition(repeats: &[&TrialOutcome]) -> Option<Condition> {
    let of_one = |outcome: &&TrialOutcome| {
        let windows: Vec<&WindowResult> = outcome.windows.iter().filter(|window| !window.warmup).collect();
        if windows.is_empty() {
            return None;
        }
        if windows.iter().any(|window| window.measured.is_none()) {
            return Some(Condition::Censored);
        }
        let lags: Vec<u64> = windows
            .iter()
            .filter_map(|w| w.measured.as_ref())
            .map(|m| m.result_lag_us)
            .collect();
        let window_us = outcome.trial.settings.window.as_micros() as f64;
        let variation_us = if by_numaflow(outcome) {
            NUMAFLOW_LAG_VARIATION_US
        } else {
            0.0
        };
        Some(if falls_behind(&lags, window_us, variation_us) {
            Condition::FellBehind
        } else {
            Condition::KeptUp
        })
    };
    repeats
        .iter()
        .filter_map(of_one)
        .max_by_key(|condition| *condition as u8)
}

/// Whether Numaflow ran the trial: the outcome then has Numaflow's own counts.
fn by_numaflow(outcome: &TrialOutcome) -> bool {
    let engine = outcome
        .instruments
        .as_ref()
        .map(|instruments| &instruments.engine);
    engine.is_some_and(|engine| engine.keys().any(|name| name.starts_with(NUMAFLOW_PREFIX)))
}

/// Compares the lower medians of the first and the last half, so that one slow window does not decide. With fewer windows
/// than [`MIN_WINDOWS_FOR_GROWTH`] the median lag itself must not exceed a window. Both allow for `variation_us`.
fn falls_behind(lags: &[u64], window_us: f64, variation_us: f64) -> bool {
    let half = lags.len() / 2;
    let median = |part: &[u64]| {
        let mut part = part.to_vec();
        part.sort_unstable();
        part.get(part.len().saturating_sub(1) / 2)
            .map_or(0.0, |lag| *lag as f64)
    };
    if lags.len() < MIN_WINDOWS_FOR_GROWTH {
        return median(lags) > window_us + variation_us;
    }
    let between = (lags.len() - half) as f64;
    let growth = (median(&lags[lags.len() - half..]) - median(&lags[..half]) - variation_us) / between;
    growth > TOLERATED_LAG_GROWTH * window_us
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growing_lag_is_falling_behind() {
        let second = 1_000_000.0;
        assert!(
            !falls_behind(&[100, 100, 100, 900_000], second, 0.0),
            "one slow window at the end"
        );
        assert!(!falls_behind(&[5_000_000; 4], second, 0.0), "late, but steadily");
        assert!(falls_behind(&[100_000, 200_000, 300_000, 400_000], second, 0.0));
        assert!(
            !falls_behind(&[100_000, 104_000, 108_000, 112_000], second, 0.0),
            "within the tolerance"
        );
        assert!(falls_behind(&[1_000_001], second, 0.0) && !falls_behind(&[999_999], second, 0.0));
        assert!(
            !falls_behind(&[400_000, 500_000], second, 0.0),
            "too few to tell a growth"
        );
    }

    #[test]
    fn normal_variation_of_the_lag_is_not_growth() {
        let (window, variation) = (2_000_000.0, NUMAFLOW_LAG_VARIATION_US);
        let stepping = [1_500_000, 1_600_000, 2_500_000, 2_600_000];
        assert!(falls_behind(&stepping, window, 0.0) && !falls_behind(&stepping, window, variation));
        assert!(
            !falls_behind(&[3_900_000], window, variation) && falls_behind(&[4_100_000], window, variation)
        );
        let growing = [2_000_000, 4_000_000, 6_000_000, 8_000_000];
        assert!(falls_behind(&growing, window, variation));
    }
}
