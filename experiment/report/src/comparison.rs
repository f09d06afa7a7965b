//! A comparison of two runs as rows of text, as Markdown and as JSON.

use std::collections::BTreeMap;

use serde::Serialize;
use trials::comparison::{Change, Compared, Design, Finding, MOST_ROUNDS};
use trials::metric::{Metric, Unit};
use trials::statistics::median;
use trials::text::{count, for_programs, ratio};

use crate::table::Tone;
use crate::text;

/// Grows by one when a field changes its meaning or goes; fields are added without.
const FORMAT: u32 = 1;

/// Two runs, cell by cell.
#[derive(Debug, Clone)]
pub struct Comparison {
    pub metric: Metric,
    pub design: Design,
    /// The share within which two cells are the same.
    pub margin: f64,
    /// What the two are called.
    pub from: String,
    pub to: String,
    pub cells: Vec<Compared>,
}

/// A row: cell, both medians, the change, its interval, and what it says.
pub type CellRow = ([String; 6], Finding);

/// The names of the columns of [`CellRow`].
pub const COLUMNS: [&str; 6] = ["cell", "first", "second", "change", "99 % interval", ""];

/// The tone of a finding.
pub fn tone(finding: Finding) -> Tone {
    match finding {
        Finding::Same => Tone::Plain,
        Finding::Better => Tone::Good,
        Finding::Undecided => Tone::Edge,
        Finding::Worse => Tone::Bad,
    }
}

impl Comparison {
    /// What is compared, in a sentence.
    pub fn heading(&self) -> String {
        let what = match self.design {
            Design::Kept => "trials",
            Design::Rounds => "rounds",
        };
        let numbers = self.cells.iter().map(|cell| cell.number);
        let range = match (numbers.clone().min(), numbers.max()) {
            (Some(least), Some(most)) if least == most => count(most as u64),
            (Some(least), Some(most)) => format!("{} to {}", count(least as u64), count(most as u64)),
            _ => "0".to_owned(),
        };
        let same = match self.metric.unit() {
            Unit::Share => format!("{} points", ratio(self.margin * 10.0)),
            Unit::Duration | Unit::Bytes => text::share(self.margin),
        };
        format!(
            "{} of {} (second) against {} (first), {range} {what} each; the same within ±{same}",
            self.metric.name(),
            text::sanitize(&self.to),
            text::sanitize(&self.from)
        )
    }

    pub fn rows(&self) -> Vec<CellRow> {
        self.cells.iter().map(|cell| self.row(cell)).collect()
    }

    fn row(&self, cell: &Compared) -> CellRow {
        let figure = |figures: &[f64]| {
            median(figures).map_or_else(|| "–".to_owned(), |one| self.metric.unit().text(one))
        };
        let (change, interval) = match cell.change {
            Some(Change { by, low, high }) => {
                let ends = format!("{} to {}", self.change(low), self.change(high));
                (self.change(by), ends)
            }
            None => ("–".to_owned(), "–".to_owned()),
        };
        let mut says = format!("{} {}", cell.finding.mark(), cell.finding.name());
        if !cell.reason.is_empty() {
            says.push_str(&format!(": {}", cell.reason));
        } else if cell.finding == Finding::Undecided {
            says.push_str(&match cell.needed {
                Some(needed) => format!(": {} would decide", count(needed as u64)),
                None => format!(": {} would not decide", count(MOST_ROUNDS as u64)),
            });
        }
        let cells = [
            text::sanitize(&cell.cell),
            figure(&cell.from),
            figure(&cell.to),
            change,
            interval,
            says,
        ];
        (cells, cell.finding)
    }

    /// In per cent; of shares in points.
    fn change(&self, change: f64) -> String {
        match self.metric.unit() {
            Unit::Share => trials::text::points(change),
            Unit::Duration | Unit::Bytes => trials::text::change(change),
        }
    }

    /// How many cells have this finding.
    pub fn count(&self, finding: Finding) -> usize {
        self.cells.iter().filter(|cell| cell.finding == finding).count()
    }

    /// For a comment on a change, in GitHub's Markdown.
    pub fn markdown(&self) -> String {
        let escaped = |raw: &str| raw.replace('\\', "\\\\").replace('|', "\\|").replace('<', "&lt;");
        let mut out = format!("{}\n\n|", escaped(&self.heading()));
        for name in COLUMNS {
            out.push_str(&format!(" {name} |"));
        }
        out.push_str("\n|---|---:|---:|---:|---:|---|\n");
        for (cells, _) in self.rows() {
            let cells = cells.map(|cell| escaped(&cell));
            out.push_str(&format!("| {} |\n", cells.join(" | ")));
        }
        out
    }

    /// For programs: figures in the unit that is named, changes as shares.
    pub fn json(&self) -> String {
        let change = |Change { by, low, high }: Change| ChangeJson {
            by: for_programs(by),
            low: for_programs(low),
            high: for_programs(high),
        };
        let cells = self.cells.iter().map(|cell| CellJson {
            name: &cell.cell,
            settings: cell.key.settings().collect(),
            from: &cell.from,
            to: &cell.to,
            number: cell.number,
            change: cell.change.map(change),
            finding: cell.finding.name(),
            reason: &cell.reason,
            needed: cell.needed,
        });
        let file = ComparisonJson {
            format: FORMAT,
            metric: self.metric.name(),
            unit: self.metric.unit().name(),
            design: match self.design {
                Design::Kept => "kept",
                Design::Rounds => "rounds",
            },
            margin: self.margin,
            from: &self.from,
            to: &self.to,
            cells: cells.collect(),
        };
        // Of strings and numbers alone: it cannot fail.
        serde_json::to_string_pretty(&file).unwrap_or_default()
    }
}

#[derive(Serialize)]
struct ComparisonJson<'a> {
    format: u32,
    metric: &'static str,
    unit: &'static str,
    design: &'static str,
    margin: f64,
    from: &'a str,
    to: &'a str,
    cells: Vec<CellJson<'a>>,
}

#[derive(Serialize)]
struct CellJson<'a> {
    name: &'a str,
    settings: BTreeMap<&'a str, &'a str>,
    from: &'a [f64],
    to: &'a [f64],
    number: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<ChangeJson>,
    finding: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    needed: Option<usize>,
}

#[derive(Serialize)]
struct ChangeJson {
    by: f64,
    low: f64,
    high: f64,
}
