//! The partitions of a reduce side by side: their share of the windows, and their close tails.

use std::collections::BTreeMap;

use trials::outcome::{ProcessMeasure, TrialOutcome};

use super::named;
use crate::summary::{Spread, Summary, failed};
use crate::table::{Entry, Table, numbers};
use crate::text;

/// A row for each process of each trial whose windows were shared by several; a partition's process changes if its pod
/// restarts.
pub(crate) fn partitions(summary: &Summary<'_>) -> Table {
    let mut rows = Vec::new();
    for row in &summary.rows {
        for outcome in row.trials.iter().filter(|outcome| !failed(outcome)) {
            for (process, shares) in shares(outcome) {
                let suffix = match row.trials.len() {
                    1 => format!(", process {:08x}", process as u32),
                    _ => format!(
                        ", repeat {}, process {:08x}",
                        outcome.trial.repeat + 1,
                        process as u32
                    ),
                };
                rows.push(named(summary, row, &suffix, entries(&shares)));
            }
        }
    }
    Table {
        columns: numbers(&[
            "windows",
            "keys",
            "events per window",
            "close tail, median",
            "shortest – longest",
        ]),
        rows,
        left_out: 0,
    }
}

/// By process, without warm-up.
fn shares(outcome: &TrialOutcome) -> BTreeMap<u64, Vec<&ProcessMeasure>> {
    let mut shares: BTreeMap<u64, Vec<&ProcessMeasure>> = BTreeMap::new();
    let windows = outcome.windows.iter().filter(|window| !window.warmup);
    for share in windows
        .filter_map(|window| window.measured.as_ref())
        .flat_map(|measured| &measured.processes)
    {
        shares.entry(share.process).or_default().push(share);
    }
    shares
}

fn entries(shares: &[&ProcessMeasure]) -> Vec<Entry> {
    let most = |of: fn(&ProcessMeasure) -> u64| shares.iter().map(|share| of(share)).max().unwrap_or(0);
    let events: u64 = shares.iter().map(|share| share.events).sum();
    let tail = Spread::of(shares.iter().map(|share| share.close_tail_us).collect());
    vec![
        Entry::plain(text::count(shares.len() as u64)),
        Entry::plain(text::count(most(|share| share.keys))),
        Entry::plain(text::count(events / shares.len().max(1) as u64)),
        Entry::or_dash(tail.map(|spread| text::duration(spread.median))),
        super::range(tail),
    ]
}
