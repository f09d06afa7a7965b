//! Implements the SDK's reducer. The SDK creates one for each key and window; all of them share one intake.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use numaflow::reduce::{Message, Metadata, ReduceRequest, Reducer, ReducerCreator};
use tokio::sync::mpsc::Receiver;
use tokio::time::Instant;
use wire::{Clock, RECORD_FORMAT, RECORD_TAG, StartRule, WindowRecord};

use crate::aggregate::{Finish, Make, Outgoing};
use crate::backlog::{Backlog, Room};
use crate::event::{Place, Window};
use crate::intake::{Arrivals, Intake};
use crate::metrics::Metrics;
use crate::settings::{ResultFormat, Results};
use crate::tally::Tally;

/// How long an aggregate may hold up the thread that reads the stream before the log says so.
const SLOW_FINISH: Duration = Duration::from_millis(50);

/// Creates reducers that make one call for each event. Passed to `numaflow::reduce::Server`.
pub struct AsyncReduce<A> {
    shared: Arc<Shared<A>>,
}

/// What reducers are made of.
pub(crate) struct ReduceSpec<A> {
    pub(crate) backlog: Arc<Backlog<A>>,
    pub(crate) make: Arc<dyn Make<A>>,
    /// As written into each record.
    pub(crate) settings: wire::Settings,
    pub(crate) results: Results,
    pub(crate) close_deadline: Option<Duration>,
    /// For events that wait.
    pub(crate) room: Room,
    pub(crate) max_message_bytes: usize,
    pub(crate) event_id: Option<Arc<str>>,
    pub(crate) clock: Clock,
    pub(crate) metrics: Arc<Metrics>,
}

struct Shared<A> {
    intake: Intake<A>,
    metrics: Arc<Metrics>,
    settings: wire::Settings,
    results: Results,
    max_message_bytes: usize,
    event_id: Option<Arc<str>>,
    clock: Clock,
    process: u64,
    /// The slowest end of an aggregate that the log has, in nanoseconds.
    slowest_finish_ns: AtomicU64,
}

impl<A: Send + 'static> AsyncReduce<A> {
    /// Creates the reducers' shared state, once per process.
    pub(crate) fn new(spec: ReduceSpec<A>) -> Self {
        let start_rule: StartRule = spec.settings.start_rule;
        let metrics = Arc::clone(&spec.metrics);
        let make = spec.results.own.then_some(spec.make);
        let intake = Intake::new(spec.backlog, start_rule, spec.room, metrics)
            .with_aggregates(make)
            .with_close_deadline(spec.close_deadline)
            .with_numbers(spec.results.instrument.is_some());
        Self {
            shared: Arc::new(Shared {
                intake,
                metrics: spec.metrics,
                settings: spec.settings,
                results: spec.results,
                max_message_bytes: spec.max_message_bytes,
                event_id: spec.event_id,
                clock: spec.clock,
                process: rand::random(),
                slowest_finish_ns: AtomicU64::new(0),
            }),
        }
    }
}

impl<A> Clone for AsyncReduce<A> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<A: Send + 'static> ReducerCreator for AsyncReduce<A> {
    type R = Self;

    fn create(&self) -> Self {
        self.clone()
    }
}

#[async_trait]
impl<A: Send + 'static> Reducer for AsyncReduce<A> {
    async fn reduce(&self, keys: Vec<String>, input: Receiver<ReduceRequest>, md: &Metadata) -> Vec<Message> {
        let shared = &self.shared;
        let window = Window {
            start: md.interval_window.start_time,
            end: md.interval_window.end_time,
        };
        let place = Arc::new(Place {
            keys: Arc::from(keys),
            window,
            event_id: shared.event_id.clone(),
        });
        let open = shared
            .intake
            .enter(window.start.timestamp_millis(), window.end.timestamp_millis());
        let closed = shared.intake.read(&open, &place, input).await;
        let (mut messages, failure) = shared.finish(&place, closed.finish).await;
        let result = Instant::now();
        if let Some(close) = closed.arrivals.close {
            shared.metrics.close_tail.observe(result - close);
        }
        let value = match shared.results.instrument {
            None => return messages,
            Some(ResultFormat::Record) => {
                let record = shared.record(&place, closed.arrivals, closed.tally, failure, result);
                serde_json::to_vec(&record).unwrap_or_else(|error| error.to_string().into_bytes())
            }
            Some(ResultFormat::Text) => text(&window, &closed.arrivals, result).into_bytes(),
        };
        let message = Message::new(value).with_keys(place.keys.to_vec());
        messages.push(message.with_tags(vec![RECORD_TAG.to_owned()]));
        messages
    }
}

impl<A: Send + 'static> Shared<A> {
    /// The messages of a key and window, or the one that says why there are none, and the reason.
    async fn finish(&self, place: &Place, finish: Option<Finish>) -> (Vec<Message>, Option<String>) {
        let Some(finish) = finish else {
            return (Vec::new(), None);
        };
        let outgoing = Outgoing {
            place,
            max_bytes: self.max_message_bytes,
        };
        let made = self.run(finish).await;
        match made.and_then(|messages| outgoing.all(messages)) {
            Ok(messages) => (messages, None),
            Err(reason) => {
                self.metrics.results_failed.inc();
                tracing::error!(window_start = %place.window.start, "a key and window has no result: {reason}");
                (vec![outgoing.failure(&reason)], Some(reason))
            }
        }
    }

    async fn run(&self, Finish { blocks, run }: Finish) -> Result<Vec<crate::Message>, String> {
        let began = std::time::Instant::now();
        let made = if blocks {
            let made = tokio::task::spawn_blocking(run).await;
            made.unwrap_or_else(|error| Err(format!("the aggregate was not finished: {error}")))
        } else {
            run()
        };
        let took = began.elapsed();
        self.metrics.finish.observe(took);
        if !blocks && took > SLOW_FINISH {
            let took_ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
            // Once, and again where it becomes twice as slow.
            if took_ns / 2 > self.slowest_finish_ns.fetch_max(took_ns, Ordering::Relaxed) {
                tracing::warn!(
                    "finishing an aggregate took {took:?}, in which no event was read: set `FINISH_BLOCKS` in its `impl Aggregate`"
                );
            }
        }
        made
    }

    fn record(
        &self,
        place: &Place,
        arrivals: Arrivals,
        tally: Tally,
        failure: Option<String>,
        result: Instant,
    ) -> WindowRecord {
        let stamp_us = |at: Option<Instant>| self.clock.stamp_us(at.unwrap_or(result).into_std());
        let ms = |at: chrono::DateTime<chrono::Utc>| at.timestamp_millis().try_into().unwrap_or(0);
        WindowRecord {
            process: self.process,
            window_start_ms: ms(place.window.start),
            window_end_ms: ms(place.window.end),
            keys: place.keys.to_vec(),
            settings: self.settings.clone(),
            events: arrivals.events,
            outcomes: tally.outcomes(),
            named: tally.named(),
            attempts: tally.attempts,
            reconnects: tally.reconnects,
            seen: arrivals.seen,
            repeated: arrivals.repeated,
            undecoded: 0,
            failed_latency: Some(tally.failed_latency.latencies()),
            slot_wait: tally.slot_wait.latencies(),
            peak_in_flight: tally.peak_in_flight,
            reading_stopped: arrivals.reading_stopped,
            first_arrival_us: stamp_us(arrivals.first),
            last_arrival_us: stamp_us(arrivals.last),
            close_us: stamp_us(arrivals.close),
            result_us: stamp_us(Some(result)),
            format: RECORD_FORMAT,
            unnumbered: arrivals.unnumbered,
            unnumbered_ns: arrivals.unnumbered_ns,
            failure,
            latency: tally.latency.latencies(),
        }
    }
}

/// The message of numaflow-python's example `asyncio_reduce`: seconds from the first event to the result, and the
/// window.
fn text(window: &Window, arrivals: &Arrivals, result: Instant) -> String {
    let batch_time = arrivals.first.map_or(0.0, |first| (result - first).as_secs_f64());
    let time = |at: chrono::DateTime<chrono::Utc>| at.format("%Y-%m-%d %H:%M:%S%:z").to_string();
    format!(
        "batch_time:{batch_time} interval_window_start:{} interval_window_end:{}",
        time(window.start),
        time(window.end)
    )
}

#[cfg(test)]
mod tests;
