//! Measured latencies, one a line of a file, as a delay with the same mean. The endpoint gets a delay with every call, so
//! its text must stay short: a few points of the distribution stand for all lines.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use wire::{DurationError, MAX_DURATION, parse_duration};

/// Longest file: 64 MiB.
const MAX_BYTES: u64 = 64 << 20;

const BOM: &str = "\u{feff}";

/// Percents that have a point where there are lines on both sides of them.
const PERCENTS: [f64; 10] = [1.0, 5.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.9];

/// Most points of a delay, some 15 bytes each.
const MAX_POINTS: usize = 40;

/// Points are added until the mean is as close to that of the lines.
const MEAN_WITHIN: f64 = 0.01;

/// Why a file gives no delay.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    /// The file is longer than [`MAX_BYTES`].
    #[error("is longer than {} MiB: use a part of the file", MAX_BYTES >> 20)]
    TooLong,
    /// There is no line that is not blank.
    #[error("has no line with a latency")]
    Empty,
    /// A line is no latency.
    #[error("line {line}: {problem}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// The problem.
        problem: String,
    },
}

/// Reads a file of latencies, at least one: durations, or numbers of milliseconds. A byte order mark, carriage returns
/// before line feeds, and blank lines are left out.
///
/// # Errors
/// Returns an error if the file cannot be read, is too long or empty, or if a line is no latency.
pub fn read(path: &Path) -> Result<Vec<Duration>, TraceError> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(TraceError::TooLong);
    }
    latencies(&String::from_utf8_lossy(&bytes))
}

fn latencies(text: &str) -> Result<Vec<Duration>, TraceError> {
    let text = text.strip_prefix(BOM).unwrap_or(text);
    let lines = text.lines().map(str::trim).zip(1..);
    let latencies = lines.filter(|(text, _)| !text.is_empty()).map(|(text, line)| {
        latency(text).map_err(|problem| TraceError::Line {
            line,
            problem: problem.to_string(),
        })
    });
    let latencies = latencies.collect::<Result<Vec<_>, _>>()?;
    match latencies.is_empty() {
        true => Err(TraceError::Empty),
        false => Ok(latencies),
    }
}

/// A duration, or a number of milliseconds with any number of decimals.
fn latency(text: &str) -> Result<Duration, DurationError> {
    match text.parse::<f64>() {
        Ok(millis) => Duration::try_from_secs_f64(millis / 1e3)
            .ok()
            .filter(|latency| *latency <= MAX_DURATION)
            .ok_or_else(|| DurationError::OutOfRange(shown(text))),
        Err(_) => parse_duration(text).map_err(|error| match error {
            DurationError::Malformed(text) => DurationError::Malformed(shown(&text)),
            DurationError::OutOfRange(text) => DurationError::OutOfRange(shown(&text)),
        }),
    }
}

/// A line may be of any length.
fn shown(text: &str) -> String {
    const MOST: usize = 40;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// A delay with the distribution of latencies: points at common percents, at the shortest and the longest, and wherever
/// else the mean needs them. The mean is within two percent of theirs; none without latencies.
pub fn delay(mut latencies: Vec<Duration>) -> Option<wire::Delay> {
    latencies.sort_unstable();
    let lines = Lines(&latencies);
    let last = latencies.len().checked_sub(1)?;
    let all = latencies.len() <= PERCENTS.len() + 2;
    let mut points: Vec<(f64, Duration)> = match all {
        true => (0..=last).map(|index| lines.point(index)).collect(),
        false => {
            let (first, last) = (lines.point(0), lines.point(last));
            let inside = PERCENTS
                .into_iter()
                .filter(|percent| first.0 < *percent && *percent < last.0);
            let inside = inside.map(|percent| (percent, lines.at(percent)));
            [first].into_iter().chain(inside).chain([last]).collect()
        }
    };
    let mean = latencies.iter().map(Duration::as_secs_f64).sum::<f64>() / latencies.len() as f64;
    loop {
        let delay = wire::Delay::Percentiles(points.clone());
        let off = (delay.mean().as_secs_f64() - mean).abs();
        let missing = match off <= mean * MEAN_WITHIN || points.len() == MAX_POINTS {
            true => None,
            false => lines.farthest(&points),
        };
        let Some((place, point)) = missing else {
            return Some(delay);
        };
        points.insert(place, point);
    }
}

/// Latencies in rising order, each in the middle of its share of all: the line through them has their mean.
struct Lines<'a>(&'a [Duration]);

impl Lines<'_> {
    fn point(&self, index: usize) -> (f64, Duration) {
        (self.percent(index), rounded(self.0[index]))
    }

    /// With as many decimals as tell lines apart, and one more.
    fn percent(&self, index: usize) -> f64 {
        let count = self.0.len() as f64;
        let scale = 10f64.powf(count.log10().ceil().max(1.0));
        ((index as f64 + 0.5) * 100.0 / count * scale).round() / scale
    }

    /// The latency at a percent between the first and the last line.
    fn at(&self, percent: f64) -> Duration {
        let position = percent / 100.0 * self.0.len() as f64 - 0.5;
        let below = position.floor().max(0.0);
        let (low, high) = (self.0[below as usize], self.0[position.ceil() as usize]);
        rounded(low + (high - low).mul_f64(position - below))
    }

    /// Of the part between two points whose sum the points miss by most: the line that is farthest from them, and its
    /// place among the points.
    fn farthest(&self, points: &[(f64, Duration)]) -> Option<(usize, (f64, Duration))> {
        let mut parts = vec![(0.0f64, 0.0f64, None); points.len() + 1];
        let mut place = 0;
        for (index, latency) in self.0.iter().enumerate() {
            let percent = self.percent(index);
            while points.get(place).is_some_and(|(at, _)| *at < percent) {
                place += 1;
            }
            let (Some(low), Some(high)) = (place.checked_sub(1).map(|low| points[low]), points.get(place))
            else {
                continue;
            };
            if high.0 == percent {
                continue;
            }
            let [below, above] = [low.1, high.1].map(|delay| delay.as_secs_f64());
            let between = below + (above - below) * (percent - low.0) / (high.0 - low.0);
            let off = latency.as_secs_f64() - between;
            let (sum, most, farthest) = &mut parts[place];
            *sum += off;
            if off.abs() > *most {
                (*most, *farthest) = (off.abs(), Some(index));
            }
        }
        let parts = parts.into_iter().enumerate();
        let (place, (.., farthest)) =
            parts.max_by(|(_, (a, ..)), (_, (b, ..))| a.abs().total_cmp(&b.abs()))?;
        farthest.map(|index| (place, self.point(index)))
    }
}

/// Four digits.
fn rounded(latency: Duration) -> Duration {
    let nanos = latency.as_nanos() as u64;
    let digits = nanos.checked_ilog10().unwrap_or_default();
    let unit = 10u64.pow(digits.saturating_sub(3));
    Duration::from_nanos((nanos + unit / 2) / unit * unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use wire::Delay;

    fn refusal(text: &str) -> String {
        latencies(text).unwrap_err().to_string()
    }

    #[test]
    fn lines_are_durations_or_milliseconds() {
        let micros = Duration::from_micros;
        for (text, expected) in [
            ("81ms\n1.5s\n", vec![micros(81_000), micros(1_500_000)]),
            ("81\n0.25\n0", vec![micros(81_000), micros(250), micros(0)]),
            ("8.1e1", vec![micros(81_000)]),
            (
                "\u{feff}\r\n200us\r\n\n  200µs \r\n",
                vec![micros(200), micros(200)],
            ),
            ("0.00000049\n", vec![micros(0)]),
        ] {
            assert_eq!(latencies(text).unwrap(), expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_no_latency_is_refused_with_its_line() {
        for empty in ["", "\n\r\n \n", BOM] {
            assert_eq!(refusal(empty), "has no line with a latency");
        }
        assert!(refusal("1ms\n\nslow\n").starts_with("line 3: `slow` is not a duration"));
        assert!(refusal("81 ms").starts_with("line 1: `81 ms` is not a duration"));
        for out_of_range in ["-1", "NaN", "inf", "86400001", "25h", "1e300"] {
            let refused = refusal(out_of_range);
            assert!(
                refused.starts_with(&format!("line 1: `{out_of_range}` is out of range")),
                "{refused}"
            );
        }
        let long = "x".repeat(1_000);
        assert!(refusal(&long).len() < 200, "{}", refusal(&long));
    }

    #[test]
    fn few_lines_are_all_there() {
        let text = |latencies: &str| delay(super::latencies(latencies).unwrap()).unwrap().to_string();
        assert_eq!(text("5"), "percentiles(50=5ms)");
        assert_eq!(
            text("30\n10\n20\n20"),
            "percentiles(12.5=10ms,37.5=20ms,62.5=20ms,87.5=30ms)"
        );
        assert_eq!(delay(Vec::new()), None);
    }

    #[test]
    fn many_lines_have_their_percentiles() {
        // Of 10,000 lines of this distribution.
        let backend: Delay = "lognormal(50=80ms,99=400ms)".parse().unwrap();
        let lines = (0..10_000).map(|index| backend.quantile((f64::from(index) + 0.5) / 10_000.0));
        let delay = delay(lines.rev().collect()).unwrap();
        let text = delay.to_string();
        assert!(text.len() < 250, "{text}");
        assert!(text.starts_with("percentiles(0.005="), "{text}");
        assert!(
            text.contains(",50=80ms,") && text.contains(",99=400ms,") && text.contains(",99.995="),
            "{text}"
        );
        let mean = delay.mean().as_secs_f64() / backend.mean().as_secs_f64();
        assert!((0.98..1.02).contains(&mean), "{mean}: {text}");
    }

    #[test]
    fn one_line_among_many_is_in_the_mean() {
        let mut lines = vec![Duration::from_millis(1); 99_999];
        lines.push(Duration::from_secs(1_000));
        let delay = delay(lines).unwrap();
        let mean = delay.mean().as_secs_f64() / 0.011;
        assert!((0.98..1.02).contains(&mean), "{mean}: {delay}");
        assert_eq!(delay.quantile(0.999), Duration::from_millis(1), "{delay}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_mean_is_that_of_the_lines(
            few in proptest::collection::vec((0.0f64..12.0).prop_map(|digits| 10f64.powf(digits) as u64), 1..400),
            times in proptest::collection::vec(1usize..60, 1..20),
        ) {
            let times = times.into_iter().cycle();
            let lines: Vec<Duration> = few
                .into_iter()
                .zip(times)
                .flat_map(|(nanos, times)| std::iter::repeat_n(Duration::from_nanos(nanos), times))
                .collect();
            let mean = lines.iter().map(Duration::as_secs_f64).sum::<f64>() / lines.len() as f64;
            let delay = delay(lines).unwrap();
            let ratio = delay.mean().as_secs_f64() / mean;
            prop_assert!((0.98..1.02).contains(&ratio), "{}: {}", ratio, delay);
            let Delay::Percentiles(points) = &delay else { unreachable!() };
            prop_assert!(points.len() <= MAX_POINTS);
            prop_assert_eq!(delay.to_string().parse::<Delay>(), Ok(delay.clone()));
        }
    }
}
