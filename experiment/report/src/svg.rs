//! The parts of SVG that charts need: shapes with classes, escaped text. Colours are in the page's style sheet, so that one
//! drawing suits light and dark screens and print.

use std::fmt::Write as _;

use crate::text;

/// A drawing under construction.
pub(crate) struct Svg {
    out: String,
}

#[derive(Clone, Copy)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// Shapes that distinguish series without colour, and those that distinguish verdicts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marker {
    Square,
    Circle,
    Triangle,
    Diamond,
    Cross,
    Arrow,
    SlashedCircle,
    Unequal,
    Question,
    Exclamation,
}

/// Escapes text for XML.
pub(crate) fn escape(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    for c in text::sanitize(raw).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// Formats a coordinate with at most one decimal.
fn coordinate(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

impl Svg {
    /// A drawing with title and description for screen readers. `id` must be unique in the page.
    pub(crate) fn new(id: &str, (width, height): (f64, f64), title: &str, description: &str) -> Self {
        let (width, height) = (coordinate(width), coordinate(height));
        let out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
             aria-labelledby=\"{id}-t {id}-d\"><title id=\"{id}-t\">{}</title><desc id=\"{id}-d\">{}</desc>",
            escape(title),
            escape(description)
        );
        Self { out }
    }

    /// A drawing for a file, with a size and embedded styles (without `<` and `&`).
    pub(crate) fn picture((width, height): (f64, f64), title: &str, description: &str, style: &str) -> Self {
        let (width, height) = (coordinate(width), coordinate(height));
        let out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" role=\"img\" aria-labelledby=\"t d\"><title id=\"t\">{}</title><desc id=\"d\">{}</desc>\
             <style>\n{}</style>",
            escape(title),
            escape(description),
            style
        );
        Self { out }
    }

    /// A small drawing beside a text with the same meaning; hidden from screen readers.
    pub(crate) fn decoration(class: &str, (width, height): (f64, f64)) -> Self {
        let (width, height) = (coordinate(width), coordinate(height));
        let out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"{class}\" viewBox=\"0 0 {width} {height}\" \
             width=\"{width}\" height=\"{height}\" aria-hidden=\"true\">"
        );
        Self { out }
    }

    /// Embeds a finished drawing.
    pub(crate) fn embed(&mut self, at: (f64, f64), size: (f64, f64), drawing: &str) {
        let _ = write!(
            self.out,
            "<svg x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\">{drawing}</svg>",
            coordinate(at.0),
            coordinate(at.1),
            coordinate(size.0),
            coordinate(size.1)
        );
    }

    pub(crate) fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let _ = write!(
            self.out,
            "<line class=\"{class}\" x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\"/>",
            coordinate(from.0),
            coordinate(from.1),
            coordinate(to.0),
            coordinate(to.1)
        );
    }

    pub(crate) fn rect(&mut self, class: &str, at: (f64, f64), size: (f64, f64)) {
        let _ = write!(
            self.out,
            "<rect class=\"{class}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>",
            coordinate(at.0),
            coordinate(at.1),
            coordinate(size.0.max(0.0)),
            coordinate(size.1.max(0.0))
        );
    }

    pub(crate) fn text(&mut self, class: &str, at: (f64, f64), anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let _ = write!(
            self.out,
            "<text class=\"{class}\" x=\"{}\" y=\"{}\" text-anchor=\"{anchor}\">{}</text>",
            coordinate(at.0),
            coordinate(at.1),
            escape(text)
        );
    }

    /// A line through at least two points; draws nothing for fewer.
    pub(crate) fn polyline(&mut self, class: &str, points: &[(f64, f64)]) {
        if points.len() < 2 {
            return;
        }
        let _ = write!(self.out, "<polyline class=\"{class}\" points=\"");
        for (x, y) in points {
            let _ = write!(self.out, "{},{} ", coordinate(*x), coordinate(*y));
        }
        self.out.push_str("\"/>");
    }

    pub(crate) fn marker(&mut self, class: &str, marker: Marker, at: (f64, f64), radius: f64) {
        let _ = write!(
            self.out,
            "<path class=\"{class}\" d=\"{}\"/>",
            marker.path(at, radius)
        );
    }

    /// Opens a group with a tooltip.
    pub(crate) fn open(&mut self, class: &str, tooltip: &str) {
        let _ = write!(self.out, "<g class=\"{class}\">");
        if !tooltip.is_empty() {
            let _ = write!(self.out, "<title>{}</title>", escape(tooltip));
        }
    }

    /// Closes the last group.
    pub(crate) fn close(&mut self) {
        self.out.push_str("</g>");
    }

    pub(crate) fn finish(mut self) -> String {
        self.out.push_str("</svg>");
        self.out
    }
}

impl Marker {
    /// Each colour has one shape.
    pub(crate) fn of_colour(colour: usize) -> Self {
        [Self::Square, Self::Circle, Self::Triangle, Self::Diamond][colour % 4]
    }

    /// The shape as path data; from the cross on it is a stroke without an area.
    pub(crate) fn path(self, (x, y): (f64, f64), r: f64) -> String {
        let strokes = |lines: &[&[(f64, f64)]]| {
            let mut path = String::new();
            for line in lines {
                for (i, (dx, dy)) in line.iter().enumerate() {
                    let letter = if i == 0 { 'M' } else { 'L' };
                    let (x, y) = (coordinate(x + dx * r), coordinate(y + dy * r));
                    let _ = write!(path, "{letter}{x} {y}");
                }
            }
            path
        };
        let points: &[(f64, f64)] = match self {
            Self::Square => &[(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)],
            Self::Triangle => &[(0.0, -1.15), (1.1, 0.85), (-1.1, 0.85)],
            Self::Diamond => &[(0.0, -1.25), (1.25, 0.0), (0.0, 1.25), (-1.25, 0.0)],
            Self::Circle => {
                let (left, r) = (coordinate(x - r), coordinate(r));
                return format!(
                    "M{left} {}a{r} {r} 0 1 0 {} 0a{r} {r} 0 1 0 -{} 0z",
                    coordinate(y),
                    doubled(&r),
                    doubled(&r)
                );
            }
            Self::SlashedCircle => {
                return Self::Circle.path((x, y), r) + &strokes(&[&[(-0.7, 0.7), (0.7, -0.7)]]);
            }
            Self::Cross => return strokes(&[&[(-1.0, -1.0), (1.0, 1.0)], &[(1.0, -1.0), (-1.0, 1.0)]]),
            Self::Arrow => {
                return strokes(&[
                    &[(0.0, 1.2), (0.0, -1.2)],
                    &[(-0.9, -0.3), (0.0, -1.2), (0.9, -0.3)],
                ]);
            }
            Self::Unequal => {
                return strokes(&[
                    &[(-1.0, -0.4), (1.0, -0.4)],
                    &[(-1.0, 0.4), (1.0, 0.4)],
                    &[(-0.5, 1.1), (0.5, -1.1)],
                ]);
            }
            Self::Question => {
                let curve = [
                    (-0.7, -0.7),
                    (-0.3, -1.2),
                    (0.4, -1.2),
                    (0.7, -0.7),
                    (0.5, -0.2),
                    (0.0, 0.1),
                ];
                return strokes(&[&curve, &[(0.0, 0.1), (0.0, 0.5)], &[(0.0, 1.15), (0.0, 1.2)]]);
            }
            Self::Exclamation => {
                return strokes(&[&[(0.0, -1.2), (0.0, 0.4)], &[(0.0, 1.15), (0.0, 1.2)]]);
            }
        };
        let mut path = String::new();
        for (i, (dx, dy)) in points.iter().enumerate() {
            let _ = write!(
                path,
                "{}{} {}",
                if i == 0 { "M" } else { "L" },
                coordinate(x + dx * r),
                coordinate(y + dy * r)
            );
        }
        path + "z"
    }
}

fn doubled(radius: &str) -> String {
    coordinate(radius.parse::<f64>().unwrap_or(0.0) * 2.0)
}
