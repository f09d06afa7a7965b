//! The real UDF behind its socket, driven as a data plane drives it: one stream for each window.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

use launcher::{Child, Place};
use numaflow::proto::reduce as proto;
use numaflow::proto::reduce::reduce_client::ReduceClient;
use prost_types::Timestamp;
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Channel;
use wire::{Outcome, WindowRecord};

pub use crate::PATIENCE;
use crate::{binary, connect, spawn, spawn_with_metrics};

/// Longer than any window of a test takes to close, even on a slow machine.
const LONGEST_WINDOW: Duration = Duration::from_secs(120);

/// Window length of the tests; it appears in the record only.
pub const WINDOW_MS: i64 = 10_000;

/// A running UDF and a client of it.
pub struct Udf {
    pub process: Child,
    client: ReduceClient<Channel>,
    _folder: tempfile::TempDir,
}

pub struct WindowStream {
    start_ms: i64,
    requests: mpsc::Sender<proto::ReduceRequest>,
    responses: Streaming<proto::ReduceResponse>,
    sent: u64,
}

/// The results of a window.
pub struct Results {
    /// Payloads by joined keys.
    pub by_key: BTreeMap<String, Vec<u8>>,
    /// Tags of the same messages.
    pub tags: BTreeMap<String, Vec<String>>,
}

impl Udf {
    /// Starts the UDF with arguments and environment, and waits until it serves.
    pub async fn start(args: &[&str], env: &[(&str, &str)]) -> Self {
        let (command, folder) = Self::command(Command::new(binary("udf")), args, env);
        Self::connected(spawn(command), folder).await
    }

    /// Starts another program that is a UDF, or ours with a prepared command; `args` follow the command's own.
    pub async fn start_as(command: Command, args: &[&str]) -> Self {
        let (command, folder) = Self::command(command, args, &[]);
        Self::connected(spawn(command), folder).await
    }

    /// Starts the UDF with metrics, waits until it serves, and returns the address of the metrics.
    pub async fn start_with_metrics(args: &[&str], env: &[(&str, &str)]) -> (Self, SocketAddr) {
        let mut command = Command::new(binary("udf"));
        command.envs(env.iter().copied());
        Self::start_as_with_metrics(command, args).await
    }

    /// The same of another program.
    pub async fn start_as_with_metrics(command: Command, args: &[&str]) -> (Self, SocketAddr) {
        let (command, folder) = Self::command(command, args, &[]);
        let (process, address) = spawn_with_metrics(command).await;
        (Self::connected(process, folder).await, address)
    }

    fn command(mut command: Command, args: &[&str], env: &[(&str, &str)]) -> (Command, tempfile::TempDir) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        command
            .envs(place(&folder).variables())
            .args(args)
            .envs(env.iter().copied());
        (command, folder)
    }

    async fn connected(mut process: Child, folder: tempfile::TempDir) -> Self {
        let channel = connect(&mut process, &place(&folder)).await;
        Self {
            process,
            client: ReduceClient::new(channel),
            _folder: folder,
        }
    }

    pub fn id(&self) -> u32 {
        self.process.id().expect("it runs")
    }

    /// Opens the stream of the window with this number.
    pub async fn open(&mut self, number: i64) -> WindowStream {
        let (requests, receiver) = mpsc::channel(500);
        let responses = self
            .client
            .reduce_fn(ReceiverStream::new(receiver))
            .await
            .expect("a stream")
            .into_inner();
        WindowStream {
            start_ms: number * WINDOW_MS,
            requests,
            responses,
            sent: 0,
        }
    }

    /// Sends `events` events for each of `keys` keys into a window, closes it and returns its records.
    pub async fn window(&mut self, number: i64, keys: u64, events: u64) -> Vec<WindowRecord> {
        let mut stream = self.open(number).await;
        stream.send_events(keys, events).await;
        stream.close().await.records()
    }
}

/// Number of events in all records that ended with this outcome.
pub fn count(records: &[WindowRecord], outcome: Outcome) -> u64 {
    records
        .iter()
        .filter_map(|record| record.outcomes.get(&outcome))
        .sum()
}

impl WindowStream {
    /// Sends `events` events for each of `keys` keys, the keys in turn.
    pub async fn send_events(&mut self, keys: u64, events: u64) {
        for index in 0..keys * events {
            self.send(&format!("key-{}", index % keys), index, index / keys)
                .await;
        }
    }

    /// Sends one event.
    pub async fn send(&mut self, key: &str, index: u64, number: u64) {
        let event = wire::Event {
            generator: 7,
            index,
            number,
            padding: String::new(),
        };
        self.send_payload(key, event.encode().expect("an event as JSON"))
            .await;
    }

    pub async fn send_payload(&mut self, key: &str, value: Vec<u8>) {
        let window = self.window();
        self.send_raw(key, value, vec![window]).await;
    }

    /// Sends one message with headers.
    pub async fn send_with_headers(&mut self, key: &str, value: Vec<u8>, headers: &[(&str, &str)]) {
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let window = self.window();
        let time = timestamp(self.start_ms);
        self.send_message(key, value, vec![window], headers.collect(), time)
            .await;
    }

    /// Sends one message with an event time, in nanoseconds since the epoch, as the source gave it.
    pub async fn send_at(
        &mut self,
        key: &str,
        value: Vec<u8>,
        headers: HashMap<String, String>,
        time_ns: u64,
    ) {
        let windows = vec![self.window()];
        let time = Timestamp {
            seconds: (time_ns / 1_000_000_000) as i64,
            nanos: (time_ns % 1_000_000_000) as i32,
        };
        self.send_message(key, value, windows, headers, time).await;
    }

    /// Sends one message with any windows.
    pub async fn send_raw(&mut self, key: &str, value: Vec<u8>, windows: Vec<proto::Window>) {
        let time = timestamp(self.start_ms);
        self.send_message(key, value, windows, HashMap::new(), time).await;
    }

    async fn send_message(
        &mut self,
        key: &str,
        value: Vec<u8>,
        windows: Vec<proto::Window>,
        headers: HashMap<String, String>,
        event_time: Timestamp,
    ) {
        let event = if self.sent == 0 { 0 } else { 4 };
        self.sent += 1;
        let request = proto::ReduceRequest {
            payload: Some(proto::reduce_request::Payload {
                keys: vec![key.to_owned()],
                value,
                event_time: Some(event_time),
                watermark: Some(timestamp(self.start_ms)),
                headers,
            }),
            operation: Some(proto::reduce_request::WindowOperation { event, windows }),
        };
        self.requests.send(request).await.expect("the stream is open");
    }

    /// The window as a request contains it.
    pub fn window(&self) -> proto::Window {
        proto::Window {
            start: Some(timestamp(self.start_ms)),
            end: Some(timestamp(self.start_ms + WINDOW_MS)),
            slot: "0".into(),
        }
    }

    /// The next response, or the stream's error.
    pub async fn response(&mut self) -> Result<Option<proto::ReduceResponse>, tonic::Status> {
        self.responses.message().await
    }

    /// Half-closes the stream and reads it to its end.
    ///
    /// # Panics
    /// Panics if the end does not come, so that a window that hangs fails its test.
    pub async fn close(self) -> Results {
        let ended = tokio::time::timeout(LONGEST_WINDOW, self.read_to_its_end()).await;
        ended.expect("the window ends")
    }

    async fn read_to_its_end(self) -> Results {
        let Self {
            requests,
            mut responses,
            ..
        } = self;
        drop(requests);
        let (mut by_key, mut tags) = (BTreeMap::new(), BTreeMap::new());
        let mut eof = false;
        while let Some(response) = responses.message().await.expect("a response") {
            assert!(!eof, "nothing follows EOF");
            eof = response.eof;
            if let Some(result) = response.result {
                let key = result.keys.join(":");
                tags.insert(key.clone(), result.tags);
                let before = by_key.insert(key, result.value);
                assert!(before.is_none(), "one result for each key");
            }
        }
        assert!(eof, "the stream ends with EOF");
        Results { by_key, tags }
    }
}

impl Results {
    /// The payloads as records.
    pub fn records(&self) -> Vec<WindowRecord> {
        self.by_key
            .values()
            .map(|value| serde_json::from_slice(value).expect("a record"))
            .collect()
    }
}

fn place(folder: &tempfile::TempDir) -> Place {
    Place::within(folder.path(), "udf").expect("a short path")
}

fn timestamp(ms: i64) -> Timestamp {
    Timestamp {
        seconds: ms.div_euclid(1_000),
        nanos: (ms.rem_euclid(1_000) * 1_000_000) as i32,
    }
}

/// From the earliest close of book of any key to the last key's result.
pub fn close_tail(records: &[WindowRecord]) -> Duration {
    let close = records
        .iter()
        .map(|record| record.close_us)
        .min()
        .expect("a record");
    let result = records
        .iter()
        .map(|record| record.result_us)
        .max()
        .expect("a record");
    Duration::from_micros(result - close)
}
