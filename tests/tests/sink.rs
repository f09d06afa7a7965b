//! The sink as Numaflow uses it: the real binary, driven over its socket by the SDK's own client.

// Clippy's exception for tests does not apply to functions that tests share.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use launcher::{Child, Place};
use numaflow::proto::sink as proto;
use numaflow::proto::sink::sink_client::SinkClient;
use prost_types::Timestamp;
use rustix::process::Signal;
use tests::process::signal;
use tests::scrape::Scrape;
use tests::{binary, connect, spawn, spawn_with_metrics};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Channel;
use wire::{Clock, Delay, KeptLines, Latencies, Outcome, Ranges, Settings, SinkLine};
use wire::{StartRule, StrategyKind, WindowRecord, Workload};

/// Longer than any step here takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running sink with an open stream, as the data plane holds it.
struct Sink {
    child: Child,
    /// Its standard output; dropping it closes the pipe.
    lines: Option<Lines<BufReader<ChildStdout>>>,
    client: SinkClient<Channel>,
    requests: mpsc::Sender<proto::SinkRequest>,
    responses: Streaming<proto::SinkResponse>,
    folder: tempfile::TempDir,
}

impl Sink {
    async fn start() -> Self {
        Self::start_with(&[]).await
    }

    async fn start_with(args: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = in_folder(&folder, program());
        command.args(args);
        let running = spawn(command);
        Self::connected(running, folder).await
    }

    /// Starts it with metrics; returns their address.
    async fn start_with_metrics(args: &[&str]) -> (Self, SocketAddr) {
        let folder = tempfile::tempdir().unwrap();
        let mut command = in_folder(&folder, program());
        command.args(args);
        let (running, address) = spawn_with_metrics(command).await;
        (Self::connected(running, folder).await, address)
    }

    async fn connected(mut child: Child, folder: tempfile::TempDir) -> Self {
        let place = Place::within(folder.path(), "sink.sock").unwrap();
        let mut client = SinkClient::new(connect(&mut child, &place).await);
        assert!(client.is_ready(()).await.unwrap().into_inner().ready);

        let (requests, receiver) = mpsc::channel(10);
        let handshake = Some(proto::Handshake { sot: true });
        requests
            .send(proto::SinkRequest {
                handshake,
                ..Default::default()
            })
            .await
            .unwrap();
        let mut responses = client
            .sink_fn(ReceiverStream::new(receiver))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(responses.message().await.unwrap().unwrap().handshake, handshake);
        Self {
            lines: child.take_stdout(),
            child,
            client,
            requests,
            responses,
            folder,
        }
    }

    async fn send(&self, records: &[proto::sink_request::Request]) {
        for record in records {
            let request = Some(record.clone());
            self.requests
                .send(proto::SinkRequest {
                    request,
                    ..Default::default()
                })
                .await
                .unwrap();
        }
        let status = Some(proto::TransmissionStatus { eot: true });
        self.requests
            .send(proto::SinkRequest {
                status,
                ..Default::default()
            })
            .await
            .unwrap();
    }

    /// Sends one call's records; returns the answers in order: id, status and error.
    async fn write(
        &mut self,
        records: &[proto::sink_request::Request],
    ) -> Vec<(String, proto::Status, String)> {
        self.send(records).await;
        let mut answers = Vec::new();
        loop {
            let response = timeout(PATIENCE, self.responses.message())
                .await
                .expect("an answer in time");
            let response = response.unwrap().expect("an open stream");
            if response.status.is_some_and(|status| status.eot) {
                return answers;
            }
            answers.extend(response.results.into_iter().map(|result| {
                let status = result.status();
                (result.id, status, result.err_msg)
            }));
        }
    }

    async fn line(&mut self) -> SinkLine {
        let line = timeout(PATIENCE, self.lines.as_mut().unwrap().next_line())
            .await
            .expect("a line in time");
        serde_json::from_str(&line.unwrap().expect("an open stdout")).unwrap()
    }

    async fn exit_code(&mut self) -> Option<i32> {
        timeout(PATIENCE, self.child.wait())
            .await
            .expect("an end in time")
            .unwrap()
            .code()
    }
}

fn program() -> Command {
    Command::new(binary("sink"))
}

/// With the arguments of socket and server-info file.
fn at(mut command: Command, socket: &Path, info: &Path) -> Command {
    command.arg("--socket").arg(socket).arg("--server-info").arg(info);
    command
}

fn in_folder(folder: &tempfile::TempDir, command: Command) -> Command {
    let Place { socket, server_info } = Place::within(folder.path(), "sink.sock").unwrap();
    let mut command = at(command, &socket, &server_info);
    command.arg("--stop-on-stdin-close");
    command
}

fn message(id: &str, key: &str, event_time_ms: i64, value: &[u8]) -> proto::sink_request::Request {
    let time = Timestamp {
        seconds: event_time_ms / 1_000,
        nanos: (event_time_ms % 1_000 * 1_000_000) as i32,
    };
    proto::sink_request::Request {
        keys: vec![key.to_owned()],
        value: value.to_vec(),
        event_time: Some(time),
        watermark: Some(time),
        id: id.to_owned(),
        ..Default::default()
    }
}

fn record(key: &str, window_end_ms: u64) -> WindowRecord {
    WindowRecord {
        process: u64::MAX,
        window_start_ms: window_end_ms - 10_000,
        window_end_ms,
        keys: vec![key.to_owned()],
        settings: Settings {
            strategy: StrategyKind::Async,
            start_rule: StartRule::AtClose,
            workload: Workload::Http,
            max_workers: 1_000,
            io_delay: Delay::Fixed(Duration::from_secs(1)),
            timeout: Duration::from_secs(30),
            retries: 0,
            cpu_offload: false,
        },
        events: 2,
        outcomes: BTreeMap::from([(Outcome::Ok, 2)]),
        attempts: 2,
        reconnects: 0,
        seen: BTreeMap::from([(7, Ranges::span(0, 1))]),
        repeated: 0,
        undecoded: 0,
        latency: Latencies::new(),
        failed_latency: None,
        slot_wait: Latencies::new(),
        peak_in_flight: 2,
        reading_stopped: 0,
        first_arrival_us: 1,
        last_arrival_us: 2,
        close_us: 3,
        result_us: 4,
        format: wire::RECORD_FORMAT,
        named: BTreeMap::new(),
        unnumbered: 0,
        unnumbered_ns: Vec::new(),
        failure: None,
    }
}

#[tokio::test]
async fn every_record_becomes_one_line_and_every_id_is_answered() {
    let mut sink = Sink::start().await;
    let before_us = Clock::start().now_us();
    let first = record("a", 20_000);
    let payload = serde_json::to_vec(&first).unwrap();
    let records = [
        message("id-0", "a", 19_999, &payload),
        message("id-1", "b", 19_999, b"batch_time: 1.5 \xff\nsecond line"),
        message("id-2", "a", 29_999, b""),
    ];
    let answers = sink.write(&records).await;
    let expected: Vec<_> = (0..3)
        .map(|i| (format!("id-{i}"), proto::Status::Success, String::new()))
        .collect();
    assert_eq!(answers, expected);
    // The same window and key in another call: a retry after a lost answer.
    assert_eq!(
        sink.write(&[message("id-0", "a", 19_999, &payload)]).await.len(),
        1
    );

    let lines = [
        sink.line().await,
        sink.line().await,
        sink.line().await,
        sink.line().await,
    ];
    let after_us = Clock::start().now_us();
    for (number, line) in lines.iter().enumerate() {
        assert_eq!((line.process, line.line), (lines[0].process, number as u64));
        assert!(line.arrival_us >= before_us && line.arrival_us <= after_us);
    }
    let reported: Vec<(&str, &str, i64, bool)> = lines
        .iter()
        .map(|line| {
            (
                line.id.as_str(),
                line.keys[0].as_str(),
                line.event_time_ms,
                line.duplicate,
            )
        })
        .collect();
    assert_eq!(
        reported,
        [
            ("id-0", "a", 19_999, false),
            ("id-1", "b", 19_999, false),
            ("id-2", "a", 29_999, false),
            ("id-0", "a", 19_999, true),
        ]
    );
    assert_eq!((&lines[0].record, &lines[0].text), (&Some(first), &None));
    assert_eq!(
        lines[1].text.as_deref(),
        Some("batch_time: 1.5 \u{fffd}\nsecond line")
    );
    assert_eq!((&lines[2].record, lines[2].text.as_deref()), (&None, Some("")));
}

#[tokio::test]
async fn records_are_counted_for_prometheus() {
    let (mut sink, address) = Sink::start_with_metrics(&[]).await;
    let before = Scrape::of(address).await;
    assert_eq!(before.value("sink_records_total"), 0.0);
    assert_eq!(before.value("sink_events_total{outcome=\"timeout\"}"), 0.0);
    let now_ms = Clock::start().now_us() / 1_000;
    let mut late = record("a", now_ms - 3_000);
    late.outcomes = BTreeMap::from([(Outcome::Ok, 5), (Outcome::Timeout, 2)]);
    let in_time = record("b", now_ms);
    let payload = |record: &WindowRecord| serde_json::to_vec(record).unwrap();
    let records = [
        message("id-0", "a", now_ms as i64 - 3_001, &payload(&late)),
        message("id-1", "b", now_ms as i64 - 1, &payload(&in_time)),
        message("id-2", "c", now_ms as i64 - 1, b"batch_time: 1.5"),
        message("id-0", "a", now_ms as i64 - 3_001, &payload(&late)),
    ];
    sink.write(&records).await;
    let scrape = Scrape::of(address).await;
    for (sample, value) in [
        ("sink_records_total", 4.0),
        ("sink_duplicate_records_total", 1.0),
        ("sink_unreadable_records_total", 1.0),
        ("sink_events_total{outcome=\"ok\"}", 7.0),
        ("sink_events_total{outcome=\"timeout\"}", 2.0),
        ("sink_events_total{outcome=\"worker-died\"}", 0.0),
        ("sink_result_lag_seconds_count", 3.0),
        ("sink_build_info{version=\"0.1.0\"}", 1.0),
    ] {
        assert_eq!(scrape.value(sample), value, "{sample}");
    }
    // Only the first record arrives more than two seconds after its window, or more of them if the machine is slow.
    let lags = scrape.buckets("sink_result_lag_seconds");
    assert!(
        lags.iter().all(|(bound, count)| *bound > 2.0 || *count <= 2.0),
        "{lags:?}"
    );
    assert!(scrape.value("sink_result_lag_seconds_sum") >= 3.0);
    assert!(scrape.value("process_start_time_seconds") <= (now_ms / 1_000) as f64 + 1.0);
    assert!(scrape.value("process_cpu_seconds_total") > 0.0);
    let health = reqwest::get(format!("http://{address}/healthz")).await.unwrap();
    assert_eq!(
        (health.status().as_u16(), health.text().await.unwrap().as_str()),
        (200, "ok\n")
    );
}

/// The answer of `/records`: what is kept, and the lines.
async fn records(address: SocketAddr, query: &str) -> (KeptLines, Vec<String>) {
    let answer = reqwest::get(format!("http://{address}/records{query}"))
        .await
        .unwrap();
    assert_eq!(answer.headers()["content-type"], "application/x-ndjson");
    let text = answer.error_for_status().unwrap().text().await.unwrap();
    let mut lines = text.lines().map(str::to_owned);
    let kept = serde_json::from_str(&lines.next().unwrap()).unwrap();
    (kept, lines.collect())
}

/// The messages of `count` windows, each with a line of its own.
fn messages(count: i64) -> Vec<proto::sink_request::Request> {
    (0..count)
        .map(|i| message(&format!("id-{i}"), "a", i * 10_000 + 9_999, b"no record"))
        .collect()
}

#[tokio::test]
async fn the_lines_of_the_output_are_served_from_any_number_on() {
    tests::provide_tls();
    let (mut sink, address) = Sink::start_with_metrics(&[]).await;
    let (kept, lines) = records(address, "").await;
    assert_eq!((kept.oldest, kept.next, lines.len()), (0, 0, 0));
    sink.write(&messages(5)).await;
    let mut printed = Vec::new();
    for _ in 0..5 {
        let line = sink.lines.as_mut().unwrap().next_line().await.unwrap().unwrap();
        printed.push(line);
    }
    let first: SinkLine = serde_json::from_str(&printed[0]).unwrap();
    for from in 0..8 {
        let (kept, lines) = records(address, &format!("?from={from}")).await;
        let expected = KeptLines {
            process: first.process,
            oldest: 0,
            next: 5,
        };
        assert_eq!(kept, expected);
        assert_eq!(lines, printed[from.min(5)..], "from {from}, byte for byte");
    }
    assert_eq!(records(address, "").await.1, printed);
    let refused = reqwest::get(format!("http://{address}/records?from=last")).await;
    assert_eq!(refused.unwrap().status(), 400);
}

#[tokio::test]
async fn lines_that_no_longer_fit_into_memory_are_counted_and_said_to_be_gone() {
    tests::provide_tls();
    // Room for about three of its lines.
    let (mut sink, address) = Sink::start_with_metrics(&["--kept-bytes", "600"]).await;
    sink.write(&messages(8)).await;
    let (kept, lines) = records(address, "?from=0").await;
    assert!(kept.oldest > 0 && kept.next == 8, "{kept:?}");
    let numbers: Vec<u64> = lines
        .iter()
        .map(|line| serde_json::from_str::<SinkLine>(line).unwrap().line)
        .collect();
    assert_eq!(numbers, (kept.oldest..8).collect::<Vec<_>>());
    let bytes: usize = lines.iter().map(|line| line.len() + 1).sum();
    assert!(bytes <= 600 && !lines.is_empty(), "{lines:?}");
    let scrape = Scrape::of(address).await;
    assert_eq!(scrape.value("sink_dropped_lines_total"), kept.oldest as f64);
    for _ in 0..8 {
        sink.line().await;
    }
}

#[tokio::test]
async fn a_large_call_is_written_whole_and_without_gaps() {
    let mut sink = Sink::start().await;
    let records: Vec<_> = (0..500)
        .map(|i| {
            message(
                &format!("id-{i}"),
                &format!("key-{i}"),
                19_999,
                format!("text {i}").as_bytes(),
            )
        })
        .collect();
    // Read while the sink writes: the lines exceed a pipe's buffer.
    let mut lines = sink.lines.take().unwrap();
    let reading = tokio::spawn(async move {
        let mut read = Vec::new();
        while read.len() < 500 {
            read.push(lines.next_line().await.unwrap().unwrap());
        }
        (read, lines)
    });
    let answers = sink.write(&records).await;
    assert_eq!(answers.len(), 500);
    for (i, (id, status, _)) in answers.iter().enumerate() {
        assert_eq!((id, *status), (&format!("id-{i}"), proto::Status::Success));
    }
    let (read, lines) = timeout(PATIENCE, reading).await.expect("lines in time").unwrap();
    sink.lines = Some(lines);
    for (number, line) in read.iter().enumerate() {
        let line: SinkLine = serde_json::from_str(line).unwrap();
        assert_eq!(
            (line.line, line.text, line.duplicate),
            (number as u64, Some(format!("text {number}")), false)
        );
    }
    assert_eq!(
        sink.write(&[]).await,
        [],
        "a call without records is answered too"
    );
}

#[tokio::test]
async fn a_closed_stdout_is_a_failure_of_each_record_not_of_the_process() {
    let mut sink = Sink::start().await;
    sink.lines = None;
    refuses_and_serves_on(sink, "cannot write to stdout").await;
}

#[tokio::test]
async fn a_full_stdout_is_a_failure_of_each_record_not_of_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let mut full = Command::new("sh");
    full.args(["-c", "exec \"$0\" \"$@\" > /dev/full"])
        .arg(binary("sink"));
    let running = spawn(in_folder(&folder, full));
    let sink = Sink::connected(running, folder).await;
    refuses_and_serves_on(sink, "cannot write to stdout: No space left").await;
}

async fn refuses_and_serves_on(mut sink: Sink, words: &str) {
    for _ in 0..2 {
        let records = [message("a", "k", 9_999, b"x"), message("b", "k", 19_999, b"y")];
        let answers = sink.write(&records).await;
        let reported: Vec<_> = answers
            .iter()
            .map(|(id, status, _)| (id.as_str(), *status))
            .collect();
        assert_eq!(
            reported,
            [("a", proto::Status::Failure), ("b", proto::Status::Failure)]
        );
        assert!(
            answers.iter().all(|(_, _, error)| error.contains(words)),
            "{answers:?}"
        );
    }
    assert!(sink.client.is_ready(()).await.unwrap().into_inner().ready);
    signal(sink.child.id().unwrap(), Signal::TERM);
    assert_eq!(sink.exit_code().await, Some(0));
}

#[tokio::test]
async fn signals_and_the_end_of_stdin_end_it_cleanly() {
    for end in [Some(Signal::TERM), Some(Signal::INT), None] {
        let mut sink = Sink::start().await;
        sink.write(&[message("a", "k", 9_999, b"x")]).await;
        match end {
            None => sink.child.close_stdin(),
            Some(name) => signal(sink.child.id().unwrap(), name),
        }
        assert_eq!(sink.exit_code().await, Some(0), "{end:?}");
        assert_eq!(sink.line().await.id, "a");
        assert!(
            !sink.folder.path().join("sink.sock").exists(),
            "{end:?} leaves no socket"
        );
    }
}

#[tokio::test]
async fn a_reader_of_stdout_that_does_not_read_cannot_hold_up_the_end() {
    let mut sink = Sink::start().await;
    // More than a pipe's buffer.
    sink.send(&[message("a", "k", 9_999, "x".repeat(1_000_000).as_bytes())])
        .await;
    let begun = timeout(PATIENCE, sink.lines.as_mut().unwrap().get_mut().fill_buf()).await;
    assert!(
        !begun.expect("output in time").unwrap().is_empty(),
        "the write has begun and cannot end"
    );
    signal(sink.child.id().unwrap(), Signal::TERM);
    assert_eq!(sink.exit_code().await, Some(0));
}

#[tokio::test]
async fn a_data_plane_that_stays_connected_holds_up_the_end_for_the_stops_grace_at_most() {
    let mut sink = Sink::start_with(&["--stop-grace", "0"]).await;
    signal(sink.child.id().unwrap(), Signal::TERM);
    assert_eq!(sink.exit_code().await, Some(0), "at once, with open streams");

    let mut sink = Sink::start_with(&["--stop-grace", "1h"]).await;
    signal(sink.child.id().unwrap(), Signal::TERM);
    let early = timeout(Duration::from_millis(1_500), sink.child.wait()).await;
    assert!(early.is_err(), "it ended within the default grace: {early:?}");
    drop((sink.requests, sink.responses, sink.client));
    let ended = timeout(PATIENCE, sink.child.wait())
        .await
        .expect("an end in time");
    assert_eq!(ended.unwrap().code(), Some(0));
}

#[tokio::test]
async fn a_socket_that_is_held_or_too_long_is_named() {
    let mut sink = Sink::start().await;
    let folder = sink.folder.path().to_owned();
    for (socket, code) in [(folder.join("sink.sock"), 1), (folder.join("x".repeat(110)), 2)] {
        let mut command = at(program(), &socket, &folder.join("other"));
        let running = command
            .kill_on_drop(true)
            .stdin(std::process::Stdio::null())
            .output();
        let refused = timeout(PATIENCE, running).await.expect("an end in time").unwrap();
        let error = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(code), "{error}");
        assert!(
            error.lines().count() == 1 && error.contains(socket.to_str().unwrap()),
            "{error}"
        );
    }
    assert!(
        sink.client.is_ready(()).await.unwrap().into_inner().ready,
        "the other still serves"
    );
}
