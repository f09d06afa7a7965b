//! The fields of a plan's file and the settings that they may hold. Values are checked while they are read, so that a
//! refusal has a line.

use std::time::Duration;

use wire::parse_duration;
use wire::settings::{Form, Scope, Setting, TABLE, meant, nearest};

use super::yaml::{Key, Node, Value};
use super::{Order, Refusal};
use crate::threshold::Threshold;

const EMPTY: &str =
    "the plan is empty: expected at least `name`, and `fixed` or `axes` with rpu, strategy, …";

pub(super) const REPEATS: Field = Field {
    name: "repeats",
    meaning: "How often each cell is run; repeats follow the whole grid",
    form: Form::Count {
        least: 1,
        most: 10_000,
    },
    default: "1",
};

pub(super) const CUT_OFF: Field = Field {
    name: "cut_off",
    meaning: "How long after its last window a trial may still wait for results; 0 does not wait",
    form: Form::Wait,
    default: "30s",
};

pub(super) const ORDER: Field = Field {
    name: "order",
    meaning: "The order of the trials: as the axes are written, the first changing slowest, or shuffled by `seed`",
    form: Form::Name {
        set: "order",
        names: &["as-written", "shuffled"],
    },
    default: "as-written",
};

pub(super) const PAYLOADS: Field = Field {
    name: "payloads",
    meaning: "Events of your own, one a line, in place of those of the generator; a path beside the plan",
    form: Form::Path,
    default: "",
};

pub(super) const PAYLOAD_TEMPLATE: Field = Field {
    name: "payload_template",
    meaning: "In place of `payloads`, a text that gives the payload of each event, with `${key}`, `${index}`, `${number}`, `${time_ms}` and `${uniform:LOW:HIGH}`",
    form: Form::Text,
    default: "",
};

pub(super) const KEY_POINTER: Field = Field {
    name: "key_pointer",
    meaning: "Where each line of `payloads` has its key; `keys` is then their number",
    form: Form::Pointer,
    default: "",
};

/// The field that is a list of thresholds.
pub(super) const THRESHOLDS: &str = "thresholds";

/// Those that hold one value, for reference and errors.
pub(super) const FIELDS: [Field; 6] = [REPEATS, CUT_OFF, ORDER, PAYLOADS, PAYLOAD_TEMPLATE, KEY_POINTER];

/// A top-level field that is not a setting of a trial.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    pub name: &'static str,
    pub meaning: &'static str,
    pub form: Form,
    pub default: &'static str,
}

/// A plan as it is written.
#[derive(Debug)]
pub(super) struct PlanFile {
    pub name: String,
    pub repeats: u32,
    pub cut_off: Duration,
    pub order: Order,
    /// Where `order` is written.
    pub order_line: usize,
    /// The path as it is written.
    pub payloads: Option<String>,
    pub payload_template: Option<String>,
    pub key_pointer: Option<String>,
    /// What [`super::Plan::trace_files`] says.
    pub trace_files: Option<String>,
    /// What must hold, each with its line.
    pub thresholds: Vec<(Threshold, usize)>,
    /// Settings of the whole plan.
    pub top: Vec<Given>,
    /// Settings of every trial, in the order of the file.
    pub fixed: Vec<Given>,
    /// In the order of the file.
    pub axes: Vec<Axis>,
    /// Where `fixed` is written.
    pub fixed_line: usize,
    /// Where `axes` is written.
    pub axes_line: usize,
    /// The fields at the top that are written, with their lines.
    pub fields: Vec<(String, usize)>,
}

/// A setting with a valid value.
#[derive(Debug, Clone)]
pub(super) struct Given {
    pub setting: &'static Setting,
    /// The value in canonical form.
    pub text: String,
    pub line: usize,
}

/// An axis and its levels.
#[derive(Debug)]
pub(super) struct Axis {
    pub setting: &'static Setting,
    pub line: usize,
    pub levels: Vec<Level>,
}

/// One level of an axis: the setting of the axis, then (for `strategy`) settings of its own, sorted by name.
#[derive(Debug, Clone)]
pub(super) struct Level {
    pub given: Vec<Given>,
    pub line: usize,
}

impl PartialEq for Given {
    fn eq(&self, other: &Self) -> bool {
        (self.setting.name, &self.text) == (other.setting.name, &other.text)
    }
}

impl PartialEq for Level {
    fn eq(&self, other: &Self) -> bool {
        self.given == other.given
    }
}

impl PlanFile {
    /// A plan without any field; what is missing is reported at `line`.
    pub(super) fn empty(line: usize) -> Self {
        Self {
            name: String::new(),
            repeats: number(REPEATS.default),
            cut_off: duration(CUT_OFF.default),
            order: Order::AsWritten,
            order_line: line,
            payloads: None,
            payload_template: None,
            key_pointer: None,
            trace_files: None,
            thresholds: Vec::new(),
            top: Vec::new(),
            fixed: Vec::new(),
            axes: Vec::new(),
            fixed_line: line,
            axes_line: line,
            fields: Vec::new(),
        }
    }

    pub(super) fn read(document: &Node) -> Result<Self, Refusal> {
        let entries = match &document.value {
            Value::Map(entries) => entries,
            Value::Scalar(text) if text == "null" => return Err(Refusal::at(1, "", EMPTY)),
            _ => {
                return Err(Refusal::at(
                    document.line,
                    "",
                    "must be a plan: name, windows, fixed, axes, …",
                ));
            }
        };
        let mut plan = Self::empty(1);
        for (key, node) in entries {
            plan.field(key, node)?;
            plan.fields.push((key.name.clone(), key.line));
        }
        if plan.name.is_empty() {
            return Err(Refusal::at(1, "", "missing field `name`"));
        }
        Ok(plan)
    }

    fn field(&mut self, key: &Key, node: &Node) -> Result<(), Refusal> {
        match key.name.as_str() {
            "name" => self.set("name", key.line, scalar(node, "name")?)?,
            "fixed" => {
                self.fixed_line = key.line;
                for (key, node) in map(node, "fixed", "settings and their values")? {
                    let setting = known(key, "fixed")?;
                    self.fixed
                        .push(given(setting, key.line, node, &format!("fixed.{}", key.name))?);
                }
            }
            "axes" => {
                self.axes_line = key.line;
                for (key, node) in map(node, "axes", "settings, each with a list of levels")? {
                    self.axes.push(axis(key, node)?);
                }
            }
            THRESHOLDS => {
                let Value::List(items) = &node.value else {
                    let problem = "must be a list, like ['close_tail p95 < 1.2s', 'ledger balances']";
                    return Err(Refusal::at(key.line, THRESHOLDS, problem));
                };
                for (index, item) in items.iter().enumerate() {
                    let field = format!("{THRESHOLDS}[{index}]");
                    self.add_threshold(item.line, &field, scalar(item, &field)?)?;
                }
            }
            name if FIELDS.iter().any(|field| field.name == name) => {
                self.set(name, key.line, scalar(node, name)?)?;
            }
            name => {
                let setting = Setting::named(name).filter(|setting| setting.is_at_top());
                let setting = setting.ok_or_else(|| Refusal::at(key.line, "", unknown_field(name)))?;
                self.top.push(given(setting, key.line, node, name)?);
            }
        }
        Ok(())
    }

    pub(super) fn add_threshold(&mut self, line: usize, field: &str, text: &str) -> Result<(), Refusal> {
        let threshold = text.parse().map_err(|error| Refusal::at(line, field, error))?;
        self.thresholds.push((threshold, line));
        Ok(())
    }

    /// Sets the name or one of [`FIELDS`].
    pub(super) fn set(&mut self, name: &str, line: usize, text: &str) -> Result<(), Refusal> {
        let canonical = |field: &Field| {
            let canonical = field.form.canonical(text);
            canonical.map_err(|error| Refusal::at(line, name, error))
        };
        match name {
            "repeats" => self.repeats = number(&canonical(&REPEATS)?),
            "cut_off" => self.cut_off = duration(&canonical(&CUT_OFF)?),
            "order" => {
                self.order_line = line;
                self.order = match canonical(&ORDER)?.as_str() {
                    "shuffled" => Order::Shuffled,
                    _ => Order::AsWritten,
                };
            }
            "payloads" => self.payloads = Some(canonical(&PAYLOADS)?),
            "payload_template" => self.payload_template = Some(canonical(&PAYLOAD_TEMPLATE)?),
            "key_pointer" => self.key_pointer = Some(canonical(&KEY_POINTER)?),
            _ => self.name = plan_name(line, text)?,
        }
        Ok(())
    }

    /// The line that gives a field or setting, wherever that is.
    pub(super) fn line_of(&self, name: &str) -> Option<usize> {
        let levels = self.axes.iter().flat_map(|axis| &axis.levels);
        let given = levels.flat_map(|level| &level.given).chain(&self.fixed);
        let mut lines = given.map(|given| (given.setting.name, given.line));
        let field = self.fields.iter().find(|(field, _)| field == name);
        lines
            .find(|(given, _)| *given == name)
            .map(|(_, line)| line)
            .or(field.map(|(_, line)| *line))
    }
}

/// The names of a plan's top.
pub(super) fn top_names() -> Vec<&'static str> {
    let at_top = TABLE
        .iter()
        .filter(|setting| setting.is_at_top())
        .map(|setting| setting.name);
    ["name", "fixed", "axes", THRESHOLDS]
        .into_iter()
        .chain(FIELDS.map(|field| field.name))
        .chain(at_top)
        .collect()
}

fn unknown_field(name: &str) -> String {
    if Setting::named(name).is_some() {
        return format!("`{name}` is a setting: write it in `fixed` or as an axis, not at the top");
    }
    let names = top_names();
    let mut all = names.clone();
    all.extend(TABLE.iter().filter(|setting| setting.is_axis()).map(|s| s.name));
    match nearest(name, &all).filter(|near| !names.contains(near)) {
        Some(near) => format!("unknown field `{name}`: did you mean `{near}`, in `fixed` or as an axis?"),
        None => format!("unknown field `{name}`: {}", meant(name, &names)),
    }
}

fn plan_name(line: usize, text: &str) -> Result<String, Refusal> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if (1..=64).contains(&text.len()) && text.chars().all(plain) {
        return Ok(text.to_owned());
    }
    let problem = format!("must be 1 to 64 letters, digits, `-`, `_` or `.`, not `{text}`");
    Err(Refusal::at(line, "name", problem))
}

/// Finds a setting that may be fixed or an axis.
fn known(key: &Key, within: &str) -> Result<&'static Setting, Refusal> {
    Setting::named(&key.name)
        .filter(|setting| setting.is_axis())
        .ok_or_else(|| {
            let name = &key.name;
            let problem = if top_names().contains(&name.as_str()) {
                format!("`{name}` is the same for all trials: write it at the top of the plan")
            } else {
                let names: Vec<&str> = TABLE.iter().filter(|s| s.is_axis()).map(|s| s.name).collect();
                format!("there is no setting `{name}`: {}", meant(name, &names))
            };
            Refusal::at(key.line, within, problem)
        })
}

fn axis(key: &Key, node: &Node) -> Result<Axis, Refusal> {
    let setting = known(key, "axes")?;
    let field = format!("axes.{}", key.name);
    let items = match &node.value {
        Value::List(items) => items.as_slice(),
        Value::Scalar(text) => {
            let problem = format!("must be a list of levels, like [A, B], not `{text}`");
            return Err(Refusal::at(key.line, &field, problem));
        }
        Value::Map(_) => {
            let problem = "must be a list of levels, like [A, B], not a mapping";
            return Err(Refusal::at(key.line, &field, problem));
        }
    };
    if items.is_empty() {
        return Err(Refusal::at(key.line, &field, "an axis needs at least one level"));
    }
    let levels = items.iter().enumerate().map(|(index, item)| {
        let field = format!("{field}[{index}]");
        match &item.value {
            Value::Map(entries) if setting.name == "strategy" => strategy_level(item.line, entries, &field),
            _ => Ok(Level {
                given: vec![given(setting, item.line, item, &field)?],
                line: item.line,
            }),
        }
    });
    Ok(Axis {
        setting,
        line: key.line,
        levels: levels.collect::<Result<_, _>>()?,
    })
}

/// A level written as a mapping of `strategy` and settings that belong to this level.
fn strategy_level(line: usize, entries: &[(Key, Node)], field: &str) -> Result<Level, Refusal> {
    let carried = |setting: &&Setting| setting.name == "strategy" || setting.scope == Scope::Strategy;
    let mut level = Vec::new();
    for (key, node) in entries {
        let setting = TABLE
            .iter()
            .filter(carried)
            .find(|setting| setting.name == key.name);
        let setting = setting.ok_or_else(|| {
            let names: Vec<&str> = TABLE.iter().filter(carried).map(|s| s.name).collect();
            let problem = format!(
                "a strategy's level cannot carry `{}`: {}",
                key.name,
                meant(&key.name, &names)
            );
            Refusal::at(key.line, field, problem)
        })?;
        level.push(given(setting, key.line, node, &format!("{field}.{}", key.name))?);
    }
    level.sort_by_key(|given| (given.setting.name != "strategy", given.setting.name));
    if level.first().map(|given| given.setting.name) != Some("strategy") {
        return Err(Refusal::at(
            line,
            field,
            "a strategy's level must name its `strategy`",
        ));
    }
    Ok(Level { given: level, line })
}

fn given(setting: &'static Setting, line: usize, node: &Node, field: &str) -> Result<Given, Refusal> {
    Ok(Given {
        setting,
        text: text(&setting.form, line, node, field)?,
        line,
    })
}

/// A value in canonical form.
fn text(form: &Form, line: usize, node: &Node, field: &str) -> Result<String, Refusal> {
    let text = scalar(node, field)?;
    form.canonical(text).map_err(|error| match text.split_once('(') {
        Some((name, rest)) if *form == Form::Delay && !rest.contains(')') => {
            let problem = format!(
                "`{text}` ends before its bracket: within {{…}} and […] a comma ends a value, so quote it: '{name}(…)'"
            );
            Refusal::at(line, field, problem)
        }
        _ => Refusal::at(line, field, error),
    })
}

fn scalar<'a>(node: &'a Node, field: &str) -> Result<&'a str, Refusal> {
    match &node.value {
        Value::Scalar(text) => Ok(text),
        Value::List(_) => Err(Refusal::at(node.line, field, "must be one value, not a list")),
        Value::Map(_) => Err(Refusal::at(node.line, field, "must be one value, not a mapping")),
    }
}

fn map<'a>(node: &'a Node, field: &str, what: &str) -> Result<&'a [(Key, Node)], Refusal> {
    match &node.value {
        Value::Map(entries) => Ok(entries),
        // An empty field.
        Value::Scalar(text) if text == "null" => Ok(&[]),
        _ => Err(Refusal::at(node.line, field, format!("must be {what}"))),
    }
}

/// Reads a duration that [`Form`] has checked.
fn duration(text: &str) -> Duration {
    parse_duration(text).unwrap_or_default()
}

/// Reads a number that [`Form`] has checked.
fn number(text: &str) -> u32 {
    text.parse().unwrap_or(u32::MAX)
}
