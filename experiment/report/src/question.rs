//! The plan's question in words: what it varies and under which conditions, derived from the trials.

use std::collections::BTreeSet;

use trials::trial::TrialSettings;
use wire::Workload;

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
    let strategies = distinct(summary.series.iter().map(|series| series.strategy.to_string()));
    let rpus: BTreeSet<u64> = all.iter().map(|settings| settings.rpu.get()).collect();
    let rpus: Vec<String> = rpus.into_iter().map(text::count).collect();
    let mut by_delay: Vec<_> = summary
        .cells
        .iter()
        .map(|cell| (cell.delay_mean, cell.delay.clone()))
        .collect();
    by_delay.sort();
    let delays = distinct(by_delay.into_iter().map(|(_, delay)| delay));
    let work = match (
        all.iter().any(|a| a.workload == Workload::Http),
        all.iter().any(|a| a.workload == Workload::Cpu),
    ) {
        (true, false) => "a call to an endpoint that takes",
        (false, true) => "a computation that takes a processor",
        _ => "a call or a computation that takes",
    };
    let how = if strategies.len() == 1 {
        format!("up to which rate does {} keep up", strategies[0])
    } else {
        format!(
            "which of {} keeps up, and how long does the window take to give its result",
            text::list(&strategies)
        )
    };
    let question = format!(
        "When every event of a window needs {work} {}, {how}, at {} events per second (RPU)?",
        alternatives(&delays),
        alternatives(&rpus)
    );
    vec![question, conditions(summary, &all)]
}

fn conditions(summary: &Summary<'_>, all: &[&TrialSettings]) -> String {
    let of = |value: fn(&TrialSettings) -> String| {
        text::list(&distinct(all.iter().map(|settings| value(settings))))
    };
    let repeats = summary.rows.iter().map(|row| row.trials.len()).max().unwrap_or(1) as u64;
    let mut sentence = format!(
        "Each trial runs the whole pipeline: {} warm-up and {} measured windows of {}, {} {}",
        of(|a| text::count(u64::from(a.warmup))),
        of(|a| text::count(u64::from(a.windows))),
        of(|a| text::setting(a.window)),
        of(|a| text::count(a.keys.get())),
        if all.iter().all(|settings| settings.keys.get() == 1) {
            "key"
        } else {
            "keys"
        },
    );
    if repeats > 1 {
        sentence.push_str(&format!(
            "; each setting is run up to {} times",
            text::count(repeats)
        ));
    }
    sentence.push('.');
    let others = distinct(
        summary
            .cells
            .iter()
            .flat_map(|cell| cell.others.iter().map(|other| other.name.to_owned())),
    );
    if !others.is_empty() {
        sentence.push_str(&format!(" Also varied: {}.", text::list(&others)));
    }
    sentence
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
