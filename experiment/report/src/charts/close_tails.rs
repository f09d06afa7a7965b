//! The main chart: close tail against the setting that was varied, one panel for each combination of the others. Each
//! line has a median with whiskers from shortest to longest, or with the interval of its repeats, and a mark at the top edge for every verdict but the good one.

mod frame;
mod positions;

use std::time::Duration;

use trials::verdict::Kind;

use self::frame::{BAND, Frame};
use super::{Figure, MAX_PANELS, Panel, Style, line_legend, verdict_entry, verdict_marker, window_entry};
use crate::summary::{Row, Spread, Summary};
use crate::svg::Svg;
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
    let occurs = |kind: &Kind| summary.rows.iter().any(|row| row.verdict.kind == *kind);
    legend.extend(Kind::ALL.into_iter().filter(occurs).filter_map(verdict_entry));
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
        facet.rows.sort_by_key(|row| (row.line, row.level));
    }
    facets
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
        .filter_map(|row| Some((frame.centre(row), summary.cells.get(row.cell)?.window)))
        .collect();
    windows.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    windows.dedup();
    windows
}

/// Connects the medians of neighbours of a line if no window of either is censored.
fn connect(svg: &mut Svg, frame: &Frame, summary: &Summary<'_>, (from, to): (&Row<'_>, &Row<'_>)) {
    if from.line != to.line || from.censored + to.censored > 0 {
        return;
    }
    let (Some(a), Some(b), Some(series)) = (
        from.shown_tail(),
        to.shown_tail(),
        summary.series.get(from.series),
    ) else {
        return;
    };
    let at = |row: &Row<'_>, spread: Spread| (frame.x(row), frame.y(spread.median));
    let class = format!("{} thin", Style::of(series).line);
    svg.polyline(&class, &[at(from, a), at(to, b)]);
}

/// The median with its range, and the verdict in the band at the top unless it is the good one.
fn point(svg: &mut Svg, frame: &Frame, summary: &Summary<'_>, row: &Row<'_>, style: &Style) {
    let x = frame.x(row);
    let (series, cell) = (summary.series_label(row), summary.cell_label(row));
    svg.open("point", &format!("{series}, {cell}: {}", in_words(row)));
    let sign = verdict_marker(row.verdict.kind);
    if let Some(spread) = row.shown_tail() {
        let (low, high, middle) = (frame.y(spread.min), frame.y(spread.max), frame.y(spread.median));
        let whisker = format!("whisker {}", style.colour);
        svg.line(&whisker, (x, low), (x, high));
        for end in [low, high] {
            svg.line(&whisker, (x - 3.0, end), (x + 3.0, end));
        }
        if sign.is_some() {
            svg.line(&format!("missing {}", style.colour), (x, high), (x, BAND.1));
        }
        svg.marker(&style.marker, style.shape, (x, middle), frame.radius());
    }
    if let Some(sign) = sign {
        let band = (BAND.0 + BAND.1) / 2.0;
        svg.marker(&format!("sign {}", style.colour), sign, (x, band), frame.radius());
    }
    svg.close();
}

/// A row's close tail in words.
pub(crate) fn in_words(row: &Row<'_>) -> String {
    let verdict = row.verdict.brief();
    let Some(spread) = row.shown_tail() else {
        return verdict;
    };
    if let Some(repeats) = row.repeats {
        return format!(
            "{verdict}, median {} (95 % interval {} to {}) of {} repeats",
            text::duration(spread.median),
            text::duration(spread.min),
            text::duration(spread.max),
            text::count(repeats.number as u64)
        );
    }
    format!(
        "{verdict}, median {} ({} to {}) of {} of {}",
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
