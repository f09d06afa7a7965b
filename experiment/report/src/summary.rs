//! A run condensed: its trials sorted into cells and series, one row for each setting, repeats merged. Every figure
//! of the report is taken from here. A median is of measured windows only, and its censored windows stand beside it.

mod percentiles;
mod row;
mod settings;
mod share;

use std::collections::{BTreeMap, BTreeSet};

use trials::journal::{self, JournalLine, RunFacts};
use trials::outcome::TrialOutcome;

pub use percentiles::Percentiles;
pub(crate) use row::failed;
pub use row::{Agreement, LedgerSum, Row, Spread};
pub use settings::{Cell, Series};
pub use share::StreamShare;
pub use trials::condition::Condition;

/// A run, condensed.
#[derive(Debug)]
pub struct Summary<'a> {
    /// Facts of the run as it was last started or resumed; absent from an empty journal.
    pub facts: Option<&'a RunFacts>,
    /// How often it was started: 1 for a run that was never resumed.
    pub starts: usize,
    /// When it was first started, microseconds since the epoch.
    pub first_started_us: Option<u64>,
    /// The latest outcome of each trial, by cell, series and repeat.
    pub trials: Vec<&'a TrialOutcome>,
    /// The cells, by their other settings, delay and RPU.
    pub cells: Vec<Cell>,
    /// The series, in the order in which legends show them.
    pub series: Vec<Series>,
    /// One row for each cell and series that has a trial, by cell, then series.
    pub rows: Vec<Row<'a>>,
}

impl<'a> Summary<'a> {
    /// Condenses a journal; the latest outcome of each trial counts.
    pub fn new(lines: &'a [JournalLine]) -> Self {
        let runs: Vec<&RunFacts> = lines
            .iter()
            .filter_map(|line| match line {
                JournalLine::Run(facts) => Some(facts),
                JournalLine::Trial(_) => None,
            })
            .collect();
        let outcomes: Vec<&TrialOutcome> = journal::latest(lines).into_values().collect();
        let varying = settings::Varying::of(&outcomes);
        let mut sorted: BTreeMap<(Cell, Series), Vec<&TrialOutcome>> = BTreeMap::new();
        for outcome in outcomes {
            let asked = &outcome.trial.settings;
            let place = (varying.cell(asked), varying.series(asked));
            sorted.entry(place).or_default().push(outcome);
        }
        let cells: Vec<Cell> = sorted
            .keys()
            .map(|(cell, _)| cell.clone())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        let mut series: Vec<Series> = sorted
            .keys()
            .map(|(_, series)| series.clone())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        let rows: Vec<Row<'a>> = sorted
            .into_iter()
            .map(|((cell, one), mut trials)| {
                trials.sort_by_key(|outcome| outcome.trial.repeat);
                let cell = cells.binary_search(&cell).unwrap_or_default();
                Row::new(cell, series.binary_search(&one).unwrap_or_default(), trials)
            })
            .collect();
        settings::style(&mut series);
        Self {
            facts: runs.last().copied(),
            starts: runs.len(),
            first_started_us: runs.first().map(|facts| facts.started_us),
            trials: rows.iter().flat_map(|row| row.trials.iter().copied()).collect(),
            cells,
            series,
            rows,
        }
    }

    /// The rows of one cell, by series.
    pub fn rows_of(&self, cell: usize) -> &[Row<'a>] {
        let start = self.rows.partition_point(|row| row.cell < cell);
        let end = self.rows.partition_point(|row| row.cell <= cell);
        self.rows.get(start..end).unwrap_or_default()
    }

    /// The label of a row's series.
    pub fn series_label(&self, row: &Row<'_>) -> &str {
        self.series
            .get(row.series)
            .map_or("", |series| series.label.as_str())
    }

    /// The label of a row's cell.
    pub fn cell_label(&self, row: &Row<'_>) -> String {
        self.cells.get(row.cell).map(Cell::label).unwrap_or_default()
    }

    /// The share of stream and data plane over all measured windows.
    pub fn stream_share(&self) -> Option<StreamShare> {
        StreamShare::of(self.rows.iter().flat_map(Row::measures))
    }

    /// The trials whose ledger does not balance.
    pub fn unbalanced(&self) -> impl Iterator<Item = &'a TrialOutcome> {
        self.trials
            .iter()
            .copied()
            .filter(|outcome| outcome.ledger.as_ref().is_some_and(|ledger| !ledger.balances()))
    }
}
