//! Just enough SVG for charts: shapes with classes, escaped text, scales with round ticks. Colours are the page's
//! style sheet's, so that one drawing serves light, dark and print.

use std::fmt::Write as _;
use std::time::Duration;

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

/// A straight scale from values to places.
#[derive(Clone, Copy)]
pub(crate) struct Linear {
    pub(crate) values: (f64, f64),
    pub(crate) places: (f64, f64),
}

/// A logarithmic scale; values below its lowest are placed there.
#[derive(Clone, Copy)]
pub(crate) struct Log {
    pub(crate) values: (f64, f64),
    pub(crate) places: (f64, f64),
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

    /// A small drawing beside a text that says the same, so readers of text are spared it.
    pub(crate) fn decoration(class: &str, (width, height): (f64, f64)) -> Self {
        let (width, height) = (place(width), place(height));
        let out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"{class}\" viewBox=\"0 0 {width} {height}\" \
             width=\"{width}\" height=\"{height}\" aria-hidden=\"true\">"
        );
        Self { out }
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

impl Linear {
    /// From a round value at or below `lowest` to one at or above `highest`, over `places`.
    pub(crate) fn around(lowest: f64, highest: f64, places: (f64, f64)) -> Self {
        let step = nice_step(highest - lowest, 5);
        let low = (lowest / step + 1e-9).floor().max(0.0) * step;
        Self {
            values: (low, ((highest / step).ceil() * step).max(low + step)),
            places,
        }
    }

    pub(crate) fn at(&self, value: f64) -> f64 {
        let share = (value - self.values.0) / (self.values.1 - self.values.0).max(f64::MIN_POSITIVE);
        self.places.0 + share.clamp(0.0, 1.0) * (self.places.1 - self.places.0)
    }

    /// Round values (1, 2 or 5 times a power of ten apart), about `count` of them.
    pub(crate) fn ticks(&self, count: u32) -> Vec<f64> {
        let step = nice_step(self.values.1 - self.values.0, count);
        let first = (self.values.0 / step).ceil() as i64;
        let last = (self.values.1 / step + 1e-9).floor() as i64;
        (first..=last).map(|i| i as f64 * step).collect()
    }
}

/// The smallest of 1, 2 and 5 times a power of ten that divides `span` into at most `count` steps.
fn nice_step(span: f64, count: u32) -> f64 {
    if span <= 0.0 || !span.is_finite() {
        return 1.0;
    }
    let raw = span / f64::from(count.max(1));
    let decade = 10f64.powf(raw.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .map(|m| m * decade)
        .into_iter()
        .find(|step| *step >= raw * 0.999_999)
        .unwrap_or(decade * 10.0)
}

impl Log {
    /// From the decade below `lowest` to the round value (1, 2, 5) at or above `highest`, at least a decade; both positive.
    pub(crate) fn around(lowest: f64, highest: f64, places: (f64, f64)) -> Self {
        let low = 10f64.powf((lowest.log10() + 1e-9).floor());
        let decade = 10f64.powf((highest.log10() + 1e-9).floor());
        let high = [1.0, 2.0, 5.0, 10.0]
            .map(|m| m * decade)
            .into_iter()
            .find(|v| *v >= highest * 0.999_999);
        Self {
            values: (low, high.unwrap_or(decade * 10.0).max(low * 10.0)),
            places,
        }
    }

    pub(crate) fn at(&self, value: f64) -> f64 {
        let (low, high) = (self.values.0.log10(), self.values.1.log10());
        let share = (value.max(self.values.0).log10() - low) / (high - low);
        self.places.0 + share.clamp(0.0, 1.0) * (self.places.1 - self.places.0)
    }

    /// The decades, and 2 and 5 times them where there are fewer than three.
    pub(crate) fn ticks(&self) -> Vec<f64> {
        let (low, high) = (
            self.values.0.log10().round() as i32,
            self.values.1.log10().ceil() as i32,
        );
        let steps: &[f64] = if f64::from(high - low) < 3.0 {
            &[1.0, 2.0, 5.0]
        } else {
            &[1.0]
        };
        (low..=high)
            .flat_map(|decade| steps.iter().map(move |step| step * 10f64.powi(decade)))
            .filter(|tick| *tick <= self.values.1 * 1.000_001)
            .collect()
    }
}

/// A tick of a scale of microseconds.
pub(crate) fn micros_label(micros: f64) -> String {
    text::setting(Duration::from_nanos((micros * 1e3).round() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ticks_are_round() {
        let scale = Linear::around(0.0, 11.3, (100.0, 0.0));
        assert_eq!(scale.ticks(5), [0.0, 5.0, 10.0, 15.0]);
        assert_eq!(scale.at(0.0), 100.0);
        assert_eq!(
            Linear::around(10.0, 11.2, (100.0, 0.0)).ticks(5),
            [10.0, 10.5, 11.0, 11.5]
        );
        let log = Log::around(150.0, 1_020_000.0, (100.0, 0.0));
        assert_eq!(
            log.ticks().into_iter().map(micros_label).collect::<Vec<_>>(),
            ["100 µs", "1 ms", "10 ms", "100 ms", "1 s"]
        );
        let narrow = Log::around(1_000_000.0, 1_100_000.0, (100.0, 0.0));
        assert_eq!(
            narrow.ticks().into_iter().map(micros_label).collect::<Vec<_>>(),
            ["1 s", "2 s", "5 s", "10 s"]
        );
    }

    proptest! {
        #[test]
        fn scales_stay_inside_their_places(low in 1e-3f64..1e12, factor in 1.0f64..1e9, value in 0.0f64..1e13) {
            let log = Log::around(low, low * factor, (200.0, 20.0));
            prop_assert!((20.0..=200.0).contains(&log.at(value)));
            prop_assert!(log.at(low) >= log.at(low * factor));
            prop_assert!((1..=60).contains(&log.ticks().len()));
            let linear = Linear::around(low, low * factor, (200.0, 20.0));
            prop_assert!((20.0..=200.0).contains(&linear.at(value)));
            prop_assert!((2..=12).contains(&linear.ticks(5).len()));
        }
    }
}
