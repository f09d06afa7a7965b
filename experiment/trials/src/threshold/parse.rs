//! Reads a threshold's text.

use std::path::PathBuf;

use wire::parse_duration;
use wire::settings::{Form, Scope, Setting, TABLE, meant};

use super::judge::MEDIAN;
use super::{Bound, Condition, Relation, Statistic, Threshold};
use crate::metric::{Metric, Unit, micros};

/// The grammar, for help and pages.
pub const GRAMMAR: &str = "METRIC[{SETTING=VALUE,…}] [p95|median|mean|max] <|<=|>|>= BOUND, \
                           or +10% vs FOLDER in place of BOUND, or `ledger balances`";

/// Why a text is no threshold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ThresholdError {
    #[error("`{text}` is no threshold: expected {GRAMMAR}")]
    Shape { text: String },
    #[error("there is no metric `{name}`: {}", meant(name, &metric_names()))]
    UnknownMetric { name: String },
    #[error("there is no setting `{name}` to choose cells by: {}", meant(name, &setting_names()))]
    UnknownSetting { name: String },
    #[error("`{text}` chooses no cells: write {{setting=value}}, like {{strategy=async}}")]
    Selector { text: String },
    #[error("{name}: {problem}")]
    SelectorValue { name: &'static str, problem: String },
    #[error("`{text}` is no statistic: write p50, p95, p99.9, median, mean or max")]
    UnknownStatistic { text: String },
    #[error("`{metric}` has one figure for each cell: leave `{text}` out")]
    NoStatistic { metric: &'static str, text: String },
    #[error("`{text}` is no bound of `{metric}`: write {expected}, or a change like `+10% vs results/main`")]
    Bound {
        metric: &'static str,
        text: String,
        expected: &'static str,
    },
    #[error("`{text}` is a change, which needs the run that it is compared with: write `{text} vs FOLDER`")]
    ChangeOfNothing { text: String },
    #[error("`vs {run}` needs a change before it, with its sign, like `+10%`, not `{text}`")]
    NoChange { text: String, run: String },
}

fn metric_names() -> Vec<&'static str> {
    let metrics = Metric::ALL.into_iter().map(Metric::name);
    metrics.chain(["ledger"]).collect()
}

fn setting_names() -> Vec<&'static str> {
    settings().map(|setting| setting.name).collect()
}

fn settings() -> impl Iterator<Item = &'static Setting> {
    TABLE.iter().filter(|setting| setting.scope != Scope::Plan)
}

pub(super) fn threshold(text: &str) -> Result<Threshold, ThresholdError> {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let shape = || ThresholdError::Shape { text: text.clone() };
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let (name, rest) = text.split_at(end.ok_or_else(shape)?);
    let (selectors, rest) = match rest.trim_start().strip_prefix('{') {
        Some(rest) => {
            let (inside, rest) = rest.split_once('}').ok_or_else(shape)?;
            (selectors(inside)?, rest)
        }
        None => (Vec::new(), rest),
    };
    let rest = rest.trim();
    let condition = match name {
        "" => return Err(shape()),
        "ledger" if rest == "balances" => Condition::LedgerBalances,
        "ledger" => return Err(shape()),
        name => {
            let metric = Metric::named(name);
            let metric = metric.ok_or_else(|| ThresholdError::UnknownMetric {
                name: name.to_owned(),
            })?;
            let sign = rest.find(['<', '>']).ok_or_else(shape)?;
            let (statistic, rest) = rest.split_at(sign);
            let (relation, bound) = relation(rest);
            Condition::Compare {
                metric,
                statistic: self::statistic(metric, statistic.trim())?,
                relation,
                bound: self::bound(metric, bound.trim())?,
            }
        }
    };
    Ok(Threshold {
        text,
        selectors,
        condition,
    })
}

/// `setting=value` between commas outside of brackets.
fn selectors(text: &str) -> Result<Vec<(&'static str, String)>, ThresholdError> {
    let parts = crate::plan::values(text).into_iter();
    parts
        .map(|part| {
            let selector = || ThresholdError::Selector {
                text: text.to_owned(),
            };
            let (name, value) = part.split_once('=').ok_or_else(selector)?;
            let (name, value) = (name.trim(), value.trim());
            let setting = settings().find(|setting| setting.name == name);
            let setting = setting.ok_or_else(|| ThresholdError::UnknownSetting {
                name: name.to_owned(),
            })?;
            let value = setting.form.canonical(value);
            let value = value.map_err(|problem| ThresholdError::SelectorValue {
                name: setting.name,
                problem: problem.to_string(),
            })?;
            Ok((setting.name, value))
        })
        .collect()
}

fn statistic(metric: Metric, text: &str) -> Result<Statistic, ThresholdError> {
    let unknown = || ThresholdError::UnknownStatistic {
        text: text.to_owned(),
    };
    match text {
        "" if !metric.is_distribution() => Ok(Statistic::Only),
        _ if !metric.is_distribution() => Err(ThresholdError::NoStatistic {
            metric: metric.name(),
            text: text.to_owned(),
        }),
        "" | "max" => Ok(Statistic::Max),
        "mean" => Ok(Statistic::Mean),
        "median" => Ok(Statistic::Percentile(MEDIAN)),
        text => {
            let percent = text
                .strip_prefix('p')
                .filter(|percent| percent.starts_with(|c: char| c.is_ascii_digit()));
            // Divided as decimal text: 99.9 ÷ 100 is another number than 0.999.
            let share: Option<f64> = percent.and_then(|percent| format!("{percent}e-2").parse().ok());
            let share = share.filter(|share| (0.0..1.0).contains(share) && *share > 0.0);
            share.map(Statistic::Percentile).ok_or_else(unknown)
        }
    }
}

/// The relation that the text begins with, and what follows.
fn relation(text: &str) -> (Relation, &str) {
    let relations = [
        ("<=", Relation::AtMost),
        (">=", Relation::AtLeast),
        ("<", Relation::Less),
    ];
    let found = relations
        .into_iter()
        .find_map(|(sign, relation)| Some((relation, text.strip_prefix(sign)?)));
    found.unwrap_or((Relation::More, text.trim_start_matches('>')))
}

fn bound(metric: Metric, text: &str) -> Result<Bound, ThresholdError> {
    let is_change = |text: &str| text.starts_with(['+', '-', '−']);
    if let Some((change, run)) = text.split_once(" vs ") {
        let share = is_change(change).then(|| self::change(change)).flatten();
        let share = share.ok_or_else(|| ThresholdError::NoChange {
            text: change.to_owned(),
            run: run.to_owned(),
        })?;
        let run = PathBuf::from(run.trim());
        return Ok(Bound::Change { share, run });
    }
    if is_change(text) && text.ends_with('%') {
        return Err(ThresholdError::ChangeOfNothing {
            text: text.to_owned(),
        });
    }
    let (figure, expected) = match metric.unit() {
        Unit::Duration => (parse_duration(text).ok().map(micros), "a duration like `1.2s`"),
        Unit::Share => {
            let share = Form::Share.canonical(text).ok();
            (share.and_then(|share| share.parse().ok()), "a share like `1%`")
        }
        Unit::Bytes => (bytes(text), "bytes like `200MiB`"),
    };
    figure.map(Bound::Figure).ok_or_else(|| ThresholdError::Bound {
        metric: metric.name(),
        text: text.to_owned(),
        expected,
    })
}

/// A percentage with its sign, as a share.
fn change(text: &str) -> Option<f64> {
    let number: f64 = text.replace('−', "-").strip_suffix('%')?.trim().parse().ok()?;
    (number.is_finite() && number >= -100.0).then_some(number / 100.0)
}

/// A number of bytes, in binary or decimal units.
fn bytes(text: &str) -> Option<f64> {
    const UNITS: [(&str, f64); 7] = [
        ("KiB", 1_024.0),
        ("MiB", 1_048_576.0),
        ("GiB", 1_073_741_824.0),
        ("kB", 1e3),
        ("MB", 1e6),
        ("GB", 1e9),
        ("B", 1.0),
    ];
    let unit = UNITS
        .iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)));
    let (number, factor) = unit.unwrap_or((text, 1.0));
    let number: f64 = number.trim().parse().ok()?;
    (number.is_finite() && number >= 0.0).then_some(number * factor)
}
