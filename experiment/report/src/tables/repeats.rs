//! The spread over the repeats of each row.

use super::{by_row, range};
use crate::summary::{MOST_REPEATS, Summary};
use crate::table::{Entry, Table, Tone, numbers};
use crate::text;

/// A row for each row of the summary with at least three repeats.
pub(crate) fn repeats(summary: &Summary<'_>) -> Table {
    let columns = numbers(&[
        "repeats",
        "close tail, median",
        "95 % interval",
        "drift over the run",
        "repeats that find 10 %",
    ]);
    let rows = summary.repeated();
    by_row(
        summary,
        columns,
        |row| row.repeats.is_some(),
        |row| {
            let Some(repeats) = row.repeats else {
                return Vec::new();
            };
            let drift = match repeats.drift(rows) {
                Some(change) => Entry::new(text::change(change), Tone::Edge),
                None => Entry::or_dash(None),
            };
            let needed = match repeats.needed {
                Some(needed) => text::count(needed as u64),
                None => format!("more than {}", text::count(MOST_REPEATS as u64)),
            };
            vec![
                Entry::plain(text::count(repeats.number as u64)),
                Entry::plain(text::duration(repeats.tail.median)),
                range(Some(repeats.tail)),
                drift,
                Entry::plain(needed),
            ]
        },
    )
}
