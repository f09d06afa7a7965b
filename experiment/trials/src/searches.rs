//! The searches in the cells of a plan: their trials, and what they found by the trials of a journal. Cells take turns, so
//! that a budget is spent on all of them.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use crate::cell::{CellKey, cell_name};
use crate::journal::{JournalLine, RunFacts, latest};
use crate::outcome::TrialOutcome;
use crate::plan::Plan;
use crate::search::{Answer, Bracket, Effort, Found, Quantity, Search, SearchFacts, Step};
use crate::sustained::{Judgement, Limit, NoAnswer, judgement};
use crate::threshold::Threshold;
use crate::trial::Trial;

/// Trials of a search that hardly any takes.
const MOST_TRIALS: usize = 20;

/// All cells of a plan.
#[derive(Debug)]
pub struct Searches {
    quantity: Quantity,
    objective: Vec<Threshold>,
    cores: NonZeroUsize,
    cells: Vec<Cell>,
    /// The cell whose turn it is.
    turn: usize,
}

#[derive(Debug)]
struct Cell {
    /// Its trial in the plan, at whatever level.
    trial: Trial,
    predicted: u64,
    search: Search,
    /// Of the last level that was not sustained, and of the last that was undecided.
    not: Option<(u64, Judgement)>,
    undecided: Option<(u64, Judgement)>,
    failed: Option<String>,
}

/// What a search found in a cell.
#[derive(Debug, Clone)]
pub struct SearchedCell {
    /// The cell's name: its levels.
    pub cell: String,
    /// Its settings without the one that is searched.
    pub key: CellKey,
    /// The limit that was predicted, where the search began.
    pub predicted: u64,
    pub bracket: Bracket,
    /// What set the limit; `None` if no level was found that is not sustained.
    pub limit: Option<Limit>,
    /// Why a level is not sustained or not decided: the bracket's end, or where the search gave up; may be empty.
    pub reason: String,
    /// That level.
    pub reason_at: u64,
    /// Why its last trial found nothing out, which ended its search.
    pub failed: Option<String>,
}

impl Searches {
    /// What a journal keeps of a search that begins.
    pub fn facts(plan: &Plan, quantity: Quantity, effort: &Effort, cores: NonZeroUsize) -> SearchFacts {
        let trials = plan.trials();
        let predicted = trials
            .iter()
            .map(|trial| quantity.predicted(&trial.settings, cores));
        SearchFacts {
            quantity,
            precision: effort.precision,
            cores,
            predicted: predicted.collect(),
        }
    }

    /// Searches in the cells of a plan, under its thresholds, that have not begun.
    pub fn new(plan: &Plan, facts: &SearchFacts) -> Self {
        let quantity = facts.quantity;
        let cells = plan.trials().into_iter().zip(&facts.predicted);
        let cells = cells.map(|(trial, &predicted)| Cell {
            search: Search::new(
                quantity,
                quantity.first(predicted, facts.precision),
                quantity.range(&trial.settings),
                facts.precision,
            ),
            predicted,
            trial,
            not: None,
            undecided: None,
            failed: None,
        });
        Self {
            quantity,
            objective: plan.thresholds.clone(),
            cores: facts.cores,
            cells: cells.collect(),
            turn: 0,
        }
    }

    /// What the searches of a journal found; `None` if it is not that of a search.
    pub fn of(lines: &[JournalLine]) -> Option<Self> {
        let mut runs = lines.iter().filter_map(|line| match line {
            JournalLine::Run(facts) => Some(facts),
            JournalLine::Trial(_) => None,
        });
        let run: &RunFacts = runs.next_back()?;
        let plan = Plan::parse(&run.plan_text, "plan").ok()?;
        let mut searches = Self::new(&plan, run.search.as_ref()?);
        searches.replay(lines, true);
        Some(searches)
    }

    pub const fn len(&self) -> usize {
        self.cells.len()
    }

    pub const fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    pub const fn quantity(&self) -> Quantity {
        self.quantity
    }

    pub fn objective(&self) -> &[Threshold] {
        &self.objective
    }

    /// Trials whose levels were judged.
    pub fn trials(&self) -> u32 {
        self.cells.iter().map(|cell| cell.search.bracket().trials).sum()
    }

    /// Where each search begins.
    pub fn first_trials(&self) -> Vec<Trial> {
        let first = |cell: &Cell| {
            let step = cell.search.next()?;
            Some(cell.at(self.quantity, step))
        };
        self.cells.iter().filter_map(first).collect()
    }

    /// As many trials as the searches take at most, about.
    pub fn most_trials(&self) -> Vec<Trial> {
        let first = self.first_trials();
        first
            .iter()
            .flat_map(|trial| std::iter::repeat_n(trial, MOST_TRIALS).cloned())
            .collect()
    }

    /// How many trials are left, about.
    pub fn expected_trials(&self) -> u32 {
        let open = self.cells.iter().filter(|cell| cell.failed.is_none());
        open.map(|cell| cell.search.expected_trials()).sum::<u32>().max(1)
    }

    /// Takes the trials of a journal in their order. Those that found nothing out are run again, unless they `count`.
    pub fn replay(&mut self, lines: &[JournalLine], count: bool) {
        let latest = latest(lines);
        for line in lines {
            let JournalLine::Trial(outcome) = line else {
                continue;
            };
            // The last of a trial's outcomes counts.
            if latest
                .get(outcome.trial.id.as_str())
                .is_none_or(|last| !std::ptr::eq(*last, outcome.as_ref()))
            {
                continue;
            }
            let cell = self
                .cells
                .iter()
                .position(|cell| cell.has(self.quantity, &outcome.trial));
            if let Some(index) = cell {
                let answer = self.judged(index, &outcome.trial, &latest);
                if answer.is_ok() || count {
                    self.cells[index].take(self.quantity, &outcome.trial, answer);
                }
            }
        }
    }

    /// The next trial, and the cell that it is of.
    pub fn next_trial(&mut self) -> Option<(usize, Trial)> {
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

    /// Judges a trial of the cell that has ended. `None` if it found nothing out.
    pub fn take(&mut self, index: usize, trial: &Trial, lines: &[JournalLine]) -> Option<Judgement> {
        let answer = self.judged(index, trial, &latest(lines));
        let judgement = answer.clone().ok();
        self.cells.get_mut(index)?.take(self.quantity, trial, answer);
        judgement
    }

    /// What the trial and its earlier repeats say.
    fn judged(
        &self,
        index: usize,
        trial: &Trial,
        latest: &BTreeMap<&str, &TrialOutcome>,
    ) -> Result<Judgement, NoAnswer> {
        let level = self.quantity.level_of(&trial.settings);
        let ids =
            (0..=trial.repeat).map(|repeat| self.cells[index].id(self.quantity, Step { level, repeat }));
        let outcomes: Vec<&TrialOutcome> = ids.filter_map(|id| latest.get(id.as_str()).copied()).collect();
        judgement(&outcomes, &self.objective, self.cores)
    }

    pub fn cells(&self) -> Vec<SearchedCell> {
        self.cells
            .iter()
            .map(|cell| cell.searched(self.quantity))
            .collect()
    }
}

impl Cell {
    fn next(&self, quantity: Quantity) -> Option<Trial> {
        let step = self.search.next().filter(|_| self.failed.is_none())?;
        Some(self.at(quantity, step))
    }

    fn at(&self, quantity: Quantity, step: Step) -> Trial {
        let mut settings = quantity.at(&self.trial.settings, step.level);
        settings.seed = settings.seed.wrapping_add(step.repeat.into());
        Trial {
            id: self.id(quantity, step),
            repeat: step.repeat,
            settings,
        }
    }

    fn id(&self, quantity: Quantity, step: Step) -> String {
        let setting = quantity.setting().name;
        let level = format!("{setting}={},repeat={}", step.level, step.repeat);
        match self.trial.id.strip_suffix("repeat=0") {
            Some(cell) => format!("{cell}{level}"),
            None => format!("{},{level}", self.trial.id),
        }
    }

    fn has(&self, quantity: Quantity, trial: &Trial) -> bool {
        let level = quantity.level_of(&trial.settings);
        let repeat = trial.repeat;
        self.id(quantity, Step { level, repeat }) == trial.id
    }

    fn take(&mut self, quantity: Quantity, trial: &Trial, answer: Result<Judgement, NoAnswer>) {
        let level = quantity.level_of(&trial.settings);
        let is_first = trial.repeat == 0;
        let bracket = self.search.bracket();
        match answer {
            Ok(judgement) => self.judged(quantity, level, judgement),
            // An easier level works, so this one is too much for the machine.
            Err(none) if none.failed && is_first && bracket.sustained.is_some() => {
                self.judged(quantity, level, beyond_the_machine(none.reason));
            }
            // More workers than the machine has room for.
            Err(none)
                if none.failed
                    && is_first
                    && quantity == Quantity::Demand
                    && bracket.not_sustained.is_some() =>
            {
                self.search.end();
                self.not = Some((level, beyond_the_machine(none.reason)));
            }
            Err(none) => self.failed = Some(none.reason),
        }
    }

    fn judged(&mut self, quantity: Quantity, level: u64, judgement: Judgement) {
        self.search.take(level, judgement.answer, judgement.overload);
        match judgement.answer {
            Answer::Sustained => {}
            Answer::Undecided => self.undecided = Some((level, judgement)),
            Answer::NotSustained => {
                let of_the_machine = judgement.limit.is_some_and(Limit::is_of_the_machine);
                if quantity == Quantity::Demand && of_the_machine && self.search.bracket().sustained.is_none()
                {
                    // More workers do not move it.
                    self.search.end();
                }
                self.not = Some((level, judgement));
            }
        }
    }

    fn searched(&self, quantity: Quantity) -> SearchedCell {
        let bracket = self.search.bracket();
        let undecided = self
            .undecided
            .as_ref()
            .filter(|_| bracket.found == Found::Undecided);
        let (reason_at, reason) = undecided
            .or(self.not.as_ref())
            .map_or((0, String::new()), |(level, judgement)| {
                (*level, judgement.reason.clone())
            });
        SearchedCell {
            cell: cell_name(&self.trial.id).to_owned(),
            key: CellKey::of(&self.trial.settings).without(quantity.setting().name),
            predicted: self.predicted,
            bracket,
            limit: self.not.as_ref().and_then(|(_, not)| not.limit),
            reason,
            reason_at,
            failed: self.failed.clone(),
        }
    }
}

/// Of a trial that failed at a level which the search chose.
const fn beyond_the_machine(reason: String) -> Judgement {
    Judgement {
        answer: Answer::NotSustained,
        reason,
        limit: Some(Limit::Machine),
        overload: None,
    }
}
