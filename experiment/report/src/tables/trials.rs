//! Tables with a row for each trial: ledgers, instruments and failures of repeats are not merged.

use std::collections::BTreeMap;
use std::time::Duration;

use trials::outcome::{Instruments, Ledger, NUMAFLOW_PREFIX, TrialOutcome};
use trials::verdict::Verdict;
use wire::Latencies;

use super::named;
use crate::summary::Summary;
use crate::table::{Column, Entry, MAX_ROWS, Table, Tone, numbers, words};
use crate::text;

/// A table with one row for each trial for which `shown` is `Some`. Bounded here, as decoding histograms of trials that
/// the page leaves out would be expensive.
fn by_trial<'a, T>(
    summary: &'a Summary<'_>,
    columns: Vec<Column>,
    shown: impl Fn(&'a TrialOutcome, &'a Verdict) -> Option<T>,
    entries: impl Fn(T) -> Vec<Entry>,
) -> Table {
    let (mut rows, mut left_out) = (Vec::new(), 0);
    for row in &summary.rows {
        for (trial, verdict) in row.trials.iter().zip(&row.verdicts) {
            let Some(shown) = shown(trial, verdict) else {
                continue;
            };
            if rows.len() == MAX_ROWS {
                left_out += 1;
                continue;
            }
            let repeat = match row.trials.len() {
                1 => String::new(),
                _ => format!(", repeat {}", trial.trial.repeat + 1),
            };
            rows.push(named(summary, row, &repeat, entries(shown)));
        }
    }
    Table {
        columns,
        rows,
        left_out,
    }
}

pub(crate) fn ledger(summary: &Summary<'_>) -> Table {
    let mut columns = numbers(&[
        "offered", "unsent", "late", "ok", "failed", "open", "lost", "repeated",
    ]);
    columns.push(words("balance"));
    by_trial(
        summary,
        columns,
        |trial, _| Some((trial.ledger.as_ref()?, trial)),
        |(ledger, trial)| ledger_entries(ledger, trial),
    )
}

fn ledger_entries(ledger: &Ledger, trial: &TrialOutcome) -> Vec<Entry> {
    let count = |number: u64| Entry::plain(text::count(number));
    let unwelcome = |number: u64| match number {
        0 => Entry::new("0", Tone::Muted),
        number => Entry::new(text::count(number), Tone::Edge),
    };
    // The trial ends in the window after the measured ones, so that its events are always open.
    let open = match trial.windows.iter().any(|window| window.measured.is_none()) {
        true => unwelcome(ledger.open),
        false => Entry::new(text::count(ledger.open), Tone::Muted),
    };
    let balance = if ledger.balances() {
        let mut balances = "✓ balances".to_owned();
        for (number, what) in [(ledger.replayed, "replayed"), (ledger.unknown, "unknown")] {
            if number > 0 {
                balances += &format!(", {} {what}", text::count(number));
            }
        }
        let tone = if ledger.unknown > 0 {
            Tone::Edge
        } else {
            Tone::Good
        };
        Entry::new(balances, tone)
    } else {
        let errors = match ledger.errors.as_slice() {
            [] => "the parts do not add up to what was offered".to_owned(),
            errors => errors.join("; "),
        };
        Entry::new(format!("✗ ERROR: {errors}"), Tone::Bad)
    };
    vec![
        count(ledger.offered),
        unwelcome(ledger.unsent),
        unwelcome(ledger.late),
        count(ledger.ok),
        unwelcome(ledger.failed),
        open,
        unwelcome(ledger.lost),
        unwelcome(ledger.repeated),
        balance,
    ]
}

/// Precision of the instruments in each trial.
pub(crate) fn instruments(summary: &Summary<'_>) -> Table {
    let columns = numbers(&[
        "generator late p99",
        "overdue events",
        "endpoint excess p50",
        "endpoint excess p99",
        "calls served",
        "peak in flight",
        "repeated calls",
    ]);
    by_trial(
        summary,
        columns,
        |trial, _| trial.instruments.as_ref(),
        instrument_entries,
    )
}

fn instrument_entries(instruments: &Instruments) -> Vec<Entry> {
    let quantile = |latencies: &Latencies, q| Entry::or_dash(latencies.quantile(q).map(text::duration));
    let mut entries = vec![quantile(&instruments.generator_lateness.open(), 0.99)];
    entries.push(Entry::plain(text::count(instruments.overdue)));
    let not_measured = || Entry::new("not measured", Tone::Muted);
    match &instruments.endpoint_excess {
        Some(excess) => {
            let excess = excess.open();
            entries.extend([0.5, 0.99].map(|q| quantile(&excess, q)));
        }
        None => entries.extend([not_measured(), not_measured()]),
    }
    let counts = [
        instruments.endpoint_served,
        instruments.endpoint_peak_in_flight,
        instruments.endpoint_repeats,
    ];
    entries.extend(
        counts.map(|number| number.map_or_else(not_measured, |number| Entry::plain(text::count(number)))),
    );
    entries
}

/// Numaflow's own counts, of trials that it ran.
pub(crate) fn numaflow<'a>(summary: &'a Summary<'_>) -> Table {
    let columns = numbers(&[
        "events read",
        "events dropped",
        "udf's watermark behind",
        "before udf",
        "unacknowledged",
        "buffer in use",
        "records written",
        "records read",
        "errors",
    ]);
    let by_numaflow = |trial: &'a TrialOutcome, _: &'a Verdict| {
        let engine = &trial.instruments.as_ref()?.engine;
        let ran = engine.keys().any(|name| name.starts_with(NUMAFLOW_PREFIX));
        ran.then_some(engine)
    };
    by_trial(summary, columns, by_numaflow, numaflow_entries)
}

fn numaflow_entries(engine: &BTreeMap<String, u64>) -> Vec<Entry> {
    let get = |name: &str| engine.get(&format!("{NUMAFLOW_PREFIX}{name}")).copied();
    let count = |name: &str| Entry::or_dash(get(name).map(text::count));
    let unwelcome = |part: &dyn Fn(&str) -> bool| {
        let names = engine
            .iter()
            .filter_map(|(name, count)| Some((name.strip_prefix(NUMAFLOW_PREFIX)?, count)));
        match names.filter(|(name, _)| part(name)).map(|(_, count)| count).sum() {
            0 => Entry::new("0", Tone::Muted),
            number => Entry::new(text::count(number), Tone::Edge),
        }
    };
    let behind = get("udf_watermark_behind_ms").map(Duration::from_millis);
    let in_use = get("generator_buffer_use_permille");
    vec![
        count("udf_read"),
        unwelcome(&|name| name.contains("_dropped_") && !name.starts_with("sink")),
        Entry::or_dash(behind.map(text::duration)),
        count("generator_buffer_pending"),
        count("generator_buffer_ack_pending"),
        Entry::or_dash(in_use.map(|permille| text::share(permille as f64 / 1e3))),
        count("udf_written"),
        count("sink_read"),
        unwelcome(&|name| name.ends_with("_errors")),
    ]
}

/// Trials that measured nothing, with the reason.
pub(crate) fn failures(summary: &Summary<'_>) -> Table {
    by_trial(
        summary,
        vec![words("trial"), words("outcome"), words("reason")],
        |trial, verdict| verdict.kind.is_failure().then_some((&trial.trial.id, verdict)),
        |(id, Verdict { kind, reason, .. })| {
            vec![
                Entry::plain(id),
                Entry::new(format!("{} {}", kind.mark(), kind.name()), Tone::Bad),
                Entry::plain(reason),
            ]
        },
    )
}
