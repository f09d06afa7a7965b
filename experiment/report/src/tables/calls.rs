//! Tables of calls: latency, outcomes, cost.

use std::time::Duration;

use trials::outcome::Cost;
use wire::Outcome;

use super::by_row;
use crate::summary::{Percentiles, Summary};
use crate::table::{Entry, Table, Tone, numbers};
use crate::text;

/// Percentiles of the latency of calls that succeeded, of those that failed if there are any, and of waiting for a slot.
pub(crate) fn latency(summary: &Summary<'_>) -> Table {
    let some_failed = summary.rows.iter().any(|row| row.failed_calls() > 0);
    let mut names = vec!["ok calls", "p50", "p90", "p99", "p99.9", "max"];
    if some_failed {
        names.extend(["failed calls", "failed p50", "failed p99", "failed max"]);
    }
    names.extend(["slot wait p50", "slot wait p99", "peak of a key and window"]);
    by_row(
        summary,
        numbers(&names),
        |row| row.latency.count > 0 || row.failed_calls() > 0,
        |row| {
            let count = |latency: &Percentiles| Entry::plain(text::count(latency.count));
            let time = |duration: Option<Duration>| Entry::or_dash(duration.map(text::duration));
            let (latency, slot_wait) = (row.latency, row.slot_wait);
            let percentiles = [latency.p50, latency.p90, latency.p99, latency.p999, latency.max];
            let mut entries = vec![count(&latency)];
            entries.extend(percentiles.map(time));
            match row.failed_latency {
                _ if !some_failed => {}
                Some(failed) => {
                    entries.push(count(&failed));
                    entries.extend([failed.p50, failed.p99, failed.max].map(time));
                }
                None => entries.extend(vec![Entry::new("not recorded", Tone::Muted); 4]),
            }
            entries.extend([slot_wait.p50, slot_wait.p99].map(time));
            entries.push(Entry::or_dash(row.peak_per_key.map(text::count)));
            entries
        },
    )
}

/// Calls by outcome. Only outcomes that occurred have a column.
pub(crate) fn outcomes(summary: &Summary<'_>) -> Table {
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

/// Time that stream and data plane add to a close, beside the close tail.
pub(crate) fn stream_overhead(summary: &Summary<'_>) -> Table {
    let columns = numbers(&[
        "windows",
        "stream and data plane, median",
        "p99",
        "longest",
        "close tail, median",
    ]);
    by_row(
        summary,
        columns,
        |row| row.stream_overhead.is_some(),
        |row| {
            let overhead = row.stream_overhead;
            let time = |duration: Option<Duration>| Entry::or_dash(duration.map(text::duration));
            vec![
                Entry::or_dash(overhead.map(|overhead| text::count(overhead.windows))),
                time(overhead.map(|overhead| overhead.p50)),
                time(overhead.map(|overhead| overhead.p99)),
                time(overhead.map(|overhead| overhead.max)),
                time(row.close_tail.map(|spread| spread.median)),
            ]
        },
    )
}

pub(crate) fn cost(summary: &Summary<'_>) -> Table {
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
    // 0 means that neither records nor our endpoint have counted them.
    let calls = Some(cost.calls).filter(|calls| *calls > 0);
    vec![
        Entry::or_dash(calls.map(text::count)),
        Entry::plain(text::duration(Duration::from_micros(cost.cpu_us))),
        Entry::or_dash(per_thousand.map(text::duration)),
        Entry::plain(text::bytes(cost.peak_memory_bytes)),
        // 0 means that they were not counted, as in a cluster.
        Entry::or_dash(
            Some(cost.peak_threads)
                .filter(|threads| *threads > 0)
                .map(text::count),
        ),
    ]
}
