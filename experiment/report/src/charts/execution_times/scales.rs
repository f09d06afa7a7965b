//! The scales of one panel, shared by its lines.

use std::time::Duration;

use super::{BOTTOM, CROSS_ROW, LEFT, Point, RIGHT, TOP};
use crate::scale::Linear;
use crate::summary::Row;

pub(super) struct Scales {
    pub(super) x: Linear,
    pub(super) y: Linear,
    /// Series with censored windows, in the order of their rows of crosses.
    pub(super) crossed: Vec<usize>,
    /// The cell's series. They are drawn side by side, so that equal values do not cover each other.
    drawn: Vec<usize>,
    pub(super) last_index: u32,
    pub(super) warmups: u32,
}

impl Scales {
    pub(super) fn of(window: Duration, lines: &[(&Row<'_>, Vec<Point>)]) -> Self {
        let all = || lines.iter().flat_map(|(_, points)| points);
        let mut crossed: Vec<usize> = lines
            .iter()
            .filter(|(_, points)| points.iter().any(|p| p.censored))
            .map(|(row, _)| row.series)
            .collect();
        crossed.dedup();
        let top = if crossed.is_empty() {
            TOP + 4.0
        } else {
            TOP + crossed.len() as f64 * CROSS_ROW + 12.0
        };
        let window = window.as_secs_f64();
        let seconds = || all().flat_map(|point| [point.fastest, point.seconds]).flatten();
        let mut drawn: Vec<usize> = lines.iter().map(|(row, _)| row.series).collect();
        drawn.dedup();
        let last_index = all().map(|point| point.index).max().unwrap_or(0);
        let x = Linear {
            domain: (0.0, f64::from(last_index.max(1))),
            range: (LEFT + 16.0, RIGHT - 16.0),
        };
        Self {
            x,
            y: Linear::around(
                seconds().fold(window, f64::min),
                seconds().fold(window * 1.15, f64::max),
                (BOTTOM, top),
            ),
            crossed,
            drawn,
            last_index,
            warmups: all()
                .filter(|point| point.warmup)
                .map(|point| point.index + 1)
                .max()
                .unwrap_or(0),
        }
    }

    /// Distance between series within a window.
    pub(super) fn step(&self) -> f64 {
        let spacing = (self.x.range.1 - self.x.range.0) / f64::from(self.last_index.max(1));
        (spacing * 0.85 / self.drawn.len().max(1) as f64).min(6.0)
    }

    pub(super) fn x(&self, point: &Point, series: usize) -> f64 {
        let position = self
            .drawn
            .iter()
            .position(|one| *one == series)
            .unwrap_or_default();
        let middle = (self.drawn.len().max(1) - 1) as f64 / 2.0;
        self.x.at(f64::from(point.index)) + (position as f64 - middle) * self.step()
    }
}
