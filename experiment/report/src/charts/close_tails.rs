//! The main chart: close tail against RPU, one panel for each delay. Each series has a median with whiskers from shortest
//! to longest, and a cross at the top edge if windows gave no result.

mod frame;

use self::frame::{BAND, Frame, axes};
use super::{Figure, LegendEntry, MAX_PANELS, Panel, Style, bare, cross_entry, series_legend, window_entry};
use crate::summary::{Cell, Row, Spread, Summary};
use crate::svg::{Anchor, Marker, Svg};
use crate::text;

pub(crate) use self::frame::{HEIGHT, WIDTH};

/// The cells of one panel, which differ in RPU only.
struct Facet<'a> {
    first: &'a Cell,
    cells: Vec<usize>,
}

pub(crate) fn close_tails(summary: &Summary<'_>) -> Figure {
    let frame = Frame::of(summary);
    let facets = facets(&summary.cells);
    let mut legend = series_legend(summary);
    legend.push(window_entry(summary));
    if summary.rows.iter().any(|row| row.censored > 0) {
        legend.push(cross_entry("windows without result (censored)"));
    }
    if summary.rows.iter().any(Row::all_failed) {
        legend.push(LegendEntry {
            swatch: failed_swatch(),
            label: "trial failed".to_owned(),
        });
    }
    let panels = facets.iter().take(MAX_PANELS).enumerate();
    Figure {
        legend,
        panels: panels
            .map(|(number, facet)| panel(summary, &frame, facet, number))
            .collect(),
        left_out: facets.len().saturating_sub(MAX_PANELS),
    }
}

fn failed_swatch() -> String {
    let mut svg = bare(16);
    svg.text("failed", (8.0, 13.0), Anchor::Middle, "!");
    svg.finish()
}

fn facets(cells: &[Cell]) -> Vec<Facet<'_>> {
    let mut facets: Vec<Facet<'_>> = Vec::new();
    for (index, cell) in cells.iter().enumerate() {
        match facets.last_mut() {
            Some(facet) if facet.first.delay == cell.delay && facet.first.others == cell.others => {
                facet.cells.push(index);
            }
            _ => facets.push(Facet {
                first: cell,
                cells: vec![index],
            }),
        }
    }
    facets
}

fn panel(summary: &Summary<'_>, frame: &Frame, facet: &Facet<'_>, number: usize) -> Panel {
    let cell = facet.first;
    let mut caption = format!("{} {}", cell.delay_word(), cell.delay);
    if !cell.others.is_empty() {
        caption = format!("{caption}, {}", cell.others_label());
    }
    let title = format!("Close tail against RPU, {caption}");
    let mut svg = Svg::new(
        &format!("tails-{number}"),
        (WIDTH, HEIGHT),
        &title,
        &describe(summary, facet),
    );
    axes(&mut svg, frame, cell);
    for (index, series) in summary.series.iter().enumerate() {
        let style = Style::of(series);
        let rows: Vec<&Row<'_>> = facet
            .cells
            .iter()
            .filter_map(|cell| summary.rows_of(*cell).iter().find(|row| row.series == index))
            .collect();
        connect(&mut svg, frame, summary, &rows, &style);
        for row in rows {
            point(&mut svg, frame, summary, row, &style);
        }
    }
    Panel {
        caption,
        svg: svg.finish(),
    }
}

/// Connects the medians of neighbouring rates if no window of either is censored.
fn connect(svg: &mut Svg, frame: &Frame, summary: &Summary<'_>, rows: &[&Row<'_>], style: &Style) {
    for pair in rows.windows(2) {
        let [from, to] = pair else { continue };
        let rpu = |row: &Row<'_>| {
            summary
                .cells
                .get(row.cell)
                .map(|cell| cell.rpu)
                .unwrap_or_default()
        };
        let position = |row: &Row<'_>| frame.rpus.binary_search(&rpu(row)).unwrap_or_default();
        if from.censored + to.censored > 0 || position(to) != position(from) + 1 {
            continue;
        }
        if let (Some(a), Some(b)) = (from.close_tail, to.close_tail) {
            let at = |row: &Row<'_>, spread: Spread| (frame.x(rpu(row), row.series), frame.y(spread.median));
            svg.polyline(&format!("{} thin", style.line), &[at(from, a), at(to, b)]);
        }
    }
}

fn point(svg: &mut Svg, frame: &Frame, summary: &Summary<'_>, row: &Row<'_>, style: &Style) {
    let x = frame.x(
        summary
            .cells
            .get(row.cell)
            .map(|cell| cell.rpu)
            .unwrap_or_default(),
        row.series,
    );
    let band = (BAND.0 + BAND.1) / 2.0;
    let tooltip = format!(
        "{}, {}: {}",
        summary.series_label(row),
        summary.cell_label(row),
        in_words(row)
    );
    svg.open("point", &tooltip);
    if let Some(spread) = row.close_tail {
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
        svg.marker(&style.marker, style.shape, (x, middle), 4.5);
    }
    if row.censored > 0 {
        svg.marker(&format!("cross {}", style.colour), Marker::Cross, (x, band), 4.5);
    } else if row.all_failed() {
        svg.text(
            &format!("failed {}", style.colour),
            (x, band + 5.0),
            Anchor::Middle,
            "!",
        );
    }
    svg.close();
}

/// A row's close tail in words.
pub(crate) fn in_words(row: &Row<'_>) -> String {
    if row.all_failed() {
        return "failed".to_owned();
    }
    let Some(spread) = row.close_tail else {
        return format!("no result in {}", text::counted(row.windows(), "window"));
    };
    format!(
        "median {} ({} to {}) of {} of {}",
        text::duration(spread.median),
        text::duration(spread.min),
        text::duration(spread.max),
        text::count(row.measured),
        text::counted(row.windows(), "window")
    )
}

fn describe(summary: &Summary<'_>, facet: &Facet<'_>) -> String {
    let rows = facet.cells.iter().flat_map(|cell| summary.rows_of(*cell));
    let words = rows.map(|row| {
        let rpu = summary
            .cells
            .get(row.cell)
            .map(|cell| cell.rpu)
            .unwrap_or_default();
        format!(
            "RPU {}, {}: {}.",
            text::count(rpu),
            summary.series_label(row),
            in_words(row)
        )
    });
    words.collect::<Vec<_>>().join(" ")
}
