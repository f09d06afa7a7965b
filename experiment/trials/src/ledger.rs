//! Draws up a trial's ledger: every event that was offered is found, by its number, in exactly one place.
//! Pure arithmetic on what generator, data plane and records have said.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use wire::{GeneratorStats, Ranges, WindowRecord};

use crate::outcome::Ledger;

/// The most errors that a ledger spells out; the rest are counted in one more line.
const MOST_ERRORS: usize = 20;

/// A window's start (ms since the epoch) and a key (its parts joined by `:`).
type Cell = (u64, String);

/// What is known of the events that the data plane dropped as late.
#[derive(Debug, Clone, Copy)]
pub enum Drops<'a> {
    /// Their numbers, by window start (ms since the epoch) and key.
    Named(&'a BTreeMap<(u64, String), Ranges>),
    /// Only how many there were.
    Counted(u64),
}

/// Draws up the ledger.
///
/// - `generator`: what was offered and sent, read after the last event had been sent;
/// - `drops`: what the data plane dropped as late;
/// - `records`: the records that reached the sink, in the order of their arrival;
/// - `closed`: the starts (ms) of the windows whose stream ended, whether or not their records arrived.
///
/// An event that was sent is, in this order of precedence: in the record of its window and key (`ok` or `failed`),
/// or dropped (`late`), or of a window and key without a record whose window was not closed (`open`), or `lost`.
/// `repeated` counts every further appearance: twice in a record, in a second record of its window and key, or dropped
/// once and called once. What cannot be (a number that was never sent, a record that contradicts itself) is an error.
///
/// Of drops that are only counted nobody knows which events they were: those that are in no record are late up to the
/// count, those of closed windows first, and a count that is higher than their number is an error.
pub fn balance(
    generator: &GeneratorStats,
    drops: Drops<'_>,
    records: &[WindowRecord],
    closed: &BTreeSet<u64>,
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
        let invented = dropped.difference(sent.get(cell).unwrap_or(&nothing));
        errors.numbers(cell, &invented, "dropped as late but never sent");
    }
    for (cell, sent) in &sent {
        let nothing = Ranges::default();
        let late = dropped.get(cell).unwrap_or(&nothing).intersection(sent);
        let in_record = seen.get(cell);
        let both = in_record.map_or(0, |seen| seen.intersection(&late).len());
        ledger.repeated = ledger.repeated.saturating_add(both);
        let absent = sent.difference(in_record.unwrap_or(&nothing));
        ledger.late += absent.intersection(&late).len();
        let nowhere = absent.difference(&late).len();
        if in_record.is_some() || closed.contains(&cell.0) {
            ledger.lost += nowhere;
        } else {
            ledger.open += nowhere;
        }
    }
    late_by_count(&mut ledger, counted, &mut errors);
    ledger.errors = errors.into_lines();
    ledger
}

/// Takes so many events that are in no record for late ones.
fn late_by_count(ledger: &mut Ledger, counted: u64, errors: &mut Errors) {
    let of_closed = counted.min(ledger.lost);
    // A window that is still open may have dropped some too.
    let of_open = (counted - of_closed).min(ledger.open);
    ledger.lost -= of_closed;
    ledger.open -= of_open;
    ledger.late += of_closed + of_open;
    let invented = counted - of_closed - of_open;
    if invented > 0 {
        errors.push(format!(
            "the data plane dropped {counted} events as late, but only {} are in no record",
            counted - invented
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

/// Counts what the records hold and gives the numbers in them, by window and key.
fn read_records(
    generator: u64,
    sent: &BTreeMap<Cell, Ranges>,
    records: &[WindowRecord],
    ledger: &mut Ledger,
    errors: &mut Errors,
) -> BTreeMap<Cell, Ranges> {
    let mut seen: BTreeMap<Cell, Ranges> = BTreeMap::new();
    for record in records {
        let cell = (record.window_start_ms, record.keys.join(":"));
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
        let invented = ours.difference(sent.get(&cell).unwrap_or(&nothing));
        errors.numbers(&cell, &invented, "in its record but never sent in that window");
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
            named(cell),
            record.events
        ));
    }
    let accounted = numbers
        .saturating_add(record.repeated)
        .saturating_add(record.undecoded);
    if accounted != record.events {
        errors.push(format!(
            "{}: {} events arrived, but {numbers} numbers, {} repeated and {} unreadable make {accounted}",
            named(cell),
            record.events,
            record.repeated,
            record.undecoded
        ));
    }
    if record.undecoded > 0 {
        errors.push(format!(
            "{}: {} events could not be read; their numbers are not known and are counted as lost",
            named(cell),
            record.undecoded
        ));
    }
}

/// Adds a record's outcomes, each event once: an event that could not be read is a failure without a number, and which
/// outcome a repeated call had is not recorded, so repeated calls are taken from `ok` first.
fn count_outcomes(record: &WindowRecord, ledger: &mut Ledger) {
    let ok = record.outcomes.get(&wire::Outcome::Ok).copied().unwrap_or(0);
    let all = record
        .outcomes
        .values()
        .fold(0u64, |sum, count| sum.saturating_add(*count));
    let repeated_ok = record.repeated.min(ok);
    let not_ours = record.undecoded.saturating_add(record.repeated - repeated_ok);
    ledger.ok = ledger.ok.saturating_add(ok - repeated_ok);
    ledger.failed = ledger.failed.saturating_add((all - ok).saturating_sub(not_ours));
    ledger.repeated = ledger.repeated.saturating_add(record.repeated);
}

fn named((window_start_ms, key): &Cell) -> String {
    format!("window {window_start_ms}, {key}")
}

/// What does not balance, in words.
#[derive(Debug, Default)]
struct Errors {
    lines: Vec<String>,
    more: u64,
}

impl Errors {
    fn push(&mut self, line: String) {
        if self.lines.len() < MOST_ERRORS {
            self.lines.push(line);
        } else {
            self.more += 1;
        }
    }

    /// Says of these numbers of a cell what is wrong with them, if there are any.
    fn numbers(&mut self, cell: &Cell, numbers: &Ranges, problem: &str) {
        if let Some((first, _)) = numbers.parts().first() {
            let and_more = match numbers.len() {
                1 => format!("number {first}"),
                count => format!("{count} numbers from {first}"),
            };
            self.push(format!("{}: {and_more} {problem}", named(cell)));
        }
    }

    fn into_lines(mut self) -> Vec<String> {
        if self.more > 0 {
            self.lines.push(format!("and {} more", self.more));
        }
        self.lines
    }
}
