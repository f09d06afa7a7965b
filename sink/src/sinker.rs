//! The user-defined sink: collects a call's records, writes them on a blocking thread, answers every id.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use numaflow::sink::{Response, SinkRequest, Sinker};
use tokio::sync::mpsc::Receiver;
use wire::Clock;

use crate::log::{Arrived, Log};

/// The sink. Concurrent calls write one after another.
#[derive(Debug)]
pub struct Recorder<W> {
    clock: Clock,
    log: Arc<Mutex<Log<W>>>,
}

impl<W> Recorder<W> {
    /// A sink that stamps arrivals by `clock`.
    pub fn new(log: Log<W>, clock: Clock) -> Self {
        Self {
            clock,
            log: Arc::new(Mutex::new(log)),
        }
    }
}

#[async_trait::async_trait]
impl<W: Write + Send + 'static> Sinker for Recorder<W> {
    /// Holds a call's records in memory until its input ends: one read batch of the data plane.
    async fn sink(&self, mut input: Receiver<SinkRequest>) -> Vec<Response> {
        let mut records = Vec::new();
        while let Some(request) = input.recv().await {
            records.push(Arrived {
                id: request.id,
                arrival_us: self.clock.now_us(),
                keys: request.keys,
                event_time_ms: request.event_time.timestamp_millis(),
                payload: request.value,
            });
        }
        let ids: Vec<String> = records.iter().map(|record| record.id.clone()).collect();
        let log = Arc::clone(&self.log);
        // The write blocks while stdout is not read, so it must not be on a thread that signals and other calls need.
        let written = tokio::task::spawn_blocking(move || {
            log.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .write_all(records)
        });
        let answers = written.await.unwrap_or_else(|error| {
            let failed = format!("the writer failed: {error}");
            ids.into_iter().map(|id| (id, Err(failed.clone()))).collect()
        });
        answers
            .into_iter()
            .map(|(id, answer)| match answer {
                Ok(()) => Response::ok(id),
                Err(error) => Response::failure(id, error),
            })
            .collect()
    }
}
