//! A source on the Rust SDK that hands out the same small message as fast as it is asked, the ceiling of any source, or on a
//! schedule with nothing but a sleeping thread, the ceiling of its exactness.

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

/// Between two sleeps on a schedule, as in the generator: a thread that wakes for each event would be another burden.
const STEP: Duration = Duration::from_micros(150);

/// Where it serves and what it gives.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Unix socket to serve on
    #[arg(long, env = "SOCKET")]
    socket: PathBuf,
    /// File that tells that the server is up
    #[arg(long, env = "SERVER_INFO")]
    server_info: PathBuf,
    /// Messages for each millisecond of event time
    #[arg(long, default_value_t = 1_000)]
    per_milli: u64,
    /// Hand out each message when its event time has come, not before
    #[arg(long)]
    on_schedule: bool,
}

struct Source {
    start: DateTime<Utc>,
    /// The same on the monotonic clock; nothing without a schedule.
    schedule: Option<Instant>,
    nanos_each: u64,
    next: AtomicU64,
}

impl Source {
    /// Sleeps until the next message is due; false where that is not before `deadline`.
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
                // As long as the smallest event of the generator.
                value: br#"{"generator":12345678901234567890,"index":1000000,"number":1000000}"#.to_vec(),
                offset: Offset {
                    offset: index.to_le_bytes().to_vec(),
                    partition_id: 0,
                },
                event_time: self.start + chrono::TimeDelta::nanoseconds(after),
                keys: vec!["key-0".to_owned()],
                headers: HashMap::new(),
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

/// Serves.
///
/// # Errors
/// Those of the SDK.
pub async fn run(args: Args) -> Result<(), Failed> {
    // On a whole second, where any window begins.
    #[expect(clippy::disallowed_methods, reason = "event times are wall time")]
    let now = Utc::now();
    let start = DateTime::from_timestamp(now.timestamp(), 0).unwrap_or(now);
    // A schedule begins with the next whole second, so that no message is overdue at once.
    let start = if args.on_schedule {
        start + chrono::TimeDelta::seconds(1)
    } else {
        start
    };
    let until_start = (start - now).to_std().unwrap_or_default();
    let source = Source {
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
