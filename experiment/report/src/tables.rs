//! The report's tables, each from the summary: what a row shows and what is said where nothing was measured.

mod calls;
mod prediction;
mod trials;

use wire::StartRule;

use super::sentences;
use super::table::{Entry, Table, TableRow, Tone, numbers, words};
use super::text;
use crate::summary::{Condition, Row, Spread, Summary};

pub(super) use calls::{cost, latency, outcomes, stream_share};
pub(super) use prediction::prediction;
pub(super) use trials::{failures, instruments, ledger, numaflow};

/// A table with one row for each row of the summary.
fn by_row(
    summary: &Summary<'_>,
    columns: Vec<super::table::Column>,
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

/// What each series does, for the question.
pub(super) fn series(summary: &Summary<'_>) -> Table {
    let mut columns = vec![words("its calls begin")];
    columns.extend(numbers(&["max workers"]));
    let rows = summary.series.iter().enumerate().map(|(place, series)| {
        let own = summary.rows.iter().filter(|row| row.series == place);
        let asked: Vec<_> = own
            .flat_map(|row| &row.trials)
            .map(|outcome| &outcome.trial.settings)
            .collect();
        let begins = asked.first().map(|asked| match asked.start_rule {
            StartRule::AtArrival => "at arrival: each as soon as its event is there",
            StartRule::AtClose => "at close: all at the window's close of book",
        });
        let workers = asked.first().map(|asked| text::count(asked.max_workers.get()));
        TableRow {
            group: String::new(),
            label: series.label.clone(),
            series: place,
            swatch: String::new(),
            entries: vec![Entry::or_dash(begins.map(str::to_owned)), Entry::or_dash(workers)],
            note: String::new(),
        }
    });
    Table {
        columns,
        rows: rows.collect(),
        left_out: 0,
    }
}

fn condition(row: &Row<'_>) -> Entry {
    let tone = match row.condition {
        Some(Condition::KeptUp) => Tone::Good,
        Some(Condition::FellBehind | Condition::Censored) | None => Tone::Bad,
    };
    let mark = if tone == Tone::Good { "✓" } else { "✗" };
    let mut words = format!("{mark} {}", sentences::condition(row.condition));
    if row.failed_trials > 0 && !row.all_failed() {
        words.push_str(&format!(
            ", {} of {} trials failed",
            row.failed_trials,
            row.trials.len()
        ));
    }
    Entry::new(words, tone)
}

/// `13`, or `3 of 13` where windows are censored.
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

fn median(row: &Row<'_>, spread: Option<Spread>) -> Entry {
    match spread {
        Some(spread) => Entry::plain(text::duration(spread.median)),
        None if row.censored > 0 => Entry::new("no result", Tone::Bad),
        None => Entry::or_dash(None),
    }
}

fn range(spread: Option<Spread>) -> Entry {
    Entry::or_dash(spread.map(|s| format!("{} – {}", text::duration(s.min), text::duration(s.max))))
}

/// The main table: every cell and series in one line.
pub(super) fn main(summary: &Summary<'_>) -> Table {
    let mut columns = vec![words("outcome")];
    columns.extend(numbers(&[
        "windows",
        "close tail, median",
        "shortest – longest",
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
                condition(row),
                windows(row),
                median(row, row.close_tail),
                range(row.close_tail),
                median(row, row.execution_time),
                median(row, row.result_lag),
                Entry::or_dash(row.peak_in_flight.map(text::count)),
            ]
        },
    )
}

/// The table that ends a run: what matters most, in a terminal's width.
pub(super) fn terminal(summary: &Summary<'_>) -> Table {
    let mut columns = vec![words("outcome"), words("predicted")];
    columns.extend(numbers(&[
        "windows",
        "close tail",
        "shortest – longest",
        "result lag",
        "latency p99",
    ]));
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
            vec![
                condition(row),
                Entry::or_dash(row.prediction().map(|p| sentences::verdict(p.verdict).to_owned())),
                windows(row),
                median(row, row.close_tail),
                range(row.close_tail),
                median(row, row.result_lag),
                Entry::or_dash(row.latency.p99.map(text::duration)),
                ledger,
            ]
        },
    )
}
