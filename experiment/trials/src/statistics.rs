//! Intervals and tests for a few independent figures, such as one for each trial. Pure: numbers in, numbers out.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// Fewer figures on a side have no spread that could be trusted.
pub const MIN_FIGURES: usize = 3;

/// An estimated mean, or difference of means, with what its uncertainty is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimate {
    pub mean: f64,
    /// Sample variance and number of the figures of each part.
    parts: Vec<(f64, usize)>,
}

impl Estimate {
    /// The mean of figures; of the differences of pairs, this is the paired t-test. `None` for fewer than two.
    pub fn of(figures: &[f64]) -> Option<Self> {
        let (mean, variance) = moments(figures)?;
        Some(Self {
            mean,
            parts: vec![(variance, figures.len())],
        })
    }

    /// The difference of means `to − from` of two independent samples whose variances may differ (Welch). `None` if one has
    /// fewer than two.
    pub fn between(from: &[f64], to: &[f64]) -> Option<Self> {
        let ((from_mean, from_variance), (to_mean, to_variance)) = (moments(from)?, moments(to)?);
        Some(Self {
            mean: to_mean - from_mean,
            parts: vec![(from_variance, from.len()), (to_variance, to.len())],
        })
    }

    /// The same spread with `number` figures in each part.
    fn with(&self, number: usize) -> Self {
        Self {
            mean: self.mean,
            parts: self
                .parts
                .iter()
                .map(|(variance, _)| (*variance, number))
                .collect(),
        }
    }

    pub fn standard_error(&self) -> f64 {
        let sum: f64 = self
            .parts
            .iter()
            .map(|(variance, number)| variance / *number as f64)
            .sum();
        sum.sqrt()
    }

    /// Degrees of freedom by Welch and Satterthwaite; for one part, its number less one.
    fn degrees(&self) -> f64 {
        let terms = self.parts.iter().map(|(variance, number)| {
            let share = variance / *number as f64;
            (share, share * share / (*number as f64 - 1.0))
        });
        let (sum, squares) = terms.fold((0.0, 0.0), |(sum, squares), (share, square)| {
            (sum + share, squares + square)
        });
        match squares > 0.0 {
            true => sum * sum / squares,
            false => self.parts.iter().map(|(_, number)| *number as f64 - 1.0).sum(),
        }
    }

    /// Half the width of the interval that misses the true value with probability `alpha`.
    fn half_width(&self, alpha: f64) -> f64 {
        let error = self.standard_error();
        if error == 0.0 {
            return 0.0;
        }
        match StudentsT::new(0.0, 1.0, self.degrees()) {
            Ok(t) => t.inverse_cdf(1.0 - alpha / 2.0) * error,
            Err(_) => f64::INFINITY,
        }
    }

    /// The interval that misses the true value with probability `alpha`.
    pub fn interval(&self, alpha: f64) -> (f64, f64) {
        let half = self.half_width(alpha);
        (self.mean - half, self.mean + half)
    }

    /// The two-sided probability of a mean this far from 0 where the true one is 0.
    pub fn p_value(&self) -> f64 {
        p_value(self.mean, self.standard_error(), self.degrees())
    }

    /// With how many figures in each part an interval of the same spread and mean would lie beyond 0 or within ± `margin`;
    /// `None` above `most`.
    pub fn needed(&self, alpha: f64, margin: f64, most: usize) -> Option<usize> {
        let decides = |number: &usize| {
            let half = self.with(*number).half_width(alpha);
            self.mean.abs() > half || self.mean.abs() + half <= margin
        };
        (MIN_FIGURES..=most).find(decides)
    }

    /// With how many figures in each part a difference of `margin` would lie beyond 0; `None` above `most`.
    pub fn needed_for(&self, margin: f64, alpha: f64, most: usize) -> Option<usize> {
        (MIN_FIGURES..=most).find(|number| self.with(*number).half_width(alpha) < margin)
    }
}

/// The change of figures over their order, by least squares: last − first of the fitted line, with its error; `None` for
/// fewer than four.
pub fn drift(figures: &[f64]) -> Option<Drift> {
    let number = figures.len() as f64;
    if figures.len() < 4 {
        return None;
    }
    let positions = || (0..figures.len()).map(|position| position as f64);
    let middle = (number - 1.0) / 2.0;
    let mean = figures.iter().sum::<f64>() / number;
    let spread: f64 = positions().map(|position| (position - middle).powi(2)).sum();
    let product: f64 = positions()
        .zip(figures)
        .map(|(position, figure)| (position - middle) * (figure - mean))
        .sum();
    let slope = product / spread;
    let left: f64 = positions()
        .zip(figures)
        .map(|(position, figure)| (figure - mean - slope * (position - middle)).powi(2))
        .sum();
    let error = (left / (number - 2.0) / spread).sqrt();
    Some(Drift {
        change: slope * (number - 1.0),
        p_value: p_value(slope, error, number - 2.0),
    })
}

/// The two-sided probability of an estimate this far from 0 where the truth is 0, by Student's t.
fn p_value(estimate: f64, error: f64, degrees: f64) -> f64 {
    match StudentsT::new(0.0, 1.0, degrees) {
        _ if estimate == 0.0 => 1.0,
        _ if error == 0.0 => 0.0,
        Ok(t) => 2.0 * t.cdf(-(estimate / error).abs()),
        Err(_) => 1.0,
    }
}

/// See [`drift`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Drift {
    /// Last − first of the fitted line.
    pub change: f64,
    /// The probability of such a slope where there is none.
    pub p_value: f64,
}

/// The level of each interval so that with probability `1 − alpha` none of them misses 0 where the truth is 0, by Holm: the
/// smallest p-value has `alpha ÷ n`, and so on, until one is not significant; from there on the level stays.
pub fn holm(p_values: &[f64], alpha: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|a, b| p_values[*a].total_cmp(&p_values[*b]));
    let mut levels = vec![alpha; p_values.len()];
    let mut stopped: Option<f64> = None;
    for (rank, index) in order.into_iter().enumerate() {
        let level = stopped.unwrap_or(alpha / (p_values.len() - rank) as f64);
        if p_values[index] >= level {
            stopped = Some(level);
        }
        levels[index] = level;
    }
    levels
}

/// The median; the mean of the middle two for an even number; `None` for no figure.
pub fn median(figures: &[f64]) -> Option<f64> {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = |index: usize| sorted.get(index).copied();
    Some(f64::midpoint(
        middle(sorted.len().checked_sub(1)? / 2)?,
        middle(sorted.len() / 2)?,
    ))
}

/// Index of the percentile `share` among `all` sorted values, by nearest rank.
pub fn rank(share: f64, all: usize) -> usize {
    // Without the rounding error of decimal shares, which would take the next value.
    ((share * all as f64 - 1e-9).ceil() as usize).clamp(1, all.max(1)) - 1
}

/// Mean and sample variance; `None` for fewer than two.
fn moments(figures: &[f64]) -> Option<(f64, f64)> {
    let number = figures.len() as f64;
    if figures.len() < 2 {
        return None;
    }
    let mean = figures.iter().sum::<f64>() / number;
    let squares: f64 = figures.iter().map(|figure| (figure - mean).powi(2)).sum();
    Some((mean, squares / (number - 1.0)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Standard normal figures by Box and Muller, the same for a seed.
    struct Normal {
        seed: u64,
        index: u64,
    }

    impl Normal {
        fn next(&mut self) -> f64 {
            let mut uniform = || {
                self.index += 1;
                (wire::splitmix64(self.seed, self.index) >> 11) as f64 / (1u64 << 53) as f64
            };
            let (one, other) = (uniform(), uniform());
            (-2.0 * (1.0 - one).ln()).sqrt() * (std::f64::consts::TAU * other).cos()
        }

        fn figures(&mut self, number: usize, mean: f64, deviation: f64) -> Vec<f64> {
            (0..number).map(|_| mean + deviation * self.next()).collect()
        }
    }

    fn close(one: f64, other: f64) {
        assert!(
            (one - other).abs() < 1e-3 * other.abs().max(1.0),
            "{one} is not {other}"
        );
    }

    #[test]
    fn quantiles_are_those_of_the_tables() {
        // Mean 3, sample variance 2.5, t(0.995; 4) = 4.604.
        let estimate = Estimate::of(&[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        let half = 4.6041 * (2.5f64 / 5.0).sqrt();
        let (low, high) = estimate.interval(0.01);
        close(low, 3.0 - half);
        close(high, 3.0 + half);
        // t(0.975; 4) = 2.7764: there the p-value is 5 %.
        let at_the_edge = Estimate {
            mean: 2.776_445 * (2.5f64 / 5.0).sqrt(),
            ..estimate
        };
        assert!(
            (at_the_edge.p_value() - 0.05).abs() < 1e-6,
            "{}",
            at_the_edge.p_value()
        );
    }

    #[test]
    fn welchs_degrees_are_those_of_the_formula() {
        // By hand: (1/3 + 5/3)² ÷ ((1/3)² ÷ 2 + (5/3)² ÷ 3).
        let estimate = Estimate::between(&[1.0, 2.0, 3.0], &[5.0, 7.0, 9.0, 11.0]).unwrap();
        close(estimate.mean, 6.0);
        close(estimate.degrees(), 4.075_472);
        close(estimate.mean / estimate.standard_error(), 4.242_64);
    }

    #[test]
    fn figures_without_spread_have_no_width() {
        let estimate = Estimate::of(&[2.0, 2.0, 2.0]).unwrap();
        assert_eq!((estimate.interval(0.01), estimate.p_value()), ((2.0, 2.0), 0.0));
        let same = Estimate::between(&[2.0, 2.0], &[2.0, 2.0]).unwrap();
        assert_eq!((same.interval(0.01), same.p_value()), ((0.0, 0.0), 1.0));
        assert_eq!(Estimate::of(&[1.0]), None);
        assert_eq!(Estimate::between(&[1.0, 2.0], &[1.0]), None);
    }

    #[test]
    fn holm_grows_the_level_as_long_as_something_is_found() {
        assert_eq!(holm(&[0.2, 0.001, 0.004], 0.01), [0.01, 0.01 / 3.0, 0.005]);
        assert_eq!(holm(&[0.2, 0.006, 0.001], 0.01), [0.005, 0.005, 0.01 / 3.0]);
        assert_eq!(holm(&[], 0.01), Vec::<f64>::new());
    }

    #[test]
    fn one_in_a_hundred_is_found_where_nothing_is() {
        let mut normal = Normal { seed: 7, index: 0 };
        let beyond = |estimate: Estimate| {
            let (low, high) = estimate.interval(0.01);
            low > 0.0 || high < 0.0
        };
        let rounds = 4_000;
        let welch = (0..rounds).filter(|_| {
            let (one, other) = (normal.figures(5, 3.0, 0.1), normal.figures(5, 3.0, 0.3));
            beyond(Estimate::between(&one, &other).unwrap())
        });
        let welch = welch.count();
        let paired = (0..rounds).filter(|_| beyond(Estimate::of(&normal.figures(5, 0.0, 0.2)).unwrap()));
        let paired = paired.count();
        // Binomial: 40 ± 3 × 6.3. Welch's is approximate.
        assert!(
            (15..=70).contains(&welch) && (21..=59).contains(&paired),
            "{welch}, {paired}"
        );
    }

    #[test]
    fn a_difference_is_found_with_the_figures_that_were_said_to_suffice() {
        let mut normal = Normal { seed: 11, index: 0 };
        let (difference, deviation) = (1.1f64.ln(), 0.04);
        let mut found = 0;
        let mut total = 0;
        for _ in 0..300 {
            let first = Estimate::of(&normal.figures(10, difference, deviation)).unwrap();
            let Some(needed) = first.needed(0.01, 1e-9, 1_000) else {
                continue;
            };
            total += 1;
            let again = Estimate::of(&normal.figures(needed + 2, difference, deviation)).unwrap();
            found += usize::from(again.interval(0.01).0 > 0.0);
        }
        // An interval that just reaches beyond 0 does so in half of the repetitions; two more figures make it more.
        assert!(total == 300 && found > 180, "{found} of {total}");
    }

    #[test]
    fn drift_is_found_and_noise_is_not() {
        let rising: Vec<f64> = (0..10).map(|position| 1.0 + 0.01 * f64::from(position)).collect();
        let found = drift(&rising).unwrap();
        close(found.change, 0.09);
        assert!(found.p_value < 1e-6);
        let mut normal = Normal { seed: 3, index: 0 };
        let runs = (0..2_000).filter(|_| drift(&normal.figures(8, 1.0, 0.1)).unwrap().p_value < 0.01);
        let alarms = runs.count();
        assert!((6..=36).contains(&alarms), "{alarms}");
        assert_eq!(drift(&[1.0, 2.0, 3.0]), None);
    }

    proptest! {
        /// The wider the level, the wider the interval; and an interval and its p-value agree.
        #[test]
        fn intervals_and_p_values_agree(figures in proptest::collection::vec(-1e3f64..1e3, 2..12), alpha in 0.001f64..0.5) {
            let estimate = Estimate::of(&figures).unwrap();
            let (low, high) = estimate.interval(alpha);
            prop_assert!(low <= estimate.mean && estimate.mean <= high);
            let (narrow_low, narrow_high) = estimate.interval((alpha * 1.5).min(0.9));
            prop_assert!(low <= narrow_low && narrow_high <= high);
            let p = estimate.p_value();
            prop_assume!((p - alpha).abs() > 1e-6);
            prop_assert_eq!(low > 0.0 || high < 0.0, p < alpha);
        }

        #[test]
        fn holm_never_finds_less_than_bonferroni(p_values in proptest::collection::vec(0.0f64..1.0, 1..10)) {
            let levels = holm(&p_values, 0.01);
            let least = 0.01 / p_values.len() as f64;
            for (p, level) in p_values.iter().zip(&levels) {
                prop_assert!(*level >= least - 1e-12 && *level <= 0.01);
                prop_assert!(*p >= least || p < level);
            }
        }

        #[test]
        fn swapping_the_samples_turns_the_difference(a in proptest::collection::vec(-1e3f64..1e3, 2..9), b in proptest::collection::vec(-1e3f64..1e3, 2..9)) {
            let (one, other) = (Estimate::between(&a, &b).unwrap(), Estimate::between(&b, &a).unwrap());
            prop_assert!((one.mean + other.mean).abs() < 1e-9);
            prop_assert!((one.p_value() - other.p_value()).abs() < 1e-9);
        }
    }
}
