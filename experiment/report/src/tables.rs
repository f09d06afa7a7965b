//! The content of the report's tables: columns, rows, and what is shown if nothing was measured.

mod advice;
mod calls;
mod partitions;
mod prediction;
mod repeats;
mod thresholds;
mod trials;

use ::trials::verdict::Kind;
use wire::StartRule;

use crate::summary::{Row, Spread, Summary};
use crate::table::{Column, Entry, Table, TableRow, Tone, numbers, words};
use crate::{sentences, text};

pub(super) use advice::advice;
pub(super) use calls::{cost, latency, outcomes, stream_overhead};
pub(super) use partitions::partitions;
pub(super) use prediction::prediction;
pub(super) use repeats::repeats;
pub(super) use thresholds::{threshold_tone, thresholds};
pub(super) use trials::{failures, instruments, ledger, numaflow};

/// A table with one row for each row of the summary.
fn by_row(
    summary: &Summary<'_>,
    columns: Vec<Column>,
    keep: impl Fn(&Row<'_>) -> bool,
    entries: impl Fn(&Row<'_>) -> Vec<Entry>,
) -> Table {
    let rows = summary
        .rows
        .iter()
        .filter(|row| keep(row))
        .map(|row| named(summary, row, "", entries(row)));
    Table {
        columns,
        rows: rows.collect(),
        left_out: 0,
    }
}

fn named(summary: &Summary<'_>, row: &Row<'_>, suffix: &str, entries: Vec<Entry>) -> TableRow {
    TableRow {
        group: summary.cell_label(row),
        label: format!("{}{suffix}", summary.series_label(row)),
        series: row.series,
        swatch: String::new(),
        entries,
        note: String::new(),
    }
}

/// Start rule and workers of each series.
pub(super) fn series(summary: &Summary<'_>) -> Table {
    let mut columns = numbers(&["max workers"]);
    columns.push(words("calls start"));
    let rows = summary.series.iter().enumerate().map(|(index, series)| {
        let rows = summary.rows.iter().filter(|row| row.series == index);
        let settings: Vec<_> = rows
            .flat_map(|row| &row.trials)
            .map(|outcome| &outcome.trial.settings)
            .collect();
        let starts = settings.first().map(|settings| match settings.start_rule {
            StartRule::AtArrival => "at arrival: each when its event arrives",
            StartRule::AtClose => "at close: all at the window's close of book",
        });
        let workers = settings
            .first()
            .map(|settings| text::count(settings.max_workers.get()));
        TableRow {
            group: String::new(),
            label: series.label.clone(),
            series: index,
            swatch: String::new(),
            entries: vec![Entry::or_dash(workers), Entry::or_dash(starts.map(str::to_owned))],
            note: String::new(),
        }
    });
    Table {
        columns,
        rows: rows.collect(),
        left_out: 0,
    }
}

/// The tone of a verdict.
pub(super) fn tone(kind: Kind) -> Tone {
    match kind {
        Kind::KeptUp => Tone::Good,
        Kind::Undecided => Tone::Edge,
        Kind::FellBehind | Kind::NoResult | Kind::CallsFailed | Kind::NotMeasured | Kind::Failed => Tone::Bad,
    }
}

fn verdict(row: &Row<'_>) -> Entry {
    Entry::new(row.verdict.marked(), tone(row.verdict.kind))
}

/// `13`, or `3 of 13` if windows are censored.
fn windows(row: &Row<'_>) -> Entry {
    match (row.windows(), row.censored) {
        (0, _) => Entry::or_dash(None),
        (_, 0) => Entry::plain(text::count(row.measured)),
        (all, _) => Entry::new(
            format!("{} of {}", text::count(row.measured), text::count(all)),
            Tone::Bad,
        ),
    }
}

/// Muted where it is of calls that failed or were not made.
fn median(row: &Row<'_>, spread: Option<Spread>) -> Entry {
    match spread {
        Some(spread) if row.verdict.kind.is_failure() => {
            Entry::new(text::duration(spread.median), Tone::Muted)
        }
        Some(spread) => Entry::plain(text::duration(spread.median)),
        None if row.censored > 0 => Entry::new("no result", Tone::Bad),
        None => Entry::or_dash(None),
    }
}

fn range(spread: Option<Spread>) -> Entry {
    Entry::or_dash(spread.map(|s| format!("{} – {}", text::duration(s.min), text::duration(s.max))))
}

/// The main table, with a row for each cell and series.
pub(super) fn main(summary: &Summary<'_>) -> Table {
    let mut columns = vec![words("outcome")];
    columns.extend(numbers(&[
        "close tail, median",
        "shortest – longest",
        "windows",
        "execution time",
        "result lag",
        "peak in flight",
    ]));
    by_row(
        summary,
        columns,
        |_| true,
        |row| {
            vec![
                verdict(row),
                median(row, row.close_tail),
                range(row.close_tail),
                windows(row),
                median(row, row.execution_time),
                median(row, row.result_lag),
                Entry::or_dash(row.peak_in_flight.map(text::count)),
            ]
        },
    )
}

/// The most important columns, for the width of a terminal.
pub(super) fn terminal(summary: &Summary<'_>) -> Table {
    let mut columns = vec![words("outcome"), words("predicted")];
    columns.extend(numbers(&[
        "windows",
        "close tail",
        "shortest – longest",
        "result lag",
        "latency p99",
    ]));
    let some_failed = summary.rows.iter().any(|row| row.failed_calls() > 0);
    if some_failed {
        columns.extend(numbers(&["failed p99"]));
    }
    columns.push(words("ledger"));
    by_row(
        summary,
        columns,
        |_| true,
        |row| {
            let ledger = match row.ledger {
                None => Entry::or_dash(None),
                Some(sum) if sum.balanced == sum.trials => Entry::new("balances", Tone::Good),
                Some(_) => Entry::new("ERROR", Tone::Bad),
            };
            let mut entries = vec![
                verdict(row),
                Entry::or_dash(
                    row.prediction()
                        .map(|p| sentences::predicted_verdict(p.verdict).to_owned()),
                ),
                windows(row),
                median(row, row.close_tail),
                range(row.close_tail),
                median(row, row.result_lag),
                Entry::or_dash(row.latency.p99.map(text::duration)),
            ];
            if some_failed {
                let failed = row.failed_latency.and_then(|latency| latency.p99);
                entries.push(Entry::or_dash(failed.map(text::duration)));
            }
            entries.push(ledger);
            entries
        },
    )
}
