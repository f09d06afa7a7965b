//! Limits of the system: file descriptors.

use std::process::Stdio;
use std::time::Duration;

use futures_util::future::join_all;
use tests::process::descriptors;
use tests::reduce::{PATIENCE, Udf, count};
use tests::{address, binary, endpoint, get_json, provide_tls, spawn};
use tokio::process::Command;
use wire::{EndpointStats, Outcome};

/// A command with a limit of open files, soft and hard.
fn limited(files: u32, program: &str) -> Command {
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(format!("ulimit -n {files} && exec \"$0\" \"$@\""))
        .arg(binary(program));
    command
}

/// Asserts that a UDF ends with exit status 2 and one line that has these words.
async fn assert_refused_at_start(mut udf: Command, words: [&str; 3]) {
    let folder = tempfile::tempdir().unwrap();
    udf.arg("--socket").arg(folder.path().join("socket"));
    let output = udf.stdin(Stdio::null()).output();
    let output = tokio::time::timeout(PATIENCE, output).await.unwrap().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{udf:?}: {stderr}");
    assert_eq!(stderr.lines().count(), 1, "{udf:?}: {stderr}");
    for word in words {
        assert!(stderr.contains(word), "{udf:?}: {stderr}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_calls_than_descriptors_are_refused_in_words() {
    for strategy in ["async", "thread-pool", "process-pool"] {
        let mut udf = limited(100, "udf");
        udf.args(["--strategy", strategy, "--max-workers", "200"]);
        let words = ["max_workers: 200", "this process may have 100", "ulimit -n"];
        assert_refused_at_start(udf, words).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_calls_as_the_descriptors_allow_are_made() {
    let (_endpoint, url) = endpoint(&[]).await;
    let flags = [
        "--endpoint-url",
        &url,
        "--max-workers",
        "36",
        "--io-delay",
        "50ms",
    ];
    let mut udf = Udf::start_as(limited(100, "udf"), &flags).await;
    for number in 0..3 {
        let records = udf.window(number, 1, 144).await;
        assert_eq!(count(&records, Outcome::Ok), 144, "{:?}", records[0].outcomes);
        assert_eq!(records[0].peak_in_flight, 36);
    }
    assert!(descriptors(udf.id()).unwrap() <= 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_out_of_descriptors_lets_connections_wait() {
    let mut command = limited(64, "endpoint");
    command.args(["--listen", "127.0.0.1:0"]);
    let mut endpoint = spawn(command);
    let url = format!("http://{}", address(&mut endpoint).await);
    // Each call has a connection of its own that ends with it: more at once than the endpoint may hold.
    provide_tls();
    let client = reqwest::Client::builder()
        .no_proxy()
        .pool_max_idle_per_host(0)
        .timeout(PATIENCE)
        .build()
        .unwrap();
    let calls = (0..200).map(|_| client.get(format!("{url}/ping?delay=20ms")).send());
    for answer in join_all(calls).await {
        assert!(answer.unwrap().status().is_success());
    }
    let stats: EndpointStats = get_json(&format!("{url}/stats")).await;
    assert_eq!(stats.served, 200);
    assert!(stats.peak_in_flight < 64, "{}", stats.peak_in_flight);
    assert!(stats.delay.asked.max().unwrap() <= Duration::from_millis(21));
}

#[tokio::test(flavor = "multi_thread")]
async fn more_calls_than_local_ports_are_refused_in_words() {
    let mut udf = Command::new(binary("udf"));
    // More than any range of ports has.
    udf.args(["--max-workers", "100000"]);
    assert_refused_at_start(udf, ["max_workers: 100000", "local ports", "ip_local_port_range"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sequential_over_more_keys_than_descriptors_takes_turns() {
    let (_endpoint, url) = endpoint(&[]).await;
    let flags = [
        "--endpoint-url",
        &url,
        "--strategy",
        "sequential",
        "--io-delay",
        "20ms",
    ];
    let mut udf = Udf::start_as(limited(100, "udf"), &flags).await;
    for number in 0..2 {
        let records = udf.window(number, 150, 2).await;
        assert_eq!(
            count(&records, Outcome::Ok),
            300,
            "each of 150 keys has its calls"
        );
        assert!(records.iter().all(|record| record.peak_in_flight == 1));
    }
    assert!(descriptors(udf.id()).unwrap() <= 100);
    let stats: EndpointStats = get_json(&format!("{url}/stats")).await;
    assert!(
        (2..=36).contains(&stats.peak_in_flight),
        "{}",
        stats.peak_in_flight
    );
}

/// Padding of an event.
const PADDING: usize = 10_000;

#[tokio::test(flavor = "multi_thread")]
async fn waiting_events_are_bounded_in_bytes_too() {
    let (_endpoint, url) = endpoint(&[]).await;
    for strategy in ["async", "thread-pool", "process-pool"] {
        let flags = [
            "--endpoint-url",
            &url,
            "--strategy",
            strategy,
            "--max-workers",
            "2",
        ];
        // Room for twenty of them, or for a million smaller ones.
        let bound = ["--start-rule", "at-close", "--max-waiting-bytes", "220000"];
        let mut udf = Udf::start(&[&flags[..], &bound].concat(), &[]).await;
        let mut stream = udf.open(0).await;
        for index in 0..100 {
            let event = wire::Event {
                generator: 7,
                index,
                number: index,
                padding: "x".repeat(PADDING),
            };
            stream.send_payload("key", event.encode().unwrap()).await;
        }
        let records = stream.close().await.records();
        assert_eq!(count(&records, Outcome::Ok), 100, "{strategy}");
        let stopped = records[0].reading_stopped;
        assert!((1..=80).contains(&stopped), "{strategy}: {stopped}");
        let small = udf.window(1, 1, 100).await;
        assert_eq!(
            (count(&small, Outcome::Ok), small[0].reading_stopped),
            (100, 0),
            "{strategy}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_of_a_megabyte_reach_the_call() {
    let (_endpoint, url) = endpoint(&[]).await;
    let value = "x".repeat(1 << 20);
    for strategy in ["async", "thread-pool", "process-pool", "sequential"] {
        let mut udf = Udf::start(&["--endpoint-url", &url, "--strategy", strategy], &[]).await;
        let mut stream = udf.open(0).await;
        let headers = [("tenant", value.as_str()), ("trace", "t")];
        for number in 0..3 {
            let payload = format!("payload {number}").into_bytes();
            stream.send_with_headers("key", payload, &headers).await;
        }
        let records = stream.close().await.records();
        assert_eq!(
            (records[0].events, count(&records, Outcome::Ok)),
            (3, 3),
            "{strategy}: {:?}",
            records[0].outcomes
        );
    }
}
