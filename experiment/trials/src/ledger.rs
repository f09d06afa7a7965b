//! Computes a trial's ledger: assigns every offered event, by its number, to exactly one category. Pure arithmetic on
//! the reports of generator, data plane and sink.

#[cfg(test)]
mod tests;
mod timetable;

use std::collections::{BTreeMap, BTreeSet};

use wire::{GeneratorStats, Ranges, WindowRecord};

use crate::outcome::Ledger;

pub use timetable::Timetable;

/// Errors listed in a ledger; one more line counts the rest.
const MAX_ERRORS: usize = 20;

/// A window's start (ms since the epoch) and a key (its parts joined by `:`).
type Cell = (u64, String);

/// Events that the data plane dropped as late.
#[derive(Debug, Clone, Copy)]
pub enum Drops<'a> {
    /// Event numbers by window start (ms since the epoch) and key.
    Named(&'a BTreeMap<(u64, String), Ranges>),
    /// Their count alone: Numaflow does not report numbers.
    Counted(u64),
}

/// What can give no more records.
#[derive(Debug, Clone, Copy)]
pub enum Closed<'a> {
    /// Starts of windows (ms since the epoch), each for all of its keys.
    Windows(&'a BTreeSet<u64>),
    /// Window starts and keys: the partitions of a reduce close a window each at its own time.
    Cells(&'a BTreeSet<(u64, String)>),
}

impl<'a> From<&'a BTreeSet<u64>> for Closed<'a> {
    fn from(windows: &'a BTreeSet<u64>) -> Self {
        Self::Windows(windows)
    }
}

impl Closed<'_> {
    fn contains(self, cell: &Cell) -> bool {
        match self {
            Self::Windows(windows) => windows.contains(&cell.0),
            Self::Cells(cells) => cells.contains(cell),
        }
    }
}

/// Computes the ledger.
///
/// - `generator`: events offered and sent, read after the last event was sent;
/// - `drops`: events that the data plane dropped as late;
/// - `records`: records that reached the sink, in order of arrival;
/// - `closed`: the windows whose stream ended, with or without records.
///
/// A sent event belongs to the first of these that applies: the record of its window and key (`ok` or `failed`), the
/// drops (`late`), a window that was not closed and has no record for the key (`open`), `lost`. `repeated` counts each
/// further appearance: twice in a record, in a second record of its window and key, or dropped once and called once.
/// Contradictions (a number that was never sent, sums of a record that differ) are errors.
///
/// With [`Drops::Counted`] the dropped events are unknown. Events without a record are then taken as late up to the
/// count, those of closed windows first; a count above their number is an error.
pub fn balance<'a>(
    generator: &GeneratorStats,
    drops: Drops<'_>,
    records: &[WindowRecord],
    closed: impl Into<Closed<'a>>,
) -> Ledger {
    balance_with(generator, drops, records, closed.into(), &BTreeMap::new())
}

/// Computes the ledger of the user's own payloads, whose numbers are not in them: Numaflow replays such events without
/// their header. Those are found by their event times, their numbers are added to the records, and they are counted as
/// `replayed` besides.
///
/// A record has at most 10,000 times, and without a schedule times are not unique. Events that are not in the record of their window and
/// key are `unknown` as far as such events may be in their place.
pub fn balance_by_time<'a>(
    generator: &GeneratorStats,
    drops: Drops<'_>,
    records: &mut [WindowRecord],
    closed: impl Into<Closed<'a>>,
    timetable: Timetable<'_>,
) -> Ledger {
    let replayed = timetable.number(generator, records);
    let ledger = balance_with(generator, drops, records, closed.into(), &replayed.unknown);
    Ledger {
        replayed: replayed.found,
        ..ledger
    }
}

/// `unknown`: events in the records that may be of this generator, by window and key.
fn balance_with(
    generator: &GeneratorStats,
    drops: Drops<'_>,
    records: &[WindowRecord],
    closed: Closed<'_>,
    unknown: &BTreeMap<Cell, u64>,
) -> Ledger {
    let none = BTreeMap::new();
    let (dropped, counted) = match drops {
        Drops::Named(dropped) => (dropped, 0),
        Drops::Counted(count) => (&none, count),
    };
    let mut errors = Errors::default();
    let sent = sent(generator, &mut errors);
    let mut ledger = Ledger {
        offered: generator.offered,
        unsent: generator.offered.saturating_sub(generator.sent),
        ..Ledger::default()
    };
    let seen = read_records(generator.generator, &sent, records, &mut ledger, &mut errors);
    for (cell, dropped) in dropped {
        let nothing = Ranges::default();
        let unknown = dropped.difference(sent.get(cell).unwrap_or(&nothing));
        errors.numbers(cell, &unknown, "dropped as late but never sent");
    }
    for (cell, sent) in &sent {
        let nothing = Ranges::default();
        let late = dropped.get(cell).unwrap_or(&nothing).intersection(sent);
        let in_record = seen.get(cell);
        let both = in_record.map_or(0, |seen| seen.intersection(&late).len());
        ledger.repeated = ledger.repeated.saturating_add(both);
        let absent = sent.difference(in_record.unwrap_or(&nothing));
        ledger.late += absent.intersection(&late).len();
        let mut unaccounted = absent.difference(&late).len();
        let unknown = unknown.get(cell).map_or(0, |unknown| unaccounted.min(*unknown));
        ledger.unknown += unknown;
        unaccounted -= unknown;
        if in_record.is_some() || closed.contains(cell) {
            ledger.lost += unaccounted;
        } else {
            ledger.open += unaccounted;
        }
    }
    late_by_count(&mut ledger, counted, &mut errors);
    ledger.errors = errors.into_lines();
    ledger
}

/// Moves `counted` events without a record to `late`.
fn late_by_count(ledger: &mut Ledger, counted: u64, errors: &mut Errors) {
    let of_closed = counted.min(ledger.lost);
    let of_unknown = (counted - of_closed).min(ledger.unknown);
    // A window that is still open may have dropped some too.
    let of_open = (counted - of_closed - of_unknown).min(ledger.open);
    ledger.lost -= of_closed;
    ledger.unknown -= of_unknown;
    ledger.open -= of_open;
    let late = of_closed + of_unknown + of_open;
    ledger.late += late;
    if late < counted {
        errors.push(format!(
            "the data plane dropped {counted} events as late, but only {late} are in no record"
        ));
    }
}

/// The numbers sent, by window and key.
fn sent(generator: &GeneratorStats, errors: &mut Errors) -> BTreeMap<Cell, Ranges> {
    let mut sent: BTreeMap<Cell, Ranges> = BTreeMap::new();
    let mut by_key: BTreeMap<&str, Ranges> = BTreeMap::new();
    for window in &generator.windows {
        for (key, numbers) in &window.numbers {
            let cell = (window.window_start_ms, key.clone());
            let before = by_key.entry(key).or_default();
            errors.numbers(&cell, &before.intersection(numbers), "sent in another window too");
            *before = before.union(numbers);
            let entry = sent.entry(cell).or_default();
            *entry = entry.union(numbers);
        }
    }
    let counted = sent.values().map(Ranges::len).fold(0, u64::saturating_add);
    if counted != generator.sent {
        errors.push(format!(
            "the generator sent {} events but names the numbers of {counted}",
            generator.sent
        ));
    }
    if generator.sent > generator.offered {
        errors.push(format!(
            "the generator sent {} events of {} offered",
            generator.sent, generator.offered
        ));
    }
    sent
}

/// Adds the records' counts to the ledger and returns their numbers by window and key.
fn read_records(
    generator: u64,
    sent: &BTreeMap<Cell, Ranges>,
    records: &[WindowRecord],
    ledger: &mut Ledger,
    errors: &mut Errors,
) -> BTreeMap<Cell, Ranges> {
    let mut seen: BTreeMap<Cell, Ranges> = BTreeMap::new();
    for record in records {
        let cell = cell(record);
        let numbers = record.seen.values().map(Ranges::len).fold(0, u64::saturating_add);
        check_sums(&cell, record, numbers, errors);
        if seen.contains_key(&cell) {
            ledger.repeated = ledger
                .repeated
                .saturating_add(numbers)
                .saturating_add(record.repeated);
            continue;
        }
        for (other, numbers) in record.seen.iter().filter(|(other, _)| **other != generator) {
            errors.numbers(
                &cell,
                numbers,
                &format!("in its record but of another generator ({other})"),
            );
        }
        let nothing = Ranges::default();
        let ours = record.seen.get(&generator).unwrap_or(&nothing);
        let unknown = ours.difference(sent.get(&cell).unwrap_or(&nothing));
        errors.numbers(&cell, &unknown, "in its record but never sent in that window");
        count_outcomes(record, ledger);
        seen.insert(cell, ours.clone());
    }
    seen
}

fn check_sums(cell: &Cell, record: &WindowRecord, numbers: u64, errors: &mut Errors) {
    let ended: u64 = record
        .outcomes
        .values()
        .fold(0, |sum, count| sum.saturating_add(*count));
    if ended != record.events {
        errors.push(format!(
            "{}: {} events arrived but {ended} calls ended",
            cell_name(cell),
            record.events
        ));
    }
    let total = numbers
        .saturating_add(record.repeated)
        .saturating_add(record.undecoded)
        .saturating_add(record.unnumbered);
    if total != record.events {
        errors.push(format!(
            "{}: {} events arrived, but {numbers} numbers, {} repeated, {} unreadable and {} without a number make {total}",
            cell_name(cell),
            record.events,
            record.repeated,
            record.undecoded,
            record.unnumbered
        ));
    }
    if record.undecoded > 0 {
        errors.push(format!(
            "{}: {} events could not be read; their numbers are not known and are counted as lost",
            cell_name(cell),
            record.undecoded
        ));
    }
}

/// Adds a record's outcomes, each event once. An undecodable event is a failure without a number. A record does not
/// say how repeated calls and those of events without a number ended, so they are subtracted from `ok` first.
fn count_outcomes(record: &WindowRecord, ledger: &mut Ledger) {
    let ok = record.outcomes.get(&wire::Outcome::Ok).copied().unwrap_or(0);
    let all = record
        .outcomes
        .values()
        .fold(0u64, |sum, count| sum.saturating_add(*count));
    let outside = record.repeated.saturating_add(record.unnumbered);
    let outside_ok = outside.min(ok);
    let not_ours = record.undecoded.saturating_add(outside - outside_ok);
    ledger.ok = ledger.ok.saturating_add(ok - outside_ok);
    ledger.failed = ledger.failed.saturating_add((all - ok).saturating_sub(not_ours));
    ledger.repeated = ledger.repeated.saturating_add(record.repeated);
}

fn cell(record: &WindowRecord) -> Cell {
    (record.window_start_ms, record.keys.join(":"))
}

fn cell_name((window_start_ms, key): &Cell) -> String {
    format!("window {window_start_ms}, {key}")
}

/// Messages, bounded by [`MAX_ERRORS`].
#[derive(Debug, Default)]
struct Errors {
    lines: Vec<String>,
    more: u64,
}

impl Errors {
    fn push(&mut self, line: String) {
        if self.lines.len() < MAX_ERRORS {
            self.lines.push(line);
        } else {
            self.more += 1;
        }
    }

    /// Reports a problem with these numbers of a cell, if there are any.
    fn numbers(&mut self, cell: &Cell, numbers: &Ranges, problem: &str) {
        if let Some((first, _)) = numbers.parts().first() {
            let what = match numbers.len() {
                1 => format!("number {first}"),
                count => format!("{count} numbers from {first}"),
            };
            self.push(format!("{}: {what} {problem}", cell_name(cell)));
        }
    }

    fn into_lines(mut self) -> Vec<String> {
        if self.more > 0 {
            self.lines.push(format!("and {} more", self.more));
        }
        self.lines
    }
}
