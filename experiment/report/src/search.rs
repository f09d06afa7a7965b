//! What a search found, as rows of text, as Markdown, as JSON and as a chart.

mod chart;

use std::collections::BTreeMap;

use serde::Serialize;
use trials::journal::{JournalLine, RunFacts};
use trials::search::{Bracket, Found, Quantity};
use trials::searches::{SearchedCell, Searches};
use trials::sustained::Limit;
use trials::text::{count, counted, for_programs};

use crate::table::Tone;
use crate::text;

/// Grows by one when a field changes its meaning or goes; fields are added without.
const FORMAT: u32 = 1;

/// The cells of a search.
#[derive(Debug, Clone)]
pub struct SearchReport {
    /// The plan's name.
    pub name: String,
    pub quantity: Quantity,
    /// The thresholds that must hold beside *sustained*.
    pub objective: Vec<String>,
    pub cells: Vec<SearchedCell>,
}

/// The names of the columns of [`SearchReport::rows`]; the second is the quantity.
pub const COLUMNS: [&str; 6] = ["cell", "bracket", "predicted", "trials", "limited by", ""];

/// A row: its cells, the sentence beneath it, and its tone.
pub type SearchRow = ([String; 6], String, Tone);

impl SearchReport {
    /// What the searches of a journal found; `None` if it is not that of a search.
    pub fn of(lines: &[JournalLine]) -> Option<Self> {
        let searches = Searches::of(lines)?;
        let name = |line: &JournalLine| match line {
            JournalLine::Run(RunFacts { plan_name, .. }) => Some(plan_name.clone()),
            JournalLine::Trial(_) => None,
        };
        Some(Self {
            name: lines.iter().find_map(name).unwrap_or_default(),
            quantity: searches.quantity(),
            objective: searches.objective().iter().map(ToString::to_string).collect(),
            cells: searches.cells(),
        })
    }

    /// What is searched for, in a sentence.
    pub fn heading(&self) -> String {
        let what = match self.quantity {
            Quantity::Capacity => "capacity: the highest RPU",
            Quantity::Demand => "demand: the least max_workers",
        };
        match self.objective.as_slice() {
            [] => format!("{what} that is sustained"),
            objective => format!("{what} that is sustained with {}", trials::text::list(objective)),
        }
    }

    pub fn rows(&self) -> Vec<SearchRow> {
        self.cells.iter().map(|cell| self.row(cell)).collect()
    }

    fn row(&self, cell: &SearchedCell) -> SearchRow {
        let (says, tone) = says(cell);
        let below = match &cell.failed {
            Some(failed) => failed.clone(),
            None if cell.reason.is_empty() => String::new(),
            None => {
                let (setting, level) = (self.quantity.setting().name, count(cell.reason_at));
                format!("at {setting} {level}: {}", cell.reason)
            }
        };
        let cells = [
            text::sanitize(&cell.cell),
            bracket_text(&cell.bracket),
            count(cell.predicted),
            cell.bracket.trials.to_string(),
            cell.limit.map_or("–", Limit::words).to_owned(),
            says,
        ];
        (cells, text::sanitize(&below), tone)
    }

    /// For a comment or a page, in GitHub's Markdown.
    pub fn markdown(&self) -> String {
        let escaped = |raw: &str| raw.replace('\\', "\\\\").replace('|', "\\|").replace('<', "&lt;");
        let mut out = format!("{}\n\n|", escaped(&self.heading()));
        for name in COLUMNS {
            out.push_str(&format!(" {name} |"));
        }
        out.push_str("\n|---|---:|---:|---:|---|---|\n");
        for (cells, ..) in self.rows() {
            let cells = cells.map(|cell| escaped(&cell));
            out.push_str(&format!("| {} |\n", cells.join(" | ")));
        }
        out
    }

    /// For programs.
    pub fn json(&self) -> String {
        let cells = self.cells.iter().map(|cell| CellJson {
            name: &cell.cell,
            settings: cell.key.settings().collect(),
            found: cell.bracket.found,
            sustained: cell.bracket.sustained,
            not_sustained: cell.bracket.not_sustained,
            estimate: cell.bracket.estimate().map(for_programs),
            predicted: cell.predicted,
            trials: cell.bracket.trials,
            limit: cell.limit,
            is_of_the_machine: cell.limit.map(Limit::is_of_the_machine),
            reason: &cell.reason,
            reason_at: (!cell.reason.is_empty()).then_some(cell.reason_at),
            failed: cell.failed.as_deref(),
        });
        let file = SearchJson {
            format: FORMAT,
            plan: &self.name,
            quantity: self.quantity,
            setting: self.quantity.setting().name,
            objective: &self.objective,
            cells: cells.collect(),
        };
        // Of strings and numbers alone: it cannot fail.
        serde_json::to_string_pretty(&file).unwrap_or_default() + "\n"
    }

    /// The brackets as whiskers beside the predictions, as an SVG file.
    pub fn chart(&self) -> String {
        chart::picture(self)
    }

    /// The same as a part of the page.
    pub(crate) fn chart_of_page(&self) -> String {
        chart::of_page(self)
    }
}

/// The ends of the bracket, the lower one first.
fn bracket_text(bracket: &Bracket) -> String {
    match (bracket.sustained, bracket.not_sustained) {
        (Some(one), Some(other)) => format!("{} to {}", count(one.min(other)), count(one.max(other))),
        _ => "–".to_owned(),
    }
}

/// What was found in a cell, in words.
fn says(cell: &SearchedCell) -> (String, Tone) {
    if cell.failed.is_some() {
        return ("✗ failed".to_owned(), Tone::Bad);
    }
    let tried = |level: Option<u64>| level.map_or_else(|| "–".to_owned(), count);
    let Bracket {
        sustained,
        not_sustained,
        found,
        trials,
        ..
    } = cell.bracket;
    match found {
        Found::Limit => ("✓ found".to_owned(), Tone::Good),
        Found::Undecided if sustained.is_some() && not_sustained.is_some() => {
            ("? undecided between".to_owned(), Tone::Edge)
        }
        Found::Undecided => ("? undecided".to_owned(), Tone::Edge),
        Found::Everything => (format!("✓ sustained up to {}", tried(sustained)), Tone::Good),
        Found::Nothing => (format!("✗ not sustained at {}", tried(not_sustained)), Tone::Bad),
        Found::Unfinished => {
            let trials = counted(u64::from(trials), "trial");
            (format!("? unfinished after {trials}"), Tone::Edge)
        }
    }
}

#[derive(Serialize)]
struct SearchJson<'a> {
    format: u32,
    plan: &'a str,
    quantity: Quantity,
    setting: &'static str,
    objective: &'a [String],
    cells: Vec<CellJson<'a>>,
}

#[derive(Serialize)]
struct CellJson<'a> {
    name: &'a str,
    settings: BTreeMap<&'a str, &'a str>,
    found: Found,
    #[serde(skip_serializing_if = "Option::is_none")]
    sustained: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_sustained: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    estimate: Option<f64>,
    predicted: u64,
    trials: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<Limit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_of_the_machine: Option<bool>,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason_at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<&'a str>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use trials::cell::CellKey;

    fn cell(name: &str, sustained: Option<u64>, not_sustained: Option<u64>, found: Found) -> SearchedCell {
        let plan = "name: a\nfixed: {rpu: 10, io_delay: 1ms, strategy: async}\n";
        let trial = trials::plan::Plan::parse(plan, "plan")
            .unwrap()
            .trials()
            .remove(0);
        SearchedCell {
            cell: name.to_owned(),
            key: CellKey::of(&trial.settings).without("rpu"),
            predicted: 1_500,
            bracket: Bracket {
                sustained,
                not_sustained,
                measured: None,
                found,
                trials: 4,
            },
            limit: not_sustained.map(|_| Limit::Strategy),
            reason: "12 events unsent".to_owned(),
            reason_at: not_sustained.unwrap_or_default(),
            failed: None,
        }
    }

    fn report() -> SearchReport {
        SearchReport {
            name: "a".to_owned(),
            quantity: Quantity::Capacity,
            objective: vec!["close_tail p95 < 1s".to_owned()],
            cells: vec![
                cell("strategy=async", Some(1_400), Some(1_500), Found::Limit),
                cell("strategy=<b>|x", None, Some(1), Found::Nothing),
                cell("strategy=c", Some(1_000_000), None, Found::Everything),
                cell("strategy=d", None, None, Found::Unfinished),
            ],
        }
    }

    #[test]
    fn a_row_says_what_was_found() {
        let rows = report().rows();
        let texts: Vec<[&str; 3]> = rows
            .iter()
            .map(|(cells, ..)| [&cells[1], &cells[4], &cells[5]].map(String::as_str))
            .collect();
        assert_eq!(
            texts,
            [
                ["1,400 to 1,500", "the strategy", "✓ found"],
                ["–", "the strategy", "✗ not sustained at 1"],
                ["–", "–", "✓ sustained up to 1,000,000"],
                ["–", "–", "? unfinished after 4 trials"],
            ]
        );
        assert_eq!(rows[0].1, "at rpu 1,500: 12 events unsent");
        let markdown = report().markdown();
        assert!(
            markdown.contains("that is sustained with close_tail p95 &lt; 1s\n"),
            "{markdown}"
        );
        assert!(markdown.contains("| strategy=&lt;b>\\|x |"), "{markdown}");
    }

    #[test]
    fn programs_get_the_bracket_and_its_middle() {
        let json: serde_json::Value = serde_json::from_str(&report().json()).unwrap();
        let cell = &json["cells"][0];
        assert_eq!(
            (&cell["sustained"], &cell["not_sustained"]),
            (&1_400.into(), &1_500.into())
        );
        assert_eq!(
            (&cell["estimate"], &cell["limit"]),
            (&1_449.14.into(), &"strategy".into())
        );
        assert_eq!(cell["settings"].get("rpu"), None);
        assert_eq!(json["cells"][3]["found"], "unfinished");
    }

    #[test]
    fn the_chart_has_each_cell_with_its_bracket_and_its_prediction() {
        let chart = report().chart();
        assert!(chart.starts_with("<svg ") && chart.ends_with("</svg>"), "{chart}");
        assert!(
            chart.contains("strategy=&lt;b&gt;|x") && !chart.contains("<b>"),
            "{chart}"
        );
        // The levels in words, and the bracket in numbers.
        assert!(
            chart.contains(">async</text>") && chart.contains(">1,400 to 1,500</text>"),
            "{chart}"
        );
        // Three lines of a whisker and of that of the legend, one end each of two cells.
        assert_eq!(chart.matches("class=\"whisker").count(), 3 + 3 + 2);
        assert_eq!(chart.matches("class=\"mark c7 hollow\"").count(), 5);
        assert!(!chart.contains("NaN") && !chart.contains("inf"), "{chart}");
    }
}
