//! The first sentence: in how many cells each series kept up.

use trials::verdict::Kind;

use super::{named, number};
use crate::summary::{Row, Summary};
use crate::text;

/// In how many cells each series kept up.
struct Scores<'a> {
    /// Cells kept up and cells judged, with the series that have this score. Highest fraction first.
    scores: Vec<((usize, usize), Vec<&'a str>)>,
    /// Series with cells that were not judged, and why.
    unjudged: Vec<String>,
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
        sentence.push_str(&format!("{gap}nothing can be said of {}", text::list(&unjudged)));
    }
    capitalised(&sentence) + "."
}

impl<'a> Scores<'a> {
    fn of(summary: &'a Summary<'_>) -> Self {
        let mut scores: Vec<((usize, usize), Vec<&str>)> = Vec::new();
        let mut unjudged: Vec<String> = Vec::new();
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
                    let cells = text::counted(cells, "cell");
                    unjudged.push(format!("{} in {cells} ({why})", series.label));
                }
            }
            match scores.iter_mut().find(|(score, _)| *score == (kept, judged)) {
                _ if judged == 0 => {}
                Some((_, labels)) => labels.push(&series.label),
                None => scores.push(((kept, judged), vec![&series.label])),
            }
        }
        scores.sort_by(|((a, of_a), _), ((b, of_b), _)| (b * of_a).cmp(&(a * of_b)));
        Self { scores, unjudged }
    }
}

/// What series with the same score have in common.
fn clause(score: (usize, usize), who: &str, several: bool) -> String {
    let (each, its) = if several { (" each", "their") } else { ("", "its") };
    let cells = match score {
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
