//! The real generator behind its socket, driven by the SDK's own client as Numaflow's data plane drives it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;

use launcher::{Child, Place};
use numaflow::proto::source as proto;
use numaflow::proto::source::source_client::SourceClient;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Channel;
use wire::{Event, GeneratorStats};

use crate::{PATIENCE, address, binary, connect, spawn};

/// A running generator with open streams, as the data plane holds them.
pub struct Source {
    pub process: Child,
    /// Of its statistics.
    pub address: SocketAddr,
    pub client: SourceClient<Channel>,
    /// The folder of its socket, `source.sock`.
    pub folder: tempfile::TempDir,
    reads: mpsc::Sender<proto::ReadRequest>,
    results: Streaming<proto::ReadResponse>,
    acks: mpsc::Sender<proto::AckRequest>,
    acked: Streaming<proto::AckResponse>,
}

/// A message of the generator.
#[derive(Debug, Clone, PartialEq)]
pub struct Received {
    pub payload: Vec<u8>,
    /// Its numbers, from the payload or the header.
    pub event: Event,
    pub keys: Vec<String>,
    pub headers: HashMap<String, String>,
    /// Its event time, nanoseconds since the epoch.
    pub time_ns: u64,
    pub offset: proto::Offset,
}

impl Source {
    pub async fn start(args: &[&str]) -> Self {
        Self::start_with(args, None).await
    }

    /// Starts it as the replica with this number.
    ///
    /// # Panics
    /// Panics if it does not serve.
    pub async fn start_with(args: &[&str], replica: Option<&str>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let place = Place::within(folder.path(), "source.sock").expect("a short path");
        let mut command = command(&place.socket, &place.server_info);
        command
            .args(["--stats-listen", "127.0.0.1:0", "--stop-on-stdin-close"])
            .args(args);
        command.envs(replica.map(|replica| ("NUMAFLOW_REPLICA", replica)));
        let mut process = spawn(command);
        let address = address(&mut process).await;
        let mut client = SourceClient::new(connect(&mut process, &place).await);
        let ready = client.is_ready(()).await.expect("an answer");
        assert!(ready.into_inner().ready);

        let handshake = Some(proto::Handshake { sot: true });
        let (reads, requests) = mpsc::channel(1);
        let request = proto::ReadRequest {
            request: None,
            handshake,
        };
        reads.send(request).await.expect("an open channel");
        let results = client.read_fn(ReceiverStream::new(requests)).await;
        let mut results = results.expect("a stream").into_inner();
        let first = results.message().await.expect("an answer");
        assert_eq!(first.expect("an open stream").handshake, handshake);

        let (acks, requests) = mpsc::channel(1);
        let request = proto::AckRequest {
            request: None,
            handshake,
        };
        acks.send(request).await.expect("an open channel");
        let acked = client.ack_fn(ReceiverStream::new(requests)).await;
        let mut acked = acked.expect("a stream").into_inner();
        let first = acked.message().await.expect("an answer");
        assert_eq!(first.expect("an open stream").handshake, handshake);
        Self {
            process,
            address,
            client,
            folder,
            reads,
            results,
            acks,
            acked,
        }
    }

    /// Sends a request without reading its answer.
    ///
    /// # Panics
    /// Panics if the stream has ended.
    pub async fn ask(&self, num_records: u64, timeout_in_ms: u32) {
        let request = proto::ReadRequest {
            request: Some(proto::read_request::Request {
                num_records,
                timeout_in_ms,
            }),
            handshake: None,
        };
        self.reads.send(request).await.expect("an open stream");
    }

    /// Reads once.
    ///
    /// # Panics
    /// Panics if the answer does not come in time, or is none.
    pub async fn read(&mut self, num_records: u64, timeout_in_ms: u32) -> Vec<Received> {
        self.ask(num_records, timeout_in_ms).await;
        let mut received = Vec::new();
        loop {
            let response = timeout(PATIENCE, self.results.message()).await;
            let response = response.expect("an answer in time").expect("no error");
            let response = response.expect("an open stream");
            if response.status.is_some_and(|status| status.eot) {
                return received;
            }
            received.push(message(response.result.expect("a message")));
        }
    }

    /// Reads as the data plane does, with acknowledgements, until there are `count` events.
    pub async fn collect(&mut self, count: usize) -> Vec<Received> {
        let mut all = Vec::new();
        while all.len() < count {
            let received = self.read((count - all.len()).min(500) as u64, 100).await;
            self.ack(&received).await;
            all.extend(received);
        }
        all
    }

    /// # Panics
    /// Panics if they are not acknowledged.
    pub async fn ack(&mut self, received: &[Received]) {
        let offsets = offsets(received);
        let request = proto::AckRequest {
            request: Some(proto::ack_request::Request { offsets }),
            handshake: None,
        };
        self.acks.send(request).await.expect("an open stream");
        let answer = self.acked.message().await.expect("no error");
        let result = answer.and_then(|answer| answer.result);
        assert!(result.expect("a result").success.is_some());
    }

    /// # Panics
    /// Panics if there is no answer.
    pub async fn nack(&mut self, received: &[Received]) {
        let request = vec![proto::nack_request::Request {
            offsets: offsets(received),
            nack_options: None,
        }];
        let answer = self.client.nack_fn(proto::NackRequest { request }).await;
        answer.expect("an answer");
    }

    /// # Panics
    /// Panics if there is no answer.
    pub async fn pending(&mut self) -> i64 {
        let answer = self.client.pending_fn(()).await.expect("an answer");
        answer.into_inner().result.expect("a result").count
    }

    /// The body of an answer with status 200.
    pub async fn get(&self, path: &str) -> String {
        let (head, body) = self.ask_http("GET", path).await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        body
    }

    /// Head and body of the answer.
    ///
    /// # Panics
    /// Panics if there is none.
    pub async fn ask_http(&self, method: &str, path: &str) -> (String, String) {
        let stream = tokio::net::TcpStream::connect(self.address).await;
        let mut stream = stream.expect("a connection");
        let request = format!("{method} {path} HTTP/1.1\r\nhost: generator\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("it is read");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("head and body");
        (head.to_owned(), body.to_owned())
    }

    /// # Panics
    /// Panics if there are none.
    pub async fn stats(&self) -> GeneratorStats {
        serde_json::from_str(&self.get("/stats").await).expect("statistics")
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// Panics if it does not end in time.
    pub async fn exit_code(&mut self) -> Option<i32> {
        let ended = timeout(PATIENCE, self.process.wait()).await;
        ended.expect("an end in time").expect("a status").code()
    }
}

/// The command of a generator with these paths.
pub fn command(socket: &Path, info: &Path) -> Command {
    let mut command = Command::new(binary("generator"));
    command.arg("--socket").arg(socket).arg("--server-info").arg(info);
    command
}

fn message(result: proto::read_response::Result) -> Received {
    let time = result.event_time.expect("an event time");
    let time_ns = i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos);
    Received {
        event: Event::decode(&result.payload).unwrap_or_else(|| event_of(&result.headers)),
        payload: result.payload,
        keys: result.keys,
        headers: result.headers,
        time_ns: u64::try_from(time_ns).expect("a time after 1970"),
        offset: result.offset.expect("an offset"),
    }
}

/// What the headers of a payload of the user's own say.
fn event_of(headers: &HashMap<String, String>) -> Event {
    let id = headers.get(wire::EVENT_ID_HEADER).map(String::as_str);
    let (generator, index, number) = id.and_then(wire::parse_event_id).expect("an id in the header");
    Event {
        generator,
        index,
        number,
        padding: String::new(),
    }
}

fn offsets(received: &[Received]) -> Vec<proto::Offset> {
    received.iter().map(|received| received.offset.clone()).collect()
}
