//! The cell where the choice matters most for the window: the close tails of its fastest and slowest series, compared only
//! beyond the noise of the instruments.

use std::time::Duration;

use trials::verdict::Kind;

use super::names;
use crate::summary::{Cell, Row, Spread, Summary};
use crate::text;

/// With fewer windows a ratio of medians is not stated.
const MIN_WINDOWS: u64 = 3;

/// Cells with the largest differences that are compared with their noise.
const MAX_COMPARED: usize = 50;

/// The fastest and the slowest series of a cell.
struct Extremes<'s, 'a> {
    cell: usize,
    low: (&'s Row<'a>, Spread),
    high: (&'s Row<'a>, Spread),
}

/// `None` if no window gave a result.
pub(super) fn differences(summary: &Summary<'_>) -> Option<String> {
    let mut compared: Vec<Extremes<'_, '_>> = (0..summary.cells.len())
        .filter_map(|cell| Extremes::of(summary, cell))
        .collect();
    compared.sort_by(|a, b| b.part_of_window(summary).total_cmp(&a.part_of_window(summary)));
    // The noise of a cell takes time to compute, and is below the largest differences in all but odd runs.
    compared.truncate(MAX_COMPARED);
    match compared
        .iter()
        .find(|extremes| extremes.difference() > extremes.noise())
    {
        Some(extremes) => Some(extremes.sentence(summary)),
        None if compared.is_empty() => alone(summary),
        None => {
            let noise = compared.iter().map(Extremes::noise).max().unwrap_or_default();
            Some(format!(
                "In no cell do the close tails of two choices differ by more than the noise of the instruments, {}.",
                text::duration(noise)
            ))
        }
    }
}

impl<'s, 'a> Extremes<'s, 'a> {
    fn of(summary: &'s Summary<'a>, cell: usize) -> Option<Self> {
        let tails: Vec<(&Row<'a>, Spread)> = tails(summary.rows_of(cell)).collect();
        let low = *tails.iter().min_by_key(|(_, spread)| spread.median)?;
        let high = *tails.iter().max_by_key(|(_, spread)| spread.median)?;
        (tails.len() > 1).then_some(Self { cell, low, high })
    }

    fn noise(&self) -> Duration {
        self.low.0.noise().max(self.high.0.noise())
    }

    /// The difference as a part of the window that it stalls.
    fn part_of_window(&self, summary: &Summary<'_>) -> f64 {
        let window = summary
            .cells
            .get(self.cell)
            .map_or(1.0, |cell| cell.window.as_secs_f64());
        self.difference().as_secs_f64() / window
    }

    fn medians(&self) -> [Duration; 2] {
        [self.low.1.median, self.high.1.median]
    }

    fn difference(&self) -> Duration {
        self.high.1.median.saturating_sub(self.low.1.median)
    }

    fn sentence(&self, summary: &Summary<'_>) -> String {
        let cell = summary.cells.get(self.cell).map(Cell::label).unwrap_or_default();
        let one = |(row, spread): (&Row<'_>, Spread)| {
            format!("{} with {}", in_words(row, spread), summary.series_label(row))
        };
        let most = if summary.cells.len() == 1 { "" } else { " most" };
        let mut sentence = format!(
            "The close tails differ{most} at {cell}: {} and {}{}",
            one(self.low),
            one(self.high),
            self.ratio()
        );
        let rows = summary.rows_of(self.cell);
        let silent = names(summary, rows, |row| {
            row.close_tail.is_none() && row.verdict.kind == Kind::NoResult
        });
        let behind = names(summary, rows, |row| {
            row.close_tail.is_some() && matches!(row.verdict.kind, Kind::FellBehind | Kind::NoResult)
        });
        let undecided = names(summary, rows, |row| row.verdict.kind == Kind::Undecided);
        for (names, what) in [
            (behind, "did not keep up there"),
            (silent, "gave no result there"),
            (undecided, "had too few windows to tell there"),
        ] {
            if !names.is_empty() {
                sentence.push_str(&format!("; {names} {what}"));
            }
        }
        sentence + "."
    }

    /// Empty unless both medians are above the noise, of enough windows, and apart.
    fn ratio(&self) -> String {
        let enough = self.low.0.measured.min(self.high.0.measured) >= MIN_WINDOWS;
        let apart = self.low.1.max < self.high.1.median && self.low.1.median < self.high.1.min;
        if !enough || !apart || self.low.1.median < self.noise() {
            return String::new();
        }
        let [low, high] = self.medians().map(|median| median.as_secs_f64());
        format!(", {} times as long", text::ratio(high / low))
    }
}

fn tails<'s, 'a>(rows: &'s [Row<'a>]) -> impl Iterator<Item = (&'s Row<'a>, Spread)> {
    rows.iter().filter_map(|row| Some((row, row.comparable_tail?)))
}

/// The shortest and the longest close tail of a run that compares nothing.
fn alone(summary: &Summary<'_>) -> Option<String> {
    let tails = || tails(&summary.rows);
    let words = |(row, spread): (&Row<'_>, Spread)| {
        let (series, cell) = (summary.series_label(row), summary.cell_label(row));
        format!("{} ({series} at {cell})", in_words(row, spread))
    };
    let low = tails().min_by_key(|(_, spread)| spread.median)?;
    let high = tails().max_by_key(|(_, spread)| spread.median)?;
    Some(match tails().count() {
        1 => format!("The close tail was {}.", words(low)),
        _ => format!("The close tail was between {} and {}.", words(low), words(high)),
    })
}

/// The median with its range, and with the number of windows if some gave no result or they are few.
fn in_words(row: &Row<'_>, spread: Spread) -> String {
    let windows = match row.censored {
        0 if row.measured >= MIN_WINDOWS => String::new(),
        0 => format!(" in {}", text::counted(row.measured, "window")),
        _ => format!(
            " in {} of {}",
            text::count(row.measured),
            text::counted(row.windows(), "window")
        ),
    };
    let [median, min, max] = [spread.median, spread.min, spread.max].map(text::duration);
    match min == max {
        true if windows.is_empty() => median,
        true => format!("{median} ({})", windows.trim_start()),
        false => format!("{median} ({min} to {max}{windows})"),
    }
}
