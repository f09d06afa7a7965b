//! Implements the SDK's reducer. The SDK creates one for each key and window; all of them share one intake.

use std::sync::Arc;

use async_trait::async_trait;
use numaflow::reduce::{Message, Metadata, ReduceRequest, Reducer, ReducerCreator};
use tokio::sync::mpsc::Receiver;
use tokio::time::Instant;
use wire::{Clock, Outcome, StartRule, WindowRecord};

use crate::backlog::Backlog;
use crate::intake::{Arrivals, Intake};
use crate::metrics::Metrics;
use crate::settings::ResultFormat;
use crate::tally::Tally;

/// Creates reducers that make one call for each event.
#[derive(Clone)]
pub struct AsyncReduce {
    shared: Arc<Shared>,
}

struct Shared {
    intake: Intake,
    metrics: Arc<Metrics>,
    settings: wire::Settings,
    result_format: ResultFormat,
    clock: Clock,
    process: u64,
}

impl AsyncReduce {
    /// Creates the reducers' shared state, once per process. At most `max_waiting` events wait for their call to begin.
    pub fn new(
        backlog: Arc<Backlog>,
        settings: wire::Settings,
        max_waiting: usize,
        result_format: ResultFormat,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> Self {
        let start_rule: StartRule = settings.start_rule;
        let shared = Shared {
            intake: Intake::new(backlog, start_rule, max_waiting, Arc::clone(&metrics)),
            metrics,
            settings,
            result_format,
            clock,
            process: rand::random(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }
}

impl ReducerCreator for AsyncReduce {
    type R = Self;

    fn create(&self) -> Self {
        self.clone()
    }
}

#[async_trait]
impl Reducer for AsyncReduce {
    async fn reduce(&self, keys: Vec<String>, input: Receiver<ReduceRequest>, md: &Metadata) -> Vec<Message> {
        let shared = &self.shared;
        let interval = &md.interval_window;
        let (start_ms, end_ms) = (
            interval.start_time.timestamp_millis(),
            interval.end_time.timestamp_millis(),
        );
        let window = shared.intake.enter(start_ms, end_ms);
        let shared_keys: Arc<[String]> = Arc::from(keys.clone());
        let (arrivals, tally) = shared.intake.read(&window, shared_keys, input).await;
        let result = Instant::now();
        if let Some(close) = arrivals.close {
            shared.metrics.close_tail.observe(result - close);
        }
        let value = match shared.result_format {
            ResultFormat::Record => {
                let record = shared.record(keys.clone(), (start_ms, end_ms), arrivals, tally, result);
                serde_json::to_vec(&record).unwrap_or_else(|error| error.to_string().into_bytes())
            }
            ResultFormat::Text => text(md, &arrivals, result).into_bytes(),
        };
        vec![Message::new(value).with_keys(keys)]
    }
}

impl Shared {
    fn record(
        &self,
        keys: Vec<String>,
        (start_ms, end_ms): (i64, i64),
        arrivals: Arrivals,
        tally: Tally,
        result: Instant,
    ) -> WindowRecord {
        let mut outcomes = tally.outcomes();
        if arrivals.undecoded > 0 {
            *outcomes.entry(Outcome::BadBody).or_default() += arrivals.undecoded;
        }
        let stamp_us = |at: Option<Instant>| self.clock.stamp_us(at.unwrap_or(result).into_std());
        WindowRecord {
            process: self.process,
            window_start_ms: start_ms.try_into().unwrap_or(0),
            window_end_ms: end_ms.try_into().unwrap_or(0),
            keys,
            settings: self.settings.clone(),
            events: arrivals.events,
            outcomes,
            attempts: tally.attempts,
            reconnects: tally.reconnects,
            seen: arrivals.seen,
            repeated: arrivals.repeated,
            undecoded: arrivals.undecoded,
            latency: tally.latency.latencies(),
            failed_latency: Some(tally.failed_latency.latencies()),
            slot_wait: tally.slot_wait.latencies(),
            peak_in_flight: tally.peak_in_flight,
            reading_stopped: arrivals.reading_stopped,
            first_arrival_us: stamp_us(arrivals.first),
            last_arrival_us: stamp_us(arrivals.last),
            close_us: stamp_us(arrivals.close),
            result_us: stamp_us(Some(result)),
        }
    }
}

/// The message of numaflow-python's example `asyncio_reduce`: seconds from the first event to the result, and the
/// window.
fn text(md: &Metadata, arrivals: &Arrivals, result: Instant) -> String {
    let batch_time = arrivals.first.map_or(0.0, |first| (result - first).as_secs_f64());
    let time = |at: chrono::DateTime<chrono::Utc>| at.format("%Y-%m-%d %H:%M:%S%:z").to_string();
    format!(
        "batch_time:{batch_time} interval_window_start:{} interval_window_end:{}",
        time(md.interval_window.start_time),
        time(md.interval_window.end_time)
    )
}

#[cfg(test)]
mod tests;
