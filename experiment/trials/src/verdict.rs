//! Whether a strategy kept up: told from the windows' results and how late they came. The report's page says the
//! same in words.

use crate::outcome::{NUMAFLOW_PREFIX, TrialOutcome, WindowResult};

/// The result lag may grow by this share of a window's length per window before a strategy counts as falling behind:
/// a load factor of 1.05 makes it grow that fast, and noise of a quiet machine does not.
const TOLERATED_LAG_GROWTH: f64 = 0.05;

/// Fewest windows in which a growth can be told from noise.
const FEWEST_FOR_GROWTH: usize = 4;

/// How much the result lag varies where Numaflow runs the trial, whatever the strategy does: in the chart's base each of
/// two hops passes its watermark on once a second.
const NUMAFLOW_VARIES_US: f64 = 2_000_000.0;

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
pub fn condition(sound: &[&TrialOutcome]) -> Option<Condition> {
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
        let varies_us = if by_numaflow(outcome) {
            NUMAFLOW_VARIES_US
        } else {
            0.0
        };
        Some(if falls_behind(&lags, window_us, varies_us) {
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

/// Whether the real Numaflow ran it: its own figures are there.
fn by_numaflow(outcome: &TrialOutcome) -> bool {
    let engine = outcome
        .instruments
        .as_ref()
        .map(|instruments| &instruments.engine);
    engine.is_some_and(|engine| engine.keys().any(|name| name.starts_with(NUMAFLOW_PREFIX)))
}

/// Compares the lower medians of the first and the last half, so that one slow window decides nothing. Of fewer windows
/// than [`FEWEST_FOR_GROWTH`] only their lag can be judged: a result later than a whole window. Either counts only beyond
/// what the lag varies by itself.
fn falls_behind(lags: &[u64], window_us: f64, varies_us: f64) -> bool {
    let half = lags.len() / 2;
    let median = |part: &[u64]| {
        let mut part = part.to_vec();
        part.sort_unstable();
        part.get(part.len().saturating_sub(1) / 2)
            .map_or(0.0, |lag| *lag as f64)
    };
    if lags.len() < FEWEST_FOR_GROWTH {
        return median(lags) > window_us + varies_us;
    }
    let between = (lags.len() - half) as f64;
    let growth = (median(&lags[lags.len() - half..]) - median(&lags[..half]) - varies_us) / between;
    growth > TOLERATED_LAG_GROWTH * window_us
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_that_come_later_and_later_fall_behind() {
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
    fn what_the_lag_varies_by_itself_is_no_growth() {
        let (window, varies) = (2_000_000.0, NUMAFLOW_VARIES_US);
        let stepping = [1_500_000, 1_600_000, 2_500_000, 2_600_000];
        assert!(falls_behind(&stepping, window, 0.0) && !falls_behind(&stepping, window, varies));
        assert!(!falls_behind(&[3_900_000], window, varies) && falls_behind(&[4_100_000], window, varies));
        let growing = [2_000_000, 4_000_000, 6_000_000, 8_000_000];
        assert!(falls_behind(&growing, window, varies));
    }
}
