//! Flags of the command line as fields of a plan: a comma outside of brackets makes an axis. What a plan's file gives may
//! not be given again. A refusal that is about a flag has the line [`FLAG`].

use wire::settings::{Form, Setting, TABLE};

use super::Refusal;
use super::file::{Axis, FIELDS, Given, Level, PlanFile};

/// In place of a line of a file.
pub(super) const FLAG: usize = 0;

const TRACE: &str = "trace(FILE) takes it from measured latencies, one a line";

/// The flag that adds one of a plan's thresholds.
pub const THRESHOLD: &str = "threshold";

/// A field of a plan that a flag may give: its name in plans, and what it sets.
#[derive(Debug, Clone)]
pub struct FlagField {
    /// The flag is the name with dashes.
    pub name: &'static str,
    pub help: String,
    /// Whether several values, between commas, make an axis.
    pub is_axis: bool,
    /// Whether the flag alone means `true`.
    pub is_switch: bool,
    /// Whether it is the path of a file.
    pub is_path: bool,
}

/// Every field of a plan that is a value: its name, its own fields and all settings.
pub fn flag_fields() -> Vec<FlagField> {
    let own = |name, meaning: &str, is_path| FlagField {
        name,
        help: meaning.to_owned(),
        is_axis: false,
        is_switch: false,
        is_path,
    };
    let name = "Name of the run: of its folder and in its report [default: from the flags]";
    let mut fields = vec![own("name", name, false)];
    fields.extend(FIELDS.iter().map(|field| {
        let default = match field.default {
            "" => String::new(),
            default => format!(" [default: {default}]"),
        };
        let meaning = format!("{}{default}", field.meaning);
        own(field.name, &meaning, field.form == Form::Path)
    }));
    fields.extend(TABLE.iter().map(|setting| FlagField {
        name: setting.name,
        help: match setting.default {
            _ if setting.form == Form::Delay => format!("{}; {TRACE}", setting.help()),
            "" => setting.help(),
            _ if setting.is_required() => setting.help(),
            default => format!("{} [default: {default}]", setting.help()),
        },
        is_axis: setting.is_axis(),
        is_switch: setting.form == Form::Switch,
        is_path: setting.form == Form::Path,
    }));
    fields
}

/// Adds a flag to a plan.
///
/// # Errors
/// Returns an error if the plan gives the field already, or if the text is no value of it.
pub(super) fn add(plan: &mut PlanFile, name: &str, text: &str) -> Result<(), Refusal> {
    if name == THRESHOLD {
        return plan.add_threshold(FLAG, name, text);
    }
    if let Some(line) = plan.line_of(name) {
        let problem = format!("the plan gives it on line {line}: change it there, or leave the flag out");
        return Err(Refusal::at(FLAG, name, problem));
    }
    let Some(setting) = Setting::named(name) else {
        plan.fields.push((name.to_owned(), FLAG));
        return plan.set(name, FLAG, text);
    };
    let given = |text: &str| {
        let canonical = setting.form.canonical(text);
        canonical
            .map(|text| Given {
                setting,
                text,
                line: FLAG,
            })
            .map_err(|error| Refusal::at(FLAG, name, error))
    };
    match values(text).as_slice() {
        [_] if setting.is_axis() => plan.fixed.push(given(text)?),
        levels if setting.is_axis() => {
            let levels = levels.iter().map(|text| {
                Ok(Level {
                    given: vec![given(text)?],
                    line: FLAG,
                })
            });
            plan.axes.push(Axis {
                setting,
                line: FLAG,
                levels: levels.collect::<Result<_, Refusal>>()?,
            });
        }
        _ => plan.top.push(given(text)?),
    }
    Ok(())
}

/// The parts between commas outside of brackets.
pub(crate) fn values(text: &str) -> Vec<&str> {
    let mut depth = 0usize;
    text.split(|c: char| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    })
    .map(str::trim)
    .collect()
}

/// The flag of a field, such as `--max-workers` for `axes.max_workers[1]`; absent for a part of the plan.
pub(super) fn flag_of(field: &str) -> Option<String> {
    let name = field.rsplit('.').next().unwrap_or_default();
    let name = name.split('[').next().unwrap_or_default();
    let is_part = matches!(name, "" | "fixed" | "axes");
    (!is_part).then(|| format!("--{}", name.replace('_', "-")))
}
