//! A source on the Rust SDK that sends the same message again and again: as fast as it is read, an upper bound for the
//! rate of any source, or on a schedule kept by a sleeping thread, an upper bound for its accuracy.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use numaflow::shared::ServerExtras;
use numaflow::source::{Message, NackOffset, Offset, Server, SourceReadRequest, Sourcer};
use tokio::sync::mpsc::Sender;

use super::Failed;

/// Pause between sleeps on a schedule, as in the generator: waking a thread for each event would be an extra load.
const STEP: Duration = Duration::from_micros(150);

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Unix socket to serve on
    #[arg(long, env = "SOCKET")]
    socket: PathBuf,
    /// File that the program writes once it serves
    #[arg(long, env = "SERVER_INFO")]
    server_info: PathBuf,
    /// Messages per millisecond of event time
    #[arg(long, default_value_t = 1_000)]
    per_milli: u64,
    /// Send each message at its event time, not earlier
    #[arg(long)]
    on_schedule: bool,
    /// Send a payload of so many bytes, with the header of a user's own event; by default the generator's smallest event
    #[arg(long)]
    own_payload_bytes: Option<usize>,
}

struct Source {
    payload: Vec<u8>,
    headers: HashMap<String, String>,
    start: DateTime<Utc>,
    /// The same on the monotonic clock; `None` without a schedule.
    schedule: Option<Instant>,
    nanos_each: u64,
    next: AtomicU64,
}

impl Source {
    /// Sleeps until the next message is due; returns `false` if that is not before `deadline`.
    fn wait_for_next(&self, start: Instant, deadline: Instant) -> bool {
        let next = self.next.load(Ordering::Relaxed);
        let due = start + Duration::from_nanos(next * self.nanos_each);
        let now = Instant::now();
        if due > now {
            let wake = due.max(now + STEP).min(deadline);
            tokio::task::block_in_place(|| std::thread::sleep(wake.saturating_duration_since(now)));
        }
        due <= Instant::now()
    }
}

#[async_trait]
impl Sourcer for Source {
    async fn read(&self, request: SourceReadRequest, transmitter: Sender<Message>) {
        let deadline = Instant::now() + request.timeout;
        for _ in 0..request.count {
            if let Some(start) = self.schedule
                && !self.wait_for_next(start, deadline)
            {
                return;
            }
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let after = i64::try_from(index * self.nanos_each).unwrap_or(i64::MAX);
            let message = Message {
                value: self.payload.clone(),
                offset: Offset {
                    offset: index.to_le_bytes().to_vec(),
                    partition_id: 0,
                },
                event_time: self.start + chrono::TimeDelta::nanoseconds(after),
                keys: vec!["key-0".to_owned()],
                headers: self.headers.clone(),
                user_metadata: None,
            };
            if transmitter.send(message).await.is_err() {
                return;
            }
        }
    }

    async fn ack(&self, _: Vec<Offset>) {}

    async fn nack(&self, _: Vec<NackOffset>) {}

    async fn pending(&self) -> Option<usize> {
        None
    }
}

/// Payload and headers, as long as the generator's.
fn message(own_payload_bytes: Option<usize>) -> (Vec<u8>, HashMap<String, String>) {
    let (generator, index, number) = (12_345_678_901_234_567_890, 1_000_000, 1_000_000);
    let Some(bytes) = own_payload_bytes else {
        let payload = format!(r#"{{"generator":{generator},"index":{index},"number":{number}}}"#);
        return (payload.into_bytes(), HashMap::new());
    };
    let id = wire::event_id(generator, index, number);
    (
        vec![b'x'; bytes],
        HashMap::from([(wire::EVENT_ID_HEADER.to_owned(), id)]),
    )
}

pub async fn run(args: Args) -> Result<(), Failed> {
    // Starts on a whole second, at which any window begins.
    #[expect(clippy::disallowed_methods, reason = "event times are wall time")]
    let now = Utc::now();
    let start = DateTime::from_timestamp(now.timestamp(), 0).unwrap_or(now);
    // A schedule starts with the next whole second, so that no message is overdue at the start.
    let start = if args.on_schedule {
        start + chrono::TimeDelta::seconds(1)
    } else {
        start
    };
    let until_start = (start - now).to_std().unwrap_or_default();
    let (payload, headers) = message(args.own_payload_bytes);
    let source = Source {
        payload,
        headers,
        start,
        schedule: args.on_schedule.then(|| Instant::now() + until_start),
        nanos_each: 1_000_000 / args.per_milli.max(1),
        next: AtomicU64::new(0),
    };
    Server::new(source)
        .with_server_info_file(args.server_info)
        .with_socket_file(args.socket)
        .start()
        .await
}
