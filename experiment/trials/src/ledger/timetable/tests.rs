use std::num::NonZeroU64;

use proptest::prelude::*;
use wire::{Outcome, Ranges, SentWindow};

use super::super::tests::{GENERATOR, WINDOW_MS, generator, record};
use super::super::{Drops, balance_by_time};
use super::*;
use crate::outcome::Ledger;

/// Not a multiple of any unit.
const T0_NS: u64 = 1_795_425_376_396_123_457;
/// Events of a run.
const EVENTS: u64 = 200;

/// How an event is found in its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Numbered,
    Replayed,
    /// Before the restart read and put into the file, but not acknowledged.
    ReplayedAndReadAgain,
    ReplayedTwice,
    Lost,
}

/// Rate, keys and payloads of a run, whose windows are of [`WINDOW_MS`].
#[derive(Debug, Clone)]
struct Shape {
    settings: TrialSettings,
    payload_keys: Option<PayloadKeys>,
}

/// A run as its generator and its records tell it.
struct Run {
    generator: GeneratorStats,
    records: Vec<WindowRecord>,
    /// By window and key: each event's number and time.
    events: BTreeMap<Cell, Vec<(u64, i64)>>,
}

fn shape() -> impl Strategy<Value = Shape> {
    let keys = proptest::collection::vec(0u32..4, 1..9);
    let payloads = proptest::option::of(keys.prop_map(|of_payloads| {
        let mut keys = PayloadKeys::default();
        keys.names = (0..4).map(|key| format!("u{key}")).collect();
        keys.of_payloads = of_payloads;
        keys
    }));
    let skew = prop_oneof![Just(0.0), 0.1f64..3.0];
    let rpu = prop_oneof![1u64..400, Just(300), Just(1_000_000)];
    (rpu, 1u64..7, skew, any::<u64>(), any::<bool>(), payloads).prop_map(
        |(rpu, keys, key_skew, seed, keyed, payload_keys)| Shape {
            settings: TrialSettings {
                rpu: NonZeroU64::new(rpu).unwrap(),
                keys: NonZeroU64::new(keys).unwrap(),
                key_skew,
                seed,
                keyed: Some(keyed),
                ..TrialSettings::defaults().unwrap()
            },
            payload_keys,
        },
    )
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        4 => Just(Fate::Numbered),
        4 => Just(Fate::Replayed),
        1 => Just(Fate::ReplayedAndReadAgain),
        1 => Just(Fate::ReplayedTwice),
        1 => Just(Fate::Lost),
    ]
}

impl Shape {
    fn timetable(&self) -> Timetable<'_> {
        Timetable {
            settings: &self.settings,
            payload_keys: self.payload_keys.as_ref(),
        }
    }

    /// All events as the generator sends them, by window and key.
    fn events(&self) -> BTreeMap<Cell, Vec<(u64, i64)>> {
        let mut keys = match &self.payload_keys {
            Some(keys) => Keys::of_payloads(
                keys.names.clone(),
                keys.of_payloads.clone(),
                self.settings.is_keyed(),
            ),
            None => Keys::new(
                self.settings.keys,
                self.settings.key_skew,
                self.settings.seed,
                self.settings.is_keyed(),
            ),
        };
        let mut events: BTreeMap<Cell, Vec<(u64, i64)>> = BTreeMap::new();
        for index in 0..EVENTS {
            let (key, number) = keys.assign(index);
            let time_ns = T0_NS + Rate(self.settings.rpu).due_after_ns(index);
            let start_ms = time_ns / 1_000_000 / WINDOW_MS * WINDOW_MS;
            let key = keys.reduce_name(keys.of_reduce(key)).to_owned();
            let time_ns = i64::try_from(time_ns).unwrap();
            events.entry((start_ms, key)).or_default().push((number, time_ns));
        }
        events
    }

    /// The run with each event's fate, in turn.
    fn run(&self, fates: &[Fate]) -> Run {
        let events = self.events();
        let mut windows: BTreeMap<u64, SentWindow> = BTreeMap::new();
        let mut fates = fates.iter().cycle();
        let mut records = Vec::new();
        for ((window_start_ms, key), events) in &events {
            let window = windows.entry(*window_start_ms).or_insert_with(|| SentWindow {
                window_start_ms: *window_start_ms,
                numbers: BTreeMap::new(),
            });
            let numbers = events.iter().map(|(number, _)| *number);
            window.numbers.insert(key.clone(), numbers.collect());
            let mut made = record(window_start_ms / WINDOW_MS, key, Ranges::default(), 0);
            for ((number, time_ns), fate) in events.iter().zip(&mut fates) {
                let (numbered, timed) = match fate {
                    Fate::Numbered => (1, 0),
                    Fate::Replayed => (0, 1),
                    Fate::ReplayedAndReadAgain => (1, 1),
                    Fate::ReplayedTwice => (0, 2),
                    Fate::Lost => (0, 0),
                };
                add(&mut made, &vec![*time_ns; timed]);
                if numbered > 0 {
                    made.events += 1;
                    *made.outcomes.entry(Outcome::Ok).or_default() += 1;
                    made.seen.get_mut(&GENERATOR).unwrap().insert(*number);
                }
            }
            records.push(made);
        }
        let mut generator = generator(EVENTS, windows.into_values().collect());
        generator.t0_ns = Some(T0_NS);
        Run {
            generator,
            records,
            events,
        }
    }

    fn ledger(&self, run: &mut Run) -> Ledger {
        let closed: BTreeSet<u64> = run.events.keys().map(|(start_ms, _)| *start_ms).collect();
        let drops = Drops::Counted(0);
        balance_by_time(&run.generator, drops, &mut run.records, &closed, self.timetable())
    }
}

/// Adds events without a number to a record, which ended well.
fn add(record: &mut WindowRecord, times_ns: &[i64]) {
    let count = times_ns.len() as u64;
    record.events += count;
    *record.outcomes.entry(Outcome::Ok).or_default() += count;
    record.unnumbered += count;
    record.unnumbered_ns.extend(times_ns);
}

fn count(fates: &[Fate], wanted: &[Fate]) -> u64 {
    let of_events = fates.iter().cycle().take(EVENTS as usize);
    of_events.filter(|fate| wanted.contains(fate)).count() as u64
}

proptest! {
    #[test]
    fn the_ledger_says_exactly_what_was_replayed_repeated_and_lost(shape in shape(), fates in proptest::collection::vec(fate(), 1..40)) {
        let mut run = shape.run(&fates);
        let ledger = shape.ledger(&mut run);
        let lost = count(&fates, &[Fate::Lost]);
        let twice = count(&fates, &[Fate::ReplayedAndReadAgain, Fate::ReplayedTwice]);
        let replayed = count(&fates, &[Fate::Replayed, Fate::ReplayedAndReadAgain]) + 2 * count(&fates, &[Fate::ReplayedTwice]);
        let expected = Ledger { offered: EVENTS, ok: EVENTS - lost, lost, repeated: twice, replayed, ..Ledger::default() };
        prop_assert_eq!(&ledger, &expected);
        prop_assert!(ledger.balances());
        let mut fates = fates.iter().cycle();
        for (record, events) in run.records.iter().zip(run.events.values()) {
            let found = events.iter().zip(&mut fates).filter(|(_, fate)| **fate != Fate::Lost);
            let numbers: Ranges = found.map(|((number, _), _)| *number).collect();
            prop_assert_eq!(&record.seen[&GENERATOR], &numbers);
        }
    }

    #[test]
    fn somebody_else_s_event_is_not_taken(shape in shape(), fates in proptest::collection::vec(fate(), 1..40), pick: prop::sample::Index, off in prop_oneof![-500i64..=-1, 1i64..500]) {
        let mut run = shape.run(&fates);
        let plain = shape.ledger(&mut shape.run(&fates));
        let taken: BTreeSet<i64> = run.events.values().flatten().map(|(_, time_ns)| *time_ns).collect();
        let place = pick.index(run.records.len());
        let of = cell(&run.records[place]);
        // Off the schedule by nanoseconds, before its start, at the start of the window and at its end, of another key, not sent yet.
        let mut others = vec![run.events[&of][0].1 + off, T0_NS as i64 - 1, -1, i64::MIN, i64::MAX, (of.0 * 1_000_000) as i64];
        others.retain(|time_ns| !taken.contains(time_ns));
        let of_others = run.events.iter().filter(|(other, _)| **other != of);
        others.extend(of_others.map(|(_, events)| events[0].1));
        others.push(T0_NS as i64 + Rate(shape.settings.rpu).due_after_ns(EVENTS) as i64);
        add(&mut run.records[place], &others);
        let ledger = shape.ledger(&mut run);
        prop_assert_eq!(ledger, plain);
        prop_assert_eq!(&run.records[place].unnumbered_ns, &others);
    }
}

fn plain() -> Shape {
    Shape {
        settings: TrialSettings {
            rpu: NonZeroU64::new(100).unwrap(),
            ..TrialSettings::defaults().unwrap()
        },
        payload_keys: None,
    }
}

#[test]
fn events_beyond_the_times_of_a_record_are_unknown_as_far_as_events_are_missing() {
    let shape = plain();
    let mut run = shape.run(&[Fate::Replayed]);
    let record = &mut run.records[0];
    let (kept, events) = (3, record.unnumbered);
    record.unnumbered_ns.truncate(kept);
    let ledger = shape.ledger(&mut run);
    let unknown = events - kept as u64;
    assert_eq!((ledger.unknown, ledger.lost), (unknown, 0));
    assert_eq!((ledger.ok, ledger.replayed), (EVENTS - unknown, EVENTS - unknown));
    assert!(ledger.balances(), "{ledger:?}");

    // Where none is missing, they are somebody else's or repeated.
    let mut run = shape.run(&[Fate::Numbered]);
    let record = &mut run.records[0];
    add(record, &[0, 1]);
    record.unnumbered_ns.clear();
    let ledger = shape.ledger(&mut run);
    assert_eq!((ledger.ok, ledger.unknown, ledger.lost), (EVENTS, 0, 0));
    assert!(ledger.balances(), "{ledger:?}");
}

#[test]
fn without_a_schedule_every_event_without_a_number_is_unknown() {
    let shape = plain();
    let mut run = shape.run(&[Fate::Numbered, Fate::Replayed, Fate::Lost]);
    run.generator.t0_ns = None;
    let of = |fate| count(&[Fate::Numbered, Fate::Replayed, Fate::Lost], &[fate]);
    let ledger = shape.ledger(&mut run);
    // In each window as many are missing as there are others, or more.
    assert_eq!((ledger.ok, ledger.replayed), (of(Fate::Numbered), 0));
    assert_eq!(
        (ledger.unknown, ledger.lost),
        (of(Fate::Replayed), of(Fate::Lost))
    );
    assert!(ledger.balances(), "{ledger:?}");
}

#[test]
fn a_record_that_names_more_times_than_events_is_an_error_and_no_panic() {
    let shape = plain();
    let mut run = shape.run(&[Fate::Replayed]);
    run.records[0].unnumbered = 1;
    let ledger = shape.ledger(&mut run);
    assert!(!ledger.balances() && !ledger.errors.is_empty(), "{ledger:?}");
}
