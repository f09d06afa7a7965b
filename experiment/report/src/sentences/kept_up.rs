//! The first sentence: in how many cells each series kept up.

use trials::verdict::Kind;

use super::{named, number};
use crate::summary::{Row, Summary};
use crate::text;

/// In how many cells a series kept up.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Score {
    kept: usize,
    /// Cells in which it kept up or not.
    judged: usize,
    /// Whether it has other cells.
    partly: bool,
}

/// The scores of all series.
struct Scores<'a> {
    /// With the series that have this score. Highest fraction first.
    scores: Vec<(Score, Vec<&'a str>)>,
    /// Why cells were not judged and how many, with the series that have so many.
    unjudged: Vec<((&'static str, u64), Vec<&'a str>)>,
}

pub(super) fn kept_up(summary: &Summary<'_>) -> String {
    let Scores { scores, unjudged } = Scores::of(summary);
    let clauses: Vec<String> = scores
        .iter()
        .map(|(score, labels)| match labels.len() {
            all if all > 2 && all == summary.series.len() => {
                clause(*score, &format!("all {} choices", number(all)), true)
            }
            several => clause(*score, &named(labels), several > 1),
        })
        .collect();
    let mut sentence = clauses.join("; ");
    if !unjudged.is_empty() {
        let gap = if sentence.is_empty() { "" } else { "; " };
        let parts: Vec<String> = unjudged
            .iter()
            .map(|((why, cells), labels)| {
                let each = if labels.len() > 1 { " each" } else { "" };
                format!(
                    "{} in {}{each} ({why})",
                    named(labels),
                    text::counted(*cells, "cell")
                )
            })
            .collect();
        sentence.push_str(&format!(
            "{gap}nothing can be said of {}",
            parts.join(", nor of ")
        ));
    }
    capitalised(&sentence) + "."
}

impl<'a> Scores<'a> {
    fn of(summary: &'a Summary<'_>) -> Self {
        let (mut scores, mut unjudged) = (Vec::new(), Vec::new());
        for (index, series) in summary.series.iter().enumerate() {
            let rows: Vec<&Row<'_>> = summary.rows.iter().filter(|row| row.series == index).collect();
            let count = |kind| rows.iter().filter(|row| row.verdict.kind == kind).count();
            let kept = count(Kind::KeptUp);
            let judged = kept + count(Kind::FellBehind) + count(Kind::NoResult);
            for (kind, why) in [
                (Kind::Undecided, "too few windows to tell"),
                (Kind::CallsFailed, "calls failed"),
                (Kind::NotMeasured, "not measured"),
                (Kind::Failed, "trials failed"),
            ] {
                let cells = count(kind) as u64;
                if cells > 0 {
                    add(&mut unjudged, (why, cells), &series.label);
                }
            }
            if judged > 0 {
                let partly = judged < rows.len();
                add(&mut scores, Score { kept, judged, partly }, &series.label);
            }
        }
        scores.sort_by(|(a, _), (b, _)| (b.kept * a.judged).cmp(&(a.kept * b.judged)));
        Self { scores, unjudged }
    }
}

/// Adds a label to those that have something in common.
fn add<'a, T: PartialEq>(groups: &mut Vec<(T, Vec<&'a str>)>, common: T, label: &'a str) {
    match groups.iter_mut().find(|(known, _)| *known == common) {
        Some((_, labels)) => labels.push(label),
        None => groups.push((common, vec![label])),
    }
}

/// What series with the same score have in common.
fn clause(score: Score, who: &str, several: bool) -> String {
    let (each, its) = if several { (" each", "their") } else { ("", "its") };
    let Score { kept, judged, partly } = score;
    let cells = match (kept, judged) {
        _ if partly => {
            let judged = text::counted(judged as u64, "decided cell");
            format!("in {} of {judged}{each}", number(kept))
        }
        (1, 1) => format!("in {its} only cell"),
        (0, 1) => return format!("{who} did not keep up in {its} only cell"),
        (2, 2) => "in both cells".to_owned(),
        (kept, judged) if kept == judged => format!("in all {} cells", number(judged)),
        (0, judged) => format!("in none of {} cells", number(judged)),
        (kept, judged) => format!("in {} of {} cells{each}", number(kept), number(judged)),
    };
    format!("{who} kept up {cells}")
}

/// Capitalises the first word unless it is the name of a strategy.
fn capitalised(sentence: &str) -> String {
    let mut letters = sentence.chars();
    match letters.next() {
        Some(first) if ["nothing", "all "].iter().any(|word| sentence.starts_with(word)) => {
            first.to_uppercase().chain(letters).collect()
        }
        _ => sentence.to_owned(),
    }
}
