//! A program on the library, as it is without the experiment: its own events, flags, answers and messages, whoever makes
//! the calls.

#![allow(clippy::unwrap_used, reason = "shared functions of tests are tests too")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use assert_cmd::Command as Cli;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tests::binary;
use tests::process::{ended, terminate};
use tests::reduce::{PATIENCE, Udf};
use tests::scrape::Scrape;
use tokio::process::Command;
use wire::{Outcome, StrategyKind, WindowRecord};

/// The example that looks payloads up in a file, whose path is a flag of its own.
async fn lookup(known: &Path, args: &[&str]) -> Udf {
    let mut command = Command::new(binary("examples/lookup"));
    command.arg("--known").arg(known);
    Udf::start_as(command, args).await
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_come_in_the_order_of_arrival_whoever_makes_the_calls() {
    let folder = tempfile::tempdir().unwrap();
    let known = folder.path().join("known");
    let lines: Vec<String> = (0..50).map(|number| format!("order {number}")).collect();
    fs::write(&known, lines.join("\n")).unwrap();
    for strategy in StrategyKind::ALL {
        let mut udf = lookup(&known, &["--strategy", strategy.name(), "--max-workers", "3"]).await;
        let mut stream = udf.open(0).await;
        let order = |number: u64| number * 7 % 50;
        for number in 0..50 {
            let payload = format!("order {}", order(number));
            stream
                .send_payload(&format!("key-{}", number % 2), payload.into_bytes())
                .await;
        }
        stream.send_payload("key-0", b"unheard of".to_vec()).await;
        let results = stream.close().await;
        assert_eq!(results.by_key.len(), 2, "{strategy}: no record beside them");
        for key in 0..2_u64 {
            let found: Value = serde_json::from_slice(&results.by_key[&format!("key-{key}")]).unwrap();
            let by_hand: Vec<u64> = (0..50)
                .filter(|number| number % 2 == key)
                .map(|number| order(number) + 1)
                .collect();
            assert_eq!(found, json!(by_hand), "{strategy}");
        }
        assert_eq!(
            terminate(&mut udf.process, PATIENCE).await.code(),
            Some(0),
            "{strategy}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_programs_own_kind_of_failure_is_counted_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let known = folder.path().join("known");
    fs::write(&known, "a\nb\n").unwrap();
    for strategy in StrategyKind::ALL {
        let args = [
            "--strategy",
            strategy.name(),
            "--records",
            "only",
            "--retries",
            "3",
        ];
        let mut udf = lookup(&known, &args).await;
        let mut stream = udf.open(0).await;
        for payload in ["a", "b", "c", "d", "e"] {
            stream.send_payload("key", payload.into()).await;
        }
        let results = stream.close().await;
        let record: WindowRecord = serde_json::from_slice(&results.by_key["key"]).unwrap();
        let outcomes: Vec<_> = record.outcomes.into_iter().collect();
        assert_eq!(outcomes, [(Outcome::Ok, 2), (Outcome::Failed, 3)], "{strategy}");
        assert_eq!(record.named, [("unknown".to_owned(), 3)].into(), "{strategy}");
        assert_eq!(record.attempts, 5, "{strategy}: none is tried again");
        assert_eq!(results.tags["key"], [wire::RECORD_TAG], "{strategy}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_number_of_an_event_in_its_header_is_in_the_record() {
    let folder = tempfile::tempdir().unwrap();
    let known = folder.path().join("known");
    fs::write(&known, "a\n").unwrap();
    let mut udf = lookup(&known, &["--records", "only"]).await;
    let mut stream = udf.open(0).await;
    for number in 0..5 {
        let id = wire::event_id(9, 100 + number, number);
        let headers = [(wire::EVENT_ID_HEADER, id.as_str()), ("tenant", "t")];
        stream.send_with_headers("key", b"a".to_vec(), &headers).await;
    }
    stream
        .send_with_headers("key", b"a".to_vec(), &[(wire::EVENT_ID_HEADER, "no id")])
        .await;
    let record: WindowRecord = serde_json::from_slice(&stream.close().await.by_key["key"]).unwrap();
    assert_eq!((record.events, record.ok(), record.unnumbered), (6, 6, 1));
    assert_eq!(record.seen[&9].to_string(), "0-4");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_process_is_set_up_once_and_cleaned_up_once() {
    let folder = tempfile::tempdir().unwrap();
    let pool = (StrategyKind::ProcessPool, 4, true);
    let alone = StrategyKind::ALL.iter().map(|&strategy| {
        let processes = if strategy == StrategyKind::ProcessPool {
            4
        } else {
            1
        };
        (strategy, processes, false)
    });
    for (strategy, processes, whole_group) in alone.chain([pool]) {
        let notes = folder.path().join(format!("{strategy}-{whole_group}"));
        fs::write(&notes, "").unwrap();
        let mut command = Command::new(binary("examples/tidy"));
        command.arg("--notes").arg(&notes);
        let args = ["--strategy", strategy.name(), "--max-workers", "3"];
        let mut udf = Udf::start_as(command, &args).await;
        let mut stream = udf.open(0).await;
        for _ in 0..100 {
            stream.send_payload("key", Vec::new()).await;
        }
        assert_eq!(stream.close().await.by_key["key"], b"100", "{strategy}");
        let ended = match whole_group {
            // As Ctrl-C and the managers of services do.
            true => {
                let group = i32::try_from(udf.id()).ok().and_then(Pid::from_raw);
                kill_process_group(group.unwrap(), Signal::TERM).unwrap();
                ended(&mut udf.process, PATIENCE).await
            }
            false => terminate(&mut udf.process, PATIENCE).await,
        };
        assert_eq!(ended.code(), Some(0), "{strategy}");
        // All of them are there already: the process that serves ends last.
        let text = fs::read_to_string(&notes).unwrap();
        let mut of_process = BTreeMap::<&str, Vec<&str>>::new();
        for (process, what) in text.lines().map(|line| line.split_once(' ').unwrap()) {
            of_process.entry(process).or_default().push(what);
        }
        assert_eq!(of_process.len(), processes, "{strategy}: {text}");
        for (process, notes) in of_process {
            assert_eq!(notes, ["set-up", "clean-up"], "{strategy}: {process}");
        }
    }
}

#[test]
fn a_set_up_that_fails_ends_the_program_with_its_reason() {
    let output = Cli::new(binary("examples/tidy"))
        .args(["--notes", "/nowhere/at-all"])
        .timeout(PATIENCE)
        .assert()
        .code(2);
    let stderr = String::from_utf8_lossy(&output.get_output().stderr).into_owned();
    assert!(stderr.starts_with("tidy: No such file"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_is_too_long_is_a_failure_with_a_tag_and_a_metric() {
    let folder = tempfile::tempdir().unwrap();
    let known = folder.path().join("known");
    fs::write(&known, format!("{}a\n", "\n".repeat(9_999))).unwrap();
    let mut command = Command::new(binary("examples/lookup"));
    command.arg("--known").arg(&known);
    // Room for an array of one number of four digits, and not of five.
    let args = ["--max-message-bytes", "6", "--strategy", "thread-pool"];
    let (mut udf, address) = Udf::start_as_with_metrics(command, &args).await;
    let mut stream = udf.open(0).await;
    stream.send_payload("short", b"".to_vec()).await;
    stream.send_payload("long", b"a".to_vec()).await;
    let results = stream.close().await;
    assert_eq!(
        (&results.by_key["short"][..], results.tags["short"].len()),
        (&b"[1]"[..], 0)
    );
    let failure: Value = serde_json::from_slice(&results.by_key["long"]).unwrap();
    assert_eq!(results.tags["long"], ["async-reduce-failure"]);
    assert_eq!(
        failure["failure"],
        "an answer of 7 bytes is longer than max_message_bytes (6)"
    );
    let scrape = Scrape::of(address).await;
    assert_eq!(scrape.value("udf_finish_seconds_count"), 2.0);
    assert_eq!(scrape.value("udf_results_failed_total"), 1.0);
}
