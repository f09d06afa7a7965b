//! Judges thresholds by the outcomes of a run, and takes the figures of a kept run that they are compared with.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{Bound, Condition, Reference, Relation, Statistic, Threshold};
use crate::cell::{CellKey, cell_name};
use crate::journal::{JournalLine, latest};
use crate::metric::{Metric, Sample, micros};
use crate::outcome::TrialOutcome;
use crate::statistics::rank;
use crate::text::{count, counted};
use crate::verdict::{Kind, Verdict};

pub(super) const MEDIAN: f64 = 0.5;

/// What came of a threshold in one cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    Met,
    /// Too little was seen to tell, which is not met.
    Undecided,
    Missed,
}

/// A threshold and what came of it in one cell, over its repeats.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    pub threshold: Threshold,
    /// The cell's name: its levels.
    pub cell: String,
    pub key: CellKey,
    pub status: Status,
    /// In the metric's unit; absent where there is none, as of censored windows.
    pub figure: Option<f64>,
    /// What it was compared with.
    pub bound: Option<f64>,
    /// Why it was not met, where the figure does not say so.
    pub reason: String,
}

impl Status {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Undecided => "undecided",
            Self::Missed => "missed",
        }
    }

    pub const fn mark(self) -> &'static str {
        match self {
            Self::Met => "✓",
            Self::Undecided => "?",
            Self::Missed => "✗",
        }
    }
}

impl Judged {
    /// The figure in words; empty if there is none.
    pub fn figure_text(&self) -> String {
        match (&self.threshold.condition, self.figure) {
            (Condition::Compare { metric, .. }, Some(figure)) => metric.unit().text(figure),
            _ => String::new(),
        }
    }

    /// The bound in words, where the threshold does not say it.
    pub fn bound_text(&self) -> Option<String> {
        match &self.threshold.condition {
            Condition::Compare {
                metric,
                relation,
                bound: Bound::Change { .. },
                ..
            } => Some(format!("{} {}", relation.sign(), metric.unit().text(self.bound?))),
            _ => None,
        }
    }

    /// The threshold and what came of it, such as `close_tail p95 < 1.2s: 1.31 s`.
    pub fn text(&self) -> String {
        let must = self.bound_text().map(|bound| format!("must be {bound}"));
        let mut found = vec![self.figure_text(), must.unwrap_or_default(), self.reason.clone()];
        found.retain(|part| !part.is_empty());
        match found.is_empty() {
            true => self.threshold.to_string(),
            false => format!("{}: {}", self.threshold, found.join(", ")),
        }
    }
}

/// Judges every threshold for each cell that it selects, cells in the order of their first trials.
pub fn judge(thresholds: &[Threshold], references: &[Reference], outcomes: &[&TrialOutcome]) -> Vec<Judged> {
    let cells = cells(outcomes);
    let mut judged = Vec::new();
    for (key, trials) in &cells {
        for threshold in thresholds.iter().filter(|threshold| threshold.selects(key)) {
            judged.push(judge_cell(threshold, key, trials, references));
        }
    }
    judged
}

/// The cells in the order of their first trials, each with its repeats.
fn cells<'a>(outcomes: &[&'a TrialOutcome]) -> Vec<(CellKey, Vec<&'a TrialOutcome>)> {
    let mut order = Vec::new();
    let mut trials: BTreeMap<CellKey, Vec<&TrialOutcome>> = BTreeMap::new();
    for outcome in outcomes {
        let key = CellKey::of(&outcome.trial.settings);
        let known = trials.entry(key.clone()).or_default();
        if known.is_empty() {
            order.push(key);
        }
        known.push(outcome);
    }
    order
        .into_iter()
        .filter_map(|key| {
            let repeats = trials.remove(&key)?;
            Some((key, repeats))
        })
        .collect()
}

fn judge_cell(
    threshold: &Threshold,
    key: &CellKey,
    trials: &[&TrialOutcome],
    references: &[Reference],
) -> Judged {
    let mut judged = Judged {
        threshold: threshold.clone(),
        cell: trials
            .first()
            .map_or("", |outcome| cell_name(&outcome.trial.id))
            .to_owned(),
        key: key.clone(),
        status: Status::Undecided,
        figure: None,
        bound: None,
        reason: String::new(),
    };
    let failed = trials
        .iter()
        .filter(|outcome| matches!(Verdict::of(outcome).kind, Kind::Failed | Kind::NotMeasured))
        .count();
    let (metric, statistic, relation, bound) = match &threshold.condition {
        Condition::LedgerBalances => {
            (judged.status, judged.reason) = ledgers(trials);
            return judged;
        }
        _ if failed > 0 => {
            let all = counted(trials.len() as u64, "trial");
            judged.reason = format!("{} of {all} measured nothing", count(failed as u64));
            return judged;
        }
        Condition::Compare {
            metric,
            statistic,
            relation,
            bound,
        } => (*metric, *statistic, *relation, bound),
    };
    let bound = match bound {
        Bound::Figure(figure) => Ok(*figure),
        Bound::Change { share, .. } => {
            let reference = references
                .iter()
                .find(|reference| reference.threshold == threshold.text && reference.cell.matches(key));
            match reference.map(|reference| &reference.figure) {
                Some(Ok(figure)) => Ok(figure * (1.0 + share)),
                Some(Err(reason)) => Err(reason.clone()),
                None => Err("the other run has no such cell".to_owned()),
            }
        }
    };
    let (figure, bound) = match (figure(metric, statistic, trials), bound) {
        (Err(none), Ok(bound)) => {
            judged.bound = Some(bound);
            (judged.status, judged.reason) = none.judged(relation);
            return judged;
        }
        (figure, Err(reason)) => {
            judged.figure = figure.ok();
            judged.reason = reason;
            return judged;
        }
        (Ok(figure), Ok(bound)) => (figure, bound),
    };
    (judged.figure, judged.bound) = (Some(figure), Some(bound));
    judged.status = match relation.holds(figure, bound) {
        true => Status::Met,
        false => Status::Missed,
    };
    judged
}

/// Why a cell has no figure.
#[derive(Debug)]
enum NoFigure {
    /// It is of windows without a result: longer than any bound.
    Censored {
        censored: usize,
        all: usize,
    },
    TooFew(String),
}

impl NoFigure {
    fn judged(self, relation: Relation) -> (Status, String) {
        match self {
            Self::Censored { censored, all } => {
                let reason = format!(
                    "no result of {} of {}",
                    count(censored as u64),
                    counted(all as u64, "window")
                );
                let result = match relation.is_upper() {
                    true => Status::Missed,
                    false => Status::Undecided,
                };
                (result, reason)
            }
            Self::TooFew(reason) => (Status::Undecided, reason),
        }
    }

    fn text(self) -> String {
        self.judged(Relation::Less).1
    }
}

/// The figure of a cell, in the metric's unit.
fn figure(metric: Metric, statistic: Statistic, trials: &[&TrialOutcome]) -> Result<f64, NoFigure> {
    let not_measured = || NoFigure::TooFew("not measured".to_owned());
    match metric.sample(trials) {
        Sample::Figure(figure) => figure.ok_or_else(not_measured),
        Sample::Windows { micros, censored } => {
            let all = micros.len() + censored;
            let no_result = NoFigure::Censored { censored, all };
            match statistic {
                _ if all == 0 => Err(not_measured()),
                Statistic::Percentile(share) => {
                    enough(share, all, "windows")?;
                    let at = |index: usize| micros.get(index).map(|micros| *micros as f64);
                    let value = match share == MEDIAN {
                        // Of an even number the mean of the middle two, as in the report.
                        true => at((all - 1) / 2)
                            .zip(at(all / 2))
                            .map(|(low, high)| f64::midpoint(low, high)),
                        false => at(rank(share, all)),
                    };
                    value.ok_or(no_result)
                }
                _ if censored > 0 => Err(no_result),
                Statistic::Mean => Ok(micros.iter().map(|micros| *micros as f64).sum::<f64>() / all as f64),
                Statistic::Max | Statistic::Only => {
                    micros.last().map(|micros| *micros as f64).ok_or(no_result)
                }
            }
        }
        Sample::Calls(latencies) => {
            let figure = match statistic {
                _ if latencies.count() == 0 => None,
                Statistic::Percentile(share) => {
                    enough(
                        share,
                        usize::try_from(latencies.count()).unwrap_or(usize::MAX),
                        "calls",
                    )?;
                    latencies.quantile(share)
                }
                Statistic::Mean => latencies.mean(),
                Statistic::Max | Statistic::Only => latencies.max(),
            };
            figure.map(micros).ok_or_else(not_measured)
        }
    }
}

/// How many values a percentile needs: p95 at least 20, so that one may lie beyond it.
pub(super) fn needed(share: f64) -> usize {
    (1.0 / (1.0 - share) - 1e-9).ceil() as usize
}

/// Checks that there are enough values for a percentile.
fn enough(share: f64, all: usize, what: &str) -> Result<(), NoFigure> {
    let needed = needed(share);
    match all >= needed {
        true => Ok(()),
        false => {
            let (needed, all) = (count(needed as u64), count(all as u64));
            Err(NoFigure::TooFew(format!("needs {needed} {what}, has {all}")))
        }
    }
}

fn ledgers(trials: &[&TrialOutcome]) -> (Status, String) {
    let ledgers: Vec<_> = trials
        .iter()
        .filter_map(|outcome| outcome.ledger.as_ref())
        .collect();
    let unbalanced = ledgers.iter().filter(|ledger| !ledger.balances()).count();
    let all = counted(trials.len() as u64, "trial");
    match (ledgers.len(), unbalanced) {
        (_, 1..) => (
            Status::Missed,
            format!("not in {} of {all}", count(unbalanced as u64)),
        ),
        (with, _) if with < trials.len() => {
            let without = count((trials.len() - with) as u64);
            (Status::Undecided, format!("{without} of {all} have no ledger"))
        }
        _ => (Status::Met, String::new()),
    }
}

/// The figures of kept runs that thresholds are compared with, for each cell of a run. `read` gives the lines of a run's
/// journal, `facts` are those of this machine.
///
/// # Errors
/// Returns the first error of `read`.
pub fn references<E>(
    thresholds: &[Threshold],
    facts: &BTreeMap<String, String>,
    mut read: impl FnMut(&Path) -> Result<Vec<JournalLine>, E>,
) -> Result<Vec<Reference>, E> {
    let mut references = Vec::new();
    let runs: BTreeSet<&Path> = thresholds
        .iter()
        .filter_map(|t| t.run())
        .map(|run| run.as_path())
        .collect();
    for run in runs {
        let lines = read(run)?;
        let outcomes: Vec<&TrialOutcome> = latest(&lines).into_values().collect();
        let kept = lines.iter().rev().find_map(|line| match line {
            JournalLine::Run(facts) => Some(facts),
            JournalLine::Trial(_) => None,
        });
        let differs = kept.and_then(|kept| other_machine(&kept.machine, facts));
        for threshold in thresholds
            .iter()
            .filter(|one| one.run().is_some_and(|other| other == run))
        {
            let Condition::Compare {
                metric, statistic, ..
            } = threshold.condition
            else {
                continue;
            };
            for (cell, trials) in cells(&outcomes) {
                let figure = match &differs {
                    Some(differs) if metric.is_of_the_machine() => {
                        Err(format!("the other run had another {differs}"))
                    }
                    _ => figure(metric, statistic, &trials)
                        .map_err(|none| format!("the other run has no figure: {}", none.text())),
                };
                references.push(Reference {
                    threshold: threshold.text.clone(),
                    cell,
                    figure,
                });
            }
        }
    }
    Ok(references)
}

/// What makes figures of the machine of two runs incomparable, in words.
pub fn other_machine(
    one: &BTreeMap<String, String>,
    other: &BTreeMap<String, String>,
) -> Option<&'static str> {
    const FACTS: [(&str, &str); 4] = [
        ("cpu", "processor"),
        ("cores", "number of cores"),
        ("numaflow-sdk", "SDK"),
        ("build", "build profile"),
    ];
    let differs = |name| matches!((one.get(name), other.get(name)), (Some(one), Some(other)) if one != other);
    FACTS
        .into_iter()
        .find_map(|(name, word)| differs(name).then_some(word))
}
