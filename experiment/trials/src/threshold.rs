//! Thresholds: what must hold for each cell of a run, in one line of text each, such as `close_tail p95 < 1.2s`. The
//! same grammar is used wherever an objective is given.

mod judge;
mod parse;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::cell::CellKey;
use crate::metric::Metric;

pub use judge::{Judged, Status, judge, other_machine, references};
pub use parse::{GRAMMAR, ThresholdError};

/// What must hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    /// As it was written, without further white space.
    text: String,
    /// Settings with their canonical values: it holds for cells that have all of them.
    selectors: Vec<(&'static str, String)>,
    condition: Condition,
}

#[derive(Debug, Clone, PartialEq)]
enum Condition {
    LedgerBalances,
    Compare {
        metric: Metric,
        statistic: Statistic,
        relation: Relation,
        bound: Bound,
    },
}

/// Which figure of a metric counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Statistic {
    /// The smallest value that this share of all does not exceed; below 1.
    Percentile(f64),
    Mean,
    Max,
    /// The only figure of a metric that is no distribution.
    Only,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    Less,
    AtMost,
    More,
    AtLeast,
}

#[derive(Debug, Clone, PartialEq)]
enum Bound {
    /// In the metric's unit.
    Figure(f64),
    /// By which share the figure may differ from that of the same cell of a kept run.
    Change { share: f64, run: PathBuf },
}

/// What a threshold of a bound compares, for figures that come from elsewhere than a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Compared {
    pub metric: Metric,
    pub statistic: Statistic,
    relation: Relation,
    /// In the metric's unit.
    pub bound: f64,
}

impl Compared {
    pub(crate) const fn holds(&self, figure: f64) -> bool {
        self.relation.holds(figure, self.bound)
    }

    /// Whether smaller figures are better.
    pub(crate) const fn is_upper(&self) -> bool {
        self.relation.is_upper()
    }
}

/// The figure that a threshold is compared with, of one cell of a kept run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reference {
    pub threshold: String,
    pub cell: CellKey,
    /// In the metric's unit, or why there is none.
    pub figure: Result<f64, String>,
}

impl Threshold {
    /// Whether it speaks of a cell.
    pub fn selects(&self, cell: &CellKey) -> bool {
        self.selectors
            .iter()
            .all(|(name, value)| cell.value(name) == Some(value.as_str()))
    }

    /// The share of failed calls that it allows, if it limits them by itself.
    pub fn failed_share(&self) -> Option<f64> {
        match self.condition {
            Condition::Compare {
                metric: Metric::Failed,
                relation: Relation::Less | Relation::AtMost,
                bound: Bound::Figure(share),
                ..
            } => Some(share),
            _ => None,
        }
    }

    /// How many windows it needs to be judged; 1 if it is not of windows.
    pub fn windows_needed(&self) -> u32 {
        match self.condition {
            Condition::Compare {
                metric,
                statistic: Statistic::Percentile(share),
                ..
            } if metric.is_of_windows() => u32::try_from(judge::needed(share)).unwrap_or(u32::MAX),
            _ => 1,
        }
    }

    /// What it compares; `None` of a ledger, or of a change against another run.
    pub(crate) fn compared(&self) -> Option<Compared> {
        match &self.condition {
            Condition::Compare {
                metric,
                statistic,
                relation,
                bound: Bound::Figure(bound),
            } => Some(Compared {
                metric: *metric,
                statistic: *statistic,
                relation: *relation,
                bound: *bound,
            }),
            _ => None,
        }
    }

    /// The kept run that it compares with.
    pub fn run(&self) -> Option<&PathBuf> {
        match &self.condition {
            Condition::Compare {
                bound: Bound::Change { run, .. },
                ..
            } => Some(run),
            _ => None,
        }
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Threshold {
    type Err = ThresholdError;

    fn from_str(text: &str) -> Result<Self, ThresholdError> {
        parse::threshold(text)
    }
}

impl Relation {
    const fn holds(self, figure: f64, bound: f64) -> bool {
        match self {
            Self::Less => figure < bound,
            Self::AtMost => figure <= bound,
            Self::More => figure > bound,
            Self::AtLeast => figure >= bound,
        }
    }

    const fn is_upper(self) -> bool {
        matches!(self, Self::Less | Self::AtMost)
    }

    const fn sign(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::AtMost => "≤",
            Self::More => ">",
            Self::AtLeast => "≥",
        }
    }
}
