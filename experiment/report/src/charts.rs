//! The two charts as small multiples: panels that a phone stacks and a desk sets side by side. What both share is
//! here: panels, legend, and how a series is drawn.

mod picture;
mod tails;
mod windows;

use serde::Serialize;

use super::svg::{Marker, Svg};
use crate::summary::{Series, Summary};

pub(super) use picture::picture;
pub(super) use tails::tails;
pub(super) use windows::windows;

/// Panels drawn at most in one chart, so that a page stays one that a browser can open.
pub(super) const MAX_PANELS: usize = 200;

/// Colours in the style sheet.
const COLOURS: usize = 8;

/// Dashes in the style sheet.
const DASHES: usize = 4;

/// A chart: its legend and its panels.
#[derive(Debug, Serialize)]
pub(super) struct Figure {
    pub(super) legend: Vec<LegendEntry>,
    pub(super) panels: Vec<Panel>,
    /// Panels that were left out beyond [`MAX_PANELS`].
    pub(super) left_out: usize,
}

/// One line of a legend.
#[derive(Debug, Serialize)]
pub(super) struct LegendEntry {
    /// A small drawing.
    pub(super) swatch: String,
    pub(super) label: String,
}

/// One panel of a chart.
#[derive(Debug, Serialize)]
pub(super) struct Panel {
    pub(super) caption: String,
    pub(super) svg: String,
}

/// How a series is drawn.
pub(super) struct Style {
    /// Classes of its lines.
    line: String,
    /// Classes of its markers.
    marker: String,
    /// Class of its colour alone.
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

    /// A small drawing of the line with its marker, hidden from readers of text: its label says the same.
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

fn series_legend(summary: &Summary<'_>) -> Vec<LegendEntry> {
    let entry = |series: &Series| LegendEntry {
        swatch: Style::of(series).swatch(),
        label: series.label.clone(),
    };
    summary.series.iter().map(entry).collect()
}

fn cross_entry(label: &str) -> LegendEntry {
    let mut svg = bare(16);
    svg.marker("cross", Marker::Cross, (8.0, 8.0), 4.5);
    LegendEntry {
        swatch: svg.finish(),
        label: label.to_owned(),
    }
}

fn window_entry(summary: &Summary<'_>) -> LegendEntry {
    let mut svg = bare(36);
    svg.line("reference", (1.0, 8.0), (35.0, 8.0));
    let mut lengths: Vec<String> = summary
        .cells
        .iter()
        .map(|cell| super::text::setting(cell.window))
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
