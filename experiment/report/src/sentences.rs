//! The results in a few sentences: what kept up, where the choice matters, how good the prediction was, and what to use.
//! They must also be true of unusual runs: a single strategy, everything censored, everything failed, nothing run.

mod advice;
mod differences;
mod kept_up;

use trials::predict;
use trials::verdict::{Kind, Verdict};

use crate::summary::{Agreement, Row, Summary};
use crate::text;

pub(crate) use self::advice::start_rule;

/// More series than this are not named one by one.
const MAX_NAMED: usize = 4;

/// One sentence if nothing was measured.
pub(super) fn outcome(summary: &Summary<'_>) -> Vec<String> {
    if let Some(nothing) = nothing(summary) {
        return vec![nothing];
    }
    let sentences = [
        Some(kept_up::kept_up(summary)),
        differences::differences(summary),
        drift(summary),
        predicted(summary),
        advice::advice(summary),
    ];
    sentences.into_iter().flatten().collect()
}

fn nothing(summary: &Summary<'_>) -> Option<String> {
    if summary.rows.is_empty() {
        return Some("No trial has ended.".to_owned());
    }
    if summary.verdicts().any(|verdict| !verdict.kind.is_failure()) {
        return None;
    }
    let verdicts: Vec<&Verdict> = summary.verdicts().collect();
    let first = verdicts.iter().find(|verdict| verdict.kind.is_failure())?;
    let (first, what) = match verdicts.iter().all(|verdict| verdict.kind == Kind::Failed) {
        true => (first.reason.clone(), "failed, so nothing was measured"),
        false if first.kind == Kind::CallsFailed => (first.text(), "measured nothing"),
        false => (first.reason.clone(), "measured nothing"),
    };
    let first = text::sanitize(&first);
    Some(match verdicts.len() as u64 {
        1 => format!("The only trial {what}: {first}"),
        trials => format!("All {} trials {what}; the first: {first}", text::count(trials)),
    })
}

/// The row that drifted most over its repeats; `None` if none did.
fn drift(summary: &Summary<'_>) -> Option<String> {
    let repeated = summary.repeated();
    let drifts = summary
        .rows
        .iter()
        .filter_map(|row| Some((row, row.repeats?.drift(repeated)?)));
    let drifts: Vec<(&Row<'_>, f64)> = drifts.collect();
    let (row, change) = drifts
        .iter()
        .max_by(|(_, a), (_, b)| a.abs().total_cmp(&b.abs()))?;
    let others = match drifts.len() - 1 {
        0 => String::new(),
        others => format!(", and of {} less", text::counted(others as u64, "other row")),
    };
    Some(format!(
        "The close tail of {} at {} changed by {} from its first repeat to its last{others}: machine or service changed during the run.",
        summary.series_label(row),
        summary.cell_label(row),
        text::change(*change)
    ))
}

/// The labels of the rows that fit, or their number if they are many; empty if there is none.
fn names(summary: &Summary<'_>, rows: &[Row<'_>], fits: impl Fn(&Row<'_>) -> bool) -> String {
    let fitting = rows.iter().filter(|row| fits(row));
    named(&fitting.map(|row| summary.series_label(row)).collect::<Vec<_>>())
}

fn named(labels: &[&str]) -> String {
    match labels.len() {
        many if many > MAX_NAMED => format!("{} choices", number(many)),
        _ => text::list(labels),
    }
}

/// `None` if nothing was measured to compare with.
fn predicted(summary: &Summary<'_>) -> Option<String> {
    let agreements: Vec<Agreement> = summary.rows.iter().filter_map(Row::agreement).collect();
    if agreements.is_empty() {
        return None;
    }
    let count = |one: Agreement| agreements.iter().filter(|agreement| **agreement == one).count() as u64;
    let (right, wrong, edge) = (
        count(Agreement::Agrees),
        count(Agreement::Disagrees),
        count(Agreement::Undecided),
    );
    let decided = right + wrong;
    let mut sentence = match (right, decided) {
        (_, 0) => {
            "The prediction called every measured case critical, where either outcome may happen".to_owned()
        }
        (1, 1) => "The prediction's verdict was right in the one case it decided".to_owned(),
        (0, 1) => "The prediction's verdict was wrong in the one case it decided".to_owned(),
        (right, decided) if right == decided => {
            format!(
                "The prediction's verdict was right in all {} cases it decided",
                text::count(decided)
            )
        }
        (0, decided) => format!(
            "The prediction's verdict was wrong in all {} cases it decided",
            text::count(decided)
        ),
        (right, decided) => format!(
            "The prediction's verdict was right in {} of the {} cases it decided",
            text::count(right),
            text::count(decided)
        ),
    };
    if edge > 0 && decided > 0 {
        sentence.push_str(&format!(" ({} more it called critical)", text::count(edge)));
    }
    let tails: Vec<bool> = summary.rows.iter().filter_map(Row::tail_as_predicted).collect();
    let near = tails.iter().filter(|near| **near).count();
    if !tails.is_empty() {
        sentence.push_str(&format!(
            "; the median close tail was within 20 ms or 10 % of the predicted one in {}",
            match (near, tails.len()) {
                (1, 1) => "the one case that has both".to_owned(),
                (near, all) if near == all => format!("all {} cases that have both", number(all)),
                (near, all) => format!("{} of {}", number(near), number(all)),
            }
        ));
    }
    Some(sentence + ".")
}

fn number(number: usize) -> String {
    text::count(number as u64)
}

pub fn predicted_verdict(verdict: predict::Verdict) -> &'static str {
    match verdict {
        predict::Verdict::KeepsUp => "keeps up",
        predict::Verdict::Critical => "critical",
        predict::Verdict::Cannot => "cannot",
    }
}
