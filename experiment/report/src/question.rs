//! The plan's question in words: what it varies and under which conditions, derived from the trials.

use trials::trial::TrialSettings;
use wire::Workload;
use wire::settings::{IO_DELAY, RPU};

use crate::summary::Summary;
use crate::text;

/// With more values than this only their number, first and last are given.
const MAX_LISTED: usize = 12;

pub(super) fn paragraphs(summary: &Summary<'_>) -> Vec<String> {
    let all: Vec<&TrialSettings> = summary
        .trials
        .iter()
        .map(|outcome| &outcome.trial.settings)
        .collect();
    if all.is_empty() {
        return vec!["No trial has ended yet, so there is nothing to show.".to_owned()];
    }
    vec![question(summary), conditions(summary, &all)]
}

fn question(summary: &Summary<'_>) -> String {
    let strategies = distinct(summary.series.iter().map(|series| series.strategy.to_string()));
    let keeps_up = match strategies.as_slice() {
        [only] => format!("Does {only} keep up"),
        [one, other] => format!("Does {one} or {other} keep up"),
        all => format!("Which of {} keeps up", text::list(all)),
    };
    let varied: Vec<String> = summary
        .varied
        .iter()
        .map(|(name, values)| format!("{name} ({})", alternatives(values)))
        .collect();
    let varies = match varied.as_slice() {
        [] => String::new(),
        [only] => format!(" with the {only}"),
        many => format!(" with the {}", text::list(many)),
    };
    match varies.is_empty() {
        true => format!("{keeps_up}, and how long after its close does a window give its result?"),
        false => format!(
            "{keeps_up}, and how does the time from the close of a window to its result change{varies}?"
        ),
    }
}

fn conditions(summary: &Summary<'_>, all: &[&TrialSettings]) -> String {
    let of = |value: fn(&TrialSettings) -> String| {
        alternatives(&distinct(all.iter().map(|settings| value(settings))))
    };
    let fixed = |name: &str| !summary.varied.iter().any(|(varied, _)| *varied == name);
    let work = match (
        all.iter().any(|a| a.workload == Workload::Http),
        all.iter().any(|a| a.workload == Workload::Cpu),
    ) {
        (true, false) => "a call to an endpoint",
        (false, true) => "a computation",
        _ => "a call or a computation",
    };
    let mut sentence = format!("Each event needs {work}");
    if fixed(IO_DELAY.label) {
        sentence.push_str(&format!(" of {}", of(|a| text::delay(&a.io_delay))));
    }
    if fixed(RPU.label) {
        sentence.push_str(&format!(
            ", at {} events per second (RPU)",
            of(|a| text::count(a.rpu.get()))
        ));
    }
    sentence.push_str(&format!(
        ". Each trial runs the whole pipeline: {} warm-up and {} measured windows of {}, {} {}",
        of(|a| text::count(u64::from(a.warmup))),
        of(|a| text::count(u64::from(a.windows))),
        of(|a| text::setting(a.window)),
        of(|a| text::count(a.keys.get())),
        if all.iter().all(|settings| settings.keys.get() == 1) {
            "key"
        } else {
            "keys"
        },
    ));
    let repeats = summary.rows.iter().map(|row| row.trials.len()).max().unwrap_or(1) as u64;
    if repeats > 1 {
        sentence.push_str(&format!(
            "; each setting is run up to {} times",
            text::count(repeats)
        ));
    }
    sentence + "."
}
/// A list with "or", shortened above [`MAX_LISTED`] values.
fn alternatives(values: &[String]) -> String {
    match values {
        [first, .., last] if values.len() > MAX_LISTED => {
            format!(
                "one of {} values from {first} to {last}",
                text::count(values.len() as u64)
            )
        }
        [most @ .., last] if !most.is_empty() => format!("{} or {last}", most.join(", ")),
        _ => values.concat(),
    }
}

/// Distinct texts in order of their first appearance.
fn distinct(texts: impl Iterator<Item = String>) -> Vec<String> {
    let mut distinct: Vec<String> = Vec::new();
    for text in texts {
        if !distinct.contains(&text) {
            distinct.push(text);
        }
    }
    distinct
}
