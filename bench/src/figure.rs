//! One measured value from several rounds: the median and the spread of the rounds, and its text.

use serde::Serialize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Events, calls or messages per second.
    PerSecond,
    Micros,
    Millis,
    Bytes,
    /// Megabytes.
    Megabytes,
    /// A fraction or a ratio.
    Share,
    Count,
}

/// A value from several rounds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    /// The median; with an even number of rounds, the mean of the middle two.
    pub median: f64,
    pub low: f64,
    pub high: f64,
    /// Number of rounds.
    pub rounds: usize,
    pub unit: Unit,
}

impl Figure {
    /// From the values of the rounds; `None` without any.
    pub fn of(unit: Unit, rounds: &[f64]) -> Option<Self> {
        let mut sorted = rounds.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (low, high) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            (sorted[middle - 1] + sorted[middle]) / 2.0
        };
        Some(Self {
            median,
            low,
            high,
            rounds: sorted.len(),
            unit,
        })
    }

    /// The text for the table: the median, and the spread if there was more than one round.
    pub fn text(&self) -> String {
        let median = written(self.median, self.unit);
        if self.rounds < 2 {
            return median;
        }
        let (low, high) = (number(self.low, self.unit), number(self.high, self.unit));
        format!("{median} ({low} … {high})")
    }
}

/// The value that this fraction of the sorted values does not exceed; `None` without any.
pub fn quantile<T: Copy>(sorted: &[T], fraction: f64) -> Option<T> {
    let index = ((sorted.len() as f64 * fraction) as usize).min(sorted.len().checked_sub(1)?);
    sorted.get(index).copied()
}

pub fn written(value: f64, unit: Unit) -> String {
    let name = match unit {
        Unit::PerSecond => "/s",
        Unit::Micros => " µs",
        Unit::Millis => " ms",
        Unit::Bytes => " B",
        Unit::Megabytes => " MB",
        Unit::Share | Unit::Count => "",
    };
    format!("{}{name}", number(value, unit))
}

/// Three significant digits; whole numbers with thousands separators.
fn number(value: f64, unit: Unit) -> String {
    if value.abs() >= 100.0 || unit == Unit::Count {
        return grouped(value);
    }
    let decimals = if value.abs() >= 10.0 {
        1
    } else if value.abs() >= 0.1 || value == 0.0 {
        2
    } else {
        4
    };
    format!("{value:.decimals$}")
}

fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let (sign, digits) = digits
        .strip_prefix('-')
        .map_or(("", &*digits), |rest| ("-", rest));
    let mut out = String::from(sign);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_rounds_is_their_middle() {
        let figure = |rounds: &[f64]| Figure::of(Unit::Micros, rounds).map(|f| (f.median, f.low, f.high));
        assert_eq!(figure(&[3.0, 1.0, 2.0]), Some((2.0, 1.0, 3.0)));
        assert_eq!(figure(&[4.0, 1.0]), Some((2.5, 1.0, 4.0)));
        assert_eq!(figure(&[]), None);
    }

    #[test]
    fn figures_are_written_with_three_digits() {
        let text = |value, unit| written(value, unit);
        assert_eq!(text(1_234_567.4, Unit::PerSecond), "1,234,567/s");
        assert_eq!(text(999.6, Unit::PerSecond), "1,000/s");
        assert_eq!(text(12.34, Unit::Micros), "12.3 µs");
        assert_eq!(text(1.234, Unit::Millis), "1.23 ms");
        assert_eq!(text(0.00123, Unit::Share), "0.0012");
        assert_eq!(text(0.0, Unit::Share), "0.00");
        assert_eq!(text(7.0, Unit::Count), "7");
        let figure = Figure::of(Unit::PerSecond, &[1_000.0, 3_000.0, 2_000.0]).unwrap();
        assert_eq!(figure.text(), "2,000/s (1,000 … 3,000)");
    }
}
