//! The report's tables, each from the summary: what a row shows and what is said where nothing was measured.

mod trials;

use std::time::Duration;

use wire::{Latencies, Outcome, StartRule};

use super::charts::Style;
use super::sentences;
use super::table::{Entry, Table, TableRow, Tone, numbers, words};
use super::text;
use crate::outcome::Cost;
use crate::predict::Verdict;
use crate::summary::{Agreement, Condition, Row, Spread, Summary};

pub(super) use trials::{failures, instruments, ledger};

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
        swatch: summary
            .series
            .get(row.series)
            .map(|series| Style::of(series).swatch())
            .unwrap_or_default(),
        entries,
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
            swatch: Style::of(series).swatch(),
            entries: vec![Entry::or_dash(begins.map(str::to_owned)), Entry::or_dash(workers)],
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

fn quantiles(latencies: &Latencies, shares: &[f64]) -> Vec<Entry> {
    shares
        .iter()
        .map(|share| Entry::or_dash(latencies.quantile(*share).map(text::duration)))
        .collect()
}

/// Percentiles of the calls' latency and of waiting for a slot.
pub(super) fn latency(summary: &Summary<'_>) -> Table {
    let columns = numbers(&[
        "calls",
        "p50",
        "p90",
        "p99",
        "p99.9",
        "max",
        "slot wait p50",
        "slot wait p99",
    ]);
    by_row(
        summary,
        columns,
        |row| row.latency.count() > 0,
        |row| {
            let mut entries = vec![Entry::plain(text::count(row.latency.count()))];
            entries.extend(quantiles(&row.latency, &[0.5, 0.9, 0.99, 0.999]));
            entries.push(Entry::or_dash(row.latency.max().map(text::duration)));
            entries.extend(quantiles(&row.slot_wait, &[0.5, 0.99]));
            entries
        },
    )
}

/// Prediction against measurement.
pub(super) fn prediction(summary: &Summary<'_>) -> Table {
    let mut columns = numbers(&["load factor"]);
    columns.extend([words("predicted"), words("measured"), words("verdict")]);
    columns.extend(numbers(&[
        "predicted close tail",
        "measured median",
        "difference",
    ]));
    by_row(
        summary,
        columns,
        |row| row.prediction().is_some(),
        prediction_entries,
    )
}

fn prediction_entries(row: &Row<'_>) -> Vec<Entry> {
    let Some(prediction) = row.prediction() else {
        return Vec::new();
    };
    let tone = match prediction.verdict {
        Verdict::KeepsUp => Tone::Good,
        Verdict::Critical => Tone::Edge,
        Verdict::Cannot => Tone::Bad,
    };
    let agreement = match row.agreement() {
        Some(Agreement::Agrees) => Entry::new("✓ right", Tone::Good),
        Some(Agreement::Disagrees) => Entry::new("✗ wrong", Tone::Bad),
        Some(Agreement::Undecided) => Entry::new("edge: either", Tone::Edge),
        None => Entry::or_dash(None),
    };
    let difference = match (row.tails(), row.tail_as_predicted()) {
        (Some((predicted, measured)), Some(near)) => {
            let difference = text::difference(measured, predicted);
            if near {
                Entry::plain(difference)
            } else {
                Entry::new(format!("≠ {difference}"), Tone::Edge)
            }
        }
        _ => Entry::or_dash(None),
    };
    // The table has no column of windows, so what is left out is said beside the figure.
    let mut measured = median(row, row.close_tail);
    if row.censored > 0 && row.measured > 0 {
        measured.text.push_str(&format!(" ({})", windows(row).text));
    }
    let tail = match prediction.close_tail() {
        Some(tail) => Entry::plain(text::duration(tail)),
        None => Entry::new("grows", Tone::Muted),
    };
    vec![
        Entry::plain(text::ratio(prediction.load_factor)),
        Entry::new(sentences::verdict(prediction.verdict), tone),
        condition(row),
        agreement,
        tail,
        measured,
        difference,
    ]
}

/// Calls by how they ended; only outcomes that occurred have a column.
pub(super) fn outcomes(summary: &Summary<'_>) -> Table {
    let occurred: Vec<Outcome> = Outcome::ALL
        .iter()
        .copied()
        .filter(|outcome| {
            *outcome == Outcome::Ok || summary.rows.iter().any(|row| row.outcomes.contains_key(outcome))
        })
        .collect();
    let names: Vec<&'static str> = occurred.iter().map(|outcome| outcome.name()).collect();
    by_row(
        summary,
        numbers(&names),
        |row| !row.outcomes.is_empty(),
        |row| {
            occurred
                .iter()
                .map(|outcome| Entry::plain(text::count(*row.outcomes.get(outcome).unwrap_or(&0))))
                .collect()
        },
    )
}

/// What the UDF cost.
pub(super) fn cost(summary: &Summary<'_>) -> Table {
    let columns = numbers(&[
        "calls",
        "processor time",
        "per 1,000 calls",
        "peak memory",
        "threads",
    ]);
    by_row(
        summary,
        columns,
        |row| !row.all_failed(),
        |row| row.cost.as_ref().map_or_else(not_measured, cost_entries),
    )
}

fn not_measured() -> Vec<Entry> {
    vec![Entry::new("not measured", Tone::Muted); 5]
}

fn cost_entries(cost: &Cost) -> Vec<Entry> {
    let per_call = u128::from(cost.cpu_us) * 1_000_000 / u128::from(cost.calls.max(1));
    let per_thousand = u64::try_from(per_call)
        .ok()
        .filter(|_| cost.calls > 0)
        .map(Duration::from_nanos);
    // Neither records nor our endpoint have counted them: no trial is without calls.
    let calls = Some(cost.calls).filter(|calls| *calls > 0);
    vec![
        Entry::or_dash(calls.map(text::count)),
        Entry::plain(text::duration(Duration::from_micros(cost.cpu_us))),
        Entry::or_dash(per_thousand.map(text::duration)),
        Entry::plain(text::bytes(cost.peak_memory_bytes)),
        Entry::plain(text::count(cost.peak_threads)),
    ]
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
                Entry::or_dash(row.latency.quantile(0.99).map(text::duration)),
                ledger,
            ]
        },
    )
}
