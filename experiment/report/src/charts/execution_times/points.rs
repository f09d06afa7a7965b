//! The points of a line. A long trial has more windows than a panel has pixels, so each point represents several windows
//! by the slowest and the fastest, which keeps all extremes.

use trials::outcome::WindowResult;

/// Maximum points of a line.
const MAX_POINTS: usize = 240;

/// One window, or several of a long trial.
pub(super) struct Point {
    pub(super) index: u32,
    pub(super) warmup: bool,
    /// Longest execution time of its windows, seconds.
    pub(super) seconds: Option<f64>,
    /// Shortest execution time, if there are several windows.
    pub(super) fastest: Option<f64>,
    /// Whether any of its windows is censored.
    pub(super) censored: bool,
}

pub(super) fn windows_per_point(windows: usize) -> usize {
    windows.div_ceil(MAX_POINTS).max(1)
}

/// One point for each `width` windows.
pub(super) fn points(windows: &[WindowResult], width: usize) -> Vec<Point> {
    let of = |part: &[WindowResult]| {
        let seconds = |micros: u64| micros as f64 / 1e6;
        let measured = || part.iter().filter_map(|window| window.measured.as_ref());
        let fastest = measured().map(|m| m.execution_time_us).min();
        Point {
            index: part.first().map_or(0, |window| window.index),
            warmup: part.iter().all(|window| window.warmup),
            seconds: measured().map(|m| m.execution_time_us).max().map(seconds),
            fastest: fastest.filter(|_| width > 1).map(seconds),
            censored: part.iter().any(|window| window.measured.is_none()),
        }
    };
    windows.chunks(width).map(of).collect()
}

#[cfg(test)]
mod tests {
    use trials::outcome::WindowMeasure;

    use super::*;

    #[test]
    fn points_keep_the_extremes_of_their_windows() {
        let window = |index: u32, time: Option<u64>| WindowResult {
            index,
            warmup: index == 0,
            window_start_ms: 0,
            measured: time.map(|execution_time_us| WindowMeasure {
                keys: 1,
                events: 1,
                ok: 1,
                failed: 0,
                execution_time_us,
                close_tail_us: 0,
                stream_tail_us: None,
                result_lag_us: 0,
                peak_in_flight: 1,
                reading_stopped: 0,
                processes: Vec::new(),
            }),
        };
        let times = [Some(5_000_000), Some(1_000_000), Some(9_000_000), None, None];
        let windows: Vec<_> = (0..)
            .zip(times)
            .map(|(index, time)| window(index, time))
            .collect();
        let shown = |width| -> Vec<_> {
            let points = points(&windows, width);
            points
                .iter()
                .map(|p| (p.index, p.seconds, p.fastest, p.censored))
                .collect()
        };
        assert_eq!(
            shown(3),
            [(0, Some(9.0), Some(1.0), false), (3, None, None, true)]
        );
        assert_eq!(
            shown(1)[0],
            (0, Some(5.0), None, false),
            "one window has no extremes"
        );
        assert_eq!([1, 240, 241, 12_500].map(windows_per_point), [1, 1, 2, 53]);
    }
}
