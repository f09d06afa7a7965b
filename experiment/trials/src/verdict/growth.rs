//! Whether a quantity grows from window to window, by the slopes between all pairs of windows: the median of them (Theil)
//! and the ends of one-sided 95 % intervals (P. K. Sen, "Estimates of the Regression Coefficient Based on Kendall's
//! Tau", JASA 63, 1968). It assumes no distribution, and one slow window does not decide.

/// More windows than this are taken together in groups by their median, as the pairs grow with the square.
const MAX_GROUPS: usize = 64;

/// Quantile of the normal distribution for the interval.
const Z_95: f64 = 1.645;

/// With fewer windows no slope is ruled out with 95 %: of three windows in random order every sixth rises throughout.
pub(crate) const MIN_WINDOWS_FOR_INTERVAL: usize = 4;

/// Growth per window, in the unit of the values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Growth {
    /// The median slope.
    pub typical: f64,
    /// The most that the windows allow: the upper end of the interval, or the largest slope where there are fewer windows
    /// than [`MIN_WINDOWS_FOR_INTERVAL`].
    pub at_most: f64,
    /// The least that they allow: the lower end of the interval, or the smallest slope.
    pub at_least: f64,
}

impl Growth {
    /// Of consecutive windows; differences up to `variation` are no growth. `None` for fewer than two.
    pub(crate) fn of(values: &[f64], variation: f64) -> Option<Self> {
        Self::of_series(&[values], variation)
    }

    /// Of several series of consecutive windows that grow alike, such as the repeats of a trial: the pairs within each
    /// count, those between two do not. `None` if no series has two windows.
    pub(crate) fn of_series(series: &[&[f64]], variation: f64) -> Option<Self> {
        let mut slopes = Vec::new();
        let mut lengths = Vec::new();
        for values in series {
            let size = values.len().div_ceil(MAX_GROUPS).max(1);
            let groups: Vec<f64> = values.chunks_exact(size).map(median).collect();
            for (i, earlier) in groups.iter().enumerate() {
                for (j, later) in groups.iter().enumerate().skip(i + 1) {
                    let change = later - earlier;
                    let beyond = change - change.clamp(-variation, variation);
                    slopes.push(beyond / ((j - i) * size) as f64);
                }
            }
            lengths.push(groups.len());
        }
        slopes.sort_by(f64::total_cmp);
        let above = slopes_above(&lengths).unwrap_or(0);
        let at_most = *slopes.get(slopes.len().checked_sub(above + 1)?)?;
        let at_least = *slopes.get(above)?;
        Some(Self {
            typical: median(&slopes),
            at_most,
            at_least,
        })
    }
}

/// How many of the slopes within series of so many windows lie above the interval; `None` if there is no interval.
/// Kendall's statistic by its normal approximation with a continuity correction, whose numbers are those of the exact
/// distribution; of independent series both the pairs and the variances add up.
fn slopes_above(windows: &[usize]) -> Option<usize> {
    let (mut pairs, mut variance) = (0.0, 0.0);
    for n in windows.iter().map(|windows| *windows as f64) {
        pairs += n * (n - 1.0) / 2.0;
        variance += n * (n - 1.0) * (2.0 * n + 5.0) / 18.0;
    }
    let above = (pairs - 1.0 - Z_95 * variance.sqrt()) / 2.0;
    (above >= 0.0).then_some(above as usize)
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (low, high) = (
        sorted.get(sorted.len().saturating_sub(1) / 2),
        sorted.get(sorted.len() / 2),
    );
    low.zip(high).map_or(0.0, |(low, high)| (low + high) / 2.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// How many permutations of `n` windows have at most `above` rising pairs: the chance that windows without growth
    /// give an interval that lies below 0.
    fn chance(n: usize, above: usize) -> f64 {
        // Permutations by number of inversions.
        let mut counts = vec![1.0];
        for k in 2..=n {
            let mut next = vec![0.0; counts.len() + k - 1];
            for (inversions, count) in counts.iter().enumerate() {
                (0..k).for_each(|more| next[inversions + more] += count);
            }
            counts = next;
        }
        counts.iter().take(above + 1).sum::<f64>() / counts.iter().sum::<f64>()
    }

    #[test]
    fn the_interval_holds_95_percent_by_kendalls_exact_distribution() {
        assert_eq!([0, 1, 2, 3].map(|n| slopes_above(&[n])), [None; 4]);
        for n in MIN_WINDOWS_FOR_INTERVAL..=MAX_GROUPS {
            let above = slopes_above(&[n]).unwrap();
            assert!(chance(n, above) < 0.0502, "{n} windows: {}", chance(n, above));
            // One more would leave out too much, so no window is wasted.
            assert!(
                chance(n, above + 1) > 0.05,
                "{n} windows: {}",
                chance(n, above + 1)
            );
        }
    }

    #[test]
    fn few_windows_allow_their_steepest_rise() {
        assert_eq!(Growth::of(&[], 0.0), None);
        assert_eq!(Growth::of(&[1.0], 0.0), None);
        let two = Growth::of(&[1.0, 3.0], 0.0).unwrap();
        assert_eq!((two.typical, two.at_most, two.at_least), (2.0, 2.0, 2.0));
        assert_eq!(Growth::of(&[1.0, 2.0, 5.0], 0.0).unwrap().at_most, 3.0);
        assert_eq!(
            Growth::of(&[1.0, 3.0], 2.0).unwrap().at_most,
            0.0,
            "within the variation"
        );
        assert_eq!(Growth::of(&[3.0, 1.0], 0.5).unwrap().at_most, -1.5);
    }

    #[test]
    fn one_slow_window_of_many_is_no_growth() {
        let mut values = vec![1.0; 16];
        values[15] = 9.0;
        let growth = Growth::of(&values, 0.0).unwrap();
        assert_eq!((growth.typical, growth.at_most), (0.0, 0.0));
    }

    #[test]
    fn repeats_narrow_the_interval_and_their_levels_do_not_matter() {
        let noisy = |base: f64| -> Vec<f64> { (0..10).map(|i| base + f64::from(i * 7 % 10)).collect() };
        let one = noisy(0.0);
        let single = Growth::of(&one, 0.0).unwrap();
        let four: Vec<Vec<f64>> = [0.0, 1_000.0, 500.0, 250.0].map(noisy).to_vec();
        let series: Vec<&[f64]> = four.iter().map(Vec::as_slice).collect();
        let pooled = Growth::of_series(&series, 0.0).unwrap();
        assert_eq!(pooled.typical, single.typical);
        let width = |growth: Growth| growth.at_most - growth.at_least;
        assert!(width(pooled) < 0.6 * width(single), "{pooled:?} {single:?}");
        assert_eq!(Growth::of_series(&[&[1.0], &[5.0]], 0.0), None);
    }

    #[test]
    fn very_many_windows_are_taken_in_groups() {
        let rising: Vec<f64> = (0..10_000).map(f64::from).collect();
        let growth = Growth::of(&rising, 0.0).unwrap();
        assert!((growth.typical - 1.0).abs() < 1e-9 && (growth.at_most - 1.0).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn a_steady_rise_is_found_whatever_the_noise(
            noise in proptest::collection::vec(0.0..1.0f64, 2..80), rise in 1.0..5.0f64,
        ) {
            let values: Vec<f64> = noise.iter().enumerate().map(|(i, noise)| rise * i as f64 + noise).collect();
            let growth = Growth::of(&values, 0.0).unwrap();
            prop_assert!(growth.at_most >= growth.typical && growth.typical >= growth.at_least);
            // The interval lies as far on the one side as on the other.
            let falling: Vec<f64> = values.iter().map(|value| -value).collect();
            prop_assert_eq!(Growth::of(&falling, 0.0).unwrap().at_least, -growth.at_most);
            // A pair that lies k windows apart errs by less than 1/k.
            prop_assert!((growth.typical - rise).abs() < 1.0);
            let steadier = Growth::of(&values, 0.5).unwrap();
            prop_assert!(steadier.at_most <= growth.at_most);
        }
    }
}
