//! Reads a source as the data plane does, 500 messages at a time with their acknowledgement, and discards them.

use std::time::{Duration, Instant, SystemTime};

use launcher::{Child, Place};
use numaflow::proto::reduce::reduce_client::ReduceClient;
use numaflow::proto::source::source_client::SourceClient;
use numaflow::proto::source::{
    AckRequest, AckResponse, Handshake, Offset, ReadRequest, ReadResponse, ack_request, read_request,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};
use wire::Latencies;

use crate::child::PATIENCE;
use crate::cost;
use crate::error::BenchError;
use crate::pipeline::READ_TIMEOUT;

/// Messages per read.
const READ: u64 = 500;

/// Pause between two requests to a UDF's server.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// How long to read before the measurement starts.
const WARM_UP: Duration = Duration::from_millis(500);

/// Result of a measurement.
#[derive(Debug)]
pub struct Reading {
    /// Messages read, each acknowledged.
    pub messages: u64,
    /// Length of the measurement.
    pub wall: Duration,
    pub cpu: Duration,
    /// For each message, from its event time to its arrival here.
    pub lateness: Latencies,
    /// Messages that arrived before their event time.
    pub early: u64,
}

struct Calls {
    reads: mpsc::Sender<ReadRequest>,
    read: Streaming<ReadResponse>,
    acks: mpsc::Sender<AckRequest>,
    acked: Streaming<AckResponse>,
}

impl Reading {
    /// Messages per second.
    pub fn rate(&self) -> f64 {
        self.messages as f64 / self.wall.as_secs_f64()
    }

    /// Processor time of the source per message, in microseconds.
    pub fn per_message_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.messages as f64
    }
}

/// Reads for half a second, then measures for `time`.
pub async fn read(source: &mut Child, place: &Place, time: Duration) -> Result<Reading, BenchError> {
    place.ready(source, PATIENCE).await?;
    let failed = |reason: String| BenchError::DataPlane {
        reason,
        tail: source.tail(),
    };
    let mut calls = Calls::open(place).await.map_err(failed)?;
    let mut reading = Reading::default();
    let begun = Instant::now();
    while begun.elapsed() < WARM_UP {
        calls.once(&mut reading).await.map_err(failed)?;
    }
    reading = Reading::default();
    let (begun, before) = (Instant::now(), cost::of(source)?);
    while begun.elapsed() < time {
        calls.once(&mut reading).await.map_err(failed)?;
    }
    reading.wall = begun.elapsed();
    reading.cpu = cost::of(source)?.since(before).time;
    Ok(reading)
}

impl Default for Reading {
    fn default() -> Self {
        Self {
            messages: 0,
            wall: Duration::ZERO,
            cpu: Duration::ZERO,
            lateness: Latencies::new(),
            early: 0,
        }
    }
}

impl Calls {
    async fn open(place: &Place) -> Result<Self, String> {
        let mut client = SourceClient::new(connect(place).await?);
        let sot = Handshake { sot: true };
        // The SDK waits for the handshake before it answers the call.
        let (reads, requests) = mpsc::channel(1);
        let _ = reads.try_send(ReadRequest {
            request: None,
            handshake: Some(sot),
        });
        let read = client.read_fn(ReceiverStream::new(requests)).await;
        let mut read = read.map_err(|status| status.to_string())?.into_inner();
        read.message().await.map_err(|status| status.to_string())?;
        let (acks, requests) = mpsc::channel(1);
        let _ = acks.try_send(AckRequest {
            request: None,
            handshake: Some(sot),
        });
        let acked = client.ack_fn(ReceiverStream::new(requests)).await;
        let mut acked = acked.map_err(|status| status.to_string())?.into_inner();
        acked.message().await.map_err(|status| status.to_string())?;
        Ok(Self {
            reads,
            read,
            acks,
            acked,
        })
    }

    /// One read and its acknowledgement.
    #[expect(clippy::disallowed_methods, reason = "event times are wall time")]
    async fn once(&mut self, reading: &mut Reading) -> Result<(), String> {
        let request = read_request::Request {
            num_records: READ,
            timeout_in_ms: u32::try_from(READ_TIMEOUT.as_millis()).unwrap_or(u32::MAX),
        };
        // A failed send means that the call has ended; its response has the reason.
        let _ = self
            .reads
            .send(ReadRequest {
                request: Some(request),
                handshake: None,
            })
            .await;
        let mut offsets: Vec<Offset> = Vec::new();
        loop {
            let response = self.read.message().await.map_err(|status| status.to_string())?;
            let response = response.ok_or("the source ended the read call")?;
            if response.status.is_some_and(|status| status.eot) {
                break;
            }
            let Some(result) = response.result else { continue };
            reading.messages += 1;
            let due = result.event_time.and_then(|time| SystemTime::try_from(time).ok());
            match SystemTime::now().duration_since(due.ok_or("a message has no event time")?) {
                Ok(late) => reading.lateness.record(late),
                Err(_) => reading.early += 1,
            }
            offsets.extend(result.offset);
        }
        if offsets.is_empty() {
            return Ok(());
        }
        let _ = self
            .acks
            .send(AckRequest {
                request: Some(ack_request::Request { offsets }),
                handshake: None,
            })
            .await;
        self.acked
            .message()
            .await
            .map_err(|status| status.to_string())?
            .ok_or("the source ended the ack call")?;
        Ok(())
    }
}

/// Calls `is_ready` of a UDF's server again and again and passes the duration of each answer to `answered`. Ends only
/// on an error, with its text.
pub async fn poll_ready(place: &Place, answered: impl Fn(Duration)) -> String {
    let mut client = match connect(place).await {
        Ok(channel) => ReduceClient::new(channel),
        Err(reason) => return reason,
    };
    loop {
        let asked = Instant::now();
        if let Err(status) = client.is_ready(()).await {
            return status.to_string();
        }
        answered(asked.elapsed());
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

async fn connect(place: &Place) -> Result<Channel, String> {
    let endpoint = Endpoint::from_shared(format!("unix:{}", place.socket.display()));
    let channel = endpoint.map_err(|error| error.to_string())?.connect().await;
    channel.map_err(|error| error.to_string())
}
