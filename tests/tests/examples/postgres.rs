//! The example `postgres` with a server of its own: answers, failures, and the close tail of two pools.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use assert_cmd::Command as Cli;
use serde_json::{Value, json};
use tests::binary;
use tests::reduce::{PATIENCE, Udf};
use wire::{Outcome, WindowRecord};

use super::{folder, tails};

fn example() -> PathBuf {
    folder("postgres")
}

/// A server that stops with this, or with the test's process.
struct Server {
    url: String,
    process: Child,
    stop: Option<ChildStdin>,
    /// For temporary files of the script; empty after its end.
    folder: tempfile::TempDir,
}

impl Server {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // The server runs as another user where the test runs as root.
        Command::new("chmod")
            .arg("755")
            .arg(folder.path())
            .status()
            .unwrap();
        let mut process = Command::new(example().join("server"))
            .args(["sh", "-c", "echo \"$DATABASE_URL\"; cat"])
            .env("TMPDIR", folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut url = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut url)
            .unwrap();
        assert!(url.contains("password="), "the server has started: {url}");
        let stop = process.stdin.take();
        Self {
            url: url.trim_end().to_owned(),
            process,
            stop,
            folder,
        }
    }

    async fn lookup(&self, args: &[&str]) -> Udf {
        let mut command = tokio::process::Command::new(binary("postgres-lookup"));
        command.env("DATABASE_URL", &self.url);
        Udf::start_as(command, args).await
    }

    fn stop(mut self) {
        drop(self.stop.take());
        assert_eq!(self.process.wait().unwrap().code(), Some(0));
        let left: Vec<_> = self.folder.path().read_dir().unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        let _ = self.process.wait();
    }
}

fn visit(account: u32) -> Vec<u8> {
    json!({ "account": account }).to_string().into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_and_window_sends_the_mean_of_its_ratings() {
    let server = Server::start();
    // More calls than connections: they wait for one another within the calls.
    for args in [&["--max-workers", "8"][..], &["--pool-size", "3"]] {
        let mut udf = server.lookup(args).await;
        let mut stream = udf.open(0).await;
        for account in 1..=40 {
            stream
                .send_payload(&format!("k{}", account % 2), visit(account))
                .await;
        }
        let results = stream.close().await;
        // A rating is a tenth of the account: the odd ones to 39, the even ones to 40.
        for (key, mean) in [("k1", 2.0), ("k0", 2.1)] {
            let sent: f64 = serde_json::from_slice(&results.by_key[key]).unwrap();
            assert!((sent - mean).abs() < 1e-9, "{args:?} {key}: {sent}");
        }
    }
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_counted_by_its_kind() {
    let server = Server::start();
    let mut udf = server
        .lookup(&["--records", "only", "--max-workers", "2", "--retries", "1"])
        .await;
    let mut stream = udf.open(0).await;
    for payload in [visit(1), visit(1_000), b"{}".to_vec()] {
        stream.send_payload("k", payload).await;
    }
    let record: WindowRecord = serde_json::from_slice(&stream.close().await.by_key["k"]).unwrap();
    let outcomes: Vec<_> = record.outcomes.into_iter().collect();
    assert_eq!(
        outcomes,
        [(Outcome::Ok, 1), (Outcome::BadInput, 1), (Outcome::Failed, 1)]
    );
    assert_eq!(record.named, [("no-account".to_owned(), 1)].into());

    // The server goes while the program runs.
    server.stop();
    let mut stream = udf.open(1).await;
    stream.send_payload("k", visit(1)).await;
    let record: WindowRecord = serde_json::from_slice(&stream.close().await.by_key["k"]).unwrap();
    assert_eq!((record.ok(), record.attempts), (0, 2), "{:?}", record.outcomes);
    assert!(
        record
            .outcomes
            .keys()
            .all(|outcome| matches!(outcome, Outcome::Broken | Outcome::NoConnection)),
        "{:?}",
        record.outcomes
    );
}

/// Starts the program with a database that it cannot use; returns its one line.
fn refused(url: &str) -> String {
    let output = Cli::new(binary("postgres-lookup"))
        .env("DATABASE_URL", url)
        .env_remove("RUST_LOG")
        .timeout(PATIENCE)
        .assert()
        .code(2);
    let line = String::from_utf8(output.get_output().stderr.clone()).unwrap();
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(!line.contains("s3cret"), "{line}");
    line
}

#[test]
fn a_database_that_cannot_be_used_ends_the_start_in_one_line() {
    let server = Server::start();
    let (before, after) = server.url.split_once("password=").unwrap();
    let (_, after) = after.split_once(' ').unwrap();
    let wrong = format!("{before}password=s3cret {after}");
    for (url, words) in [
        (
            wrong.as_str(),
            "password authentication failed for user \"example\"",
        ),
        ("postgres://u:s3cret@127.0.0.1:1/db", "Connection refused"),
        (
            "postgres://u:s3cret@127.0.0.1:none/db",
            "invalid value for option `port`",
        ),
    ] {
        let line = refused(url);
        assert!(
            line.starts_with("postgres-lookup: --database-url: ") && line.contains(words),
            "{line}"
        );
    }
    server.stop();
}

#[test]
fn a_server_that_is_not_installed_is_one_line() {
    let output = Cli::new(example().join("server"))
        .arg("true")
        .env("POSTGRES_BIN", "/nowhere")
        .assert()
        .code(1);
    let line = String::from_utf8(output.get_output().stderr.clone()).unwrap();
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(line.contains("apt-get install postgresql"), "{line}");
}

/// 48 look-ups of 20 ms at a close.
const PLAN: &str = "
name: tiny
calls: none
window: 1500ms
read_timeout: 50ms
warmup: 1
windows: 2
cut_off: 20s
fixed: {rpu: 32, io_delay: 20ms, strategy: async, start_rule: at-close}
axes: {max_workers: [1, 8]}
";

#[test]
fn the_close_tail_hangs_on_the_size_of_the_pool() {
    let folder = tempfile::tempdir().unwrap();
    let (plan, out) = (folder.path().join("plan.yaml"), folder.path().join("out"));
    let visits = example().join("visits.jsonl");
    std::fs::write(&plan, format!("{PLAN}payloads: {}\n", visits.display())).unwrap();
    let programs = binary("experiment").parent().unwrap().to_owned();
    Cli::new(example().join("run"))
        .arg("--out")
        .arg(&out)
        .env("PLAN", &plan)
        .env("BINARIES", programs)
        .assert()
        .success();
    let tails = tails(&out, 144);
    for (pool, tail) in &tails {
        assert!(
            *tail >= Duration::from_millis(20) * 48 / *pool,
            "{pool} connections: {tail:?}"
        );
    }
    // On a machine that does something else too.
    assert!(tails[&1] > 3 * tails[&8], "{tails:?}");
}

#[test]
fn the_plan_that_is_kept_can_be_run() {
    let output = Cli::new(binary("experiment"))
        .args(["predict", "--format", "json"])
        .arg(example().join("plan.yaml"))
        .assert()
        .success();
    let predicted: Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
    let trials = predicted["trials"].as_array().unwrap();
    assert_eq!(trials.len(), 7);
    for trial in trials {
        let prediction = &trial["prediction"];
        assert_eq!(prediction["verdict"], "keeps-up", "{trial}");
        let (rounds, tail) = (
            192.0 / trial["settings"]["max_workers"].as_f64().unwrap(),
            &prediction["close_tail_us"],
        );
        assert!(tail.as_f64().unwrap() >= rounds * 20_000.0, "{trial}");
    }
    assert!(
        predicted["takes_s"]["local"].as_f64().unwrap() < 480.0,
        "{predicted}"
    );
}
