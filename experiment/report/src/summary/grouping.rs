//! Groups trials by their settings. A series is a strategy with those of its own settings that vary; every other setting
//! that varies splits the cells. Settings with one value are in no label.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use trials::outcome::TrialOutcome;
use trials::trial::TrialSettings;
use wire::settings::{Form, Setting, Shown};
use wire::{StrategyKind, Workload, parse_duration};

use crate::text;

/// A point of the grid: everything but the strategy and its own settings.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    /// Other settings that vary in the run, for ordering by value.
    pub others: Vec<Other>,
    /// Mean delay in nanoseconds, then its text.
    delay_order: (u128, String),
    /// Events per second.
    pub rpu: u64,
    /// The delay, formatted.
    pub delay: String,
    /// Whether every trial of the run has the workload `cpu`, so that the delay is processor time.
    all_cpu: bool,
    pub delay_mean: Duration,
    pub window: Duration,
}

/// A setting that varies, apart from RPU, delay and those of a series.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Other {
    /// Its label.
    pub name: &'static str,
    /// Orders values; equal ones are ordered by text.
    order: u128,
    /// Its value, formatted.
    pub value: String,
}

/// A line of the charts: a strategy with those of its own settings that vary.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Series {
    pub strategy: StrategyKind,
    variant_order: Vec<u128>,
    /// For legends, e.g. `async · at-close`.
    pub label: String,
    /// Index of its colour and marker shape.
    pub colour: usize,
    /// Index of its dash pattern; 0 is solid with filled markers.
    pub dash: usize,
}

/// Which settings vary in a run.
pub(super) struct Varying {
    others: BTreeSet<&'static str>,
    series: BTreeMap<StrategyKind, BTreeSet<&'static str>>,
    all_cpu: bool,
}

impl Cell {
    /// For example `RPU 100, delay 1 s`.
    pub fn label(&self) -> String {
        let mut label = format!(
            "RPU {}, {} {}",
            text::count(self.rpu),
            self.delay_word(),
            self.delay
        );
        for other in &self.others {
            label.push_str(&format!(", {} {}", other.name, other.value));
        }
        label
    }

    /// The other settings, e.g. `keys 5`; empty if none varies.
    pub fn others_label(&self) -> String {
        let others: Vec<String> = self
            .others
            .iter()
            .map(|o| format!("{} {}", o.name, o.value))
            .collect();
        others.join(", ")
    }

    /// `delay`, or `processor time` if all trials have the workload `cpu`.
    pub fn delay_word(&self) -> &'static str {
        if self.all_cpu { "processor time" } else { "delay" }
    }

    /// Mean calls in flight needed to keep up, as a measure of difficulty.
    pub fn needed_in_flight(&self) -> f64 {
        self.rpu as f64 * self.delay_mean.as_secs_f64()
    }
}

impl Varying {
    pub(super) fn of(outcomes: &[&TrialOutcome]) -> Self {
        let mut others: BTreeMap<&'static str, BTreeSet<Other>> = BTreeMap::new();
        let mut series: BTreeMap<(StrategyKind, &'static str), BTreeSet<u128>> = BTreeMap::new();
        for outcome in outcomes {
            let settings = &outcome.trial.settings;
            for other in shown(settings, Shown::Cell) {
                others.entry(other.name).or_default().insert(other);
            }
            for own in shown(settings, Shown::Series) {
                series
                    .entry((settings.strategy, own.name))
                    .or_default()
                    .insert(own.order);
            }
        }
        let mut own: BTreeMap<StrategyKind, BTreeSet<&'static str>> = BTreeMap::new();
        for ((strategy, name), values) in series {
            if values.len() > 1 {
                own.entry(strategy).or_default().insert(name);
            }
        }
        let all_cpu = !outcomes.is_empty()
            && outcomes
                .iter()
                .all(|outcome| outcome.trial.settings.workload == Workload::Cpu);
        let varies = |(name, values): (&'static str, BTreeSet<Other>)| (values.len() > 1).then_some(name);
        Self {
            others: others.into_iter().filter_map(varies).collect(),
            series: own,
            all_cpu,
        }
    }

    pub(super) fn cell(&self, settings: &TrialSettings) -> Cell {
        let mean = settings.io_delay.mean();
        Cell {
            others: shown(settings, Shown::Cell)
                .filter(|o| self.others.contains(o.name))
                .collect(),
            delay_order: (mean.as_nanos(), settings.io_delay.to_string()),
            rpu: settings.rpu.get(),
            delay: text::delay(&settings.io_delay),
            all_cpu: self.all_cpu,
            delay_mean: mean,
            window: settings.window,
        }
    }

    pub(super) fn series(&self, settings: &TrialSettings) -> Series {
        let names = self.series.get(&settings.strategy);
        let own: Vec<Other> = shown(settings, Shown::Series)
            .filter(|own| names.is_some_and(|names| names.contains(own.name)))
            .collect();
        let mut label = settings.strategy.name().to_owned();
        for one in &own {
            label.push_str(&format!(" · {}", one.value));
        }
        Series {
            strategy: settings.strategy,
            variant_order: own.iter().map(|one| one.order).collect(),
            label,
            colour: 0,
            dash: 0,
        }
    }
}

/// Sets the colour and dash of every series. Colours distinguish strategies and dashes their variants; with a single
/// strategy colours distinguish its variants.
pub(super) fn style(series: &mut [Series]) {
    let strategies: BTreeSet<StrategyKind> = series.iter().map(|one| one.strategy).collect();
    let mut variants: BTreeMap<StrategyKind, usize> = BTreeMap::new();
    for one in series {
        let variant = variants.entry(one.strategy).or_default();
        if strategies.len() > 1 {
            one.colour = one.strategy as usize;
            one.dash = *variant;
        } else {
            one.colour = *variant;
            one.dash = *variant / 4;
        }
        *variant += 1;
    }
}

/// The settings with this place in the report, in the table's order.
fn shown(settings: &TrialSettings, shown: Shown) -> impl Iterator<Item = Other> {
    settings
        .values()
        .filter(move |(setting, ..)| setting.shown == shown)
        .map(|(setting, text, rank)| Other {
            name: setting.label,
            order: rank,
            value: value(setting, text),
        })
}

/// Formats a value.
fn value(setting: &Setting, text: Option<String>) -> String {
    let Some(text) = text else {
        return format!("{} not recorded", setting.label);
    };
    let is_series = setting.shown == Shown::Series;
    match setting.form {
        Form::Count { .. } | Form::Limit { .. } => match text.parse() {
            Ok(1) if is_series => format!("1 {}", setting.label.trim_end_matches('s')),
            Ok(count) if is_series => format!("{} {}", text::count(count), setting.label),
            Ok(count) => text::count(count),
            Err(_) => text,
        },
        Form::Switch if text == "true" => setting.label.to_owned(),
        Form::Switch => format!("no {}", setting.label),
        Form::Duration | Form::Millis => parse_duration(&text).map_or(text, text::setting),
        _ => text,
    }
}
