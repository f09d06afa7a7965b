//! A program on the library, as it is without the experiment: its own events, flags, answers and messages, whoever makes
//! the calls.

#![allow(clippy::unwrap_used, reason = "shared functions of tests are tests too")]

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tests::binary;
use tests::process::terminate;
use tests::reduce::{PATIENCE, Udf};
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
