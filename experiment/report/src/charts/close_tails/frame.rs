//! The layout, scale and axes of the main chart. All panels share them, so that they can be compared.

use crate::scale::{Linear, Log, micros_label};
use crate::summary::{Cell, Spread, Summary};
use crate::svg::{Anchor, Svg};
use crate::text;

pub(crate) const WIDTH: f64 = 380.0;
pub(crate) const HEIGHT: f64 = 320.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = WIDTH - 10.0;
const BOTTOM: f64 = HEIGHT - 44.0;
/// Top and bottom of the band for rows without a result, at the top edge.
pub(super) const BAND: (f64, f64) = (24.0, 42.0);
/// Width of a digit in the ticks' font, rounded up.
const DIGIT: f64 = 7.5;

pub(super) struct Frame {
    pub(super) rpus: Vec<u64>,
    scale: Log,
    series: usize,
    /// Whether any panel needs the band at the top edge.
    band: bool,
}

impl Frame {
    pub(super) fn of(summary: &Summary<'_>) -> Self {
        let mut rpus: Vec<u64> = summary.cells.iter().map(|cell| cell.rpu).collect();
        rpus.sort_unstable();
        rpus.dedup();
        let micros = |of: fn(&Spread) -> std::time::Duration| {
            summary
                .rows
                .iter()
                .filter_map(|row| row.close_tail.as_ref())
                .map(move |s| of(s).as_micros() as f64)
        };
        let windows = summary.cells.iter().map(|cell| cell.window.as_micros() as f64);
        let band = summary
            .rows
            .iter()
            .any(|row| row.censored > 0 || row.all_failed());
        let highest = micros(|spread| spread.max).chain(windows).fold(1.0, f64::max);
        let lowest = micros(|spread| spread.min).fold(highest, f64::min).max(1.0);
        let top = if band { BAND.1 + 6.0 } else { BAND.0 + 4.0 };
        Self {
            rpus,
            scale: Log::around(lowest, highest, (BOTTOM, top)),
            series: summary.series.len(),
            band,
        }
    }

    fn top(&self) -> f64 {
        self.scale.range.1
    }

    fn category(&self) -> f64 {
        (RIGHT - LEFT) / self.rpus.len().max(1) as f64
    }

    pub(super) fn x(&self, rpu: u64, series: usize) -> f64 {
        let position = self.rpus.binary_search(&rpu).unwrap_or_default() as f64;
        let step = (self.category() * 0.8 / self.series.max(1) as f64).min(15.0);
        let middle = LEFT + (position + 0.5) * self.category();
        middle + (series as f64 - (self.series.max(1) - 1) as f64 / 2.0) * step
    }

    pub(super) fn y(&self, duration: std::time::Duration) -> f64 {
        self.scale.at(duration.as_nanos() as f64 / 1e3)
    }
}

/// Draws the axes with their ticks and grid, and the line at the length of a window.
pub(super) fn axes(svg: &mut Svg, frame: &Frame, cell: &Cell) {
    svg.text(
        "axis-title",
        (4.0, 13.0),
        Anchor::Start,
        "close tail (logarithmic)",
    );
    for tick in frame.scale.ticks() {
        let y = frame.scale.at(tick);
        svg.line("grid", (LEFT, y), (RIGHT, y));
        svg.text("tick", (LEFT - 7.0, y + 4.0), Anchor::End, &micros_label(tick));
    }
    if frame.band {
        svg.rect("band", (LEFT, BAND.0), (RIGHT - LEFT, BAND.1 - BAND.0));
        svg.text(
            "tick",
            (LEFT - 7.0, (BAND.0 + BAND.1) / 2.0 + 4.0),
            Anchor::End,
            "no result",
        );
    }
    let y = frame.y(cell.window);
    svg.line("reference", (LEFT, y), (RIGHT, y));
    svg.line("axis", (LEFT, BOTTOM), (RIGHT, BOTTOM));
    let widest = frame
        .rpus
        .iter()
        .map(|rpu| text::count(*rpu).len())
        .max()
        .unwrap_or(1) as f64
        * DIGIT;
    let every = (widest / frame.category()).ceil().max(1.0) as usize;
    for (position, rpu) in frame.rpus.iter().enumerate() {
        let scale = Linear {
            domain: (0.0, frame.rpus.len() as f64),
            range: (LEFT, RIGHT),
        };
        if position > 0 && position % every == 0 {
            svg.line(
                "grid",
                (scale.at(position as f64), frame.top()),
                (scale.at(position as f64), BOTTOM),
            );
        }
        if position % every == 0 {
            svg.text(
                "tick",
                (scale.at(position as f64 + 0.5), BOTTOM + 18.0),
                Anchor::Middle,
                &text::count(*rpu),
            );
        }
    }
    svg.text(
        "axis-title",
        ((LEFT + RIGHT) / 2.0, HEIGHT - 6.0),
        Anchor::Middle,
        "RPU (events per second)",
    );
}
