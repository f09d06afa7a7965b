//! A plan as YAML again: what flags made of it, to be kept and run again.

use wire::format_duration;

use super::file::{Given, Level, PlanFile, REPEATS};
use super::{Order, file};

/// The text of a plan; reading it gives the same plan.
pub(super) fn text(plan: &PlanFile) -> String {
    let mut text = format!("name: {}\n", name(&plan.name));
    if plan.repeats.to_string() != REPEATS.default {
        text.push_str(&format!("repeats: {}\n", plan.repeats));
    }
    let cut_off = format_duration(plan.cut_off);
    if cut_off != file::CUT_OFF.default {
        text.push_str(&format!("cut_off: {cut_off}\n"));
    }
    if plan.order == Order::Shuffled {
        text.push_str("order: shuffled\n");
    }
    for given in &plan.top {
        text.push_str(&format!("{}\n", entry(given)));
    }
    if !plan.fixed.is_empty() {
        text.push_str("fixed:\n");
        for given in &plan.fixed {
            text.push_str(&format!("  {}\n", entry(given)));
        }
    }
    if !plan.axes.is_empty() {
        text.push_str("axes:\n");
        for axis in &plan.axes {
            let levels: Vec<String> = axis.levels.iter().map(level).collect();
            text.push_str(&format!("  {}: [{}]\n", axis.setting.name, levels.join(", ")));
        }
    }
    text
}

fn level(level: &Level) -> String {
    match level.given.as_slice() {
        [one] => value(&one.text),
        carrying => {
            let entries: Vec<String> = carrying.iter().map(entry).collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}

fn entry(given: &Given) -> String {
    format!("{}: {}", given.setting.name, value(&given.text))
}

/// A canonical value; in quotes where it has characters that YAML knows.
fn value(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

/// A name; in quotes where YAML could take it for a number.
fn name(name: &str) -> String {
    if name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        name.to_owned()
    } else {
        format!("'{name}'")
    }
}
