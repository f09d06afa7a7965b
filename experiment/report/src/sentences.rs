//! The results in three sentences. They must also be true of unusual runs: a single strategy, everything censored,
//! everything failed, nothing run.

mod kept_up;

use trials::predict::Verdict;

use self::kept_up::kept_up;
use crate::summary::{Agreement, Condition, Row, Summary};
use crate::text;

pub(super) fn outcome(summary: &Summary<'_>) -> [String; 3] {
    [kept_up(summary), tails(summary), predicted(summary)]
}

fn tails(summary: &Summary<'_>) -> String {
    let mut hardest: Vec<usize> = (0..summary.cells.len()).collect();
    // Hardest first; equal ones by higher rate, then by later position.
    let key = |cell: &usize| {
        summary
            .cells
            .get(*cell)
            .map(|c| (c.needed_in_flight(), c.rpu as f64))
    };
    hardest.sort_by(|a, b| {
        key(b)
            .partial_cmp(&key(a))
            .unwrap_or(std::cmp::Ordering::Equal)
            .then(b.cmp(a))
    });
    let with_tail = |cell: usize| -> Vec<&Row<'_>> {
        summary
            .rows_of(cell)
            .iter()
            .filter(|row| row.close_tail.is_some())
            .collect()
    };
    for cell in &hardest {
        let rows = with_tail(*cell);
        if rows.len() > 1 {
            return compared(summary, *cell, &rows, hardest.first() == Some(cell));
        }
    }
    let measured: Vec<usize> = hardest
        .into_iter()
        .filter(|cell| !with_tail(*cell).is_empty())
        .collect();
    match measured.as_slice() {
        [] => "No window gave a result, so there is no close tail to compare.".to_owned(),
        cells => alone(summary, cells),
    }
}

fn tail_of(row: &Row<'_>) -> String {
    let median = row
        .close_tail
        .map(|spread| text::duration(spread.median))
        .unwrap_or_default();
    if row.censored == 0 {
        median
    } else {
        format!(
            "{median}, the median of {} of {}",
            text::count(row.measured),
            text::counted(row.windows(), "window")
        )
    }
}

/// The extremes of a cell, and its strategies that did not keep up.
fn compared(summary: &Summary<'_>, cell: usize, rows: &[&Row<'_>], hardest_of_all: bool) -> String {
    let label = summary
        .cells
        .get(cell)
        .map(crate::summary::Cell::label)
        .unwrap_or_default();
    let by_tail = |row: &&&Row<'_>| row.close_tail.map(|spread| spread.median);
    let (Some(low), Some(high)) = (rows.iter().min_by_key(by_tail), rows.iter().max_by_key(by_tail)) else {
        return String::new();
    };
    let name = |row: &Row<'_>| summary.series_label(row).to_owned();
    let seconds = |row: &Row<'_>| row.close_tail.map_or(0.0, |spread| spread.median.as_secs_f64());
    let cell_words = if hardest_of_all {
        format!("At the hardest cell ({label})")
    } else {
        format!("At {label}, the hardest cell where two strategies gave results,")
    };
    let judgement = match seconds(high) / seconds(low) {
        factor if !factor.is_finite() => String::new(),
        factor if factor < 1.05 => ", practically the same".to_owned(),
        factor => format!(", {} times as long", text::ratio(factor)),
    };
    let mut sentence = format!(
        "{cell_words} the median close tail ranged from {} ({}) to {} ({}){judgement}",
        tail_of(low),
        name(low),
        tail_of(high),
        name(high)
    );
    let names = |fits: fn(&Row<'_>) -> bool| -> Vec<String> {
        summary
            .rows_of(cell)
            .iter()
            .filter(|row| fits(row))
            .map(name)
            .collect()
    };
    let parts = [
        (
            names(|row| row.close_tail.is_some() && row.condition != Some(Condition::KeptUp)),
            "did not keep up there",
        ),
        (
            names(|row| row.close_tail.is_none() && !row.all_failed()),
            "gave no result there",
        ),
        (names(|row| row.all_failed()), "failed there"),
    ];
    for (names, what) in parts.iter().filter(|(names, _)| !names.is_empty()) {
        sentence.push_str(&format!("; {} {what}", text::list(names)));
    }
    sentence + "."
}

/// The easiest and the hardest measured cell, if no cell has two strategies to compare.
fn alone(summary: &Summary<'_>, cells: &[usize]) -> String {
    let of = |cell: usize| summary.rows_of(cell).iter().find(|row| row.close_tail.is_some());
    let (Some(hard), Some(easy)) = (
        cells.first().and_then(|c| of(*c)),
        cells.last().and_then(|c| of(*c)),
    ) else {
        return String::new();
    };
    let words = |row: &Row<'_>| {
        let label = format!("{} at {}", summary.series_label(row), summary.cell_label(row));
        format!("{} ({label})", tail_of(row))
    };
    if cells.len() == 1 {
        return format!(
            "The median close tail was {}; no cell has two strategies to compare.",
            words(hard)
        );
    }
    format!(
        "The median close tail was {} at the easiest measured cell and {} at the hardest; no cell has two strategies \
         to compare.",
        words(easy),
        words(hard)
    )
}

fn predicted(summary: &Summary<'_>) -> String {
    let agreements: Vec<Agreement> = summary.rows.iter().filter_map(Row::agreement).collect();
    if agreements.is_empty() {
        return "Nothing was measured to compare the prediction with.".to_owned();
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
    sentence + "."
}

fn number(number: usize) -> String {
    text::count(number as u64)
}

pub(super) fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::KeepsUp => "keeps up",
        Verdict::Critical => "critical",
        Verdict::Cannot => "cannot",
    }
}

pub(super) fn condition(condition: Option<Condition>) -> &'static str {
    match condition {
        Some(Condition::KeptUp) => "kept up",
        Some(Condition::FellBehind) => "fell behind",
        Some(Condition::Censored) => "no result in time",
        None => "failed",
    }
}
