//! The two charts as small multiples. This file has what both share: panels, legend, and the style of a series.

mod close_tails;
mod execution_times;
mod picture;

use serde::Serialize;

use trials::verdict::Kind;

use crate::summary::{Series, Summary};
use crate::svg::{Marker, Svg};
use crate::text;

pub(super) use close_tails::close_tails;
pub(super) use execution_times::execution_times;
pub(super) use picture::picture;

/// Maximum panels of a chart, so that a browser can open the page.
pub(super) const MAX_PANELS: usize = 200;

/// Number of colours in the style sheet.
const COLOURS: usize = 8;

/// Number of dash patterns in the style sheet.
const DASHES: usize = 4;

/// A chart.
#[derive(Debug, Serialize)]
pub(super) struct Figure {
    pub(super) title: String,
    pub(super) legend: Vec<LegendEntry>,
    pub(super) panels: Vec<Panel>,
    /// Width and height of a panel.
    #[serde(skip)]
    pub(super) size: (f64, f64),
    /// Panels side by side where there is room.
    pub(super) columns: usize,
    /// Panels that were left out beyond [`MAX_PANELS`].
    pub(super) left_out: usize,
}

#[derive(Debug, Serialize)]
pub(super) struct LegendEntry {
    /// A small drawing as SVG.
    pub(super) swatch: String,
    pub(super) label: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Panel {
    pub(super) caption: String,
    pub(super) svg: String,
    /// The same for a narrow screen, if that needs a drawing of its own.
    pub(super) small: Option<String>,
}

/// How a series is drawn.
pub(super) struct Style {
    /// CSS classes of lines.
    line: String,
    /// CSS classes of markers.
    marker: String,
    /// CSS class of the colour.
    colour: String,
    shape: Marker,
}

impl Style {
    pub(super) fn of(series: &Series) -> Self {
        let colour = format!("c{}", series.colour % COLOURS);
        let hollow = if series.dash % 2 == 1 { " hollow" } else { "" };
        Self {
            line: format!("line {colour} d{}", series.dash % DASHES),
            marker: format!("mark {colour}{hollow}"),
            colour,
            shape: Marker::of_colour(series.colour),
        }
    }

    /// A small drawing of the line with its marker, hidden from screen readers, which read the label.
    pub(super) fn swatch(&self) -> String {
        let mut svg = bare(36);
        svg.line(&self.line, (1.0, 8.0), (35.0, 8.0));
        svg.marker(&self.marker, self.shape, (18.0, 8.0), 4.5);
        svg.finish()
    }
}

fn bare(width: u32) -> Svg {
    Svg::decoration("swatch", (f64::from(width), 16.0))
}

/// One entry for each line of the main chart.
fn line_legend(summary: &Summary<'_>) -> Vec<LegendEntry> {
    let entry = |series: &Series| LegendEntry {
        swatch: Style::of(series).swatch(),
        label: series.legend.clone(),
    };
    summary.lines().into_iter().map(entry).collect()
}

/// The shape of a verdict, each its own; `None` for the one without a mark.
fn verdict_marker(kind: Kind) -> Option<Marker> {
    match kind {
        Kind::KeptUp => None,
        Kind::Undecided => Some(Marker::Question),
        Kind::FellBehind => Some(Marker::Arrow),
        Kind::NoResult => Some(Marker::Cross),
        Kind::CallsFailed => Some(Marker::SlashedCircle),
        Kind::NotMeasured => Some(Marker::Unequal),
        Kind::Failed => Some(Marker::Exclamation),
    }
}

fn verdict_entry(kind: Kind) -> Option<LegendEntry> {
    let label = match kind {
        Kind::NoResult => "windows without result (censored)",
        Kind::Undecided => "undecided: too few windows",
        Kind::KeptUp | Kind::FellBehind | Kind::CallsFailed | Kind::NotMeasured | Kind::Failed => kind.name(),
    };
    let mut svg = bare(16);
    svg.marker("sign", verdict_marker(kind)?, (8.0, 8.0), 4.5);
    Some(LegendEntry {
        swatch: svg.finish(),
        label: label.to_owned(),
    })
}

fn window_entry(summary: &Summary<'_>) -> LegendEntry {
    let mut svg = bare(36);
    svg.line("reference", (1.0, 8.0), (35.0, 8.0));
    let mut lengths: Vec<String> = summary
        .cells
        .iter()
        .map(|cell| text::setting(cell.window))
        .collect();
    lengths.dedup();
    let length = if lengths.len() == 1 {
        format!(" ({})", lengths[0])
    } else {
        String::new()
    };
    LegendEntry {
        swatch: svg.finish(),
        label: format!("length of a window{length}"),
    }
}
