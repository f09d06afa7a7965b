//! Compares two runs, cell by cell: one figure for each trial, an interval of their difference, and what it says. The
//! windows of a trial are not independent of one another, so the unit is the trial.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use crate::cell::{CellKey, cell_name};
use crate::metric::{Metric, Unit};
use crate::outcome::{TrialEnd, TrialOutcome};
use crate::statistics::{Estimate, MIN_FIGURES, holm};
use crate::text::{count, counted};
use crate::threshold::other_machine;

/// Of all cells together: how often one may be called worse or better where nothing differs.
pub const ALPHA: f64 = 0.01;

/// More rounds than this are not asked for.
pub const MOST_ROUNDS: usize = 1_000;

/// How the trials of the two runs belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Design {
    /// Two runs that were kept: their trials have nothing to do with one another.
    Kept,
    /// Both were run in rounds, one after the other: trials of the same repeat are a pair.
    Rounds,
}

/// What a comparison says of the second run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Finding {
    /// The interval lies within ± the margin.
    Same,
    /// The interval lies below 0.
    Better,
    /// None of the others.
    Undecided,
    /// The interval lies above 0: every metric is better if it is smaller.
    Worse,
}

/// A cell of two runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    /// The cell's name: its levels.
    pub cell: String,
    pub key: CellKey,
    /// The figures of the first and of the second run, one for each trial that has one.
    pub from: Vec<f64>,
    pub to: Vec<f64>,
    /// Rounds, or trials of the run with fewer.
    pub number: usize,
    /// The difference and the ends of its interval; `None` if there are too few figures.
    pub change: Option<Change>,
    pub finding: Finding,
    /// Why it is undecided, or decided without an interval.
    pub reason: String,
    /// How many rounds, or trials on each side, would decide; `None` if it is decided or no number up to
    /// [`MOST_ROUNDS`] would.
    pub needed: Option<usize>,
}

/// A difference with its interval: as a share of the first run's figure, or of shares their difference.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    pub by: f64,
    pub low: f64,
    pub high: f64,
}

/// A run to compare: its outcomes, and the facts of its machine.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    pub outcomes: &'a [&'a TrialOutcome],
    pub machine: &'a BTreeMap<String, String>,
}

/// Compares the cells that both runs have, in the order of the first. `margin` is the share within which two cells are the
/// same; of shares a tenth of it, in points.
pub fn compare(metric: Metric, from: Side<'_>, to: Side<'_>, design: Design, margin: f64) -> Vec<Compared> {
    let scale = Scale::of(metric, margin);
    let other = other_machine(from.machine, to.machine).filter(|_| metric.is_of_the_machine());
    let mut cells: Vec<(Compared, Option<Estimate>)> = Vec::new();
    let mut known = BTreeSet::new();
    for outcome in from.outcomes {
        let key = CellKey::of(&outcome.trial.settings);
        if !known.insert(key.clone()) {
            continue;
        }
        let of_cell = |side: Side<'_>| -> BTreeMap<u32, Figure> {
            let own = side
                .outcomes
                .iter()
                .filter(|one| CellKey::of(&one.trial.settings).matches(&key));
            own.map(|one| (one.trial.repeat, Figure::of(metric, one)))
                .collect()
        };
        let (a, b) = (of_cell(from), of_cell(to));
        if b.is_empty() {
            continue;
        }
        let name = cell_name(&outcome.trial.id).to_owned();
        let mut compared = Compared::new(name, key, &a, &b, design);
        let own = |side: Side<'_>| {
            let own = side
                .outcomes
                .iter()
                .filter(|one| CellKey::of(&one.trial.settings).matches(&compared.key));
            own.map(|one| metric.resolution(one)).fold(0.0, f64::max)
        };
        let estimate = if let Some(differs) = other {
            compared.reason = format!("the runs had another {differs}");
            None
        } else if own(from).max(own(to)) > margin / 2.0 {
            compared.reason =
                "a trial takes too little processor time to be told apart: run longer windows or more events"
                    .to_owned();
            None
        } else {
            compared.estimate(scale, &a, &b, design)
        };
        cells.push((compared, estimate));
    }
    let p_values: Vec<f64> = cells
        .iter()
        .filter_map(|(_, estimate)| estimate.as_ref().map(Estimate::p_value))
        .collect();
    let mut levels = holm(&p_values, ALPHA).into_iter();
    for (compared, estimate) in &mut cells {
        if let Some(estimate) = estimate {
            compared.decide(scale, estimate, levels.next().unwrap_or(ALPHA));
        }
    }
    cells.into_iter().map(|(compared, _)| compared).collect()
}

/// The figure of one trial.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Figure {
    Measured(f64),
    /// Its median window has no result.
    NoResult,
    /// The trial found nothing out, or does not measure it.
    Missing,
}

impl Figure {
    fn of(metric: Metric, outcome: &TrialOutcome) -> Self {
        match metric.figure(outcome) {
            Some(figure) => Self::Measured(figure),
            None if outcome.end == TrialEnd::CutOff && metric.is_distribution() => Self::NoResult,
            None => Self::Missing,
        }
    }

    fn measured(self) -> Option<f64> {
        match self {
            Self::Measured(figure) => Some(figure),
            Self::NoResult | Self::Missing => None,
        }
    }
}

/// How figures become what a mean is taken of.
#[derive(Debug, Clone, Copy)]
struct Scale {
    /// Logarithms, so that differences are ratios.
    is_ratio: bool,
    margin: f64,
}

impl Scale {
    fn of(metric: Metric, margin: f64) -> Self {
        match metric.unit() {
            // A share may be 0, and from 0.1 % to 0.2 % is not twice as bad.
            Unit::Share => Self {
                is_ratio: false,
                margin: margin / 10.0,
            },
            Unit::Duration | Unit::Bytes => Self {
                is_ratio: true,
                margin: margin.ln_1p(),
            },
        }
    }

    fn value(self, figure: f64) -> f64 {
        match self.is_ratio {
            // Durations below a microsecond are not measured.
            true => figure.max(1.0).ln(),
            false => figure,
        }
    }

    fn change(self, value: f64) -> f64 {
        if self.is_ratio { value.exp_m1() } else { value }
    }
}

impl Compared {
    fn new(
        cell: String,
        key: CellKey,
        a: &BTreeMap<u32, Figure>,
        b: &BTreeMap<u32, Figure>,
        design: Design,
    ) -> Self {
        let figures =
            |side: &BTreeMap<u32, Figure>| side.values().filter_map(|one| one.measured()).collect::<Vec<_>>();
        let (from, to) = (figures(a), figures(b));
        let number = match design {
            Design::Kept => from.len().min(to.len()),
            Design::Rounds => pairs(a, b).count(),
        };
        Self {
            cell,
            key,
            from,
            to,
            number,
            change: None,
            finding: Finding::Undecided,
            reason: String::new(),
            needed: None,
        }
    }

    /// The difference; `None`, with the reason, where there are too few figures for one.
    fn estimate(
        &mut self,
        scale: Scale,
        a: &BTreeMap<u32, Figure>,
        b: &BTreeMap<u32, Figure>,
        design: Design,
    ) -> Option<Estimate> {
        let without =
            |side: &BTreeMap<u32, Figure>| side.values().filter(|one| **one == Figure::NoResult).count();
        let none = |side: &BTreeMap<u32, Figure>| without(side) == side.len() && side.len() >= MIN_FIGURES;
        let all = |side: &BTreeMap<u32, Figure>, figures: &[f64]| {
            figures.len() == side.len() && side.len() >= MIN_FIGURES
        };
        let no_result = |which: &str| format!("no trial of the {which} gave its results in time");
        if all(a, &self.from) && none(b) {
            (self.finding, self.reason) = (Finding::Worse, no_result("second"));
            return None;
        }
        if none(a) && all(b, &self.to) {
            (self.finding, self.reason) = (Finding::Better, no_result("first"));
            return None;
        }
        let censored = without(a) + without(b);
        if censored > 0 {
            self.reason = format!("{} gave no result in time", counted(censored as u64, "trial"));
            return None;
        }
        if self.number < MIN_FIGURES {
            let what = match design {
                Design::Kept => "trials on each side",
                Design::Rounds => "rounds",
            };
            self.needed = Some(MIN_FIGURES);
            self.reason = format!("needs {MIN_FIGURES} {what}, has {}", count(self.number as u64));
            return None;
        }
        let values = |figures: &[f64]| {
            figures
                .iter()
                .map(|figure| scale.value(*figure))
                .collect::<Vec<_>>()
        };
        match design {
            Design::Kept => Estimate::between(&values(&self.from), &values(&self.to)),
            Design::Rounds => {
                let differences = pairs(a, b).map(|(from, to)| scale.value(to) - scale.value(from));
                Estimate::of(&differences.collect::<Vec<_>>())
            }
        }
    }

    fn decide(&mut self, scale: Scale, estimate: &Estimate, alpha: f64) {
        let (low, high) = estimate.interval(alpha);
        self.change = Some(Change {
            by: scale.change(estimate.mean),
            low: scale.change(low),
            high: scale.change(high),
        });
        self.finding = match (low, high) {
            (low, _) if low > 0.0 => Finding::Worse,
            (_, high) if high < 0.0 => Finding::Better,
            (low, high) if low >= -scale.margin && high <= scale.margin => Finding::Same,
            _ => Finding::Undecided,
        };
        if self.finding == Finding::Undecided {
            self.needed = estimate.needed(alpha, scale.margin, MOST_ROUNDS);
        }
    }
}

/// The figures of the repeats that both have.
fn pairs(a: &BTreeMap<u32, Figure>, b: &BTreeMap<u32, Figure>) -> impl Iterator<Item = (f64, f64)> {
    a.iter()
        .filter_map(|(repeat, from)| from.measured().zip(b.get(repeat)?.measured()))
}

impl Finding {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Better => "better",
            Self::Undecided => "undecided",
            Self::Worse => "worse",
        }
    }

    pub const fn mark(self) -> &'static str {
        match self {
            Self::Same => "=",
            Self::Better => "✓",
            Self::Undecided => "?",
            Self::Worse => "✗",
        }
    }
}
