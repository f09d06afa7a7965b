//! The summary of a run: trials grouped into cells and series, one row for each pair, repeats merged. All figures of the
//! report come from here. Medians are of measured windows only and are shown with the number of censored ones.

mod advice;
mod axis;
mod grouping;
mod percentiles;
mod repeats;
mod row;
mod stream_overhead;

use std::collections::{BTreeMap, BTreeSet};

use trials::journal::{self, JournalLine, RunFacts};
use trials::outcome::TrialOutcome;
use trials::plan::Plan;
use trials::predict::Prediction;
use trials::threshold::{self, Judged};
use trials::verdict::Verdict;

pub use advice::{Advice, Usage};
pub use axis::Axis;
pub(crate) use grouping::plain_value;
pub use grouping::{Cell, Series};
pub use percentiles::Percentiles;
pub use repeats::{MOST_REPEATS, Repeats};
pub(crate) use row::failed;
pub use row::{Agreement, LedgerSum, Row, Spread};
pub use stream_overhead::StreamOverhead;

/// With more rows none is explained.
const MOST_EXPLAINED: usize = 200;

#[derive(Debug)]
pub struct Summary<'a> {
    /// Facts of the latest start or resumption; `None` for an empty journal.
    pub facts: Option<&'a RunFacts>,
    /// Number of starts: 1 if the run was never resumed.
    pub starts: usize,
    /// Microseconds since the epoch.
    pub first_started_us: Option<u64>,
    /// The latest outcome of each trial, by cell, series and repeat.
    pub trials: Vec<&'a TrialOutcome>,
    /// Ordered by other settings, delay and RPU.
    pub cells: Vec<Cell>,
    /// The x axis of the main chart; `None` if the trials differ in nothing that has an order.
    pub axis: Option<Axis>,
    /// The labels of the settings that vary, without the strategy, each with its values.
    pub varied: Vec<(&'static str, Vec<String>)>,
    /// In the order of legends.
    pub series: Vec<Series>,
    /// One row for each cell and series with a trial, by cell, then series.
    pub rows: Vec<Row<'a>>,
    /// What came of the plan's thresholds, by cell.
    pub thresholds: Vec<Judged>,
}

impl<'a> Summary<'a> {
    /// Summarizes a journal; the latest outcome of each trial counts.
    pub fn new(lines: &'a [JournalLine]) -> Self {
        let runs: Vec<&RunFacts> = lines
            .iter()
            .filter_map(|line| match line {
                JournalLine::Run(facts) => Some(facts),
                JournalLine::Trial(_) => None,
            })
            .collect();
        let outcomes: Vec<&TrialOutcome> = journal::latest(lines).into_values().collect();
        let values = axis::Values::of(&outcomes);
        let axis = Axis::of(&values);
        let varying = grouping::Varying::of(&outcomes, axis.as_ref());
        let varied = values.varied();
        let mut groups: BTreeMap<(Cell, Series), Vec<&TrialOutcome>> = BTreeMap::new();
        for outcome in outcomes {
            let settings = &outcome.trial.settings;
            let group = (varying.cell(settings), varying.series(settings));
            groups.entry(group).or_default().push(outcome);
        }
        let cells: Vec<Cell> = groups
            .keys()
            .map(|(cell, _)| cell.clone())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        let mut series: Vec<Series> = groups
            .keys()
            .map(|(_, series)| series.clone())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        let mut rows: Vec<Row<'a>> = groups
            .into_iter()
            .map(|((cell, one), mut trials)| {
                trials.sort_by_key(|outcome| outcome.trial.repeat);
                let cell = cells.binary_search(&cell).unwrap_or_default();
                Row::new(cell, series.binary_search(&one).unwrap_or_default(), trials)
            })
            .collect();
        grouping::style(&mut series);
        for row in &mut rows {
            row.line = series.get(row.series).map_or(0, |series| series.line);
            row.level = match (&axis, row.settings()) {
                (Some(axis), Some(settings)) => axis.level_of(settings),
                _ => row.line,
            };
        }
        let trials: Vec<&TrialOutcome> = rows.iter().flat_map(|row| row.trials.iter().copied()).collect();
        Self {
            thresholds: thresholds(runs.last().copied(), &trials),
            facts: runs.last().copied(),
            starts: runs.len(),
            first_started_us: runs.first().map(|facts| facts.started_us),
            trials,
            cells,
            axis,
            varied,
            series,
            rows,
        }
    }

    /// Whether the UDF was the user's own, so that the strategy of a trial is no more than the plan's label.
    pub fn has_foreign_udf(&self) -> bool {
        self.facts
            .is_some_and(|facts| facts.machine.contains_key(journal::UDF))
    }

    /// What the series are.
    pub fn series_word(&self) -> &'static str {
        match self.has_foreign_udf() {
            true => "plan's label",
            false => "strategy",
        }
    }

    /// Whether [`Summary::explained`] is computed: a simulation of each row takes milliseconds.
    pub fn explains(&self) -> bool {
        self.rows.len() <= MOST_EXPLAINED
    }

    /// See [`Row::explained`]; by the cores that the journal records.
    pub fn explained<'r>(&self, row: &'r Row<'_>) -> Option<&'r Prediction> {
        if !self.explains() {
            return None;
        }
        let cores = self.facts?.machine.get("cores")?.parse().ok()?;
        row.explained(cores)
    }

    /// How many rows have enough repeats to show their spread.
    pub fn repeated(&self) -> usize {
        self.rows.iter().filter(|row| row.repeats.is_some()).count()
    }

    /// The rows of one cell, by series.
    pub fn rows_of(&self, cell: usize) -> &[Row<'a>] {
        let start = self.rows.partition_point(|row| row.cell < cell);
        let end = self.rows.partition_point(|row| row.cell <= cell);
        self.rows.get(start..end).unwrap_or_default()
    }

    /// One series for each line of the main chart.
    pub fn lines(&self) -> Vec<&Series> {
        let mut lines: Vec<&Series> = Vec::new();
        for one in &self.series {
            if one.line == lines.len() {
                lines.push(one);
            }
        }
        lines
    }

    pub fn series_label(&self, row: &Row<'_>) -> &str {
        self.series
            .get(row.series)
            .map_or("", |series| series.label.as_str())
    }

    pub fn cell_label(&self, row: &Row<'_>) -> String {
        self.cells.get(row.cell).map(Cell::label).unwrap_or_default()
    }

    /// The verdict on each trial, in the order of `trials`.
    pub fn verdicts(&self) -> impl Iterator<Item = &Verdict> {
        self.rows.iter().flat_map(|row| &row.verdicts)
    }

    /// The stream overhead over all measured windows.
    pub fn stream_overhead(&self) -> Option<StreamOverhead> {
        StreamOverhead::of(self.rows.iter().flat_map(Row::measures))
    }

    /// The trials whose ledger does not balance.
    pub fn unbalanced(&self) -> impl Iterator<Item = &'a TrialOutcome> {
        self.trials
            .iter()
            .copied()
            .filter(|outcome| outcome.ledger.as_ref().is_some_and(|ledger| !ledger.balances()))
    }
}

/// What came of the thresholds of a run.
pub fn thresholds(facts: Option<&RunFacts>, outcomes: &[&TrialOutcome]) -> Vec<Judged> {
    facts.map_or_else(Vec::new, |facts| {
        let thresholds = Plan::thresholds_of(&facts.plan_text);
        threshold::judge(&thresholds, &facts.references, outcomes)
    })
}
