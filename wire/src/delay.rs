//! The delay of an endpoint as a value: a fixed time or a distribution, both with the same text form.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use statrs::distribution::{ContinuousCDF, Normal};

use crate::duration::{DurationError, MAX_DURATION, format_duration, parse_duration, text_or_number};

/// How long an answer takes.
///
/// Texts: `200us`, `uniform(10ms,50ms)`, `exponential(200ms)` (its mean), `lognormal(50=80ms,99=400ms)` (two percents with
/// their delays), `percentiles(50=10ms,99=1s)` (percent = delay, both rising).
#[derive(Debug, Clone, PartialEq)]
pub enum Delay {
    /// Always the same.
    Fixed(Duration),
    /// Every delay from the first to the second is equally likely.
    Uniform(Duration, Duration),
    /// Exponential with this mean: most answers are fast, some very slow.
    Exponential(Duration),
    /// Log-normal through these two points (percent in (0, 100), delay above 0), both rising: as backends often are, with a
    /// long tail.
    Lognormal([(f64, Duration); 2]),
    /// Points (percent in (0, 100], delay) of the cumulative distribution, linear between them;
    /// below the first point its delay, above the last point its delay.
    Percentiles(Vec<(f64, Duration)>),
}

/// Why a text is not a delay.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum DelayError {
    /// A duration inside the text is malformed or out of range.
    #[error(transparent)]
    Duration(#[from] DurationError),
    /// The name before the parenthesis is unknown, or a part is missing.
    #[error(
        "`{0}` is not a delay: expected a duration like 200us, uniform(LOW,HIGH), exponential(MEAN), lognormal(50=DELAY,99=DELAY) or percentiles(50=DELAY,99=DELAY)"
    )]
    Malformed(String),
    /// The points of a log-normal do not rise, or one of them is 0 or at an end.
    #[error(
        "`{0}`: both percents must lie between 0 and 100 and rise, and both delays must be longer than 0 and rise"
    )]
    Lognormal(String),
    /// A file, which only the experiment opens, and only where its user writes it.
    #[error(
        "`{0}`: only a plan and the flag --io-delay of `experiment` can name a file: write percentiles(50=DELAY,99=DELAY) here"
    )]
    Trace(String),
    /// The points do not rise.
    #[error("`{0}`: percents must rise within (0, 100] and delays must not fall")]
    NotRising(String),
}

impl Delay {
    /// No delay.
    pub const ZERO: Self = Self::Fixed(Duration::ZERO);

    /// The delay that a `fraction` (0 to 1) of the answers does not exceed: the inverse of the cumulative
    /// distribution, so that a uniform random number in [0, 1) gives a random delay.
    pub fn quantile(&self, fraction: f64) -> Duration {
        let fraction = fraction.clamp(0.0, 1.0 - f64::EPSILON);
        match self {
            Self::Fixed(delay) => *delay,
            Self::Uniform(low, high) => *low + high.saturating_sub(*low).mul_f64(fraction),
            Self::Exponential(mean) => mean.mul_f64(-(1.0 - fraction).ln()),
            Self::Lognormal(points) => {
                let (location, scale) = lognormal(points);
                bounded((location + scale * standard_normal(fraction)).exp())
            }
            Self::Percentiles(points) => percentile(points, fraction * 100.0),
        }
    }

    /// The share of answers whose delay is longer than so many seconds: the inverse of [`Self::quantile`], by bisection.
    pub fn share_longer_than(&self, seconds: f64) -> f64 {
        let (mut shorter, mut longer) = (0.0, 1.0);
        for _ in 0..40 {
            let middle = f64::midpoint(shorter, longer);
            match self.quantile(middle).as_secs_f64() <= seconds {
                true => shorter = middle,
                false => longer = middle,
            }
        }
        1.0 - shorter
    }

    /// The mean delay.
    pub fn mean(&self) -> Duration {
        match self {
            Self::Fixed(delay) | Self::Exponential(delay) => *delay,
            Self::Uniform(low, high) => (*low + *high) / 2,
            Self::Lognormal(points) => {
                let (location, scale) = lognormal(points);
                bounded((location + scale * scale / 2.0).exp())
            }
            Self::Percentiles(points) => {
                let (Some(first), Some(last)) = (points.first(), points.last()) else {
                    return Duration::ZERO;
                };
                let ends = first.1.mul_f64(first.0 / 100.0) + last.1.mul_f64((100.0 - last.0) / 100.0);
                points.windows(2).fold(ends, |sum, pair| {
                    sum + (pair[0].1 + pair[1].1).mul_f64((pair[1].0 - pair[0].0) / 200.0)
                })
            }
        }
    }
}

/// Seconds as a duration that can be added to a time: the tail of a very wide distribution has no end.
fn bounded(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds.min(MAX_DURATION.as_secs_f64()))
}

/// Mean and standard deviation of the logarithm of the delay in seconds.
fn lognormal(points: &[(f64, Duration); 2]) -> (f64, f64) {
    let [low, high] =
        points.map(|(percent, delay)| (standard_normal(percent / 100.0), delay.as_secs_f64().ln()));
    let scale = (high.1 - low.1) / (high.0 - low.0);
    (low.1 - scale * low.0, scale)
}

/// The quantile of the standard normal distribution.
fn standard_normal(fraction: f64) -> f64 {
    Normal::standard().inverse_cdf(fraction.max(f64::MIN_POSITIVE))
}

fn percentile(points: &[(f64, Duration)], percent: f64) -> Duration {
    let after = points.partition_point(|(at, _)| *at < percent);
    match (
        after.checked_sub(1).and_then(|i| points.get(i)),
        points.get(after),
    ) {
        (Some((p0, d0)), Some((p1, d1))) => *d0 + d1.saturating_sub(*d0).mul_f64((percent - p0) / (p1 - p0)),
        (None, Some((_, delay))) | (Some((_, delay)), None) => *delay,
        (None, None) => Duration::ZERO,
    }
}

impl FromStr for Delay {
    type Err = DelayError;

    fn from_str(text: &str) -> Result<Self, DelayError> {
        let malformed = || DelayError::Malformed(text.to_owned());
        let Some((name, rest)) = text.split_once('(') else {
            return Ok(Self::Fixed(parse_duration(text)?));
        };
        let parts: Vec<&str> = rest
            .strip_suffix(')')
            .ok_or_else(malformed)?
            .split(',')
            .map(str::trim)
            .collect();
        match (name, parts.as_slice()) {
            ("uniform", [low, high]) => {
                let (low, high) = (parse_duration(low)?, parse_duration(high)?);
                if low > high {
                    return Err(DelayError::NotRising(text.to_owned()));
                }
                Ok(Self::Uniform(low, high))
            }
            ("exponential", [mean]) => Ok(Self::Exponential(parse_duration(mean)?)),
            ("lognormal", [low, high]) => {
                let (low, high) = (self::point(low, text)?, self::point(high, text)?);
                let inside =
                    |(percent, delay): (f64, Duration)| percent > 0.0 && percent < 100.0 && !delay.is_zero();
                let rising = low.0 < high.0 && low.1 < high.1;
                match rising && inside(low) && inside(high) {
                    true => Ok(Self::Lognormal([low, high])),
                    false => Err(DelayError::Lognormal(text.to_owned())),
                }
            }
            ("percentiles", points) => {
                let points = points.iter().map(|point| self::point(point, text));
                let points = points.collect::<Result<Vec<_>, DelayError>>()?;
                let inside = points
                    .iter()
                    .all(|(percent, _)| *percent > 0.0 && *percent <= 100.0);
                let rising = points
                    .windows(2)
                    .all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1);
                if inside && rising {
                    Ok(Self::Percentiles(points))
                } else {
                    Err(DelayError::NotRising(text.to_owned()))
                }
            }
            ("trace", _) => Err(DelayError::Trace(text.to_owned())),
            _ => Err(malformed()),
        }
    }
}

/// `PERCENT=DELAY`, as a part of `text`.
fn point(point: &str, text: &str) -> Result<(f64, Duration), DelayError> {
    let malformed = || DelayError::Malformed(text.to_owned());
    let (percent, delay) = point.split_once('=').ok_or_else(malformed)?;
    let percent: f64 = percent.parse().map_err(|_| malformed())?;
    Ok((percent, parse_duration(delay)?))
}

impl fmt::Display for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(delay) => f.pad(&format_duration(*delay)),
            Self::Uniform(low, high) => {
                write!(f, "uniform({},{})", format_duration(*low), format_duration(*high))
            }
            Self::Exponential(mean) => write!(f, "exponential({})", format_duration(*mean)),
            Self::Lognormal(points) => write!(f, "lognormal({})", written(points)),
            Self::Percentiles(points) => write!(f, "percentiles({})", written(points)),
        }
    }
}

fn written(points: &[(f64, Duration)]) -> String {
    let points = points
        .iter()
        .map(|(percent, delay)| format!("{percent}={}", format_duration(*delay)));
    points.collect::<Vec<_>>().join(",")
}

impl Serialize for Delay {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Delay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text_or_number(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn delays() -> impl Strategy<Value = Delay> {
        let duration = || (0u64..10_000_000_000).prop_map(Duration::from_nanos);
        prop_oneof![
            duration().prop_map(Delay::Fixed),
            (duration(), duration()).prop_map(|(a, b)| Delay::Uniform(a.min(b), a.max(b))),
            duration().prop_map(Delay::Exponential),
            (1u32..500, 501u32..1000, 1u64..1_000_000_000, 1u64..9_000_000_000).prop_map(
                |(low, high, least, more)| {
                    let percent = |permille: u32| f64::from(permille) / 10.0;
                    let nanos = Duration::from_nanos;
                    Delay::Lognormal([(percent(low), nanos(least)), (percent(high), nanos(least + more))])
                }
            ),
            proptest::collection::btree_map(1u32..=1000, duration(), 1..6).prop_map(|points| {
                let mut delays: Vec<Duration> = points.values().copied().collect();
                delays.sort();
                Delay::Percentiles(points.keys().map(|p| f64::from(*p) / 10.0).zip(delays).collect())
            }),
        ]
    }

    proptest! {
        #[test]
        fn every_delay_survives_its_text(delay in delays()) {
            prop_assert_eq!(delay.to_string().parse::<Delay>(), Ok(delay));
        }

        #[test]
        fn quantiles_never_fall(delay in delays(), a in 0.0f64..1.0, b in 0.0f64..1.0) {
            prop_assert!(delay.quantile(a.min(b)) <= delay.quantile(a.max(b)));
        }

        #[test]
        fn as_many_delays_are_longer_as_a_quantile_says(fraction in 0.01f64..0.99, mean in 1u64..10_000) {
            let delay = Delay::Exponential(Duration::from_millis(mean));
            let longer = delay.share_longer_than(delay.quantile(fraction).as_secs_f64());
            prop_assert!((longer - (1.0 - fraction)).abs() < 1e-4, "{longer}");
        }

        #[test]
        fn any_text_that_is_read_survives_its_own(delay in delays(), at in any::<prop::sample::Index>(), byte in "[0-9a-z(),.=]", any in "\\PC{0,60}") {
            let mut changed = delay.to_string();
            let at = at.index(changed.len());
            changed.replace_range(at..=at, &byte);
            for text in [changed, any] {
                if let Ok(delay) = text.parse::<Delay>() {
                    prop_assert_eq!(delay.to_string().parse::<Delay>(), Ok(delay));
                }
            }
        }
    }

    #[test]
    fn the_mean_is_that_of_many_samples() {
        for text in [
            "5ms",
            "uniform(10ms,50ms)",
            "exponential(200ms)",
            "lognormal(50=80ms,99=160ms)",
            "percentiles(50=10ms,90=100ms,99=1s)",
        ] {
            let delay: Delay = text.parse().unwrap();
            let steps = 200_000u32;
            let sum: f64 = (0..steps)
                .map(|i| {
                    delay
                        .quantile((f64::from(i) + 0.5) / f64::from(steps))
                        .as_secs_f64()
                })
                .sum();
            let mean = sum / f64::from(steps);
            let ratio = mean / delay.mean().as_secs_f64();
            assert!((0.999..1.001).contains(&ratio), "{text}: {ratio}");
        }
    }

    #[test]
    fn a_lognormal_goes_through_its_points() {
        let delay: Delay = "lognormal(50=80ms,99=400ms)".parse().unwrap();
        let millis = |duration: Duration| duration.as_secs_f64() * 1e3;
        assert!((millis(delay.quantile(0.5)) - 80.0).abs() < 1e-3);
        assert!((millis(delay.quantile(0.99)) - 400.0).abs() < 1e-3);
        // σ = ln(400 ÷ 80) ÷ 2.3263, mean = 80 ms × e^(σ² ÷ 2).
        let deviation = 5f64.ln() / 2.326_348;
        assert!((millis(delay.mean()) - 80.0 * (deviation * deviation / 2.0).exp()).abs() < 1e-3);
        assert!((millis(delay.mean()) - 101.6).abs() < 0.1, "{:?}", delay.mean());
        assert!(
            delay.quantile(0.0) < Duration::from_micros(1_000)
                && delay.quantile(1.0) < Duration::from_secs(60)
        );
    }

    #[test]
    fn no_text_names_a_file() {
        for text in ["trace(/etc/hostname)", "trace()", "trace(a,b)"] {
            let error = text.parse::<Delay>().unwrap_err();
            assert_eq!(error, DelayError::Trace(text.to_owned()));
            assert!(
                error
                    .to_string()
                    .contains("write percentiles(50=DELAY,99=DELAY) here"),
                "{error}"
            );
        }
    }

    #[test]
    fn bad_texts_are_refused() {
        for text in [
            "1sec",
            "-1s",
            "uniform(2s,1s)",
            "uniform(1s)",
            "exponential()",
            "percentiles(99=1s,50=2s)",
            "percentiles(0=1s)",
            "percentiles(50=2s,99=1s)",
            "normal(1s)",
            "lognormal(80ms,400ms)",
            "lognormal(50=80ms)",
            "lognormal(50=80ms,99=400ms,100=1s)",
            "lognormal(99=80ms,50=400ms)",
            "lognormal(50=80ms,99=80ms)",
            "lognormal(50=0,99=80ms)",
            "lognormal(0=1ms,99=80ms)",
            "lognormal(50=1ms,100=80ms)",
            "uniform(1s,2s",
        ] {
            assert!(text.parse::<Delay>().is_err(), "{text}");
        }
    }
}
