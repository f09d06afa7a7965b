//! The execution time of each window: one panel for each cell, and for each value on the main chart's x axis, so that
//! series of a panel differ in colour or dash; one line for each trial. Censored windows are gaps in the
//! line and crosses at the top edge, one row of crosses for each series.

mod points;
mod scales;

use std::time::Duration;

use trials::outcome::TrialOutcome;
use trials::verdict::Kind;

use self::points::{Point, points, windows_per_point};
use self::scales::Scales;
use super::{Figure, LegendEntry, MAX_PANELS, Panel, Style, bare, line_legend, verdict_entry, window_entry};
use crate::scale::Linear;
use crate::summary::{Row, Summary};
use crate::svg::{Anchor, Marker, Svg};
use crate::text;

const WIDTH: f64 = 440.0;
const HEIGHT: f64 = 270.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = WIDTH - 12.0;
const BOTTOM: f64 = HEIGHT - 42.0;
const TOP: f64 = 22.0;
/// Height of a series' row of crosses.
const CROSS_ROW: f64 = 13.0;
/// With more points than this, points have no marker and no tooltip.
const MAX_MARKERS: usize = 40;

pub(crate) fn execution_times(summary: &Summary<'_>) -> Figure {
    let mut legend = line_legend(summary);
    legend.push(window_entry(summary));
    if summary
        .rows
        .iter()
        .any(|row| drawn(row).any(|trial| trial.windows.iter().any(|w| w.warmup)))
    {
        let mut svg = bare(16);
        svg.rect("warmup", (0.0, 1.0), (16.0, 14.0));
        legend.push(LegendEntry {
            swatch: svg.finish(),
            label: "warm-up, not measured".to_owned(),
        });
    }
    if summary
        .rows
        .iter()
        .any(|row| drawn(row).any(|trial| trial.windows.iter().any(|w| w.measured.is_none())))
    {
        legend.extend(verdict_entry(Kind::NoResult));
    }
    let facets = facets(summary);
    let panels = facets.iter().take(MAX_PANELS).enumerate();
    Figure {
        title: "Execution time of each window".to_owned(),
        legend,
        size: (WIDTH, HEIGHT),
        columns: 2,
        panels: panels
            .map(|(number, facet)| panel(summary, facet, number))
            .collect(),
        left_out: facets.len().saturating_sub(MAX_PANELS),
    }
}

/// The rows of one panel.
struct Facet<'s, 'a> {
    label: String,
    window: Duration,
    rows: Vec<&'s Row<'a>>,
}

fn facets<'s, 'a>(summary: &'s Summary<'a>) -> Vec<Facet<'s, 'a>> {
    let mut facets: Vec<Facet<'s, 'a>> = Vec::new();
    let axis = summary.axis.as_ref().filter(|axis| axis.is_of_series());
    for (index, cell) in summary.cells.iter().enumerate() {
        let start = facets.len();
        for row in summary.rows_of(index) {
            let label = match (axis, row.trials.first()) {
                (Some(axis), Some(trial)) => {
                    format!("{}, {}", cell.label(), axis.in_words(&trial.trial.settings))
                }
                _ => cell.label(),
            };
            match facets[start..].iter_mut().find(|facet| facet.label == label) {
                Some(facet) => facet.rows.push(row),
                None => facets.push(Facet {
                    label,
                    window: cell.window,
                    rows: vec![row],
                }),
            }
        }
    }
    facets
}

fn drawn<'a>(row: &'a Row<'_>) -> impl Iterator<Item = &'a TrialOutcome> {
    row.trials
        .iter()
        .copied()
        .filter(|outcome| !crate::summary::failed(outcome))
}

fn panel(summary: &Summary<'_>, facet: &Facet<'_, '_>, number: usize) -> Panel {
    let Facet { label, rows, .. } = facet;
    let longest = rows
        .iter()
        .flat_map(|row| drawn(row))
        .map(|trial| trial.windows.len())
        .max()
        .unwrap_or(0);
    let width = windows_per_point(longest);
    let mut caption = label.clone();
    if width > 1 {
        caption.push_str(&format!(
            "; each point is the slowest of {width} windows, and the shade reaches to the fastest"
        ));
    }
    for row in rows.iter().filter(|row| row.verdict.kind.is_failure()) {
        let series = summary.series_label(row);
        caption.push_str(&format!("; {series}: {}", row.verdict.brief()));
    }
    let title = format!("Execution time of each window, {label}");
    let description: Vec<String> = rows.iter().map(|row| describe(summary, row)).collect();
    let mut svg = Svg::new(
        &format!("windows-{number}"),
        (WIDTH, HEIGHT),
        &title,
        &description.join(" "),
    );
    let lines: Vec<(&Row<'_>, Vec<Point>)> = rows
        .iter()
        .flat_map(|row| drawn(row).map(move |trial| (*row, points(&trial.windows, width))))
        .collect();
    let scales = Scales::of(facet.window, &lines);
    axes(&mut svg, &scales, facet.window);
    for (row, points) in &lines {
        if let Some(series) = summary.series.get(row.series) {
            draw(
                &mut svg,
                &scales,
                &Style::of(series),
                &series.label,
                row.series,
                points,
            );
        }
    }
    Panel {
        caption,
        svg: svg.finish(),
        small: None,
    }
}

/// In this order, as later shapes cover earlier ones.
fn axes(svg: &mut Svg, scales: &Scales, window: Duration) {
    svg.text(
        "axis-title",
        (4.0, 13.0),
        Anchor::Start,
        "execution time in seconds",
    );
    warmup_area(svg, scales);
    time_axis(svg, scales);
    cross_band(svg, scales);
    let y = scales.y.at(window.as_secs_f64());
    svg.line("reference", (LEFT, y), (RIGHT, y));
    window_axis(svg, scales);
}

fn warmup_area(svg: &mut Svg, scales: &Scales) {
    if scales.warmups > 0 {
        let end = scales.x.at(f64::from(scales.warmups) - 0.5);
        svg.rect("warmup", (LEFT, TOP), (end - LEFT, BOTTOM - TOP));
        if end - LEFT > 52.0 {
            svg.text(
                "note",
                ((LEFT + end) / 2.0, BOTTOM - 6.0),
                Anchor::Middle,
                "warm-up",
            );
        }
    }
}

fn time_axis(svg: &mut Svg, scales: &Scales) {
    let ticks = scales.y.ticks(5);
    let step = ticks
        .first()
        .zip(ticks.get(1))
        .map_or(1.0, |(first, second)| second - first);
    let decimals = usize::from(step < 0.95) + usize::from(step < 0.095);
    for tick in ticks {
        let y = scales.y.at(tick);
        svg.line("grid", (LEFT, y), (RIGHT, y));
        svg.text(
            "tick",
            (LEFT - 7.0, y + 4.0),
            Anchor::End,
            &format!("{tick:.decimals$}"),
        );
    }
}

/// The background of the crosses.
fn cross_band(svg: &mut Svg, scales: &Scales) {
    if !scales.crossed.is_empty() {
        let height = scales.crossed.len() as f64 * CROSS_ROW + 4.0;
        svg.rect("band", (LEFT, TOP), (RIGHT - LEFT, height));
        svg.text(
            "tick",
            (LEFT - 7.0, TOP + height / 2.0 + 4.0),
            Anchor::End,
            "no result",
        );
    }
}

fn window_axis(svg: &mut Svg, scales: &Scales) {
    svg.line("axis", (LEFT, BOTTOM), (RIGHT, BOTTOM));
    let indices = Linear {
        domain: (0.0, f64::from(scales.last_index)),
        range: (0.0, 1.0),
    };
    for tick in indices
        .ticks(10)
        .into_iter()
        .filter(|tick| tick.fract().abs() < 1e-6)
    {
        let x = scales.x.at(tick);
        svg.line("axis", (x, BOTTOM), (x, BOTTOM + 4.0));
        svg.text(
            "tick",
            (x, BOTTOM + 17.0),
            Anchor::Middle,
            &text::count(tick.round() as u64),
        );
    }
    svg.text(
        "axis-title",
        ((LEFT + RIGHT) / 2.0, HEIGHT - 6.0),
        Anchor::Middle,
        "window",
    );
}

fn draw(svg: &mut Svg, scales: &Scales, style: &Style, label: &str, series: usize, points: &[Point]) {
    let at = |point: &Point, seconds: f64| (scales.x(point, series), scales.y.at(seconds));
    for run in points.split(|point| point.seconds.is_none()) {
        let slowest = run.iter().filter_map(|p| p.seconds.map(|s| at(p, s)));
        let slowest: Vec<(f64, f64)> = slowest.collect();
        let fastest = run.iter().rev().filter_map(|p| p.fastest.map(|s| at(p, s)));
        let fastest: Vec<(f64, f64)> = fastest.collect();
        if !fastest.is_empty() {
            let outline = [slowest.as_slice(), fastest.as_slice()].concat();
            svg.polyline(&format!("shade {}", style.colour), &outline);
        }
        svg.polyline(&format!("{} thin", style.line), &slowest);
    }
    let few = points.len() <= MAX_MARKERS;
    for (i, point) in points.iter().enumerate() {
        let Some(seconds) = point.seconds else { continue };
        let alone = |i: usize| points.get(i).is_none_or(|point| point.seconds.is_none());
        if few {
            svg.open(
                "point",
                &format!("{label}, window {}: {seconds:.3} s", point.index),
            );
            svg.marker(
                &style.marker,
                style.shape,
                at(point, seconds),
                (1.5 + scales.step() / 3.0).min(3.5),
            );
            svg.close();
        } else if alone(i.wrapping_sub(1)) && alone(i + 1) {
            svg.marker(&style.marker, style.shape, at(point, seconds), 2.0);
        }
    }
    let row = scales
        .crossed
        .iter()
        .position(|one| *one == series)
        .unwrap_or_default();
    let y = TOP + 2.0 + (row as f64 + 0.5) * CROSS_ROW;
    let radius = if few { 4.0 } else { 2.0 };
    for point in points.iter().filter(|point| point.censored) {
        let class = format!("sign {}", style.colour);
        if few {
            svg.open("point", &format!("{label}, window {}: no result", point.index));
        }
        svg.marker(&class, Marker::Cross, (scales.x(point, series), y), radius);
        if few {
            svg.close();
        }
    }
}

fn describe(summary: &Summary<'_>, row: &Row<'_>) -> String {
    let label = summary.series_label(row);
    if row.all_failed() {
        return format!("{label}: failed.");
    }
    let times = row.execution_time.map(|spread| {
        format!(
            " from {} to {}, median {}",
            text::duration(spread.min),
            text::duration(spread.max),
            text::duration(spread.median)
        )
    });
    let censored = if row.censored == 0 {
        String::new()
    } else {
        format!(", {} without result", text::count(row.censored))
    };
    format!(
        "{label}: {}{}{censored}.",
        text::counted(row.windows(), "window"),
        times.unwrap_or_default()
    )
}
