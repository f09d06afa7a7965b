//! The figures of one trial as lines for the terminal, printed when it ends.

use std::time::Duration;

use trials::cell::CellKey;
use trials::journal::{self, JournalLine};
use trials::outcome::{TrialEnd, TrialOutcome};
use wire::Outcome;

use crate::summary::{self, Row};
use crate::table::Paint;
use crate::{sentences, tables, text};

/// Lines of a trial, without line ends: verdict, close tail, calls. For a failed trial the reason, with what its processes
/// wrote. `paint` may colour a text by its tone.
pub fn trial(outcome: &TrialOutcome, paint: Paint<'_>) -> Vec<String> {
    let took = Duration::from_micros(outcome.ended_us.saturating_sub(outcome.started_us));
    let took = format!("({})", text::duration(took));
    let row = Row::new(0, 0, vec![outcome]);
    let verdict = text::sanitize(&row.verdict.text());
    let marked = format!("{} {verdict}", row.verdict.kind.mark());
    let marked = paint(tables::tone(row.verdict.kind), &marked);
    if let TrialEnd::Failed { reason } = &outcome.end {
        let reason = text::sanitize(reason);
        let further = reason.lines().skip(1).map(|line| format!("    {line}"));
        return std::iter::once(format!("  {marked} {took}"))
            .chain(further)
            .collect();
    }
    let predicted = sentences::predicted_verdict(outcome.prediction.verdict);
    let mut lines = vec![
        format!("  {marked}; predicted: {predicted} {took}"),
        close_tail(&row, outcome),
    ];
    lines.extend(calls(&row));
    if let Some(ledger) = outcome.ledger.as_ref().filter(|ledger| !ledger.balances()) {
        lines.extend(ledger.errors.iter().map(|error| format!("  ledger      {error}")));
    }
    lines
}

/// Lines of the thresholds of a trial's cell, over the repeats that have ended.
pub fn thresholds(outcome: &TrialOutcome, lines: &[JournalLine], paint: Paint<'_>) -> Vec<String> {
    let key = CellKey::of(&outcome.trial.settings);
    let facts = lines.iter().rev().find_map(|line| match line {
        JournalLine::Run(facts) => Some(facts),
        JournalLine::Trial(_) => None,
    });
    let repeats: Vec<&TrialOutcome> = journal::latest(lines)
        .into_values()
        .filter(|other| CellKey::of(&other.trial.settings) == key)
        .collect();
    let judged = summary::thresholds(facts, &repeats);
    judged
        .iter()
        .map(|judged| {
            let text = format!("{} {}", judged.status.mark(), text::sanitize(&judged.text()));
            format!(
                "  threshold   {}",
                paint(tables::threshold_tone(judged.status), &text)
            )
        })
        .collect()
}

fn close_tail(row: &Row<'_>, outcome: &TrialOutcome) -> String {
    let windows = match (row.measured, row.windows()) {
        (measured, all) if measured == all => text::counted(all, "window"),
        (measured, all) => format!("{} of {}", text::count(measured), text::counted(all, "window")),
    };
    let measured = match row.close_tail {
        None => format!("no result of {}", text::counted(row.windows(), "window")),
        Some(spread) if row.measured == 1 => {
            format!("{} in {windows}", text::duration(spread.median))
        }
        Some(spread) => format!(
            "{} median, {} – {} in {windows}",
            text::duration(spread.median),
            text::duration(spread.min),
            text::duration(spread.max)
        ),
    };
    let predicted = outcome.prediction.close_tail_in_words();
    format!("  close tail  {measured}; predicted {predicted}")
}

/// Number of calls by outcome, the commonest failure first, and the latency; `None` if the UDF reports no calls.
fn calls(row: &Row<'_>) -> Option<String> {
    let count = |outcome: &Outcome| *row.outcomes.get(outcome).unwrap_or(&0);
    let mut failures: Vec<(u64, &Outcome)> = Outcome::ALL
        .iter()
        .filter(|outcome| **outcome != Outcome::Ok)
        .map(|outcome| (count(outcome), outcome))
        .filter(|(calls, _)| *calls > 0)
        .collect();
    failures.sort_by_key(|(calls, _)| std::cmp::Reverse(*calls));
    let failed: u64 = failures.iter().map(|(calls, _)| calls).sum();
    let ok = count(&Outcome::Ok);
    if ok + failed == 0 {
        return None;
    }
    let mut line = format!(
        "  calls       {} ok, {} failed",
        text::count(ok),
        text::count(failed)
    );
    if !failures.is_empty() {
        let kinds = failures
            .iter()
            .map(|(calls, outcome)| format!("{} {}", text::count(*calls), outcome.name()));
        line.push_str(&format!(" ({})", kinds.collect::<Vec<_>>().join(", ")));
    }
    if let (Some(p50), Some(p99)) = (row.latency.p50, row.latency.p99) {
        line.push_str(&format!(
            "; latency {} median, {} p99",
            text::duration(p50),
            text::duration(p99)
        ));
    }
    Some(line)
}
