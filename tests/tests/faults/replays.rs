//! The user's own payloads after a restart of Numaflow's reduce: its file gives them back without their headers, and so
//! without their numbers. They are found by their event times. What the file does is played by the test.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::num::NonZeroU64;

use rustix::process::Signal;
use tests::process::{ended, signal};
use tests::reduce::{PATIENCE, Udf, WINDOW_MS, WindowStream};
use tests::source::{Received, Source};
use trials::ledger::{Drops, Timetable, balance_by_time};
use trials::outcome::Ledger;
use wire::settings::TrialSettings;
use wire::{PayloadFile, Ranges, UNKEYED, WindowRecord};

const PAYMENTS: [&str; 5] = [
    r#"{"user":"u1","amount":1}"#,
    r#"{"user":"u2","amount":2}"#,
    r#"{"user":"u1","amount":3}"#,
    r#"{"user":"u3","amount":4}"#,
    r#"{"user":"u1","amount":5}"#,
];
const EVENTS: usize = 900;
/// Events that the first process got.
const BEFORE: usize = 500;
/// Of those: not in the file, as its last part was not written.
const LOST: std::ops::Range<usize> = 450..470;
/// Of those: in the file, and read again as they were not acknowledged.
const AGAIN: std::ops::Range<usize> = 440..450;

/// Streams of one process, by window.
struct Streams<'a> {
    udf: &'a mut Udf,
    keyed: bool,
    open: BTreeMap<i64, WindowStream>,
}

impl<'a> Streams<'a> {
    fn of(udf: &'a mut Udf, keyed: bool) -> Self {
        Self {
            udf,
            keyed,
            open: BTreeMap::new(),
        }
    }

    async fn send(&mut self, event: &Received, headers: HashMap<String, String>) {
        let window = (event.time_ns / 1_000_000) as i64 / WINDOW_MS;
        if !self.open.contains_key(&window) {
            self.open.insert(window, self.udf.open(window).await);
        }
        let stream = self.open.get_mut(&window).unwrap();
        let key = match self.keyed {
            true => event.keys.join(":"),
            false => UNKEYED.to_owned(),
        };
        stream
            .send_at(&key, event.payload.clone(), headers, event.time_ns)
            .await;
    }

    async fn send_all(&mut self, events: &[Received]) {
        for event in events {
            self.send(event, event.headers.clone()).await;
        }
    }

    async fn replay(&mut self, events: &[Received]) {
        for event in events {
            self.send(event, HashMap::new()).await;
        }
    }

    async fn close(self) -> Vec<WindowRecord> {
        let mut records = Vec::new();
        for stream in self.open.into_values() {
            records.extend(stream.close().await.records());
        }
        records
    }
}

/// A generator with these flags, whose payloads have their key at `pointer`. Returns the ledger of a run in which the UDF is
/// killed and Numaflow's file read, the records, and all events.
async fn restarted(
    flags: &[&str],
    pointer: Option<&str>,
    settings: &TrialSettings,
) -> (Ledger, Vec<WindowRecord>, Vec<Received>) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("payments.jsonl");
    std::fs::write(&file, PAYMENTS.join("\n")).unwrap();
    let (_, keys) = PayloadFile::open(&file, 1_000, pointer).unwrap();
    let count = EVENTS.to_string();
    let pointed = pointer.map(|pointer| ["--key-pointer", pointer]);
    let own = ["--payloads", file.to_str().unwrap(), "--count", &count];
    let mut source = Source::start(&[flags, &own, pointed.as_slice().as_flattened()].concat()).await;
    let events = source.collect(EVENTS).await;
    let generator = source.stats().await;

    let (_endpoint, url) = tests::endpoint(&[]).await;
    let args = [
        "--endpoint-url",
        &url,
        "--max-workers",
        "100",
        "--io-delay",
        "1ms",
    ];
    let keyed = settings.is_keyed();
    let mut first = Udf::start(&args, &[]).await;
    let mut streams = Streams::of(&mut first, keyed);
    streams.send_all(&events[..BEFORE]).await;
    drop(streams);
    signal(first.id(), Signal::KILL);
    ended(&mut first.process, PATIENCE).await;

    let mut second = Udf::start(&args, &[]).await;
    let mut streams = Streams::of(&mut second, keyed);
    streams.replay(&events[..LOST.start]).await;
    streams.replay(&events[LOST.end..BEFORE]).await;
    streams.send_all(&events[AGAIN]).await;
    streams.send_all(&events[BEFORE..]).await;
    // Of somebody else, who happens to be a nanosecond off.
    let other = Received {
        payload: b"{}".to_vec(),
        time_ns: events[0].time_ns + 1,
        ..events[0].clone()
    };
    streams.send(&other, HashMap::new()).await;
    let mut records = streams.close().await;

    let closed: BTreeSet<u64> = generator
        .windows
        .iter()
        .map(|window| window.window_start_ms)
        .collect();
    let timetable = Timetable {
        settings,
        payload_keys: pointer.map(|_| &keys),
    };
    let drops = Drops::Counted(0);
    let ledger = balance_by_time(&generator, drops, &mut records, &closed, timetable);
    (ledger, records, events)
}

fn settings(keys: u64, key_skew: f64, keyed: bool) -> TrialSettings {
    TrialSettings {
        rpu: NonZeroU64::new(1_300).unwrap(),
        keys: NonZeroU64::new(keys).unwrap(),
        key_skew,
        seed: 9,
        keyed: Some(keyed),
        ..TrialSettings::defaults().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn own_payloads_that_are_replayed_without_headers_are_found_by_their_times() {
    let skewed = ["--rpu", "1300", "--keys", "7", "--key-skew", "1.2", "--seed", "9"];
    let unkeyed = ["--rpu", "1300", "--keys", "7", "--keyed=false"];
    for (flags, pointer, settings) in [
        (&skewed[..2], Some("/user"), settings(3, 0.0, true)),
        (&skewed[..4], None, settings(7, 0.0, true)),
        (&skewed, None, settings(7, 1.2, true)),
        (&unkeyed, None, settings(7, 0.0, false)),
        (&unkeyed, Some("/user"), settings(3, 0.0, false)),
    ] {
        let (ledger, records, events) = restarted(flags, pointer, &settings).await;
        let lost = LOST.len() as u64;
        let expected = Ledger {
            offered: EVENTS as u64,
            ok: EVENTS as u64 - lost,
            lost,
            repeated: AGAIN.len() as u64,
            replayed: BEFORE as u64 - lost,
            ..Ledger::default()
        };
        assert_eq!(ledger, expected, "{flags:?} {pointer:?}");
        assert!(ledger.balances());
        // By number: the lost ones are missing in the record of their key, and no other.
        for key in records.iter().map(|record| &record.keys).collect::<BTreeSet<_>>() {
            let of_key = |event: &Received| !settings.is_keyed() || event.keys == *key;
            let numbers = |range: std::ops::Range<usize>| -> Ranges {
                let events = events[range].iter().filter(|event| of_key(event));
                events.map(|event| event.event.number).collect()
            };
            let of_key = records.iter().filter(|record| record.keys == *key);
            let seen = of_key.flat_map(|record| record.seen.values());
            let seen = seen.fold(Ranges::default(), |all, numbers| all.union(numbers));
            let missing = numbers(0..EVENTS).difference(&seen);
            assert_eq!(missing, numbers(LOST), "{flags:?} {pointer:?} {key:?}");
        }
        let unnumbered: u64 = records.iter().map(|record| record.unnumbered).sum();
        assert_eq!(unnumbered, 1, "somebody else's");
    }
}

/// Times are not unique there.
#[tokio::test(flavor = "multi_thread")]
async fn own_payloads_without_a_schedule_are_unknown_after_a_replay() {
    let settings = settings(1, 0.0, true);
    let (ledger, ..) = restarted(&["--saturate"], None, &settings).await;
    let numbered = (AGAIN.len() + EVENTS - BEFORE) as u64;
    assert_eq!(
        (ledger.ok, ledger.replayed, ledger.repeated),
        (numbered, 0, 0),
        "{ledger:?}"
    );
    assert!(ledger.unknown > 0, "{ledger:?}");
    assert_eq!(
        ledger.unknown + ledger.lost,
        EVENTS as u64 - numbered,
        "{ledger:?}"
    );
    assert!(ledger.balances(), "{ledger:?}");
}
