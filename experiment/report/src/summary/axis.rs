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

/// The values that each setting of the table has in a run.
pub(super) struct Values(Vec<Option<ByStrategy>>);

/// By strategy if strategies may have their own, otherwise all.
type ByStrategy = BTreeMap<Option<StrategyKind>, BTreeSet<Level>>;

impl Axis {
    /// `None` if the trials differ in no setting whose values have an order.
    pub(super) fn of(values: &Values) -> Option<Self> {
        let mut best: Option<(usize, Self)> = None;
        for (setting, of) in values.shown().filter(|(setting, _)| has_order(setting)) {
            let count = of.values().map(BTreeSet::len).max().unwrap_or(0);
            // Of equal ones the first in the table's order.
            if count > best.as_ref().map_or(1, |(most, _)| *most) {
                let levels: BTreeSet<Level> = of.values().flatten().cloned().collect();
                let levels = levels.into_iter().collect();
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

impl Values {
    pub(super) fn of(outcomes: &[&TrialOutcome]) -> Self {
        let mut all: Vec<Option<ByStrategy>> = TABLE.iter().map(|_| Some(ByStrategy::new())).collect();
        for outcome in outcomes {
            let settings = &outcome.trial.settings;
            for ((setting, text, rank), of) in settings.values().zip(&mut all) {
                let strategy = Some(settings.strategy).filter(|_| setting.shown == Shown::Series);
                match (text, of.as_mut()) {
                    (Some(text), Some(of)) => {
                        of.entry(strategy).or_default().insert(Level { rank, text });
                    }
                    // A setting that a trial did not record has no values to compare.
                    _ => *of = None,
                }
            }
        }
        Self(all)
    }

    fn shown(&self) -> impl Iterator<Item = (&'static Setting, &ByStrategy)> {
        let all = TABLE.iter().zip(&self.0);
        all.filter_map(|(setting, of)| Some((setting, of.as_ref()?)))
            .filter(|(setting, _)| setting.shown != Shown::Never)
    }

    /// The labels of the settings that vary, without the strategy, each with its values.
    pub(super) fn varied(&self) -> Vec<(&'static str, Vec<String>)> {
        let settings = self.shown().filter(|(setting, _)| setting.name != STRATEGY.name);
        let varied = settings.filter_map(|(setting, of)| {
            let varying = of.values().filter(|levels| levels.len() > 1);
            let levels: BTreeSet<&Level> = varying.flatten().collect();
            let values = levels
                .iter()
                .map(|level| grouping::plain_value(setting, &level.text));
            (!levels.is_empty()).then(|| (setting.label, values.collect()))
        });
        varied.collect()
    }
}

fn has_order(setting: &Setting) -> bool {
    !matches!(setting.form, Form::Name { .. } | Form::Switch)
}

fn level(setting: &Setting, settings: &TrialSettings) -> Option<Level> {
    let (_, text, rank) = settings.values().find(|(one, ..)| one.name == setting.name)?;
    text.map(|text| Level { rank, text })
}
