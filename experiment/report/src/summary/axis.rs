//! The setting on the x axis of the main chart: of the settings that the run varies and whose values have an order, the
//! one with the most values. The other ones become panels and series.

use std::collections::{BTreeMap, BTreeSet};

use trials::outcome::TrialOutcome;
use trials::trial::TrialSettings;
use wire::StrategyKind;
use wire::settings::{Form, STRATEGY, Setting, Shown, TABLE};

use super::grouping;

/// A setting with the values that it has in the run.
#[derive(Debug, Clone)]
pub struct Axis {
    pub setting: &'static Setting,
    /// In ascending order, at least two.
    pub levels: Vec<Level>,
}

/// A value of the axis.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Level {
    /// Proportional to the value where it is a number.
    pub rank: u128,
    /// The value as in the plan.
    text: String,
}

impl Axis {
    /// `None` if the trials differ in no setting whose values have an order.
    pub(super) fn of(outcomes: &[&TrialOutcome]) -> Option<Self> {
        let mut best: Option<(usize, Self)> = None;
        for setting in TABLE.iter().filter(|setting| is_candidate(setting)) {
            let Some((count, levels)) = levels(setting, outcomes) else {
                continue;
            };
            // Of equal ones the first in the table's order.
            if count > best.as_ref().map_or(1, |(most, _)| *most) {
                best = Some((count, Self { setting, levels }));
            }
        }
        best.map(|(_, axis)| axis)
    }

    /// The position of a trial's value among the levels.
    pub fn level_of(&self, settings: &TrialSettings) -> usize {
        let level = level(self.setting, settings);
        self.levels
            .iter()
            .position(|one| Some(one) == level.as_ref())
            .unwrap_or_default()
    }

    /// A trial's value with the name of the setting.
    pub fn in_words(&self, settings: &TrialSettings) -> String {
        let level = level(self.setting, settings);
        level.map_or_else(String::new, |level| {
            grouping::value(self.setting, Some(level.text))
        })
    }

    pub fn labels(&self) -> Vec<String> {
        let labels = self.levels.iter();
        labels
            .map(|level| grouping::plain_value(self.setting, &level.text))
            .collect()
    }

    /// Numbers proportional to the values; `None` if a value has no number or two have the same one, as two
    /// distributions of the same mean.
    pub fn numbers(&self) -> Option<Vec<f64>> {
        let ranks: BTreeSet<u128> = self.levels.iter().map(|level| level.rank).collect();
        let numeric = ranks.len() == self.levels.len() && !ranks.contains(&u128::MAX);
        numeric.then(|| self.levels.iter().map(|level| level.rank as f64).collect())
    }

    /// Whether series differ in the setting, not cells.
    pub fn is_of_series(&self) -> bool {
        self.setting.shown == Shown::Series
    }
}

fn is_candidate(setting: &Setting) -> bool {
    setting.shown != Shown::Never && !matches!(setting.form, Form::Name { .. } | Form::Switch)
}

fn level(setting: &Setting, settings: &TrialSettings) -> Option<Level> {
    let (_, text, rank) = settings.values().find(|(one, ..)| one.name == setting.name)?;
    text.map(|text| Level { rank, text })
}

/// The values of a setting, and how many of them one strategy has if strategies may have their own. `None` if a trial did
/// not record it.
fn levels(setting: &'static Setting, outcomes: &[&TrialOutcome]) -> Option<(usize, Vec<Level>)> {
    let of = by_strategy(setting, outcomes)?;
    let most = of.values().map(BTreeSet::len).max()?;
    let all: BTreeSet<Level> = of.into_values().flatten().collect();
    Some((most, all.into_iter().collect()))
}

/// The values by strategy if strategies may have their own, otherwise all.
fn by_strategy(
    setting: &Setting,
    outcomes: &[&TrialOutcome],
) -> Option<BTreeMap<Option<StrategyKind>, BTreeSet<Level>>> {
    let mut of: BTreeMap<Option<StrategyKind>, BTreeSet<Level>> = BTreeMap::new();
    for outcome in outcomes {
        let settings = &outcome.trial.settings;
        let strategy = Some(settings.strategy).filter(|_| setting.shown == Shown::Series);
        of.entry(strategy).or_default().insert(level(setting, settings)?);
    }
    Some(of)
}

/// The labels of the settings that vary, without the strategy, each with its values.
pub(super) fn varied(outcomes: &[&TrialOutcome]) -> Vec<(&'static str, Vec<String>)> {
    let settings = TABLE
        .iter()
        .filter(|setting| setting.shown != Shown::Never && setting.name != STRATEGY.name);
    let values = |setting: &'static Setting| {
        let of = by_strategy(setting, outcomes)?;
        let varying = of.into_values().filter(|levels| levels.len() > 1);
        let levels: BTreeSet<Level> = varying.flatten().collect();
        let values = levels
            .iter()
            .map(|level| grouping::plain_value(setting, &level.text));
        (!levels.is_empty()).then(|| (setting.label, values.collect()))
    };
    settings.filter_map(values).collect()
}
