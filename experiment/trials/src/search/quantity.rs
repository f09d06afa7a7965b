//! What is searched for, and the levels of its setting.

use std::num::{NonZeroU64, NonZeroUsize};
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};
use wire::StrategyKind;
use wire::settings::{Form, MAX_WORKERS, RPU, Setting};

use crate::predict::predict;
use crate::trial::TrialSettings;

/// What is searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Quantity {
    /// The highest RPU that is sustained.
    Capacity,
    /// The least `max_workers` that sustain the RPU of the cell.
    Demand,
}

impl Quantity {
    /// The setting whose levels are tried.
    pub fn setting(self) -> &'static Setting {
        match self {
            Self::Capacity => &RPU,
            Self::Demand => &MAX_WORKERS,
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Capacity => "capacity",
            Self::Demand => "demand",
        }
    }

    /// The levels that can be tried in a cell. An RPU gives every window an event, as one without has no result.
    pub fn range(self, settings: &TrialSettings) -> RangeInclusive<u64> {
        let (least, most) = match self.setting().form {
            Form::Count { least, most } => (least.max(1), most),
            _ => (1, u64::MAX),
        };
        match self {
            Self::Capacity => least.max((1.0 / settings.window.as_secs_f64()).ceil() as u64)..=most,
            Self::Demand => least..=most,
        }
    }

    /// Whether a strategy has such a limit: `sequential` has no workers.
    pub fn is_of(self, strategy: StrategyKind) -> bool {
        self == Self::Capacity || strategy != StrategyKind::Sequential
    }

    /// The level of a trial.
    pub const fn level_of(self, settings: &TrialSettings) -> u64 {
        match self {
            Self::Capacity => settings.rpu.get(),
            Self::Demand => settings.max_workers.get(),
        }
    }

    /// The settings of a trial at a level.
    pub fn at(self, settings: &TrialSettings, level: u64) -> TrialSettings {
        let level = NonZeroU64::new(level).unwrap_or(NonZeroU64::MIN);
        let mut settings = settings.clone();
        match self {
            Self::Capacity => settings.rpu = level,
            Self::Demand => settings.max_workers = level,
        }
        settings
    }

    /// The limit that is predicted for a cell: the hardest level that is not predicted to fall behind, or the easiest of
    /// all if every one is.
    pub fn predicted(self, settings: &TrialSettings, cores: NonZeroUsize) -> u64 {
        let holds = |level: u64| !predict(&self.at(settings, level), cores).grows(settings.window);
        let (least, most) = self.range(settings).into_inner();
        // Levels from easy to hard.
        let level = |hardness: u64| match self {
            Self::Capacity => least + hardness,
            Self::Demand => most - hardness,
        };
        let (mut held, mut failed) = (0, most - least + 1);
        while failed - held > 1 {
            let middle = held + (failed - held) / 2;
            match holds(level(middle)) {
                true => held = middle,
                false => failed = middle,
            }
        }
        level(held)
    }

    /// Where a search begins. A level at the predicted limit is the hardest of all to decide, so rates begin half of a
    /// close bracket below it: if the prediction is right, the next trial closes the bracket. Workers are too few for that.
    pub fn first(self, predicted: u64, precision: f64) -> u64 {
        match self {
            Self::Capacity => self.rounded_easier(self.easier_by(predicted as f64, precision.sqrt())),
            Self::Demand => predicted,
        }
    }

    /// The first factor by which a search goes on outwards.
    pub(super) const fn first_factor(self, precision: f64) -> f64 {
        match self {
            Self::Capacity => precision,
            Self::Demand => 1.2,
        }
    }

    /// The level that is this factor harder.
    pub(super) fn harder(self, level: u64, factor: f64) -> u64 {
        let level = level as f64;
        // At least one further, in whole numbers.
        match self {
            Self::Capacity => (level * factor).round().max(level + 1.0) as u64,
            Self::Demand => (level / factor).round().min(level - 1.0).max(0.0) as u64,
        }
    }

    pub(super) fn easier(self, level: u64, factor: f64) -> u64 {
        match self {
            Self::Capacity => Self::Demand.harder(level, factor),
            Self::Demand => Self::Capacity.harder(level, factor),
        }
    }

    /// The hardest level up to this factor, at least one further.
    pub(super) fn harder_within(self, level: u64, factor: f64) -> u64 {
        match self {
            Self::Capacity => ((level as f64 * factor) as u64).max(level + 1),
            Self::Demand => ((level as f64 / factor).ceil() as u64).min(level.saturating_sub(1)),
        }
    }

    /// A level, not rounded, that is this factor easier.
    pub(super) fn easier_by(self, level: f64, factor: f64) -> f64 {
        match self {
            Self::Capacity => level / factor,
            Self::Demand => level * factor,
        }
    }

    /// The closest level that is as easy at least.
    pub(super) fn rounded_easier(self, level: f64) -> u64 {
        match self {
            Self::Capacity => level.floor() as u64,
            Self::Demand => level.ceil() as u64,
        }
    }

    pub(super) const fn other_is_harder(self, level: u64, other: u64) -> bool {
        match self {
            Self::Capacity => other > level,
            Self::Demand => other < level,
        }
    }
}
