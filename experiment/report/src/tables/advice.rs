//! Which strategy, start rule and workers to use in each cell.

use wire::StrategyKind;

use crate::sentences;
use crate::summary::{Advice, Summary};
use crate::table::{Entry, Table, TableRow, Tone, numbers, words};
use crate::text;

use super::{median, named};

/// One row for each cell in which something was measured.
pub(crate) fn advice(summary: &Summary<'_>) -> Table {
    let mut columns = vec![words("calls start")];
    columns.extend(numbers(&[
        "max workers",
        "close tail, median",
        "window left",
        "calls in flight, mean",
        "workers left",
    ]));
    let rows = summary.advice();
    Table {
        columns,
        rows: rows.iter().map(|advice| row(summary, advice)).collect(),
        left_out: 0,
    }
}

fn row(summary: &Summary<'_>, advice: &Advice<'_, '_>) -> TableRow {
    let in_flight = Entry::or_dash(advice.in_flight.map(text::ratio));
    let dash = || Entry::or_dash(None);
    let Some((row, settings)) = advice.row.and_then(|row| Some((row, row.settings()?))) else {
        let nothing = match advice.undecided {
            Some(_) => Entry::new("undecided", Tone::Edge),
            None => Entry::new("nothing kept up", Tone::Bad),
        };
        return TableRow {
            group: summary
                .cells
                .get(advice.cell)
                .map(crate::summary::Cell::label)
                .unwrap_or_default(),
            label: "–".to_owned(),
            series: usize::MAX,
            swatch: String::new(),
            entries: vec![nothing, dash(), dash(), dash(), in_flight, dash()],
            note: String::new(),
        };
    };
    let usage = row.usage();
    let workers = match settings.strategy {
        StrategyKind::Sequential => dash(),
        _ => Entry::plain(text::count(settings.max_workers.get())),
    };
    let left = |used: Option<f64>| Entry::or_dash(used.map(text::percent_left));
    let entries = vec![
        Entry::plain(sentences::start_rule(settings.start_rule)),
        workers,
        median(row, row.close_tail),
        left(usage.map(|usage| usage.window)),
        Entry::or_dash(row.calls_in_flight().map(text::ratio)),
        left(usage.and_then(|usage| usage.workers)),
    ];
    named(summary, row, "", entries)
}
