//! What came of the thresholds.

use ::trials::threshold::{Judged, Status};

use super::named;
use crate::summary::{Row, Summary};
use crate::table::{Entry, Table, Tone, words};

/// The tone of a threshold.
pub(crate) fn threshold_tone(status: Status) -> Tone {
    match status {
        Status::Met => Tone::Good,
        Status::Undecided => Tone::Edge,
        Status::Missed => Tone::Bad,
    }
}

/// A row for each threshold and the row of the summary that it holds for.
pub(crate) fn thresholds(summary: &Summary<'_>) -> Table {
    let of_row = |row: &Row<'_>, judged: &&Judged| {
        row.trials
            .first()
            .is_some_and(|outcome| judged.key == ::trials::cell::CellKey::of(&outcome.trial.settings))
    };
    let rows = summary.rows.iter().flat_map(|row| {
        let judged = summary
            .thresholds
            .iter()
            .filter(move |judged| of_row(row, judged));
        judged.map(|judged| {
            let tone = threshold_tone(judged.status);
            let found = match (judged.figure_text(), judged.reason.as_str()) {
                (figure, "") => figure,
                (figure, reason) if figure.is_empty() => reason.to_owned(),
                (figure, reason) => format!("{figure}, {reason}"),
            };
            let status = format!("{} {}", judged.status.mark(), judged.status.name());
            let entries = vec![
                Entry::plain(judged.threshold.to_string()),
                Entry::new(status, tone),
                Entry::or_dash(Some(found).filter(|found| !found.is_empty())),
                Entry::or_dash(judged.bound_text()),
            ];
            named(summary, row, "", entries)
        })
    });
    Table {
        columns: ["must hold", "", "measured", "bound"]
            .into_iter()
            .map(words)
            .collect(),
        rows: rows.collect(),
        left_out: 0,
    }
}
