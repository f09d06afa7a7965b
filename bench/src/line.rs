//! One line of the table: what was measured, beside what, and whether the goal is met.

use serde::Serialize;

use crate::figure::{Figure, Unit, written};

/// The goal of a line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Goal {
    /// At least this multiple of the peer's figure.
    AtLeastTimes(f64),
    /// At most this multiple of the peer's figure.
    AtMostTimes(f64),
    /// At least this value, in the figure's unit.
    AtLeast(f64),
    /// At most this value, in the figure's unit.
    AtMost(f64),
    /// No goal: the line is there for comparison.
    Seen,
}

/// Whether the goal was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Met,
    Missed,
    /// The peer is not installed on this machine.
    Absent,
    Failed,
    Seen,
}

/// What our figure is compared with.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Beside {
    /// The peer, or where a bound comes from.
    pub name: String,
    /// Its figure; `None` if the peer is absent.
    pub figure: Option<Figure>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    pub row: String,
    /// What was measured.
    pub what: String,
    /// Our figure; `None` if it could not be measured.
    pub measured: Option<Figure>,
    pub beside: Option<Beside>,
    /// Our median ÷ the peer's.
    pub ratio: Option<f64>,
    /// The goal in words.
    pub goal: String,
    pub verdict: Verdict,
    /// A note for the reader.
    pub note: Option<String>,
    /// Of the processor time wanted while the row was measured, the fraction that the host gave to other machines;
    /// `None` if the system does not report it.
    pub stolen: Option<f64>,
}

impl Line {
    /// A figure with an absolute goal.
    pub fn alone(row: &str, what: impl Into<String>, measured: Option<Figure>, goal: Goal) -> Self {
        Self::build(row, what.into(), measured, None, goal)
    }

    /// A figure beside a peer's.
    pub fn beside(
        row: &str,
        what: impl Into<String>,
        measured: Option<Figure>,
        peer: impl Into<String>,
        figure: Option<Figure>,
        goal: Goal,
    ) -> Self {
        let name = peer.into();
        Self::build(row, what.into(), measured, Some(Beside { name, figure }), goal)
    }

    /// A row that could not be measured.
    pub fn failed(row: &str, reason: String) -> Self {
        Self {
            verdict: Verdict::Failed,
            note: Some(reason),
            ..Self::alone(row, row, None, Goal::Seen)
        }
    }

    /// The same line with a note.
    pub fn noted(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    fn build(row: &str, what: String, measured: Option<Figure>, beside: Option<Beside>, goal: Goal) -> Self {
        let ours = measured.as_ref().map(|figure| figure.median);
        let theirs = beside
            .as_ref()
            .map(|beside| beside.figure.as_ref().map(|f| f.median));
        let ratio = ours
            .zip(theirs.flatten())
            .map(|(ours, theirs)| ours / theirs)
            .filter(|ratio| ratio.is_finite());
        let unit = measured.as_ref().map_or(Unit::Share, |figure| figure.unit);
        Self {
            row: row.to_owned(),
            what,
            goal: goal.text(unit),
            verdict: goal.verdict(ours, theirs, ratio),
            measured,
            beside,
            ratio,
            note: None,
            stolen: None,
        }
    }
}

impl Goal {
    fn text(self, unit: Unit) -> String {
        match self {
            Self::AtLeastTimes(times) => format!("≥ {times} ×"),
            Self::AtMostTimes(times) => format!("≤ {} ×", (times * 1e4).round() / 1e4),
            Self::AtLeast(value) => format!("≥ {}", written(value, unit)),
            Self::AtMost(value) => format!("≤ {}", written(value, unit)),
            Self::Seen => "–".to_owned(),
        }
    }

    fn verdict(self, ours: Option<f64>, theirs: Option<Option<f64>>, ratio: Option<f64>) -> Verdict {
        if self == Self::Seen {
            return Verdict::Seen;
        }
        let Some(ours) = ours else {
            return Verdict::Failed;
        };
        let reached = match self {
            Self::AtLeastTimes(times) => ratio.map(|ratio| ratio >= times),
            Self::AtMostTimes(times) => ratio.map(|ratio| ratio <= times),
            Self::AtLeast(value) => Some(ours >= value),
            Self::AtMost(value) => Some(ours <= value),
            Self::Seen => None,
        };
        match (reached, theirs) {
            (Some(true), _) => Verdict::Met,
            (Some(false), _) => Verdict::Missed,
            (None, Some(None)) => Verdict::Absent,
            (None, _) => Verdict::Failed,
        }
    }
}

impl Verdict {
    /// Its line in the Markdown table.
    pub fn text(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Missed => "**missed**",
            Self::Absent => "absent",
            Self::Failed => "**failed**",
            Self::Seen => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(value: f64) -> Option<Figure> {
        Figure::of(Unit::PerSecond, &[value])
    }

    #[test]
    fn goals_are_judged_by_the_ratio_or_the_value() {
        let beside = |ours, theirs, goal| Line::beside("r", "w", figure(ours), "peer", theirs, goal).verdict;
        assert_eq!(beside(30.0, figure(10.0), Goal::AtLeastTimes(3.0)), Verdict::Met);
        assert_eq!(
            beside(29.0, figure(10.0), Goal::AtLeastTimes(3.0)),
            Verdict::Missed
        );
        assert_eq!(beside(2.0, figure(10.0), Goal::AtMostTimes(0.25)), Verdict::Met);
        assert_eq!(beside(3.0, None, Goal::AtMostTimes(0.25)), Verdict::Absent);
        assert_eq!(beside(3.0, figure(0.0), Goal::AtLeastTimes(1.0)), Verdict::Failed);
        let alone = |ours, goal| Line::alone("r", "w", figure(ours), goal).verdict;
        assert_eq!(alone(5.0, Goal::AtMost(5.0)), Verdict::Met);
        assert_eq!(alone(5.1, Goal::AtMost(5.0)), Verdict::Missed);
        assert_eq!(alone(4.9, Goal::AtLeast(5.0)), Verdict::Missed);
        assert_eq!(alone(4.9, Goal::Seen), Verdict::Seen);
        let missing = Line::alone("r", "w", None, Goal::AtLeast(1.0));
        assert_eq!(missing.verdict, Verdict::Failed);
    }
}
