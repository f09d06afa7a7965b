//! The main chart as a stand-alone SVG file, for a README: the page's panels and legend with embedded styles on a light
//! background, so that it is readable on any page.

use super::{Figure, LegendEntry};
use crate::svg::{Anchor, Svg};
use crate::text;

const STYLE: &str = include_str!("picture.css");
const MARGIN: f64 = 20.0;
/// Between panels.
const GAP: f64 = 24.0;
/// Height of the heading.
const HEADING: f64 = 52.0;
/// Height of a panel's caption.
const CAPTION: f64 = 26.0;
/// Height of a line of the legend.
const LINE: f64 = 24.0;
/// Width of a letter in the fonts of legend and captions, rounded up.
const LETTER: f64 = 7.6;
/// Panels side by side. More would be too small to read in the width of a page of text.
const MAX_COLUMNS: usize = 2;
/// Width of a swatch with its margin, and the margin after an entry.
const SWATCH: (f64, f64) = (44.0, 20.0);

struct Layout {
    size: (f64, f64),
    /// Position of each panel, without its caption.
    panels: Vec<(f64, f64)>,
    /// Position of each entry of the legend.
    legend: Vec<(f64, f64)>,
}

pub(crate) fn picture(name: &str, figure: &Figure) -> String {
    let layout = Layout::of(figure);
    let captions: Vec<&str> = figure.panels.iter().map(|panel| panel.caption.as_str()).collect();
    let mut svg = Svg::picture(
        layout.size,
        &format!("{name}: {}", figure.title),
        &format!("One panel each for {}.", text::list(&captions)),
        STYLE,
    );
    svg.rect("ground", (0.5, 0.5), (layout.size.0 - 1.0, layout.size.1 - 1.0));
    svg.text(
        "heading",
        (MARGIN, 34.0),
        Anchor::Start,
        &format!("{}: lower is better", figure.title),
    );
    for (entry, at) in figure.legend.iter().zip(&layout.legend) {
        svg.embed(*at, (36.0, 16.0), &entry.swatch);
        svg.text(
            "label",
            (at.0 + SWATCH.0, at.1 + 12.5),
            Anchor::Start,
            &entry.label,
        );
    }
    for (panel, at) in figure.panels.iter().zip(&layout.panels) {
        let caption = truncated(&panel.caption, figure.size.0);
        svg.text("caption", (at.0 + 4.0, at.1 - 10.0), Anchor::Start, &caption);
        svg.embed(*at, figure.size, &panel.svg);
    }
    if figure.panels.is_empty() {
        svg.text(
            "label",
            (MARGIN, HEADING + 16.0),
            Anchor::Start,
            "No trial has ended.",
        );
    }
    svg.finish()
}

impl Layout {
    /// Panels in rows. The legend is in the gap that an odd number of panels leaves, if it fits, or above the panels.
    fn of(figure: &Figure) -> Self {
        let columns = figure.columns.min(MAX_COLUMNS);
        let rows = figure.panels.len().div_ceil(columns);
        let width = columns as f64 * (figure.size.0 + GAP) - GAP;
        let step = (figure.size.0 + GAP, figure.size.1 + CAPTION + GAP);
        let (free, free_height) = flow(&figure.legend, 0.0);
        let is_free = rows * columns > figure.panels.len() && free_height <= figure.size.1;
        let (entries, above) = if is_free {
            (free, 0.0)
        } else {
            flow(&figure.legend, width)
        };
        let top = HEADING + above;
        let panels = (0..figure.panels.len()).map(|index| {
            let (column, row) = ((index % columns) as f64, (index / columns) as f64);
            (MARGIN + column * step.0, top + CAPTION + row * step.1)
        });
        let legend_at = if is_free {
            let last = (rows - 1) as f64;
            (MARGIN + step.0 + 20.0, top + CAPTION + last * step.1 + 24.0)
        } else {
            (MARGIN, HEADING)
        };
        let height = top + rows as f64 * step.1 + MARGIN - GAP;
        Self {
            size: (width + 2.0 * MARGIN, height.max(HEADING + 2.0 * LINE)),
            panels: panels.collect(),
            legend: entries
                .iter()
                .map(|(x, y)| (legend_at.0 + x, legend_at.1 + y))
                .collect(),
        }
    }
}

/// Positions of entries in lines of at most `width` (at least one entry each), and the height of all lines with the margin
/// below.
fn flow(legend: &[LegendEntry], width: f64) -> (Vec<(f64, f64)>, f64) {
    let (mut x, mut y) = (0.0, 0.0);
    let positions = legend.iter().map(|entry| {
        let needed = SWATCH.0 + entry.label.chars().count() as f64 * LETTER;
        if x > 0.0 && x + needed > width {
            (x, y) = (0.0, y + LINE);
        }
        let position = (x, y);
        x += needed + SWATCH.1;
        position
    });
    let positions: Vec<_> = positions.collect();
    let height = if positions.is_empty() { 0.0 } else { y + LINE + 6.0 };
    (positions, height)
}

/// Truncates a text to `width`.
fn truncated(text: &str, width: f64) -> String {
    let fits = (width / LETTER) as usize;
    if text.chars().count() <= fits {
        return text.to_owned();
    }
    let start: String = text.chars().take(fits.saturating_sub(1)).collect();
    start + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_those_of_the_page() {
        let page = include_str!("../report.css");
        for colour in 0..super::super::COLOURS {
            let start = format!("--c{colour}: ");
            let at = page.find(&start).unwrap() + start.len();
            let value = &page[at..at + 7];
            let rule = format!(".c{colour} {{ color: {value}; }}");
            assert!(STYLE.contains(&rule), "{rule}");
        }
        for dash in 1..super::super::DASHES {
            let rule = |style: &str| {
                let at = style.find(&format!(".d{dash} {{")).unwrap();
                style[at..].split_once('}').unwrap().0.to_owned()
            };
            assert_eq!(rule(STYLE), rule(page));
        }
    }

    #[test]
    fn a_legend_breaks_its_lines() {
        let entry = |label: &str| LegendEntry {
            swatch: String::new(),
            label: label.to_owned(),
        };
        let legend = [entry("ab"), entry("ab"), entry("abcdefghijklmnopqrstuvwxyz")];
        let (positions, height) = flow(&legend, 150.0);
        assert_eq!(
            positions.iter().map(|(_, y)| *y).collect::<Vec<_>>(),
            [0.0, 0.0, LINE]
        );
        assert_eq!((positions[2].0, height), (0.0, 2.0 * LINE + 6.0));
        assert_eq!(truncated("abcdef", 4.0 * LETTER), "abc…");
        assert_eq!(truncated("abcd", 4.0 * LETTER), "abcd");
    }
}
