//! Whether a strategy kept up: told from the windows' results and how late they came. The report's page says the
//! same in words.

use crate::outcome::{TrialOutcome, WindowResult};

/// The result lag may grow by this share of a window's length per window before a strategy counts as falling behind:
/// a load factor of 1.05 makes it grow that fast, and noise of a quiet machine does not.
const TOLERATED_LAG_GROWTH: f64 = 0.05;

/// Fewest windows in which a growth can be told from noise.
const FEWEST_FOR_GROWTH: usize = 4;

/// Whether a strategy kept up with its rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Every window gave its result, and results did not come later and later.
    KeptUp,
    /// Results came later and later, or later than a window's length.
    FellBehind,
    /// Some windows gave no result in time.
    Censored,
}

/// The worst condition of any repeat.
pub(super) fn condition(sound: &[&TrialOutcome]) -> Option<Condition> {
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
        Some(if falls_behind(&lags, window_us) {
            Condition::FellBehind
        } else {
            Condition::KeptUp
        })
    };
    sound
        .iter()
        .filter_map(of_one)
        .max_by_key(|condition| *condition as u8)
}

/// Compares the lower medians of the first and the last half, so that one slow window decides nothing. Of fewer windows
/// than [`FEWEST_FOR_GROWTH`] only their lag can be judged: a result later than a whole window.
fn falls_behind(lags: &[u64], window_us: f64) -> bool {
    let half = lags.len() / 2;
    let median = |part: &[u64]| {
        let mut part = part.to_vec();
        part.sort_unstable();
        part.get(part.len().saturating_sub(1) / 2)
            .map_or(0.0, |lag| *lag as f64)
    };
    if lags.len() < FEWEST_FOR_GROWTH {
        return median(lags) > window_us;
    }
    let between = (lags.len() - half) as f64;
    let growth = (median(&lags[lags.len() - half..]) - median(&lags[..half])) / between;
    growth > TOLERATED_LAG_GROWTH * window_us
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_that_come_later_and_later_fall_behind() {
        let second = 1_000_000.0;
        assert!(
            !falls_behind(&[100, 100, 100, 900_000], second),
            "one slow window at the end"
        );
        assert!(!falls_behind(&[5_000_000; 4], second), "late, but steadily");
        assert!(falls_behind(&[100_000, 200_000, 300_000, 400_000], second));
        assert!(
            !falls_behind(&[100_000, 104_000, 108_000, 112_000], second),
            "within the tolerance"
        );
        assert!(falls_behind(&[1_000_001], second) && !falls_behind(&[999_999], second));
        assert!(
            !falls_behind(&[400_000, 500_000], second),
            "too few to tell a growth"
        );
    }
}
