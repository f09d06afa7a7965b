//! The layout, scale and axes of the main chart. All panels share them, so that they can be compared.

use trials::verdict::Kind;

use super::positions::Positions;
use crate::scale::{Log, micros_label};
use crate::summary::{Row, Spread, Summary};
use crate::svg::{Anchor, Svg};

const LEFT: f64 = 62.0;
/// Top and bottom of the band for verdicts, at the top edge.
pub(super) const BAND: (f64, f64) = (24.0, 42.0);
/// Distance of marks from the edges of the plot.
const INSET: f64 = 6.0;
/// Width of a character in the ticks' font, rounded up.
const CHARACTER: f64 = 7.5;
/// Height of a row of ticks.
const TICK_ROW: f64 = 15.0;

pub(super) struct Frame {
    pub(super) size: (f64, f64),
    x: Positions,
    scale: Log,
    /// Label of each value with its row: neighbours that do not fit into one row take turns.
    ticks: Vec<(String, usize)>,
    title: String,
    /// Whether the lines themselves are the values of the x axis.
    by_strategy: bool,
    /// The label of the band at the top edge, if any panel needs it.
    band: Option<&'static str>,
}

impl Frame {
    pub(super) fn of(summary: &Summary<'_>, size: (f64, f64)) -> Self {
        let micros = |of: fn(&Spread) -> std::time::Duration| {
            summary
                .rows
                .iter()
                .filter_map(Row::shown_tail)
                .map(move |spread| of(&spread).as_micros() as f64)
        };
        let windows = summary.cells.iter().map(|cell| cell.window.as_micros() as f64);
        let kinds = || summary.rows.iter().map(|row| row.verdict.kind);
        let band = kinds().find(|kind| *kind != Kind::KeptUp).map(|_| {
            match kinds().all(|kind| matches!(kind, Kind::KeptUp | Kind::NoResult)) {
                true => "no result",
                false => "verdict",
            }
        });
        let highest = micros(|spread| spread.max).chain(windows).fold(1.0, f64::max);
        let lowest = micros(|spread| spread.min).fold(highest, f64::min).max(1.0);
        let (labels, numbers, lines) = match &summary.axis {
            Some(axis) => (axis.labels(), axis.numbers(), summary.lines().len()),
            None => (
                summary.lines().iter().map(|line| line.legend.clone()).collect(),
                None,
                1,
            ),
        };
        let x = Positions::new(numbers.as_deref(), labels.len(), lines, (LEFT, size.0 - 10.0));
        let ticks = ticks(labels, &x.centres, size.0, summary.axis.is_none());
        let bottom =
            size.1 - 30.0 - TICK_ROW * ticks.iter().map(|(_, row)| row + 1).max().unwrap_or(0) as f64;
        let top = if band.is_some() { BAND.1 } else { BAND.0 };
        Self {
            size,
            scale: Log::around(lowest, highest, (bottom - INSET, top + INSET)),
            title: title(summary, x.logarithmic),
            by_strategy: summary.axis.is_none(),
            x,
            ticks,
            band,
        }
    }

    fn right(&self) -> f64 {
        self.size.0 - 10.0
    }

    fn top(&self) -> f64 {
        self.scale.range.1 - INSET
    }

    fn bottom(&self) -> f64 {
        self.scale.range.0 + INSET
    }

    pub(super) fn radius(&self) -> f64 {
        self.x.radius()
    }

    pub(super) fn x(&self, row: &Row<'_>) -> f64 {
        self.x.at(row.level, if self.by_strategy { 0 } else { row.line })
    }

    /// The place of the row's value, around which its lines stand.
    pub(super) fn centre(&self, row: &Row<'_>) -> f64 {
        self.x.centres.get(row.level).copied().unwrap_or_default()
    }

    pub(super) fn y(&self, duration: std::time::Duration) -> f64 {
        self.scale.at(duration.as_nanos() as f64 / 1e3)
    }

    /// Draws the axes with their ticks and grid.
    pub(super) fn axes(&self, svg: &mut Svg) {
        let (right, top, bottom) = (self.right(), self.top(), self.bottom());
        svg.text(
            "axis-title",
            (4.0, 13.0),
            Anchor::Start,
            "close tail (logarithmic)",
        );
        for tick in self.scale.ticks() {
            let y = self.scale.at(tick);
            svg.line("grid", (LEFT, y), (right, y));
            svg.text("tick", (LEFT - 7.0, y + 4.0), Anchor::End, &micros_label(tick));
        }
        if let Some(label) = self.band {
            svg.rect("band", (LEFT, BAND.0), (right - LEFT, BAND.1 - BAND.0));
            let middle = (BAND.0 + BAND.1) / 2.0;
            svg.text("tick", (LEFT - 7.0, middle + 4.0), Anchor::End, label);
        }
        self.x_axis(svg, (top, bottom));
        let middle = (LEFT + right) / 2.0;
        svg.text(
            "axis-title",
            (middle, self.size.1 - 8.0),
            Anchor::Middle,
            &self.title,
        );
    }

    fn x_axis(&self, svg: &mut Svg, (top, bottom): (f64, f64)) {
        svg.line("axis", (LEFT, bottom), (self.right(), bottom));
        if let Some(x) = self.x.gap {
            svg.line("gap", (x - 3.0, bottom), (x + 3.0, bottom));
            for x in [x - 3.0, x + 3.0] {
                svg.line("axis", (x - 2.0, bottom + 4.0), (x + 2.0, bottom - 4.0));
            }
        }
        for (x, (label, row)) in self.x.centres.iter().zip(&self.ticks) {
            svg.line("grid", (*x, top), (*x, bottom));
            svg.line("axis", (*x, bottom), (*x, bottom + 4.0));
            let y = bottom + 17.0 + *row as f64 * TICK_ROW;
            svg.text("tick", (*x, y), Anchor::Middle, label);
        }
    }

    /// The line at the length of a window, which may vary along the axis.
    pub(super) fn reference(&self, svg: &mut Svg, rows: &[(f64, std::time::Duration)]) {
        let Some((_, first)) = rows.first() else { return };
        if rows.iter().all(|(_, window)| window == first) {
            let y = self.y(*first);
            svg.line("reference", (LEFT, y), (self.right(), y));
            return;
        }
        let points: Vec<(f64, f64)> = rows.iter().map(|(x, window)| (*x, self.y(*window))).collect();
        svg.polyline("reference open", &points);
    }
}

/// What is on the x axis.
fn title(summary: &Summary<'_>, logarithmic: bool) -> String {
    let mut title = super::x_title(summary).to_owned();
    if title == wire::settings::RPU.label {
        title.push_str(", events per second");
    }
    if logarithmic {
        title.push_str(" (logarithmic)");
    }
    title
}

/// Places labels in one row, or in two if neighbours overlap. If they overlap still, numbers are left out, and names all,
/// as the legend has them.
fn ticks(labels: Vec<String>, centres: &[f64], width: f64, are_names: bool) -> Vec<(String, usize)> {
    let half = |label: &str| label.chars().count() as f64 * CHARACTER / 2.0;
    let edges = |index: usize| {
        let (label, centre) = (&labels[index], centres[index]);
        (centre - half(label), centre + half(label))
    };
    let fits = |rows: usize| {
        (0..labels.len()).all(|index| {
            let (start, end) = edges(index);
            let before = index.checked_sub(rows).map_or(0.0, |before| edges(before).1);
            before <= start && end <= width
        })
    };
    if let Some(rows) = [1, 2].into_iter().find(|rows| fits(*rows)) {
        return labels.into_iter().zip((0..rows).cycle()).collect();
    }
    let mut end = 0.0;
    let mut shown = |index: usize| {
        let (start, its_end) = edges(index);
        let fits = !are_names && start >= end && its_end <= width;
        if fits {
            end = its_end;
        }
        fits
    };
    let kept: Vec<bool> = (0..labels.len()).map(&mut shown).collect();
    let label = |(label, kept): (String, bool)| (if kept { label } else { String::new() }, 0);
    labels.into_iter().zip(kept).map(label).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(labels: &[&str], centres: &[f64], width: f64, are_names: bool) -> Vec<(String, usize)> {
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        ticks(labels, centres, width, are_names)
    }

    #[test]
    fn labels_do_not_overlap() {
        let owned = |ticks: &[(&str, usize)]| -> Vec<(String, usize)> {
            ticks
                .iter()
                .map(|(label, row)| ((*label).to_owned(), *row))
                .collect()
        };
        assert_eq!(
            shown(&["10", "100"], &[20.0, 80.0], 100.0, false),
            owned(&[("10", 0), ("100", 0)])
        );
        let centres = [30.0, 60.0, 90.0];
        assert_eq!(
            shown(&["100 ms", "200 ms", "1 s"], &centres, 120.0, false),
            owned(&[("100 ms", 0), ("200 ms", 1), ("1 s", 0)]),
            "in turns"
        );
        let close = [40.0, 50.0, 60.0, 90.0];
        assert_eq!(
            shown(&["1,000", "1,001", "1,002", "9"], &close, 120.0, false),
            owned(&[("1,000", 0), ("", 0), ("", 0), ("9", 0)])
        );
        let names = shown(&["process-pool", "thread-pool"], &[30.0, 40.0], 120.0, true);
        assert_eq!(names, owned(&[("", 0), ("", 0)]), "the legend has them");
    }
}
