//! Which settings make a cell and which a series. A series is a strategy with whatever else of its own varies; every
//! other setting that varies splits the cells. What is the same everywhere is named nowhere.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use wire::settings::{Form, Setting, Shown};
use wire::{StrategyKind, Workload, parse_duration};

use crate::text;
use trials::outcome::TrialOutcome;
use trials::trial::TrialSettings;

/// A point of the grid: everything but the strategy and its own settings.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    /// Other settings that vary in the run, as (name, value); their sizes order them.
    pub others: Vec<Other>,
    /// Mean delay in nanoseconds, then its text: the order of delays.
    delay_order: (u128, String),
    /// Events per second.
    pub rpu: u64,
    /// The delay as people read it.
    pub delay: String,
    /// Whether the delay is processor time: every trial of the run has the workload `cpu`.
    all_cpu: bool,
    /// Mean delay.
    pub delay_mean: Duration,
    /// Length of a window.
    pub window: Duration,
}

/// A setting that varies, apart from RPU, delay and those of a series.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Other {
    /// Its name in words.
    pub name: &'static str,
    /// Orders the values; the text decides between equals.
    order: u128,
    /// Its value as people read it.
    pub value: String,
}

/// A line of the charts: a strategy with what varies among its own settings.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Series {
    /// The strategy.
    pub strategy: StrategyKind,
    variant_order: Vec<u128>,
    /// What the legend says, e.g. `async · at-close`.
    pub label: String,
    /// Which of the colours and marker shapes it has.
    pub colour: usize,
    /// Which of the dashes it has, from 0 (solid, filled markers).
    pub dash: usize,
}

/// Which settings vary in a run.
pub(super) struct Varying {
    others: BTreeSet<&'static str>,
    series: BTreeMap<StrategyKind, BTreeSet<&'static str>>,
    all_cpu: bool,
}

impl Cell {
    /// The cell in words, e.g. `RPU 100, delay 1 s`.
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

    /// The other settings in words, e.g. `keys 5`; empty where none varies.
    pub fn others_label(&self) -> String {
        let others: Vec<String> = self
            .others
            .iter()
            .map(|o| format!("{} {}", o.name, o.value))
            .collect();
        others.join(", ")
    }

    /// What the delay is called: `delay`, or `processor time` where nothing but `cpu` is run.
    pub fn delay_word(&self) -> &'static str {
        if self.all_cpu { "processor time" } else { "delay" }
    }

    /// How hard it is: calls that must be in flight at once to keep up, on average.
    pub fn needed_in_flight(&self) -> f64 {
        self.rpu as f64 * self.delay_mean.as_secs_f64()
    }
}

impl Varying {
    pub(super) fn of(outcomes: &[&TrialOutcome]) -> Self {
        let mut others: BTreeMap<&'static str, BTreeSet<Other>> = BTreeMap::new();
        let mut series: BTreeMap<(StrategyKind, &'static str), BTreeSet<u128>> = BTreeMap::new();
        for outcome in outcomes {
            let asked = &outcome.trial.settings;
            for other in shown(asked, Shown::Cell) {
                others.entry(other.name).or_default().insert(other);
            }
            for own in shown(asked, Shown::Series) {
                series
                    .entry((asked.strategy, own.name))
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

    pub(super) fn cell(&self, asked: &TrialSettings) -> Cell {
        let mean = asked.io_delay.mean();
        Cell {
            others: shown(asked, Shown::Cell)
                .filter(|o| self.others.contains(o.name))
                .collect(),
            delay_order: (mean.as_nanos(), asked.io_delay.to_string()),
            rpu: asked.rpu.get(),
            delay: text::delay(&asked.io_delay),
            all_cpu: self.all_cpu,
            delay_mean: mean,
            window: asked.window,
        }
    }

    pub(super) fn series(&self, asked: &TrialSettings) -> Series {
        let names = self.series.get(&asked.strategy);
        let own: Vec<Other> = shown(asked, Shown::Series)
            .filter(|own| names.is_some_and(|names| names.contains(own.name)))
            .collect();
        let mut label = asked.strategy.name().to_owned();
        for one in &own {
            label.push_str(&format!(" · {}", one.value));
        }
        Series {
            strategy: asked.strategy,
            variant_order: own.iter().map(|one| one.order).collect(),
            label,
            colour: 0,
            dash: 0,
        }
    }
}

/// Gives every series its colour and dash: colours tell strategies apart and dashes the variants of one, but where
/// there is only one strategy colours tell its variants apart.
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

/// The settings that a report shows so, in the table's order.
fn shown(asked: &TrialSettings, shown: Shown) -> impl Iterator<Item = Other> {
    asked
        .values()
        .filter(move |(setting, ..)| setting.shown == shown)
        .map(|(setting, text, rank)| Other {
            name: setting.label,
            order: rank,
            value: value(setting, text),
        })
}

/// A value as people read it.
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
