//! The time that stream and data plane add to a close. The data plane measures a close from its half-close to the end of
//! the stream, the UDF from its close of book to its last result, which is the close tail. The overhead is the difference.

use std::time::Duration;

use trials::outcome::WindowMeasure;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamOverhead {
    /// Windows with both measurements.
    pub windows: u64,
    /// The lower median.
    pub p50: Duration,
    /// By nearest rank, so with fewer than a hundred windows it is the maximum.
    pub p99: Duration,
    pub max: Duration,
}

impl StreamOverhead {
    /// `None` if no window has both measurements.
    pub(super) fn of<'a>(measures: impl Iterator<Item = &'a WindowMeasure>) -> Option<Self> {
        let mut micros: Vec<u64> = measures.filter_map(overhead_us).collect();
        micros.sort_unstable();
        let rank = |percent: usize| {
            let rank = (micros.len() * percent).div_ceil(100).max(1) - 1;
            micros.get(rank).map(|micros| Duration::from_micros(*micros))
        };
        Some(Self {
            windows: micros.len() as u64,
            p50: rank(50)?,
            p99: rank(99)?,
            max: rank(100)?,
        })
    }
}

/// Without records the close tail is the data plane's own measurement, so there is no difference.
fn overhead_us(measure: &WindowMeasure) -> Option<u64> {
    let has_records = measure.ok + measure.failed > 0;
    let stream_us = measure.stream_tail_us.filter(|_| has_records)?;
    Some(stream_us.saturating_sub(measure.close_tail_us))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(close_tail_us: u64, stream_tail_us: Option<u64>, ok: u64) -> WindowMeasure {
        WindowMeasure {
            keys: 1,
            events: 10,
            ok,
            failed: 0,
            execution_time_us: 0,
            close_tail_us,
            stream_tail_us,
            result_lag_us: 0,
            peak_in_flight: 1,
            reading_stopped: 0,
            processes: Vec::new(),
        }
    }

    #[test]
    fn the_overhead_is_the_difference_of_both_measurements() {
        let micros = Duration::from_micros;
        let windows: Vec<_> = (1..=200).map(|i| window(1_000, Some(1_000 + i), 10)).collect();
        let overhead = StreamOverhead::of(windows.iter());
        let expected = StreamOverhead {
            windows: 200,
            p50: micros(100),
            p99: micros(198),
            max: micros(200),
        };
        assert_eq!(overhead, Some(expected));
        let few = [window(1_000, Some(1_300), 10), window(50, Some(40), 10)];
        let overhead = StreamOverhead::of(few.iter()).unwrap();
        assert_eq!((overhead.p50, overhead.p99), (micros(0), micros(300)));
        let unknown = [window(1_000, None, 10), window(1_000, Some(1_000), 0)];
        assert_eq!(
            StreamOverhead::of(unknown.iter()),
            None,
            "no engine's side, no records"
        );
    }
}
