//! The chart of a search: one row for each cell, its bracket as a whisker on a logarithmic axis, and the prediction beside it.

use trials::search::Bracket;
use trials::text::count;
use wire::settings::{STRATEGY, Setting};

use super::{SearchReport, SearchedCell, bracket_text};
use crate::summary::plain_value;
use crate::svg::{Anchor, Marker, Svg};

const STYLE: &str = include_str!("../charts/picture.css");
const WIDTH: f64 = 980.0;
const MARGIN: f64 = 20.0;
/// Height of the heading, which the page has above its chart.
const HEADING: f64 = 46.0;
/// Height of the legend.
const LEGEND: f64 = 42.0;
const ROW: f64 = 34.0;
/// Of the names of the cells.
const NAMES: f64 = 440.0;
/// Of the numbers of the brackets.
const NUMBERS: f64 = 130.0;
/// Right end of the axis.
const END: f64 = WIDTH - MARGIN - NUMBERS;
/// Room for the axis beneath the rows.
const AXIS: f64 = 44.0;
/// Letters of a name that fit.
const LETTERS: usize = 50;
/// Numbers at the axis.
const MOST_TICKS: usize = 9;
/// Half of the height of a whisker's end.
const TICK: f64 = 6.0;

/// Where a level is, from left to right, by its logarithm.
struct Scale {
    low: f64,
    high: f64,
}

impl Scale {
    fn of(report: &SearchReport) -> Self {
        let levels = report.cells.iter().flat_map(|cell| {
            let Bracket {
                sustained,
                not_sustained,
                ..
            } = cell.bracket;
            [Some(cell.predicted), sustained, not_sustained]
        });
        let levels: Vec<f64> = levels.flatten().map(|level| level.max(1) as f64).collect();
        let low = levels.iter().copied().fold(f64::INFINITY, f64::min);
        let high = levels.iter().copied().fold(1.0, f64::max);
        let low = if low.is_finite() { low } else { 1.0 };
        Self {
            low: (low / 1.2).max(0.8),
            high: high * 1.2,
        }
    }

    fn x(&self, level: f64) -> f64 {
        let share = (level.max(1.0) / self.low).ln() / (self.high / self.low).ln();
        NAMES + share * (END - NAMES)
    }

    /// Round numbers, as many as there is room for: steps of a tenth of a power of ten at the finest, powers at the coarsest.
    fn ticks(&self) -> Vec<f64> {
        let by = |step: usize| -> Vec<f64> {
            (10..100)
                .step_by(step)
                .map(|tenths| tenths as f64 / 10.0)
                .collect()
        };
        let within = |steps: Vec<f64>| -> Vec<f64> {
            (0..7)
                .flat_map(|power| steps.iter().map(move |step| step * 10f64.powi(power)))
                .filter(|tick| *tick >= self.low && *tick <= self.high && (tick - tick.round()).abs() < 1e-9)
                .collect()
        };
        let finest = [by(1), by(5), by(10), vec![1.0, 2.0, 5.0]]
            .into_iter()
            .map(within);
        let fitting = finest.into_iter().find(|ticks| ticks.len() <= MOST_TICKS);
        fitting.unwrap_or_else(|| within(vec![1.0]))
    }
}

/// For a file.
pub(super) fn picture(report: &SearchReport) -> String {
    let size = (WIDTH, HEADING + height(report));
    let mut svg = Svg::picture(size, &title(report), DESCRIPTION, STYLE);
    svg.rect("ground", (0.5, 0.5), (size.0 - 1.0, size.1 - 1.0));
    svg.text("heading", (MARGIN, 34.0), Anchor::Start, &report.heading());
    draw(&mut svg, report, HEADING);
    svg.finish()
}

/// For the page, which has the styles.
pub(super) fn of_page(report: &SearchReport) -> String {
    let mut svg = Svg::new(
        "search-chart",
        (WIDTH, height(report)),
        &title(report),
        DESCRIPTION,
    );
    draw(&mut svg, report, 0.0);
    svg.finish()
}

const DESCRIPTION: &str = "One row for each cell: its bracket as a whisker, and the prediction beside it.";

fn title(report: &SearchReport) -> String {
    format!("{}: {}", report.name, report.quantity.name())
}

fn height(report: &SearchReport) -> f64 {
    LEGEND + ROW * report.cells.len() as f64 + AXIS
}

fn draw(svg: &mut Svg, report: &SearchReport, top: f64) {
    let scale = Scale::of(report);
    legend(svg, top + 12.0);
    let top = top + LEGEND;
    let bottom = top + ROW * report.cells.len() as f64;
    for tick in scale.ticks() {
        let x = scale.x(tick);
        svg.line("grid", (x, top - 8.0), (x, bottom));
        svg.text(
            "",
            (x, bottom + 16.0),
            Anchor::Middle,
            &count(tick.round() as u64),
        );
    }
    svg.line("axis", (NAMES, bottom), (END, bottom));
    let name = report.quantity.setting().label;
    svg.text("", (END, bottom + 34.0), Anchor::End, name);
    for (index, cell) in report.cells.iter().enumerate() {
        row(svg, &scale, cell, top + ROW * (index as f64 + 0.5));
    }
}

fn legend(svg: &mut Svg, y: f64) {
    svg.open("c1", "");
    whisker(svg, (MARGIN, MARGIN + 36.0), y);
    svg.close();
    svg.text(
        "label",
        (MARGIN + 44.0, y + 4.5),
        Anchor::Start,
        "measured: between sustained and not sustained",
    );
    let x = MARGIN + 430.0;
    svg.marker("mark c7 hollow", Marker::Diamond, (x, y), 5.0);
    svg.text("label", (x + 14.0, y + 4.5), Anchor::Start, "predicted");
}

fn row(svg: &mut Svg, scale: &Scale, cell: &SearchedCell, y: f64) {
    let name = name(cell);
    let letters: Vec<char> = name.chars().collect();
    let short = match letters.len() > LETTERS {
        true => letters[..LETTERS - 1].iter().chain(&['…']).collect(),
        false => name,
    };
    let bracket = bracket_text(&cell.bracket);
    svg.text("label", (MARGIN, y + 4.5), Anchor::Start, &short);
    svg.text("label", (WIDTH - MARGIN, y + 4.5), Anchor::End, &bracket);
    svg.open("c1", &format!("{}: {bracket}", cell.cell));
    let Bracket {
        sustained,
        not_sustained,
        ..
    } = cell.bracket;
    let at = |level: u64| scale.x(level as f64);
    match (sustained, not_sustained) {
        (Some(one), Some(other)) => {
            whisker(svg, (at(one.min(other)), at(one.max(other))), y);
        }
        // Open at the end that was not found.
        (Some(one), None) | (None, Some(one)) => {
            svg.line("whisker", (at(one), y - TICK), (at(one), y + TICK));
        }
        (None, None) => {}
    }
    svg.close();
    svg.marker("mark c7 hollow", Marker::Diamond, (at(cell.predicted), y), 5.0);
}

/// The levels of a cell as the report's other parts have them, such as `delay 20 ms, async`.
fn name(cell: &SearchedCell) -> String {
    let level = |part: &str| {
        let setting = part.split_once('=').and_then(|(name, _)| Setting::named(name))?;
        let value = cell.key.value(setting.name)?;
        Some(match setting.name == STRATEGY.name {
            true => value.to_owned(),
            false => format!("{} {}", setting.label, plain_value(setting, value)),
        })
    };
    let parts = cell.cell.split(',');
    let levels: Vec<String> = parts
        .map(|part| level(part).unwrap_or_else(|| part.to_owned()))
        .collect();
    levels.join(", ")
}

/// A line with its ends.
fn whisker(svg: &mut Svg, (low, high): (f64, f64), y: f64) {
    svg.line("whisker", (low, y), (high, y));
    for x in [low, high] {
        svg.line("whisker", (x, y - TICK), (x, y + TICK));
    }
}
