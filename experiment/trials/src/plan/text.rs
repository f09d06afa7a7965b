//! A plan as YAML again: what flags made of it, to be kept and run again.

use wire::format_duration;

use super::file::{Given, Level, PlanFile, REPEATS};
use super::{Order, file};

/// The text of a plan; reading it gives the same plan.
pub(super) fn text(plan: &PlanFile) -> String {
    let mut written = format!("name: {}\n", name(&plan.name));
    if plan.repeats.to_string() != REPEATS.default {
        written.push_str(&format!("repeats: {}\n", plan.repeats));
    }
    let cut_off = format_duration(plan.cut_off);
    if cut_off != file::CUT_OFF.default {
        written.push_str(&format!("cut_off: {cut_off}\n"));
    }
    if plan.order == Order::Shuffled {
        written.push_str("order: shuffled\n");
    }
    for (field, text) in [
        ("payloads", &plan.payloads),
        ("payload_template", &plan.payload_template),
        ("key_pointer", &plan.key_pointer),
    ] {
        if let Some(text) = text {
            written.push_str(&format!("{field}: {}\n", value(text)));
        }
    }
    if !plan.thresholds.is_empty() {
        written.push_str("thresholds:\n");
        for (threshold, _) in &plan.thresholds {
            written.push_str(&format!("  - {}\n", value(&threshold.to_string())));
        }
    }
    for given in &plan.top {
        written.push_str(&format!("{}\n", entry(given)));
    }
    if !plan.fixed.is_empty() {
        written.push_str("fixed:\n");
        for given in &plan.fixed {
            written.push_str(&format!("  {}\n", entry(given)));
        }
    }
    if !plan.axes.is_empty() {
        written.push_str("axes:\n");
        for axis in &plan.axes {
            let levels: Vec<String> = axis.levels.iter().map(level).collect();
            written.push_str(&format!("  {}: [{}]\n", axis.setting.name, levels.join(", ")));
        }
    }
    written
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
    } else if text.contains(char::is_control) {
        // A text of JSON is one of YAML, in which quotes of one stroke fold lines.
        serde_json::to_string(text).unwrap_or_default()
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
