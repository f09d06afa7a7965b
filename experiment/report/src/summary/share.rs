//! What stream and data plane add to a close: the data plane sees it from its half-close to the stream's end, the UDF from
//! its close of book to its last result. The close tail is the UDF's; the difference is what lies between the two.

use std::time::Duration;

use trials::outcome::WindowMeasure;

/// The share over a number of windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamShare {
    /// Windows of which both sides are known.
    pub windows: u64,
    /// The lower median.
    pub p50: Duration,
    /// At most so long in 99 % of the windows (the nearest rank: of fewer than a hundred it is the longest).
    pub p99: Duration,
    /// The longest.
    pub max: Duration,
}

impl StreamShare {
    /// Of windows with both sides; nothing where there is none.
    pub(super) fn of<'a>(measures: impl Iterator<Item = &'a WindowMeasure>) -> Option<Self> {
        let mut micros: Vec<u64> = measures.filter_map(share_us).collect();
        micros.sort_unstable();
        let rank = |percent: usize| {
            let place = (micros.len() * percent).div_ceil(100).max(1) - 1;
            micros.get(place).map(|micros| Duration::from_micros(*micros))
        };
        Some(Self {
            windows: micros.len() as u64,
            p50: rank(50)?,
            p99: rank(99)?,
            max: rank(100)?,
        })
    }
}

/// Without records there is only the data plane's side, which then is the close tail too.
fn share_us(measure: &WindowMeasure) -> Option<u64> {
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
        }
    }

    #[test]
    fn the_share_is_what_the_data_plane_sees_longer() {
        let micros = Duration::from_micros;
        let windows: Vec<_> = (1..=200).map(|i| window(1_000, Some(1_000 + i), 10)).collect();
        let share = StreamShare::of(windows.iter());
        let expected = StreamShare {
            windows: 200,
            p50: micros(100),
            p99: micros(198),
            max: micros(200),
        };
        assert_eq!(share, Some(expected));
        let few = [window(1_000, Some(1_300), 10), window(50, Some(40), 10)];
        let share = StreamShare::of(few.iter()).unwrap();
        assert_eq!((share.p50, share.p99), (micros(0), micros(300)));
        let unknown = [window(1_000, None, 10), window(1_000, Some(1_000), 0)];
        assert_eq!(
            StreamShare::of(unknown.iter()),
            None,
            "no engine's side, no records"
        );
    }
}
