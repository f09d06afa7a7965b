//! The main chart: close tail against the setting that was varied, one panel for each combination of the others. Each
//! line has a median with whiskers from shortest to longest, and a cross at the top edge if windows gave no result.

mod frame;
mod positions;

use std::time::Duration;

use self::frame::{BAND, Frame};
use super::{Figure, LegendEntry, MAX_PANELS, Panel, Style, bare, cross_entry, line_legend, window_entry};
use trials::verdict::Kind;

use crate::summary::{Row, Spread, Summary};
use crate::svg::{Anchor, Marker, Svg};
use crate::text;

/// Size of a panel on a phone, and of one among many.
const SMALL: (f64, f64) = (380.0, 320.0);

/// The rows of one panel, which differ in series and in the setting on the x axis only.
struct Facet<'s, 'a> {
    /// What its rows have in common, in words.
    caption: String,
    /// By line, then along the axis.
    rows: Vec<&'s Row<'a>>,
}

pub(crate) fn close_tails(summary: &Summary<'_>) -> Figure {
    let facets = facets(summary);
    let (columns, size) = match facets.len() {
        0 | 1 => (1, (860.0, 380.0)),
        2 | 4 => (2, (520.0, 340.0)),
        _ => (3, SMALL),
    };
    let (frame, small) = (Frame::of(summary, size), Frame::of(summary, SMALL));
    let mut legend = line_legend(summary);
    legend.push(window_entry(summary));
    if summary.rows.iter().any(|row| row.censored > 0) {
        legend.push(cross_entry("windows without result (censored)"));
    }
    for kind in Kind::ALL {
        if let Some(mark) = mark(kind).filter(|_| summary.rows.iter().any(|row| row.verdict.kind == kind)) {
            legend.push(LegendEntry {
                swatch: text_swatch(mark),
                label: kind.name().to_owned(),
            });
        }
    }
    let panels = facets.iter().take(MAX_PANELS).enumerate();
    Figure {
        title: format!("Close tail against {}", x_title(summary)),
        legend,
        size,
        columns,
        panels: panels
            .map(|(number, facet)| Panel {
                caption: facet.caption.clone(),
                svg: draw(summary, &frame, facet, &format!("tails-{number}")),
                small: (size != SMALL)
                    .then(|| draw(summary, &small, facet, &format!("tails-{number}-small"))),
            })
            .collect(),
        left_out: facets.len().saturating_sub(MAX_PANELS),
    }
}

/// What the x axis shows.
fn x_title(summary: &Summary<'_>) -> &'static str {
    match &summary.axis {
        Some(axis) if axis.setting.label == wire::settings::IO_DELAY.label => summary
            .cells
            .first()
            .map_or("delay", crate::summary::Cell::delay_word),
        Some(axis) => axis.setting.label,
        None => "strategy",
    }
}

/// The mark at the top edge of a row that shows nothing of its strategy, or not enough.
fn mark(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::KeptUp | Kind::FellBehind | Kind::NoResult => None,
        Kind::Undecided => Some("?"),
        Kind::CallsFailed => Some("%"),
        Kind::NotMeasured => Some("≠"),
        Kind::Failed => Some("!"),
    }
}

fn text_swatch(mark: &str) -> String {
    let mut svg = bare(16);
    svg.text("failed", (8.0, 13.0), Anchor::Middle, mark);
    svg.finish()
}

fn facets<'s, 'a>(summary: &'s Summary<'a>) -> Vec<Facet<'s, 'a>> {
    let mut facets: Vec<Facet<'s, 'a>> = Vec::new();
    for (index, cell) in summary.cells.iter().enumerate() {
        let caption = cell.label_without(summary.axis.as_ref());
        let rows = summary.rows_of(index);
        match facets.iter_mut().find(|facet| facet.caption == caption) {
            Some(facet) => facet.rows.extend(rows),
            None => facets.push(Facet {
                caption,
                rows: rows.iter().collect(),
            }),
        }
    }
    for facet in &mut facets {
        facet
            .rows
            .sort_by_key(|row| (summary.line_of(row), level(summary, row)));
    }
    facets
}

/// The row's place along the x axis.
fn level(summary: &Summary<'_>, row: &Row<'_>) -> usize {
    match (&summary.axis, row.trials.first()) {
        (Some(axis), Some(trial)) => axis.level_of(&trial.trial.settings),
        _ => summary.line_of(row),
    }
}

fn draw(summary: &Summary<'_>, frame: &Frame, facet: &Facet<'_, '_>, id: &str) -> String {
    let title = format!("Close tail against {}, {}", x_title(summary), facet.caption);
    let mut svg = Svg::new(id, frame.size, &title, &describe(summary, facet));
    frame.axes(&mut svg);
    frame.reference(&mut svg, &windows(summary, frame, facet));
    for pair in facet.rows.windows(2) {
        if let [from, to] = pair {
            connect(&mut svg, frame, summary, (from, to));
        }
    }
    for row in &facet.rows {
        if let Some(series) = summary.series.get(row.series) {
            point(&mut svg, frame, summary, row, &Style::of(series));
        }
    }
    svg.finish()
}

/// The length of the window at each place along the axis.
fn windows(summary: &Summary<'_>, frame: &Frame, facet: &Facet<'_, '_>) -> Vec<(f64, Duration)> {
    let mut windows: Vec<(f64, Duration)> = facet
        .rows
        .iter()
        .filter_map(|row| Some((frame.x(summary, row), summary.cells.get(row.cell)?.window)))
        .collect();
    windows.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    windows
}

/// Connects the medians of neighbours of a line if no window of either is censored.
fn connect(svg: &mut Svg, frame: &Frame, summary: &Summary<'_>, (from, to): (&Row<'_>, &Row<'_>)) {
    let line = |row: &Row<'_>| summary.line_of(row);
    if line(from) != line(to) || from.censored + to.censored > 0 {
        return;
    }
    let (Some(a), Some(b), Some(series)) = (
        from.comparable_tail(),
        to.comparable_tail(),
        summary.series.get(from.series),
    ) else {
        return;
    };
    let at = |row: &Row<'_>, spread: Spread| (frame.x(summary, row), frame.y(spread.median));
    let class = format!("{} thin", Style::of(series).line);
    svg.polyline(&class, &[at(from, a), at(to, b)]);
}

fn point(svg: &mut Svg, frame: &Frame, summary: &Summary<'_>, row: &Row<'_>, style: &Style) {
    let x = frame.x(summary, row);
    let band = (BAND.0 + BAND.1) / 2.0;
    let radius = frame.radius();
    let tooltip = format!(
        "{}, {}: {}",
        summary.series_label(row),
        summary.cell_label(row),
        in_words(row)
    );
    svg.open("point", &tooltip);
    if let Some(spread) = row.comparable_tail() {
        let (low, high, middle) = (frame.y(spread.min), frame.y(spread.max), frame.y(spread.median));
        svg.line(&format!("whisker {}", style.colour), (x, low), (x, high));
        for end in [low, high] {
            svg.line(
                &format!("whisker {}", style.colour),
                (x - 3.0, end),
                (x + 3.0, end),
            );
        }
        if row.censored > 0 {
            svg.line(&format!("missing {}", style.colour), (x, high), (x, BAND.1));
        }
        svg.marker(&style.marker, style.shape, (x, middle), radius);
    }
    if let Some(mark) = mark(row.verdict.kind) {
        svg.text(
            &format!("failed {}", style.colour),
            (x, band + 5.0),
            Anchor::Middle,
            mark,
        );
    } else if row.censored > 0 {
        svg.marker(
            &format!("cross {}", style.colour),
            Marker::Cross,
            (x, band),
            radius,
        );
    }
    svg.close();
}

/// A row's close tail in words.
pub(crate) fn in_words(row: &Row<'_>) -> String {
    if row.verdict.kind.is_failure() {
        return row.verdict.brief();
    }
    let Some(spread) = row.close_tail else {
        return format!("no result in {}", text::counted(row.windows(), "window"));
    };
    format!(
        "{}, median {} ({} to {}) of {} of {}",
        row.verdict.brief(),
        text::duration(spread.median),
        text::duration(spread.min),
        text::duration(spread.max),
        text::count(row.measured),
        text::counted(row.windows(), "window")
    )
}

fn describe(summary: &Summary<'_>, facet: &Facet<'_, '_>) -> String {
    let words = facet.rows.iter().map(|row| {
        let (cell, series) = (summary.cell_label(row), summary.series_label(row));
        format!("{cell}, {series}: {}.", in_words(row))
    });
    words.collect::<Vec<_>>().join(" ")
}
