//! Metrics of the UDF, after a known number of calls and while calls are in flight.

#![allow(clippy::unwrap_used, reason = "shared functions of tests are tests too")]

use std::net::SocketAddr;
use std::time::Duration;

use assert_cmd::Command as Cli;
use rustix::process::Signal;
use tests::process::{memory_bytes, runs, signal, until};
use tests::reduce::{PATIENCE, Udf};
use tests::scrape::Scrape;
use tests::{binary, endpoint};
use wire::{Outcome, StrategyKind};

fn calls(scrape: &Scrape, outcome: Outcome) -> f64 {
    scrape.value(&format!("udf_calls_total{{outcome=\"{outcome}\"}}"))
}

/// Scrapes until a sample has this value.
async fn scrape_where(address: SocketAddr, sample: &str, value: f64) -> Scrape {
    let reached = async {
        loop {
            let scrape = Scrape::of(address).await;
            if scrape.value(sample) == value {
                return scrape;
            }
        }
    };
    tokio::time::timeout(PATIENCE, reached)
        .await
        .unwrap_or_else(|_| panic!("{sample} never was {value}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_strategy_counts_its_calls() {
    let (_endpoint, url) = endpoint(&[]).await;
    for strategy in StrategyKind::ALL {
        let args = [
            "--endpoint-url",
            &url,
            "--strategy",
            strategy.name(),
            "--max-workers",
            "3",
            "--io-delay",
            "3ms",
        ];
        let (mut udf, address) = Udf::start_with_metrics(&args, &[]).await;
        let before = Scrape::of(address).await;
        for outcome in Outcome::ALL {
            assert_eq!(
                calls(&before, *outcome),
                0.0,
                "reported before the first: {strategy}"
            );
        }
        assert_eq!(udf.window(0, 2, 5).await.len(), 2);
        assert_eq!(udf.window(1, 1, 4).await.len(), 1);

        let scrape = Scrape::of(address).await;
        let max_workers = if *strategy == StrategyKind::Sequential {
            1.0
        } else {
            3.0
        };
        for (sample, value) in [
            ("udf_calls_total{outcome=\"ok\"}", 14.0),
            ("udf_calls_total{outcome=\"timeout\"}", 0.0),
            ("udf_call_duration_seconds_count", 14.0),
            ("udf_slot_wait_seconds_count", 14.0),
            ("udf_close_tail_seconds_count", 3.0),
            ("udf_events_total", 14.0),
            ("udf_reading_stopped_total", 0.0),
            ("udf_calls_in_flight", 0.0),
            ("udf_windows_open", 0.0),
            ("udf_max_workers", max_workers),
            ("udf_build_info{version=\"0.1.0\"}", 1.0),
        ] {
            assert_eq!(scrape.value(sample), value, "{sample} of {strategy}");
        }
        let settings = format!(
            "udf_settings_info{{strategy=\"{strategy}\",start_rule=\"at-arrival\",workload=\"http\"}}"
        );
        assert_eq!(scrape.value(&settings), 1.0);
        let durations = scrape.buckets("udf_call_duration_seconds");
        assert_eq!(
            (durations[0].0, durations[durations.len() - 2].0),
            (0.000_1, 60.0)
        );
        assert!(
            durations
                .iter()
                .all(|(bound, count)| *bound > 0.002 || *count == 0.0),
            "no call is shorter than its delay: {durations:?}"
        );
        assert!(scrape.value("udf_call_duration_seconds_sum") >= 14.0 * 0.003);
        scrape.buckets("udf_slot_wait_seconds");
        scrape.buckets("udf_close_tail_seconds");
        assert!(scrape.value("process_cpu_seconds_total") > 0.0);
        assert!(scrape.value("process_start_time_seconds") > 1.7e9);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_and_windows_are_counted_while_they_last() {
    let (_endpoint, url) = endpoint(&[]).await;
    let args = [
        "--endpoint-url",
        &url,
        "--io-delay",
        "2s",
        "--timeout",
        "1s",
        "--max-workers",
        "3",
    ];
    let (mut udf, address) = Udf::start_with_metrics(&args, &[]).await;
    let (mut first, mut second) = (udf.open(0).await, udf.open(1).await);
    for index in 0..2 {
        first.send("a", index, index).await;
        second.send("b", index, index).await;
    }
    let scrape = scrape_where(address, "udf_calls_in_flight", 3.0).await;
    assert_eq!(scrape.value("udf_windows_open"), 2.0);
    first.close().await;
    let scrape = scrape_where(address, "udf_windows_open", 1.0).await;
    assert_eq!(scrape.value("udf_close_tail_seconds_count"), 1.0);
    second.close().await;
    let scrape = Scrape::of(address).await;
    assert_eq!(calls(&scrape, Outcome::Timeout), 4.0);
    assert_eq!(
        scrape.value("udf_windows_open") + scrape.value("udf_calls_in_flight"),
        0.0
    );
    assert_eq!(scrape.value("udf_events_total"), 4.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_counted_by_their_outcome() {
    // Nothing listens on port 9 of the loopback.
    let (mut udf, address) = Udf::start_with_metrics(&["--endpoint-url", "http://127.0.0.1:9"], &[]).await;
    let mut stream = udf.open(0).await;
    stream.send_payload("key", b"no event".to_vec()).await;
    stream.send("key", 0, 0).await;
    stream.send("key", 1, 1).await;
    stream.close().await;
    let scrape = Scrape::of(address).await;
    let reported =
        [Outcome::NoConnection, Outcome::BadBody, Outcome::Ok].map(|outcome| calls(&scrape, outcome));
    assert_eq!(
        reported,
        [3.0, 0.0, 0.0],
        "an event of somebody else is called too"
    );
    assert_eq!(scrape.value("udf_events_total"), 3.0);
    assert_eq!(scrape.value("udf_call_duration_seconds_count"), 3.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_of_reading_is_counted() {
    let (_endpoint, url) = endpoint(&[]).await;
    let bounds = [
        "--start-rule",
        "at-close",
        "--max-waiting",
        "10",
        "--max-workers",
        "2",
    ];
    let args = [&["--endpoint-url", url.as_str()], &bounds[..]].concat();
    let (mut udf, address) = Udf::start_with_metrics(&args, &[]).await;
    let records = udf.window(0, 3, 100).await;
    let stopped: u64 = records.iter().map(|record| record.reading_stopped).sum();
    assert!(stopped > 0);
    let scrape = Scrape::of(address).await;
    assert_eq!(scrape.value("udf_reading_stopped_total"), stopped as f64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pools_children_count_as_the_process_also_once_they_are_gone() {
    let work = ["--workload", "cpu", "--io-delay", "50ms"];
    let pool = ["--strategy", "process-pool", "--max-workers", "2"];
    // The address is in the environment, which the children inherit, but only the UDF may listen on it.
    let (mut udf, address) = Udf::start_with_metrics(&[&work[..], &pool[..]].concat(), &[]).await;
    udf.window(0, 1, 12).await;
    let before = Scrape::of(address).await;
    let cpu = before.value("process_cpu_seconds_total");
    // Ticks of 10 ms are rounded down, for user and system of each child.
    assert!(cpu >= 0.55, "12 calls of 50 ms: {cpu} s");
    let mut resident = before.value("process_resident_memory_bytes");
    for id in tests::children_of(udf.id()) {
        resident -= memory_bytes(id).unwrap() as f64;
        signal(id, Signal::KILL);
        // A child that is still dying when its next call starts would fail that call.
        until("the child is gone", PATIENCE, || !runs(id)).await;
    }
    assert!(resident > 1e6, "the rest is the UDF's own: {resident}");
    let records = udf.window(1, 1, 4).await;
    assert_eq!(records[0].ok(), 4, "by new children");
    let after = Scrape::of(address).await.value("process_cpu_seconds_total");
    assert!(
        after >= cpu + 0.15,
        "a counter does not fall: {cpu} s, then {after} s"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_served_while_calls_hold_every_thread_of_the_runtime() {
    let args = ["--workload", "cpu", "--io-delay", "1s"];
    let (mut udf, address) = Udf::start_with_metrics(&args, &[]).await;
    let threads = std::thread::available_parallelism().unwrap().get() as u64;
    let mut stream = udf.open(0).await;
    for index in 0..threads {
        stream.send("key", index, index).await;
    }
    scrape_where(address, "udf_calls_in_flight", threads as f64).await;
    let health = reqwest::get(format!("http://{address}/healthz")).await.unwrap();
    assert_eq!(health.text().await.unwrap(), "ok\n");
    assert_eq!(stream.close().await.records()[0].ok(), threads);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_taken_is_refused_in_words() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    for (name, code, words) in [
        (
            address.as_str(),
            1,
            format!("stats-listen: cannot listen on {address}"),
        ),
        ("9100", 2, "--stats-listen".to_owned()),
    ] {
        let output = Cli::new(binary("udf"))
            .arg("--socket")
            .arg(folder.path().join("s"))
            .arg("--server-info")
            .arg(folder.path().join("i"))
            .args(["--stats-listen", name])
            .timeout(Duration::from_secs(20))
            .assert()
            .code(code);
        let stderr = String::from_utf8_lossy(&output.get_output().stderr).into_owned();
        assert!(stderr.contains(&words), "{stderr}");
    }
    assert!(!folder.path().join("i").exists(), "nothing was served");
}
