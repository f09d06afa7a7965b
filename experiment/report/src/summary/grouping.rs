//! Groups trials by their settings. A series is a strategy with those of its own settings that vary; every other setting
//! that varies splits the cells. Settings with one value are in no label.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use trials::outcome::TrialOutcome;
use trials::trial::TrialSettings;
use wire::settings::{Form, IO_DELAY, RPU, START_RULE, Setting, Shown};
use wire::{StartRule, StrategyKind, Workload, parse_duration};

use super::axis::Axis;
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
    /// For example `async · at-close · 50 workers`.
    pub label: String,
    /// The label without the setting on the main chart's x axis: series with the same one are one line there.
    pub line_label: String,
    /// The line's label for legends; it names the start rule wherever the run has both.
    pub legend: String,
    /// Index of its line in the main chart.
    pub line: usize,
    /// Index of its colour and marker shape.
    pub colour: usize,
    /// Index of its dash pattern; 0 is solid with filled markers.
    pub dash: usize,
}

/// Which settings vary in a run.
pub(super) struct Varying {
    /// Label of the setting on the main chart's x axis.
    axis: Option<&'static str>,
    start_rules: BTreeSet<StartRule>,
    others: BTreeSet<&'static str>,
    series: BTreeMap<StrategyKind, BTreeSet<&'static str>>,
    all_cpu: bool,
}

impl Cell {
    /// For example `RPU 100, delay 1 s`.
    pub fn label(&self) -> String {
        self.label_without(None)
    }

    /// The label without one setting.
    pub fn label_without(&self, axis: Option<&Axis>) -> String {
        let named = |name: &'static str, value: String| {
            (axis.map(|axis| axis.setting.label) != Some(name)).then_some(value)
        };
        let parts = [
            named(RPU.label, format!("RPU {}", text::count(self.rpu))),
            named(IO_DELAY.label, format!("{} {}", self.delay_word(), self.delay)),
        ];
        let others = self
            .others
            .iter()
            .map(|other| named(other.name, format!("{} {}", other.name, other.value)));
        let parts: Vec<String> = parts.into_iter().chain(others).flatten().collect();
        parts.join(", ")
    }

    /// `delay`, or `processor time` if all trials have the workload `cpu`.
    pub fn delay_word(&self) -> &'static str {
        if self.all_cpu { "processor time" } else { "delay" }
    }
}

impl Varying {
    pub(super) fn of(outcomes: &[&TrialOutcome], axis: Option<&Axis>) -> Self {
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
            axis: axis.map(|axis| axis.setting.label),
            start_rules: outcomes
                .iter()
                .map(|outcome| outcome.trial.settings.start_rule)
                .collect(),
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
        let label = |left_out: Option<&'static str>| {
            let own = own.iter().filter(|one| Some(one.name) != left_out);
            let values = own.map(|one| one.value.as_str());
            let parts: Vec<&str> = std::iter::once(settings.strategy.name()).chain(values).collect();
            parts.join(" · ")
        };
        let line_label = label(self.axis);
        let names_rule = own.iter().any(|one| one.name == START_RULE.label);
        let legend = match self.start_rules.len() > 1 && !names_rule {
            true => format!("{line_label} · {}", settings.start_rule),
            false => line_label.clone(),
        };
        Series {
            strategy: settings.strategy,
            variant_order: own.iter().map(|one| one.order).collect(),
            label: label(None),
            line_label,
            legend,
            line: 0,
            colour: 0,
            dash: 0,
        }
    }
}

/// Sets the line, colour and dash of every series. Colours distinguish strategies and dashes their variants; with a single
/// strategy colours distinguish its variants.
pub(super) fn style(series: &mut [Series]) {
    let strategies: BTreeSet<StrategyKind> = series.iter().map(|one| one.strategy).collect();
    let mut lines: Vec<(StrategyKind, String)> = Vec::new();
    for one in series {
        let line = (one.strategy, one.line_label.clone());
        one.line = lines
            .iter()
            .position(|known| *known == line)
            .unwrap_or(lines.len());
        if one.line == lines.len() {
            lines.push(line);
        }
        let before = &lines[..one.line];
        let variant = before
            .iter()
            .filter(|(strategy, _)| *strategy == one.strategy)
            .count();
        if strategies.len() > 1 {
            one.colour = one.strategy as usize;
            one.dash = variant;
        } else {
            one.colour = variant;
            one.dash = variant / 4;
        }
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
            value: match (setting.shown, text) {
                // A cell's label names the setting before its value.
                (Shown::Cell, Some(text)) => plain_value(setting, &text),
                (Shown::Cell, None) => "not recorded".to_owned(),
                (_, text) => value(setting, text),
            },
        })
}

/// Formats a value of a setting that is named beside it.
pub(crate) fn plain_value(setting: &Setting, text: &str) -> String {
    match setting.form {
        Form::Count { .. } | Form::Limit { .. } => text.parse().map_or_else(|_| text.to_owned(), text::count),
        Form::Share => text.parse().map_or_else(|_| text.to_owned(), text::share),
        Form::Delay => text
            .parse()
            .map_or_else(|_| text.to_owned(), |delay| text::delay(&delay)),
        Form::Duration | Form::Wait | Form::Deadline | Form::Millis => {
            parse_duration(text).map_or_else(|_| text.to_owned(), text::setting)
        }
        _ => text.to_owned(),
    }
}

/// Formats a value of a setting that may be named nowhere else.
pub(super) fn value(setting: &Setting, text: Option<String>) -> String {
    let Some(text) = text else {
        return format!("{} not recorded", setting.label);
    };
    let is_series = setting.shown == Shown::Series;
    match setting.form {
        Form::Count { .. } | Form::Limit { .. } if is_series && text == "1" => {
            format!("1 {}", setting.label.trim_end_matches('s'))
        }
        Form::Count { .. } | Form::Limit { .. } if is_series => {
            format!("{} {}", plain_value(setting, &text), setting.label)
        }
        Form::Switch if text == "true" => setting.label.to_owned(),
        Form::Switch => format!("no {}", setting.label),
        _ => plain_value(setting, &text),
    }
}
