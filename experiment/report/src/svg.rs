//! Just enough SVG for charts: shapes with classes, escaped text. Colours are the page's
//! style sheet's, so that one drawing serves light, dark and print.

use std::fmt::Write as _;

use super::text;

/// A drawing under construction.
pub(crate) struct Svg {
    out: String,
}

/// Where a text is anchored.
#[derive(Clone, Copy)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// Shapes that tell series apart without colour, and the mark of a window without result.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marker {
    Square,
    Circle,
    Triangle,
    Diamond,
    Cross,
}

/// Text made safe inside XML.
pub(crate) fn escape(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    for c in text::harmless(raw).chars() {
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

/// A place with at most one decimal.
fn place(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

impl Svg {
    /// A drawing with a title and a description for those who cannot see it; `id` is unique in the page.
    pub(crate) fn new(id: &str, (width, height): (f64, f64), title: &str, description: &str) -> Self {
        let (width, height) = (place(width), place(height));
        let out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
             aria-labelledby=\"{id}-t {id}-d\"><title id=\"{id}-t\">{}</title><desc id=\"{id}-d\">{}</desc>",
            escape(title),
            escape(description)
        );
        Self { out }
    }

    /// A drawing that is a file: with a size, and with styles of its own (without `<` and `&`).
    pub(crate) fn picture((width, height): (f64, f64), title: &str, description: &str, style: &str) -> Self {
        let (width, height) = (place(width), place(height));
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

    /// A small drawing beside a text that says the same, so readers of text are spared it.
    pub(crate) fn decoration(class: &str, (width, height): (f64, f64)) -> Self {
        let (width, height) = (place(width), place(height));
        let out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"{class}\" viewBox=\"0 0 {width} {height}\" \
             width=\"{width}\" height=\"{height}\" aria-hidden=\"true\">"
        );
        Self { out }
    }

    /// Sets a finished drawing into this one.
    pub(crate) fn embed(&mut self, at: (f64, f64), size: (f64, f64), drawing: &str) {
        let _ = write!(
            self.out,
            "<svg x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\">{drawing}</svg>",
            place(at.0),
            place(at.1),
            place(size.0),
            place(size.1)
        );
    }

    pub(crate) fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let _ = write!(
            self.out,
            "<line class=\"{class}\" x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\"/>",
            place(from.0),
            place(from.1),
            place(to.0),
            place(to.1)
        );
    }

    pub(crate) fn rect(&mut self, class: &str, at: (f64, f64), size: (f64, f64)) {
        let _ = write!(
            self.out,
            "<rect class=\"{class}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>",
            place(at.0),
            place(at.1),
            place(size.0.max(0.0)),
            place(size.1.max(0.0))
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
            place(at.0),
            place(at.1),
            escape(text)
        );
    }

    /// A line through points; nothing for fewer than two.
    pub(crate) fn polyline(&mut self, class: &str, points: &[(f64, f64)]) {
        if points.len() < 2 {
            return;
        }
        let _ = write!(self.out, "<polyline class=\"{class}\" points=\"");
        for (x, y) in points {
            let _ = write!(self.out, "{},{} ", place(*x), place(*y));
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

    /// Opens a group that shows `hint` where a pointer rests on it.
    pub(crate) fn open(&mut self, class: &str, hint: &str) {
        let _ = write!(self.out, "<g class=\"{class}\">");
        if !hint.is_empty() {
            let _ = write!(self.out, "<title>{}</title>", escape(hint));
        }
    }

    /// Closes the group opened last.
    pub(crate) fn close(&mut self) {
        self.out.push_str("</g>");
    }

    pub(crate) fn finish(mut self) -> String {
        self.out.push_str("</svg>");
        self.out
    }
}

impl Marker {
    /// The shape of a series' colour; shapes and colours go together.
    pub(crate) fn of_colour(colour: usize) -> Self {
        [Self::Square, Self::Circle, Self::Triangle, Self::Diamond][colour % 4]
    }

    /// The shape as path data.
    pub(crate) fn path(self, (x, y): (f64, f64), r: f64) -> String {
        let points: &[(f64, f64)] = match self {
            Self::Square => &[(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)],
            Self::Triangle => &[(0.0, -1.15), (1.1, 0.85), (-1.1, 0.85)],
            Self::Diamond => &[(0.0, -1.25), (1.25, 0.0), (0.0, 1.25), (-1.25, 0.0)],
            Self::Circle => {
                let (left, r) = (place(x - r), place(r));
                return format!(
                    "M{left} {}a{r} {r} 0 1 0 {} 0a{r} {r} 0 1 0 -{} 0z",
                    place(y),
                    doubled(&r),
                    doubled(&r)
                );
            }
            Self::Cross => {
                let [left, right, top, bottom] = [x - r, x + r, y - r, y + r].map(place);
                return format!("M{left} {top}L{right} {bottom}M{right} {top}L{left} {bottom}");
            }
        };
        let mut path = String::new();
        for (i, (dx, dy)) in points.iter().enumerate() {
            let _ = write!(
                path,
                "{}{} {}",
                if i == 0 { "M" } else { "L" },
                place(x + dx * r),
                place(y + dy * r)
            );
        }
        path + "z"
    }
}

fn doubled(radius: &str) -> String {
    place(radius.parse::<f64>().unwrap_or(0.0) * 2.0)
}
