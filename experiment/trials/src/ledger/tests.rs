use std::time::Duration;

use proptest::prelude::*;
use wire::{Delay, Latencies, Outcome, SentWindow, Settings, StartRule, StrategyKind, Workload};

use super::*;

pub(super) const GENERATOR: u64 = 7;
pub(super) const WINDOW_MS: u64 = 10_000;

pub(super) fn record(window: u64, key: &str, seen: Ranges, failed: u64) -> WindowRecord {
    let events = seen.len();
    let failed = failed.min(events);
    let outcomes = [(Outcome::Ok, events - failed), (Outcome::Timeout, failed)];
    WindowRecord {
        process: 1,
        window_start_ms: window * WINDOW_MS,
        window_end_ms: (window + 1) * WINDOW_MS,
        keys: vec![key.to_owned()],
        settings: Settings {
            strategy: StrategyKind::Async,
            start_rule: StartRule::AtClose,
            workload: Workload::Http,
            max_workers: 10,
            io_delay: Delay::ZERO,
            timeout: Duration::from_secs(1),
            retries: 0,
            cpu_offload: false,
        },
        events,
        outcomes: outcomes.into_iter().filter(|(_, count)| *count > 0).collect(),
        attempts: events,
        reconnects: 0,
        seen: BTreeMap::from([(GENERATOR, seen)]),
        repeated: 0,
        undecoded: 0,
        latency: Latencies::new(),
        failed_latency: None,
        slot_wait: Latencies::new(),
        peak_in_flight: 1,
        reading_stopped: 0,
        first_arrival_us: 0,
        last_arrival_us: 0,
        close_us: 0,
        result_us: 0,
        format: wire::RECORD_FORMAT,
        named: BTreeMap::new(),
        unnumbered: 0,
        unnumbered_ns: Vec::new(),
        failure: None,
    }
}

pub(super) fn generator(offered: u64, windows: Vec<SentWindow>) -> GeneratorStats {
    let sent = windows
        .iter()
        .flat_map(|window| window.numbers.values())
        .map(Ranges::len)
        .sum();
    GeneratorStats {
        generator: GENERATOR,
        t0_us: Some(0),
        t0_ns: Some(0),
        now_us: 0,
        offered,
        sent,
        acked: sent,
        nacked: 0,
        overdue: 0,
        lateness: Latencies::new(),
        windows,
    }
}

/// Which category an event is put in by the test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Category {
    Called,
    Late,
    Lost,
}

/// How a window and key ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Record,
    ClosedWithoutRecord,
    Open,
}

#[derive(Debug, Clone)]
struct Case {
    generator: GeneratorStats,
    dropped: BTreeMap<(u64, String), Ranges>,
    records: Vec<WindowRecord>,
    closed: BTreeSet<u64>,
    expected: Ledger,
}

/// For each window its end, and for each of its keys the categories of its events and the number of failures.
type Cells = Vec<(End, Vec<(Vec<Category>, u64)>)>;

fn cells() -> impl Strategy<Value = Cells> {
    let end = prop_oneof![3 => Just(End::Record), 1 => Just(End::ClosedWithoutRecord), 1 => Just(End::Open)];
    let category =
        prop_oneof![6 => Just(Category::Called), 1 => Just(Category::Late), 1 => Just(Category::Lost)];
    let key = (proptest::collection::vec(category, 0..30), 0u64..5);
    proptest::collection::vec((end, proptest::collection::vec(key, 3)), 1..6)
}

fn case(cells: &Cells, unsent: u64) -> Case {
    let mut next_number = [0u64; 3];
    let mut windows = Vec::new();
    let mut case = Case {
        generator: generator(0, Vec::new()),
        dropped: BTreeMap::new(),
        records: Vec::new(),
        closed: BTreeSet::new(),
        expected: Ledger::default(),
    };
    for (window, (end, keys)) in (0u64..).zip(cells) {
        let mut sent = SentWindow {
            window_start_ms: window * WINDOW_MS,
            numbers: BTreeMap::new(),
        };
        if *end != End::Open {
            case.closed.insert(window * WINDOW_MS);
        }
        for (key, (categories, failed)) in keys.iter().enumerate() {
            let name = format!("key-{key}");
            let of = |wanted: &[Category]| -> Ranges {
                let numbers = (next_number[key]..).zip(categories);
                numbers
                    .filter(|(_, category)| wanted.contains(category))
                    .map(|(number, _)| number)
                    .collect()
            };
            let (all, called, late) = (
                of(&[Category::Called, Category::Late, Category::Lost]),
                of(&[Category::Called]),
                of(&[Category::Late]),
            );
            next_number[key] += categories.len() as u64;
            case.expected.late += late.len();
            let rest = all.len() - late.len();
            match end {
                End::Record if !called.is_empty() => {
                    let failed = (*failed).min(called.len());
                    case.expected.failed += failed;
                    case.expected.ok += called.len() - failed;
                    case.expected.lost += rest - called.len();
                    case.records.push(record(window, &name, called, failed));
                }
                End::Open => case.expected.open += rest,
                _ => case.expected.lost += rest,
            }
            if !all.is_empty() {
                sent.numbers.insert(name.clone(), all);
            }
            if !late.is_empty() {
                case.dropped.insert((window * WINDOW_MS, name), late);
            }
        }
        windows.push(sent);
    }
    case.generator = generator(0, windows);
    case.generator.offered = case.generator.sent + unsent;
    case.expected.offered = case.generator.offered;
    case.expected.unsent = unsent;
    case
}

fn balanced(case: &Case) -> Ledger {
    let drops = Drops::Named(&case.dropped);
    balance(&case.generator, drops, &case.records, &case.closed)
}

/// A record of the case that has numbers, if there is one.
fn some_record(case: &mut Case, pick: usize) -> Option<&mut WindowRecord> {
    let count = case.records.len();
    (count > 0).then(|| &mut case.records[pick % count])
}

fn take_out(record: &mut WindowRecord) -> u64 {
    let seen = record.seen.get_mut(&GENERATOR).unwrap();
    let number = seen.parts()[0].0;
    *seen = seen.difference(&Ranges::span(number, number));
    record.events -= 1;
    let outcome = if record.ok() > 0 {
        Outcome::Ok
    } else {
        Outcome::Timeout
    };
    *record.outcomes.get_mut(&outcome).unwrap() -= 1;
    number
}

proptest! {
    #[test]
    fn every_event_is_found_in_its_category(cells in cells(), unsent in 0u64..5) {
        let case = case(&cells, unsent);
        let ledger = balanced(&case);
        prop_assert_eq!(&ledger, &case.expected);
        prop_assert!(ledger.balances());
    }

    #[test]
    fn late_events_that_are_only_counted_are_as_many(cells in cells(), unsent in 0u64..5, uncounted in 0u64..3) {
        let case = case(&cells, unsent);
        let unaccounted = case.expected.late + case.expected.lost + case.expected.open;
        let counted = case.expected.late.saturating_sub(uncounted);
        let ledger = balance(&case.generator, Drops::Counted(counted), &case.records, &case.closed);
        prop_assert_eq!(ledger.late, counted);
        prop_assert_eq!(ledger.lost + ledger.open, unaccounted - counted);
        prop_assert_eq!((ledger.ok, ledger.failed, ledger.unsent), (case.expected.ok, case.expected.failed, unsent));
        prop_assert!(ledger.open <= unaccounted - counted && ledger.balances(), "{ledger:?}");
        // What was dropped in closed windows is not taken from the open ones.
        let no_drops = balance(&case.generator, Drops::Counted(0), &case.records, &case.closed);
        prop_assert_eq!(ledger.lost, no_drops.lost.saturating_sub(counted));
    }

    #[test]
    fn more_drops_than_events_without_a_record_are_an_error(cells in cells(), too_many in 1u64..5) {
        let case = case(&cells, 0);
        let unaccounted = case.expected.late + case.expected.lost + case.expected.open;
        let drops = Drops::Counted(unaccounted + too_many);
        let ledger = balance(&case.generator, drops, &case.records, &case.closed);
        prop_assert_eq!((ledger.late, ledger.lost, ledger.open), (unaccounted, 0, 0));
        let error = format!("the data plane dropped {} events as late, but only {unaccounted} are in no record", unaccounted + too_many);
        prop_assert_eq!(&ledger.errors, &[error]);
        prop_assert!(!ledger.balances());
    }

    #[test]
    fn a_number_taken_out_of_a_record_is_lost(cells in cells(), pick: usize) {
        let mut case = case(&cells, 0);
        let Some(record) = some_record(&mut case, pick) else { return Ok(()) };
        let was_ok = record.ok() > 0;
        take_out(record);
        let ledger = balanced(&case);
        prop_assert_eq!(ledger.lost, case.expected.lost + 1);
        prop_assert_eq!(ledger.ok + u64::from(was_ok), case.expected.ok);
        prop_assert!(ledger.balances(), "{ledger:?}");
    }

    #[test]
    fn a_number_called_twice_is_repeated_and_counted_once(cells in cells(), pick: usize) {
        let mut case = case(&cells, 0);
        let Some(record) = some_record(&mut case, pick) else { return Ok(()) };
        record.repeated += 1;
        record.events += 1;
        *record.outcomes.entry(Outcome::Ok).or_default() += 1;
        let ledger = balanced(&case);
        prop_assert_eq!(&ledger, &Ledger { repeated: 1, ..case.expected.clone() });
        prop_assert!(ledger.balances(), "{ledger:?}");
    }

    #[test]
    fn a_second_record_of_a_window_is_only_repeated(cells in cells(), pick: usize) {
        let mut case = case(&cells, 0);
        let Some(record) = some_record(&mut case, pick).cloned() else { return Ok(()) };
        let repeated = record.events;
        case.records.push(record);
        prop_assert_eq!(balanced(&case), Ledger { repeated, ..case.expected.clone() });
    }

    #[test]
    fn an_invented_number_is_an_error(cells in cells(), pick: usize) {
        let mut case = case(&cells, 0);
        let Some(record) = some_record(&mut case, pick) else { return Ok(()) };
        record.seen.get_mut(&GENERATOR).unwrap().insert(1_000_000);
        record.events += 1;
        *record.outcomes.entry(Outcome::Ok).or_default() += 1;
        let ledger = balanced(&case);
        prop_assert!(!ledger.balances());
        prop_assert!(ledger.errors[0].contains("number 1000000 in its record but never sent"), "{:?}", ledger.errors);
    }

    #[test]
    fn a_record_that_hides_a_call_is_an_error(cells in cells(), pick: usize) {
        let mut case = case(&cells, 0);
        let Some(record) = some_record(&mut case, pick) else { return Ok(()) };
        let outcome = *record.outcomes.keys().next().unwrap();
        *record.outcomes.get_mut(&outcome).unwrap() -= 1;
        let ledger = balanced(&case);
        prop_assert!(!ledger.balances() && !ledger.errors.is_empty(), "{ledger:?}");
    }

    #[test]
    fn a_number_in_the_record_of_another_window_is_an_error_and_lost(cells in cells()) {
        let mut case = case(&cells, 0);
        let Some(from) = case.records.first().map(|record| record.keys.clone()) else { return Ok(()) };
        let Some(to) = case.records.iter().skip(1).position(|record| record.keys == from) else { return Ok(()) };
        let number = take_out(&mut case.records[0]);
        let other = &mut case.records[to + 1];
        other.seen.get_mut(&GENERATOR).unwrap().insert(number);
        other.events += 1;
        *other.outcomes.entry(Outcome::Ok).or_default() += 1;
        let ledger = balanced(&case);
        prop_assert_eq!(ledger.lost, case.expected.lost + 1);
        prop_assert!(!ledger.balances() && ledger.errors.len() == 1, "{ledger:?}");
    }
}

fn one_window(events: u64) -> GeneratorStats {
    let numbers = BTreeMap::from([("key-0".to_owned(), Ranges::span(0, events - 1))]);
    generator(
        events,
        vec![SentWindow {
            window_start_ms: 0,
            numbers,
        }],
    )
}

fn of_one_window(records: &[WindowRecord], dropped: Ranges) -> Ledger {
    let dropped = BTreeMap::from([((0, "key-0".to_owned()), dropped)]);
    let drops = Drops::Named(&dropped);
    balance(&one_window(10), drops, records, &BTreeSet::from([0]))
}

#[test]
fn an_event_that_was_dropped_once_and_called_once_is_called_and_repeated() {
    let ledger = of_one_window(&[record(0, "key-0", Ranges::span(0, 9), 3)], Ranges::span(4, 5));
    let expected = Ledger {
        offered: 10,
        ok: 7,
        failed: 3,
        repeated: 2,
        ..Ledger::default()
    };
    assert_eq!(ledger, expected);
    assert!(ledger.balances());
}

#[test]
fn an_event_that_could_not_be_read_is_lost_and_an_error() {
    let mut unreadable = record(0, "key-0", Ranges::span(0, 8), 0);
    unreadable.events += 1;
    unreadable.undecoded = 1;
    unreadable.outcomes.insert(Outcome::BadBody, 1);
    let ledger = of_one_window(&[unreadable], Ranges::default());
    assert_eq!((ledger.ok, ledger.failed, ledger.lost), (9, 0, 1));
    assert_eq!(ledger.errors.len(), 1);
    assert!(!ledger.balances());
}

#[test]
fn an_event_of_somebody_else_is_outside_the_ledger() {
    let plain = record(0, "key-0", Ranges::span(0, 8), 2);
    let expected = of_one_window(std::slice::from_ref(&plain), Ranges::default());
    for outcome in [Outcome::Ok, Outcome::BadInput] {
        let mut with_another = plain.clone();
        with_another.events += 1;
        with_another.unnumbered = 1;
        *with_another.outcomes.entry(outcome).or_default() += 1;
        let ledger = of_one_window(&[with_another], Ranges::default());
        // How it ended is not known, and a success is taken for it.
        let ok = if outcome == Outcome::Ok { 7 } else { 6 };
        assert_eq!(
            (ledger.ok, ledger.failed, ledger.lost),
            (ok, 9 - ok, 1),
            "{outcome}"
        );
        assert_eq!(ledger.errors, expected.errors, "{outcome}");
    }
}

#[test]
fn strange_generators_and_drops_are_errors() {
    let mut strange = record(0, "key-0", Ranges::span(0, 9), 0);
    strange.seen.insert(8, Ranges::default());
    assert!(of_one_window(&[strange.clone()], Ranges::default()).balances());
    strange.seen.insert(8, Ranges::span(0, 0));
    strange.events += 1;
    *strange.outcomes.get_mut(&Outcome::Ok).unwrap() += 1;
    let ledger = of_one_window(&[strange], Ranges::span(20, 21));
    assert_eq!(
        ledger.errors,
        [
            "window 0, key-0: number 0 in its record but of another generator (8)",
            "window 0, key-0: 2 numbers from 20 dropped as late but never sent",
        ]
    );
    let mut generator = one_window(10);
    generator.sent = 11;
    let ledger = balance(&generator, Drops::Counted(0), &[], &BTreeSet::new());
    assert_eq!(
        ledger.errors,
        [
            "the generator sent 11 events but names the numbers of 10",
            "the generator sent 11 events of 10 offered",
        ]
    );
}

#[test]
fn many_errors_are_counted_and_not_all_spelled_out() {
    let records: Vec<WindowRecord> = (1..=50)
        .map(|window| record(window, "key-0", Ranges::span(0, 0), 0))
        .collect();
    let errors = of_one_window(&records, Ranges::default()).errors;
    assert_eq!(errors.len(), MAX_ERRORS + 1);
    assert_eq!(errors.last().map(String::as_str), Some("and 30 more"));
}
