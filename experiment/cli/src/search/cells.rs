//! The searches in the cells of a plan, which take turns, so that a budget is spent on all of them.

use std::num::NonZeroUsize;

use report::search::{SearchReport, SearchedCell};
use trials::cell::{CellKey, cell_name};
use trials::journal::{JournalLine, latest};
use trials::plan::Plan;
use trials::search::{Answer, Quantity, Search, Step};
use trials::sustained::{Judgement, judgement};
use trials::threshold::Threshold;
use trials::trial::Trial;

/// Trials of a search that hardly any takes.
const MOST_TRIALS: usize = 20;

/// All cells of a plan.
pub(super) struct Cells {
    quantity: Quantity,
    objective: Vec<Threshold>,
    cores: NonZeroUsize,
    cells: Vec<Cell>,
    /// The cell whose turn it is.
    turn: usize,
}

struct Cell {
    /// Its trial in the plan, at whatever level.
    trial: Trial,
    predicted: u64,
    search: Search,
    /// Of the last level that was not sustained.
    not: Option<Judgement>,
    failed: Option<String>,
}

impl Cells {
    pub(super) fn new(plan: &Plan, quantity: Quantity, precision: f64, cores: NonZeroUsize) -> Self {
        let cells = plan.trials().into_iter().map(|trial| {
            let predicted = quantity.predicted(&trial.settings, cores);
            Cell {
                search: Search::new(quantity, predicted, quantity.range(&trial.settings), precision),
                predicted,
                trial,
                not: None,
                failed: None,
            }
        });
        Self {
            quantity,
            objective: plan.thresholds.clone(),
            cores,
            cells: cells.collect(),
            turn: 0,
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.cells.len()
    }

    /// Trials whose levels were judged.
    pub(super) fn trials(&self) -> u32 {
        self.cells.iter().map(|cell| cell.search.bracket().trials).sum()
    }

    /// Where each search begins.
    pub(super) fn first_trials(&self) -> Vec<Trial> {
        let first = |cell: &Cell| {
            let step = Step {
                level: cell.predicted,
                repeat: 0,
            };
            cell.at(self.quantity, step)
        };
        self.cells.iter().map(first).collect()
    }

    /// As many trials as the searches take at most, about.
    pub(super) fn most_trials(&self) -> Vec<Trial> {
        let first = self.first_trials();
        first
            .iter()
            .flat_map(|trial| std::iter::repeat_n(trial, MOST_TRIALS).cloned())
            .collect()
    }

    /// How many trials are left, about.
    pub(super) fn expected_trials(&self) -> u32 {
        let open = self.cells.iter().filter(|cell| cell.failed.is_none());
        open.map(|cell| cell.search.expected_trials()).sum::<u32>().max(1)
    }

    /// Takes the trials of an earlier run, as far as they answer.
    pub(super) fn replay(&mut self, lines: &[JournalLine]) {
        for index in 0..self.cells.len() {
            while let Some(trial) = self.cells[index].next(self.quantity) {
                let outcome = latest(lines).get(trial.id.as_str()).copied();
                match outcome.map(|outcome| judgement(outcome, &self.objective, self.cores)) {
                    Some(Ok(judgement)) => self.cells[index].judged(self.quantity, judgement),
                    // It is run again.
                    Some(Err(_)) | None => break,
                }
            }
        }
    }

    /// The next trial, and the cell that it is of.
    pub(super) fn next(&mut self) -> Option<(usize, Trial)> {
        let all = self.cells.len();
        for offset in 0..all {
            let index = (self.turn + offset) % all;
            if let Some(trial) = self.cells[index].next(self.quantity) {
                self.turn = index + 1;
                return Some((index, trial));
            }
        }
        None
    }

    /// Judges a trial of the cell that has ended.
    pub(super) fn take(&mut self, index: usize, trial: &Trial, lines: &[JournalLine]) -> Option<Judgement> {
        let outcome = latest(lines).get(trial.id.as_str()).copied()?;
        match judgement(outcome, &self.objective, self.cores) {
            Ok(judgement) => {
                self.cells[index].judged(self.quantity, judgement.clone());
                Some(judgement)
            }
            Err(reason) => {
                self.cells[index].failed = Some(reason);
                None
            }
        }
    }

    pub(super) fn report(&self, plan: &Plan) -> SearchReport {
        let searched = |cell: &Cell| SearchedCell {
            cell: cell_name(&cell.trial.id).to_owned(),
            key: CellKey::of(&cell.trial.settings).without(self.quantity.setting().name),
            predicted: cell.predicted,
            bracket: cell.search.bracket(),
            limit: cell.not.as_ref().and_then(|not| not.limit),
            reason: cell
                .not
                .as_ref()
                .map_or_else(String::new, |not| not.reason.clone()),
            failed: cell.failed.clone(),
        };
        SearchReport {
            name: plan.name.clone(),
            quantity: self.quantity,
            objective: self.objective.iter().map(ToString::to_string).collect(),
            cells: self.cells.iter().map(searched).collect(),
        }
    }
}

impl Cell {
    fn next(&self, quantity: Quantity) -> Option<Trial> {
        let step = self.search.next().filter(|_| self.failed.is_none())?;
        Some(self.at(quantity, step))
    }

    fn at(&self, quantity: Quantity, step: Step) -> Trial {
        let level = format!(
            "{}={},repeat={}",
            quantity.setting().name,
            step.level,
            step.repeat
        );
        let id = match self.trial.id.strip_suffix("repeat=0") {
            Some(cell) => format!("{cell}{level}"),
            None => format!("{},{level}", self.trial.id),
        };
        let mut settings = quantity.at(&self.trial.settings, step.level);
        settings.seed = settings.seed.wrapping_add(step.repeat.into());
        Trial {
            id,
            repeat: step.repeat,
            settings,
        }
    }

    fn judged(&mut self, quantity: Quantity, judgement: Judgement) {
        self.search.take(judgement.answer);
        if judgement.answer != Answer::NotSustained {
            return;
        }
        let of_the_machine = judgement.limit.is_some_and(|limit| limit.is_of_the_machine());
        if quantity == Quantity::Demand && of_the_machine && self.search.bracket().sustained.is_none() {
            // More workers do not move it.
            self.search.end();
        }
        self.not = Some(judgement);
    }
}

/// A judgement in a line.
pub(super) fn said(judgement: &Judgement) -> String {
    let says = match judgement.answer {
        Answer::Sustained => "✓ sustained",
        Answer::NotSustained => "✗ not sustained",
        Answer::Undecided => "? undecided",
    };
    let mut line = says.to_owned();
    if !judgement.reason.is_empty() {
        line.push_str(&format!(": {}", judgement.reason));
    }
    if let Some(limit) = judgement.limit {
        line.push_str(&format!("; limited by {}", limit.words()));
    }
    line
}
