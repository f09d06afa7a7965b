//! The workers in other languages of `examples/workers`: an unchanged function under the pool's limits, timeouts and
//! records.

use serde_json::{Value, json};
use tests::binary;
use tests::process::terminate;
use tests::reduce::{PATIENCE, Udf};
use tokio::process::Command;
use wire::{Outcome, WindowRecord};

use super::folder;

/// The name of a language, the folder of its example, and the command of its worker in there.
fn workers() -> [(&'static str, &'static str, String); 2] {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    [
        (
            "python",
            "workers/python",
            format!("{python} async_reduce_worker.py legacy:score"),
        ),
        (
            "node",
            "workers/node",
            "node async-reduce-worker.js ./legacy.js score".to_owned(),
        ),
    ]
}

async fn udf(program: &str, example: &str, worker: &str, args: &[&str]) -> Udf {
    let mut command = Command::new(binary(program));
    command
        .current_dir(folder(example))
        .args(["--strategy", "process-pool", "--max-workers", "2"]);
    command.args(["--worker-command", worker]);
    Udf::start_as(command, args).await
}

fn payment(amount: f64, slow: f64) -> Vec<u8> {
    json!({ "user": "u", "amount": amount, "slow": slow })
        .to_string()
        .into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_of_an_unchanged_function_are_those_by_hand() {
    for (language, example, worker) in workers() {
        // The program's own call is a future, which no pool could make.
        let args = ["--url", "http://unused", "--token", "unused"];
        let mut udf = udf("score", example, &worker, &args).await;
        let mut stream = udf.open(0).await;
        for number in 0..200_u32 {
            stream.send_payload("u", payment(f64::from(number), 0.0)).await;
        }
        let sent: Value = serde_json::from_slice(&stream.close().await.by_key["u"]).unwrap();
        assert_eq!(
            (&sent["scored"], &sent["failed"]),
            (&json!(200), &json!(0)),
            "{language}"
        );
        // The mean of 0 to 199, by ten.
        assert!(
            (sent["mean"].as_f64().unwrap() - 9.95).abs() < 1e-9,
            "{language}: {sent}"
        );
        assert_eq!(
            terminate(&mut udf.process, PATIENCE).await.code(),
            Some(0),
            "{language}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_in_a_worker_is_in_the_record_by_its_kind() {
    for (language, example, worker) in workers() {
        let mut udf = udf("udf", example, &worker, &["--timeout", "2s"]).await;
        let mut stream = udf.open(0).await;
        for payload in [
            payment(1.0, 0.0),
            payment(2.0, 60.0),
            b"no payment".to_vec(),
            b"null".to_vec(),
        ] {
            stream.send_payload("u", payload).await;
        }
        let record: WindowRecord = serde_json::from_slice(&stream.close().await.by_key["u"]).unwrap();
        let outcomes: Vec<_> = record.outcomes.into_iter().collect();
        let expected = [
            (Outcome::Ok, 1),
            (Outcome::Timeout, 1),
            (Outcome::Panic, 1),
            (Outcome::BadInput, 1),
        ];
        assert_eq!(outcomes, expected, "{language}");
    }
}
