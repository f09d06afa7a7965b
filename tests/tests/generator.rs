//! The generator as Numaflow uses it: the real binary, driven over its socket by the SDK's own client.

// Clippy's exception for tests does not apply to functions that tests share.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::Signal;
use tests::process::signal;
use tests::scrape::Scrape;
use tests::source::{Received, Source, command};
use tests::{PATIENCE, binary};
use tokio::process::Command;
use tokio::time::timeout;

fn indices(received: &[Received]) -> Vec<u64> {
    received.iter().map(|received| received.event.index).collect()
}

/// Runs the generator until it ends by itself.
async fn output(mut command: Command) -> Output {
    let running = command
        .kill_on_drop(true)
        .stdin(std::process::Stdio::null())
        .output();
    timeout(PATIENCE, running).await.expect("an end in time").unwrap()
}

#[tokio::test]
async fn events_are_exact_and_end_at_their_count() {
    let args = [
        "--rpu",
        "300",
        "--keys",
        "4",
        "--payload-size",
        "150",
        "--count",
        "100",
        "--align",
        "200ms",
    ];
    let mut source = Source::start(&args).await;
    assert_eq!(
        source.stats().await.t0_us,
        None,
        "the schedule begins with the first read"
    );
    let all = source.collect(100).await;
    let stats = source.stats().await;
    let t0_us = stats.t0_us.unwrap();
    assert_eq!(t0_us % 200_000, 0);
    for (index, received) in all.iter().enumerate() {
        let index = index as u64;
        assert_eq!((received.event.index, received.event.number), (index, index / 4));
        assert_eq!(received.event.generator, stats.generator);
        assert_eq!(received.keys, [format!("key-{}", index % 4)]);
        assert_eq!((received.payload.len(), received.headers.len()), (150, 0));
        assert_eq!(received.time_ns, t0_us * 1_000 + index * 1_000_000_000 / 300);
        let offset = String::from_utf8(received.offset.offset.clone()).unwrap();
        assert_eq!(offset, wire::idempotency_key(stats.generator, index));
    }
    assert_eq!(source.read(10, 50).await, [], "the count is reached");
    assert_eq!(
        (stats.offered, stats.sent, stats.acked, stats.nacked),
        (100, 100, 100, 0)
    );
    assert_eq!(source.pending().await, 0);
    assert_eq!(stats.lateness.count(), 100);

    // At 300 events per second, a window of 200 ms has 60; the statistics have the numbers of each key by window.
    let reported: Vec<(u64, BTreeMap<String, String>)> = stats
        .windows
        .iter()
        .map(|window| {
            let numbers = window
                .numbers
                .iter()
                .map(|(key, numbers)| (key.clone(), numbers.to_string()));
            (window.window_start_ms, numbers.collect())
        })
        .collect();
    let numbers = |range: &str| {
        (0..4)
            .map(|key| (format!("key-{key}"), range.to_owned()))
            .collect()
    };
    let start_ms = t0_us / 1_000;
    assert_eq!(
        reported,
        [(start_ms, numbers("0-14")), (start_ms + 200, numbers("15-24"))]
    );
}

#[tokio::test]
async fn a_schedule_on_hold_begins_with_the_first_read_after_its_start() {
    for schedule in [["--rpu", "1000"], ["--saturate", "--count=5"]] {
        let mut source = Source::start(&[&["--hold"], &schedule[..]].concat()).await;
        for _ in 0..2 {
            assert_eq!(source.read(500, 30).await, [], "{schedule:?}");
            let stats = source.stats().await;
            assert_eq!((stats.t0_us, stats.offered, stats.sent), (None, 0, 0));
            assert_eq!(source.pending().await, 0);
        }
        let before_us = source.stats().await.now_us;
        for _ in 0..2 {
            let (head, body) = source.ask_http("POST", "/start").await;
            assert!(head.starts_with("HTTP/1.1 204") && body.is_empty(), "{head}");
        }
        let stats = source.stats().await;
        assert_eq!((stats.t0_us, stats.offered), (None, 0), "it begins with a read");
        let read = source.collect(5).await;
        assert_eq!(indices(&read), [0, 1, 2, 3, 4]);
        let t0_us = source.stats().await.t0_us.unwrap();
        assert!(t0_us >= before_us, "{t0_us} {before_us}");
        let (head, _) = source.ask_http("POST", "/start").await;
        assert!(head.starts_with("HTTP/1.1 204"), "{head}");
        assert_eq!(
            source.stats().await.t0_us,
            Some(t0_us),
            "a late start changes nothing"
        );
    }
}

#[tokio::test]
async fn an_aligned_schedule_on_hold_is_aligned_after_its_start() {
    let mut source = Source::start(&["--hold", "--align", "200ms", "--rpu", "100"]).await;
    assert_eq!(source.read(500, 300).await, []);
    let started_us = source.stats().await.now_us;
    source.ask_http("POST", "/start").await;
    let read = source.collect(1).await;
    let t0_us = source.stats().await.t0_us.unwrap();
    assert_eq!((t0_us % 200_000, read[0].time_ns), (0, t0_us * 1_000));
    assert!(t0_us > started_us, "{t0_us} {started_us}");
}

#[tokio::test]
async fn offsets_carry_the_replica_as_their_partition() {
    for (replica, partition) in [(None, 0), (Some("7"), 7)] {
        let mut source = Source::start_with(&["--rpu", "1000"], replica).await;
        let read = source.collect(3).await;
        assert!(
            read.iter()
                .all(|received| received.offset.partition_id == partition)
        );
        assert_eq!(indices(&read), [0, 1, 2], "{replica:?}");
        assert_eq!(source.stats().await.acked, 3, "acks find their events");
    }
}

#[tokio::test]
async fn a_hold_that_nothing_could_end_is_refused() {
    let mut hold = Command::new(binary("generator"));
    hold.arg("--hold");
    let refused = output(hold).await;
    let error = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(2), "{error}");
    assert!(
        error.lines().count() == 1 && error.contains("--stats-listen"),
        "{error}"
    );
}

#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "what the generator stamps is compared with the machine's wall clock"
)]
async fn the_rate_is_kept_by_schedule_and_nothing_comes_early() {
    let mut source = Source::start(&["--rpu", "10000", "--keys", "7"]).await;
    let mut all = Vec::new();
    while all.len() < 5_000 {
        let received = source.read(500, 100).await;
        // One machine, one wall clock: an event that has arrived was due.
        let now_ns = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
        assert!(received.iter().all(|received| received.time_ns <= now_ns));
        source.ack(&received).await;
        all.extend(received);
    }
    assert!(indices(&all).iter().copied().eq(0..all.len() as u64));
    let t0_ns = all[0].time_ns;
    assert!(
        all.iter()
            .all(|received| received.time_ns == t0_ns + received.event.index * 100_000)
    );
    let stats = source.stats().await;
    let by_schedule = (stats.now_us - stats.t0_us.unwrap()) / 100 + 1;
    // Stamps are whole microseconds, a hundredth of the interval between events.
    assert!(
        stats.offered.abs_diff(by_schedule) <= 1,
        "{} offered, {by_schedule} due",
        stats.offered
    );
    assert_eq!((stats.sent, stats.acked), (all.len() as u64, all.len() as u64));
    assert_eq!(stats.lateness.count(), stats.sent);
    assert!(stats.overdue <= stats.sent);
}

#[tokio::test]
async fn a_read_ends_at_its_timeout() {
    let mut source = Source::start(&["--rpu", "1", "--count", "2"]).await;
    let began = std::time::Instant::now();
    assert_eq!(indices(&source.read(500, 100).await), [0]);
    // Event 1 is due after a second, well before patience ends.
    assert!(
        began.elapsed() >= Duration::from_millis(100),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(source.pending().await, 0, "events of the future are not pending");
    assert_eq!(indices(&source.read(500, 2_000).await), [1]);
    assert_eq!(source.read(0, 60_000).await, []);
}

#[tokio::test]
async fn a_reader_that_stalls_gets_everything_late_and_counted() {
    let mut source = Source::start(&["--rpu", "1000"]).await;
    assert_eq!(indices(&source.read(1, 1_000).await), [0]);
    while source.pending().await < 300 {}
    let late = source.read(300, 10_000).await;
    assert_eq!(indices(&late), (1..=300).collect::<Vec<_>>());
    let t0_ns = late[0].time_ns - 1_000_000;
    assert!(
        late.iter()
            .all(|received| received.time_ns == t0_ns + received.event.index * 1_000_000)
    );
    let stats = source.stats().await;
    // The last two may have been sent within a millisecond of their due time.
    assert!(stats.overdue >= 298, "{} overdue", stats.overdue);
    assert!(stats.lateness.max().unwrap() >= Duration::from_millis(298));
    assert!(stats.offered >= 301);
}

#[tokio::test]
async fn nacked_events_come_back_first_and_acked_ones_never() {
    let mut source = Source::start(&["--rpu", "1000", "--count", "12", "--keys", "2"]).await;
    let mut first = Vec::new();
    while first.len() < 10 {
        first.extend(source.read(10 - first.len() as u64, 1_000).await);
    }
    let (three, seven) = (first[3].clone(), first[7].clone());
    source.ack(&first[..3]).await;
    source
        .nack(&[seven.clone(), three.clone(), three.clone(), first[0].clone()])
        .await;
    while source.stats().await.offered < 12 {}
    assert_eq!(source.pending().await, 4, "two put back and two unsent");
    let again = source.read(4, 1_000).await;
    assert_eq!(
        again[..2],
        [three, seven],
        "what was put back comes first, unchanged"
    );
    assert_eq!(indices(&again[2..]), [10, 11]);

    let mut foreign = first[4].clone();
    foreign.offset.offset = b"1-4".to_vec();
    let mut strange = foreign.clone();
    strange.offset.offset = b"\xff".to_vec();
    source.ack(&[foreign.clone(), strange.clone()]).await;
    source.nack(&[foreign, strange]).await;
    let stats = source.stats().await;
    assert_eq!((stats.sent, stats.acked, stats.nacked), (12, 3, 2));
    source.ack(&first).await;
    source.ack(&again).await;
    let stats = source.stats().await;
    assert_eq!((stats.sent, stats.acked, stats.nacked), (12, 12, 2));
    source.nack(&again).await;
    assert_eq!(source.pending().await, 0, "an acked event is not put back");
}

#[tokio::test]
async fn offsets_of_two_processes_differ_and_a_seed_decides_the_keys() {
    let args = |seed| {
        [
            "--rpu",
            "100000",
            "--keys",
            "10",
            "--key-skew",
            "1.2",
            "--count",
            "200",
            "--seed",
            seed,
        ]
    };
    let mut runs = Vec::new();
    for seed in ["5", "5", "6"] {
        runs.push(Source::start(&args(seed)).await.collect(200).await);
    }
    let offsets: BTreeSet<Vec<u8>> = runs
        .iter()
        .flatten()
        .map(|received| received.offset.offset.clone())
        .collect();
    assert_eq!(offsets.len(), 600);
    let keys = |run: &[Received]| {
        run.iter()
            .map(|received| received.keys.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(keys(&runs[0]), keys(&runs[1]));
    assert_ne!(keys(&runs[0]), keys(&runs[2]));
    let mut next: BTreeMap<Vec<String>, u64> = BTreeMap::new();
    for received in &runs[0] {
        let number = next.entry(received.keys.clone()).or_default();
        assert_eq!(received.event.number, *number, "numbers of a key have no gap");
        *number += 1;
    }
    let share = |key: &str| next.get(&vec![key.to_owned()]).copied().unwrap_or(0);
    assert!(share("key-0") > share("key-9"), "the skew favours the first key");
}

#[tokio::test]
async fn saturating_every_read_is_filled_at_once() {
    let mut source = Source::start(&["--saturate", "--count", "1200"]).await;
    let mut last_ns = 0;
    for read in 0..2 {
        let received = source.read(500, 0).await;
        assert_eq!(
            indices(&received),
            (read * 500..(read + 1) * 500).collect::<Vec<_>>()
        );
        assert!(received.windows(2).all(|pair| pair[0].time_ns <= pair[1].time_ns));
        assert!(received[0].time_ns >= last_ns);
        last_ns = received[499].time_ns;
        source.ack(&received).await;
    }
    assert_eq!(source.pending().await, 200);
    assert_eq!(source.read(500, 0).await.len(), 200);
    let stats = source.stats().await;
    assert_eq!(
        (stats.offered, stats.sent, stats.acked, stats.overdue),
        (1_200, 1_200, 1_000, 0)
    );
}

#[tokio::test]
async fn health_and_metrics_are_served() {
    let mut source = Source::start(&["--rpu", "1000000", "--count", "30"]).await;
    source.collect(30).await;
    assert_eq!(source.get("/healthz").await, "ok\n");
    let scrape = Scrape::of(source.address).await;
    for (sample, value) in [
        ("generator_offered_events_total", 30.0),
        ("generator_sent_events_total", 30.0),
        ("generator_acked_events_total", 30.0),
        ("generator_nacked_events_total", 0.0),
        ("generator_pending_events", 0.0),
        ("generator_build_info{version=\"0.1.0\"}", 1.0),
    ] {
        assert_eq!(scrape.value(sample), value, "{sample}");
    }
    let overdue = source.stats().await.overdue as f64;
    assert_eq!(scrape.value("generator_overdue_events_total"), overdue);
    assert!(scrape.value("process_cpu_seconds_total") > 0.0);
    assert!(scrape.value("process_resident_memory_bytes") > 1e6);
    assert!(scrape.value("process_start_time_seconds") <= source.stats().await.now_us as f64 / 1e6 + 1.0);
}

#[tokio::test]
async fn signals_and_the_end_of_stdin_end_it_cleanly() {
    for end in [Some(Signal::TERM), Some(Signal::INT), None] {
        let mut source = Source::start(&["--rpu", "1"]).await;
        assert_eq!(indices(&source.read(1, 1_000).await), [0]);
        // A read that would last for an hour is open.
        source.ask(5_000, 3_600_000).await;
        match end {
            None => source.process.close_stdin(),
            Some(name) => signal(source.process.id().unwrap(), name),
        }
        assert_eq!(source.exit_code().await, Some(0), "{end:?}");
        assert!(
            !source.folder.path().join("source.sock").exists(),
            "{end:?} leaves no socket"
        );
    }
}

#[tokio::test]
async fn a_socket_or_port_that_is_taken_is_named() {
    let mut source = Source::start(&[]).await;
    let folder = source.folder.path().to_owned();
    let socket = folder.join("source.sock");
    let held = output(command(&socket, &folder.join("other"))).await;
    let error = String::from_utf8(held.stderr).unwrap();
    assert_eq!(held.status.code(), Some(1), "{error}");
    assert!(
        error.lines().count() == 1 && error.contains(socket.to_str().unwrap()),
        "{error}"
    );
    assert!(
        source.client.is_ready(()).await.unwrap().into_inner().ready,
        "the other still serves"
    );

    let mut taken = command(&folder.join("b.sock"), &folder.join("b"));
    taken.args(["--stats-listen", &source.address.to_string()]);
    let taken = output(taken).await;
    let error = String::from_utf8(taken.stderr).unwrap();
    assert_eq!(taken.status.code(), Some(1), "{error}");
    let reported = error
        .lines()
        .filter(|line| line.starts_with("generator: "))
        .collect::<Vec<_>>();
    assert!(
        reported.len() == 1 && reported[0].contains(&source.address.to_string()),
        "{error}"
    );
}

/// Three payloads, in a file as some editors write it.
const PAYMENTS: [&str; 3] = [
    r#"{"user":"u1","amount":12.5}"#,
    r#"{"user":"u2","amount":3}"#,
    r#"{"user":"u1","amount":0.25}"#,
];

fn payments(folder: &Path) -> PathBuf {
    let path = folder.join("payments.jsonl");
    std::fs::write(&path, format!("\u{feff}{}\r\n\n", PAYMENTS.join("\r\n  \r\n"))).unwrap();
    path
}

#[tokio::test]
async fn own_payloads_are_sent_in_turn_with_their_number_in_a_header() {
    let folder = tempfile::tempdir().unwrap();
    let file = payments(folder.path());
    let file = file.to_str().unwrap();
    let own = [
        "--payloads",
        file,
        "--rpu",
        "1000",
        "--count",
        "8",
        "--payload-size",
        "500",
    ];
    let by_user: [&str; 2] = ["--key-pointer", "/user"];
    // The keys of eight events, and the number of each within its key.
    let users = ["u1", "u2", "u1", "u1", "u2", "u1", "u1", "u2"].map(str::to_owned);
    let dealt = [0, 1, 0, 1, 0, 1, 0, 1].map(|key: u8| format!("key-{key}"));
    for (args, keys, numbers) in [
        ([&own[..], &by_user].concat(), users, [0, 0, 1, 2, 1, 3, 4, 2]),
        (
            [&own[..], &["--keys", "2"]].concat(),
            dealt,
            [0, 0, 1, 1, 2, 2, 3, 3],
        ),
    ] {
        let mut source = Source::start(&args).await;
        let mut all = source.read(5, 1_000).await;
        source.nack(&all[1..2]).await;
        let again = source.read(1, 1_000).await;
        assert_eq!(again, all[1..2], "put back, it is sent as it was");
        source.ack(&all).await;
        all.extend(source.collect(3).await);
        let stats = source.stats().await;
        for (index, received) in all.iter().enumerate() {
            assert_eq!(received.payload, PAYMENTS[index % 3].as_bytes());
            let id = format!("{}-{index}-{}", stats.generator, numbers[index]);
            assert_eq!(
                received.headers,
                HashMap::from([(wire::EVENT_ID_HEADER.to_owned(), id)])
            );
            assert_eq!(received.keys, [keys[index].clone()]);
        }
        assert_eq!((stats.sent, stats.acked, stats.nacked), (8, 8, 1));
        let sent: u64 = stats
            .windows
            .iter()
            .flat_map(|window| window.numbers.values().map(wire::Ranges::len))
            .sum();
        assert_eq!(sent, 8, "the numbers of each key are whole");
    }
}

#[tokio::test]
async fn payloads_of_a_template_have_the_values_of_their_events() {
    let template = r#"{"user": ${key}, "n": [${index}, ${number}, ${time_ms}], "amount": ${uniform:5:9}}"#;
    let args = [
        "--payload-template",
        template,
        "--keys",
        "2",
        "--rpu",
        "1000",
        "--count",
        "8",
    ];
    let mut amounts = Vec::new();
    for seed in ["1", "1", "2"] {
        let mut source = Source::start(&[&args[..], &["--seed", seed]].concat()).await;
        let first = source.read(1, 1_000).await;
        source.nack(&first).await;
        let mut all = source.read(1, 1_000).await;
        assert_eq!(all, first, "put back, it is sent as it was");
        source.ack(&all).await;
        all.extend(source.collect(7).await);
        let generator = source.stats().await.generator;
        let mut of_seed = Vec::new();
        for (index, received) in (0u64..).zip(&all) {
            let payload: serde_json::Value = serde_json::from_slice(&received.payload).unwrap();
            let (key, number) = (format!("key-{}", index % 2), index / 2);
            assert_eq!(payload["user"], key);
            assert_eq!(received.keys, [key]);
            assert_eq!(
                payload["n"],
                serde_json::json!([index, number, received.time_ns / 1_000_000])
            );
            let id = format!("{generator}-{index}-{number}");
            assert_eq!(received.headers[wire::EVENT_ID_HEADER], id);
            let amount = payload["amount"].as_u64().unwrap();
            assert!((5..=9).contains(&amount), "{payload}");
            of_seed.push(amount);
        }
        amounts.push(of_seed);
    }
    assert_eq!(amounts[0], amounts[1]);
    assert_ne!(amounts[0], amounts[2]);
}

#[tokio::test]
async fn payloads_that_cannot_be_sent_are_refused_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let (socket, info) = (folder.path().join("s"), folder.path().join("i"));
    let file = folder.path().join("events.jsonl");
    let long = format!("a\n{}\n", "x".repeat(1_000_001));
    for (text, args, words) in [
        ("", &[][..], "has no line with a payload"),
        ("\u{feff}\r\n \n", &[], "has no line with a payload"),
        (&long, &[], "line 2 is longer than 1000000 bytes"),
        (
            "abc\nd\n",
            &["--max-payloads-bytes", "3"],
            "more than 3 bytes by line 2",
        ),
        (
            "{\"k\":1}\n\n{}\n",
            &["--key-pointer", "/k"],
            "line 3: nothing at /k for the key",
        ),
        (
            "{\"k\":1}\nsecret\n",
            &["--key-pointer", "/k"],
            "line 2: no JSON, at column 1",
        ),
    ] {
        std::fs::write(&file, text).unwrap();
        let mut command = command(&socket, &info);
        command.arg("--payloads").arg(&file).args(args);
        let refused = output(command).await;
        let error = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(2), "{error}");
        let start = format!("generator: payloads: `{}`: ", file.display());
        assert!(
            error.starts_with(&start) && error.contains(words),
            "{words}: {error}"
        );
        assert!(error.lines().count() == 1 && !error.contains("secret"), "{error}");
    }
    for (args, words) in [
        (
            &["--payloads", "/nowhere/events"][..],
            "cannot be read: No such file",
        ),
        (&["--payloads", "/"], "cannot be read: Is a directory"),
        (&["--key-pointer", "/k"], "--payloads <FILE>"),
        (
            &["--payload-template", "${user}"],
            "payload-template: `${user}` is no field",
        ),
        (&["--payload-template", "{"], "payload-template: it is no JSON"),
        (
            &["--payload-template", "x", "--payloads", "f"],
            "--payload-template <TEXT>",
        ),
        (
            &["--payload-template", "x", "--key-pointer", "/k"],
            "--payload-template <TEXT>",
        ),
        (&["--payloads", "f", "--key-pointer", "k"], "begins with a slash"),
        (
            &["--payloads", "f", "--max-payloads-bytes", "0"],
            "from 1 to 4294967295",
        ),
    ] {
        let mut command = command(&socket, &info);
        command.args(args);
        let refused = output(command).await;
        let error = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(2), "{error}");
        assert!(error.contains(words), "{words}: {error}");
    }
    assert!(!socket.exists() && !info.exists());
}

#[tokio::test]
async fn wrong_use_is_refused_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let (socket, info) = (folder.path().join("s"), folder.path().join("i"));
    for (flag, values) in [
        (
            "--rpu",
            &["0", "-1", "1000001", "1000000000000", "1.5", "ten", ""][..],
        ),
        ("--keys", &["0", "-1", "1000001", "x"]),
        ("--key-skew", &["-0.1", "NaN", "inf", "x"]),
        ("--payload-size", &["-1", "1000001", "1k"]),
        ("--count", &["-1", "1.5", "x", "99999999999999999999"]),
        ("--seed", &["-1", "x"]),
        ("--align", &["0", "10", "-1s", "1us", "1sec", "1e99s"]),
        ("--stats-listen", &["9888", "nowhere"]),
        ("--stop-grace", &["-1s", "5"]),
        ("--replica", &["-1", "65536"]),
    ] {
        for value in values {
            let mut command = command(&socket, &info);
            command.args([flag, value]);
            let refused = output(command).await;
            let error = String::from_utf8(refused.stderr).unwrap();
            assert_eq!(refused.status.code(), Some(2), "{flag} {value}: {error}");
            let first = error.lines().next().unwrap_or_default();
            assert!(
                first.starts_with("error: ") && first.contains(flag),
                "{flag} {value}: {error}"
            );
        }
    }
    let long: PathBuf = folder.path().join("x".repeat(110));
    let refused = output(command(&long, &info)).await;
    let error = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(2), "{error}");
    assert!(
        error.lines().count() == 1 && error.contains("shorter path"),
        "{error}"
    );
    assert!(!socket.exists() && !info.exists());
}
