//! The UDF as the SDK and its users use it: what must hold for every strategy.

#![allow(clippy::unwrap_used, reason = "shared functions of tests are tests too")]

use std::time::Duration;

use assert_cmd::Command as Cli;
use rustix::process::Signal;
use tests::process::{ended, runs, signal, terminate, until};
use tests::reduce::{PATIENCE, Udf};
use tests::{binary, children_of, endpoint};
use wire::{EndpointStats, Outcome, StrategyKind};

#[tokio::test(flavor = "multi_thread")]
async fn waiting_events_are_bounded_and_the_record_says_so() {
    let (_endpoint, url) = endpoint(&[]).await;
    let args = [
        "--endpoint-url",
        &url,
        "--start-rule",
        "at-close",
        "--max-waiting",
        "10",
        "--max-workers",
        "2",
    ];
    let mut udf = Udf::start(&args, &[]).await;
    let records = udf.window(0, 3, 100).await;
    assert_eq!(
        records.iter().map(|record| record.ok()).sum::<u64>(),
        300,
        "all events are called all the same"
    );
    assert!(
        records.iter().map(|record| record.reading_stopped).sum::<u64>() > 0,
        "the record has the stop of reading"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_whose_calls_hang_delays_no_other_key() {
    let (_endpoint, url) = endpoint(&["--io-delay", "0"]).await;
    let args = [
        "--endpoint-url",
        &url,
        "--strategy",
        "sequential",
        "--io-delay",
        "400ms",
    ];
    let mut udf = Udf::start(&args, &[]).await;
    let mut stream = udf.open(0).await;
    // Ten events of one key, four seconds of calls, then one event of another key.
    for index in 0..10 {
        stream.send("slow", index, index).await;
    }
    stream.send("other", 10, 0).await;
    let records = stream.close().await.records();
    let of = |key: &str| records.iter().find(|record| record.keys == [key]).unwrap();
    let (slow, other) = (of("slow"), of("other"));
    assert_eq!((slow.ok(), other.ok()), (10, 1));
    let since_arrival = Duration::from_micros(other.last_arrival_us - slow.first_arrival_us);
    assert!(
        since_arrival < Duration::from_millis(400),
        "it arrived before the first call ended: {since_arrival:?}"
    );
    let waited = other.slot_wait.max().unwrap();
    assert!(
        waited < Duration::from_millis(400),
        "its call did not wait for the other key's: {waited:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_fails_only_its_call_and_is_replaced() {
    let (_endpoint, url) = endpoint(&[]).await;
    let args = [
        "--endpoint-url",
        &url,
        "--strategy",
        "process-pool",
        "--max-workers",
        "3",
        "--io-delay",
        "1500ms",
    ];
    let mut udf = Udf::start(&args, &[]).await;
    let mut stream = udf.open(0).await;
    for index in 0..3 {
        stream.send("key", index, index).await;
    }
    let called = async {
        loop {
            let stats: EndpointStats = tests::get_json(&format!("{url}/stats")).await;
            if stats.in_flight == 3 {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, called)
        .await
        .expect("three calls are in flight");
    let workers = children_of(udf.id());
    assert_eq!(workers.len(), 3);
    signal(workers[0], Signal::KILL);
    let records = stream.close().await.records();
    assert_eq!(records[0].outcomes.get(&Outcome::WorkerDied), Some(&1));
    assert_eq!(records[0].ok(), 2);

    let records = udf.window(1, 1, 3).await;
    assert_eq!(records[0].ok(), 3, "the pool is whole again");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_somebody_else_is_called_like_any_other() {
    let (_endpoint, url) = endpoint(&[]).await;
    let mut udf = Udf::start(&["--endpoint-url", &url], &[]).await;
    let mut stream = udf.open(0).await;
    stream.send_payload("key", b"no event".to_vec()).await;
    stream.send("key", 0, 0).await;
    stream.send("key", 0, 0).await;
    let record = &stream.close().await.records()[0];
    assert_eq!((record.events, record.unnumbered, record.repeated), (3, 1, 1));
    assert_eq!(record.unnumbered_ns, [0], "it is known by its event time");
    assert_eq!((record.ok(), record.undecoded), (3, 0));
    let stats: EndpointStats = tests::get_json(&format!("{url}/stats")).await;
    assert_eq!(stats.served, 3);
    assert_eq!(record.seen[&7].to_string(), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_to_an_absent_endpoint_has_no_connection() {
    for strategy in ["async", "thread-pool"] {
        // Nothing listens on port 9 of the loopback.
        let args = [
            "--endpoint-url",
            "http://127.0.0.1:9",
            "--strategy",
            strategy,
            "--max-workers",
            "4",
        ];
        let mut udf = Udf::start(&args, &[]).await;
        let records = udf.window(0, 1, 8).await;
        assert_eq!(
            records[0].outcomes.get(&Outcome::NoConnection),
            Some(&8),
            "{strategy}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_originals_environment_and_message_work_as_before() {
    let (_endpoint, url) = endpoint(&[]).await;
    let env = [
        ("EXEC_TYPE", "thread"),
        ("MAX_WORKERS", "7"),
        ("ENDPOINT_URL", url.as_str()),
    ];
    let mut udf = Udf::start(&[], &env).await;
    let record = &udf.window(0, 1, 3).await[0];
    assert_eq!(record.settings.strategy, StrategyKind::ThreadPool);
    assert_eq!((record.settings.max_workers, record.ok()), (7, 3));

    let mut udf = Udf::start(&["--result-format", "text", "--endpoint-url", &url], &[]).await;
    let mut stream = udf.open(0).await;
    stream.send("key", 0, 0).await;
    let message = String::from_utf8(stream.close().await.by_key.remove("key").unwrap()).unwrap();
    let seconds = message
        .strip_prefix("batch_time:")
        .and_then(|rest| rest.split(' ').next())
        .unwrap();
    assert!(seconds.parse::<f64>().unwrap() > 0.0);
    assert!(message.ends_with(
        "interval_window_start:1970-01-01 00:00:00+00:00 interval_window_end:1970-01-01 00:00:10+00:00"
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_internal_error_of_the_server_the_exit_status_is_1() {
    let (_endpoint, url) = endpoint(&[]).await;
    let mut udf = Udf::start(&["--endpoint-url", &url], &[]).await;
    let mut stream = udf.open(0).await;
    let window = stream.window();
    stream
        .send_raw("key", Vec::new(), vec![window.clone(), window])
        .await;
    assert!(
        stream.response().await.is_err(),
        "two windows in one request are an error of the protocol"
    );
    drop(stream);
    let status = ended(&mut udf.process, PATIENCE).await;
    assert_eq!(status.code(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_stops_when_its_standard_input_ends() {
    let mut udf = Udf::start(
        &[
            "--strategy",
            "process-pool",
            "--max-workers",
            "2",
            "--stop-on-stdin-close",
        ],
        &[],
    )
    .await;
    let workers = children_of(udf.id());
    assert_eq!(workers.len(), 2);
    udf.process.close_stdin();
    let status = ended(&mut udf.process, PATIENCE).await;
    assert_eq!(status.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_stops_on_a_signal_while_its_standard_input_is_open() {
    let mut udf = Udf::start(&["--stop-on-stdin-close"], &[]).await;
    let status = terminate(&mut udf.process, PATIENCE).await;
    assert_eq!(status.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_within_a_window_ends_it_cleanly() {
    let (_endpoint, url) = endpoint(&[]).await;
    for strategy in StrategyKind::ALL {
        let settings = ["--io-delay", "1h", "--timeout", "2h", "--max-workers", "2"];
        let args = [
            &["--endpoint-url", url.as_str(), "--strategy", strategy.name()],
            &settings[..],
        ]
        .concat();
        let mut udf = Udf::start(&args, &[]).await;
        let mut stream = udf.open(0).await;
        for index in 0..4 {
            stream.send("key", index, index).await;
        }
        let children = children_of(udf.id());
        let pool = if *strategy == StrategyKind::ProcessPool {
            2
        } else {
            0
        };
        assert_eq!(children.len(), pool, "{strategy}");
        let status = terminate(&mut udf.process, PATIENCE).await;
        assert_eq!(status.code(), Some(0), "{strategy}");
        until("no child outlives it", PATIENCE, || {
            !children.iter().any(|id| runs(*id))
        })
        .await;
    }
}

#[test]
fn bad_settings_are_refused_in_words() {
    let wrong = [
        (vec!["--strategy", "fast"], "unknown strategy `fast`"),
        (vec!["--start-rule", "later"], "unknown start rule `later`"),
        (vec!["--workload", "disk"], "unknown workload `disk`"),
        (vec!["--max-workers", "0"], "--max-workers"),
        (vec!["--max-workers", "-1"], "--max-workers"),
        (vec!["--io-delay", "1sec"], "`1sec` is not a duration"),
        (vec!["--io-delay", "-1s"], "`-1s` is not a duration"),
        (vec!["--io-delay", "1e99s"], "`1e99s` is not a duration"),
        (vec!["--timeout", "0"], "--timeout"),
        (vec!["--endpoint-url", "nowhere"], "endpoint_url: `nowhere`"),
        (
            vec!["--endpoint-url", "ftp://nowhere"],
            "endpoint_url: `ftp://nowhere`",
        ),
        (vec!["--frobnicate"], "--frobnicate"),
    ];
    for (args, words) in wrong {
        let output = Cli::new(binary("udf"))
            .args(&args)
            .timeout(PATIENCE)
            .assert()
            .code(2);
        let stderr = String::from_utf8_lossy(&output.get_output().stderr).into_owned();
        assert!(stderr.contains(words), "{args:?}: {stderr}");
        assert!(!stderr.contains("panicked"), "{args:?}: {stderr}");
    }
    // Said, but no error: the original's MAX_WORKERS may be set for any strategy.
    let output = Cli::new(binary("udf"))
        .args(["--strategy", "sequential", "--socket", "/proc/none/s"])
        .env("MAX_WORKERS", "50")
        .timeout(PATIENCE)
        .assert()
        .failure();
    let stderr = String::from_utf8_lossy(&output.get_output().stderr).into_owned();
    assert!(
        stderr.contains("max_workers: 50 has no effect: sequential makes one call at a time"),
        "{stderr}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_is_held_or_impossible_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("held.sock");
    let _holder = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let info = folder.path().join("info");
    let too_long = folder.path().join("x".repeat(120));
    for (socket, words, code) in [
        (&socket, "is held by a running process", 1),
        (&too_long, "choose a shorter path", 2),
    ] {
        let output = Cli::new(binary("udf"))
            .arg("--socket")
            .arg(socket)
            .arg("--server-info")
            .arg(&info)
            .assert();
        let output = output.code(code);
        let stderr = String::from_utf8_lossy(&output.get_output().stderr).into_owned();
        assert!(stderr.contains(words), "{stderr}");
    }
    assert!(socket.exists(), "the holder's socket is left alone");
}
