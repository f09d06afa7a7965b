//! A delay made of measured latencies, as far as their number allows.

use std::time::Duration;

use wire::{Delay, Latencies};

/// The percents of a curve; the longest latency is its last point.
const PERCENTS: [f64; 26] = [
    1.0, 2.5, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 35.0, 40.0, 45.0, 50.0, 55.0, 60.0, 65.0, 70.0, 75.0, 80.0,
    85.0, 90.0, 95.0, 97.5, 99.0, 99.5, 99.9, 99.99,
];

/// A percentile is sure if at least so many calls lie beyond it.
const BEYOND: f64 = 10.0;

/// With fewer calls no percentile above the median is sure.
const CALLS_FOR_TWO_POINTS: u64 = 40;

/// From so many calls a 99th percentile is sure.
pub const CALLS_FOR_P99: u64 = 1_000;

/// The latencies less `overhead`, point by point.
pub(super) fn curve(latencies: &Latencies, overhead: Duration) -> Option<Delay> {
    let longest = latencies.max()?;
    let at = |percent: f64| latencies.quantile(percent / 100.0);
    let mut points: Vec<(f64, Duration)> = PERCENTS
        .into_iter()
        .filter_map(|percent| Some((percent, at(percent)?.saturating_sub(overhead))))
        .collect();
    points.push((100.0, longest.saturating_sub(overhead)));
    Some(Delay::Percentiles(points))
}

/// What so many latencies less `overhead` say of a delay: a curve if their 99th percentile is sure, else a log-normal through
/// the median and the highest percentile that is sure, else the median alone.
pub fn delay(latencies: &Latencies, overhead: Duration) -> Option<Delay> {
    let calls = latencies.count();
    if calls >= CALLS_FOR_P99 {
        return curve(latencies, overhead);
    }
    let at = |percent: f64| Some(latencies.quantile(percent / 100.0)?.saturating_sub(overhead));
    let median = at(50.0)?;
    let high = highest_sure(calls).and_then(|percent| Some((percent, at(percent)?)));
    Some(match high {
        Some((percent, high)) if high > median && !median.is_zero() => {
            Delay::Lognormal([(50.0, median), (percent, high)])
        }
        _ => Delay::Fixed(median),
    })
}

/// The highest percentile above the median that is sure.
pub fn highest_sure(calls: u64) -> Option<f64> {
    let is_sure = |percent: &f64| calls as f64 * (100.0 - percent) / 100.0 >= BEYOND - 1e-9;
    let known = [75.0, 90.0, 95.0, 99.0, 99.9];
    (calls >= CALLS_FOR_TWO_POINTS)
        .then(|| known.into_iter().rfind(is_sure))
        .flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn latencies(micros: impl IntoIterator<Item = u64>) -> Latencies {
        let mut latencies = Latencies::new();
        for one in micros {
            latencies.record(Duration::from_micros(one));
        }
        latencies
    }

    #[test]
    fn what_is_not_sure_is_not_claimed() {
        for (calls, sure) in [
            (39, None),
            (40, Some(75.0)),
            (99, Some(75.0)),
            (100, Some(90.0)),
            (200, Some(95.0)),
            (999, Some(95.0)),
            (1_000, Some(99.0)),
            (10_000, Some(99.9)),
        ] {
            assert_eq!(highest_sure(calls), sure, "{calls}");
        }
        let delay = |calls| delay(&latencies((1..=calls).map(|i| i * 100)), Duration::ZERO);
        assert_eq!(delay(0), None);
        assert!(matches!(delay(39), Some(Delay::Fixed(_))));
        let Some(Delay::Lognormal(points)) = delay(100) else {
            panic!("two points")
        };
        let millis = |duration: Duration| (duration.as_secs_f64() * 1e4).round() / 10.0;
        assert_eq!(
            points.map(|(percent, delay)| (percent, millis(delay))),
            [(50.0, 5.0), (90.0, 9.0)]
        );
        assert!(matches!(delay(999), Some(Delay::Lognormal(_))));
        assert!(matches!(delay(1_000), Some(Delay::Percentiles(_))));
        // Equal times have no spread.
        let equal = latencies(std::iter::repeat_n(2_000, 100));
        assert_eq!(
            super::delay(&equal, Duration::from_micros(500)),
            Some(Delay::Fixed(Duration::from_micros(1_500)))
        );
    }

    proptest! {
        #[test]
        fn a_curve_is_a_delay_with_the_mean_of_its_calls(
            micros in proptest::collection::vec(1_000u64..1_000_000, 1_000..1_500),
            overhead in 0u64..1_000,
        ) {
            let overhead = Duration::from_micros(overhead);
            let learned = delay(&latencies(micros.iter().copied()), overhead).unwrap();
            prop_assert_eq!(learned.to_string().parse::<Delay>(), Ok(learned.clone()));
            let mean = micros.iter().sum::<u64>() as f64 / micros.len() as f64 - overhead.as_secs_f64() * 1e6;
            let ratio = learned.mean().as_secs_f64() * 1e6 / mean;
            prop_assert!((0.98..1.02).contains(&ratio), "{ratio}");
        }
    }
}
