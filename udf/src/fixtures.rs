//! What the unit tests share: metrics, a key's events without the SDK, and a call whose script a test writes.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use clap::Parser;
use numaflow::reduce::ReduceRequest;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use wire::Outcome;

use crate::backlog::{Backlog, KeyCalls, Waiting};
use crate::call::{Call, Event, EventId};
use crate::metrics::Metrics;
use crate::settings::Cli;
use crate::strategy::StrategySpec;
use crate::tally::Tally;

/// The default settings, as a record repeats them.
pub(crate) fn settings() -> wire::Settings {
    Cli::parse_from(["udf"]).settings.of_record(NonZeroUsize::MIN)
}

/// Metrics that have counted nothing yet.
pub(crate) fn metrics() -> Arc<Metrics> {
    Arc::new(Metrics::new(&settings()))
}

/// `count` workers, calls, or whatever else there is at least one of.
pub(crate) fn some(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap()
}

pub(crate) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A duration as a histogram keeps it: to three digits.
#[track_caller]
pub(crate) fn assert_about(found: Option<Duration>, expected: Duration) {
    let found = found.unwrap();
    assert!(
        found.abs_diff(expected) <= expected / 1_000,
        "{found:?} instead of {expected:?}"
    );
}

/// The default strategy with three calls at once, no retries and a timeout of a second.
pub(crate) fn spec<C: Call>(call: &Arc<C>) -> StrategySpec {
    let call = Arc::clone(call);
    StrategySpec {
        kind: wire::StrategyKind::Async,
        max_workers: some(3),
        call,
        timeout: Duration::from_secs(1),
        retries: 0,
        worker: crate::WorkerCommand {
            program: "unused".into(),
            args: Vec::new(),
        },
        metrics: metrics(),
    }
}

/// Longer than anything here takes, by a paused clock or on a busy machine: what takes as long never comes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What comes of a future that must end.
pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("it ends")
}

/// A key that is open to calls, and the places its events take.
pub(crate) struct OpenKey {
    pub(crate) calls: Arc<KeyCalls>,
    pub(crate) places: Arc<Semaphore>,
}

impl OpenKey {
    pub(crate) fn new(backlog: &Arc<Backlog>) -> Self {
        let places = Arc::new(Semaphore::new(1_000));
        let calls = Arc::new(KeyCalls::new(Arc::from(["key".to_owned()]), Arc::clone(&places)));
        backlog.open(&calls);
        Self { calls, places }
    }

    /// Adds events with these indices, each in a place.
    pub(crate) fn add(&self, backlog: &Arc<Backlog>, indices: impl IntoIterator<Item = u64>) {
        for index in indices {
            self.places.try_acquire().unwrap().forget();
            backlog.add(&self.calls, waiting(&self.calls, index));
        }
    }

    /// What comes of all its events.
    pub(crate) async fn finished(&self) -> Tally {
        soon(self.calls.finished()).await
    }
}

/// What the SDK gives of an event of generator 7.
pub(crate) fn request(number: u64) -> ReduceRequest {
    let event = wire::Event {
        generator: 7,
        index: number,
        number,
        padding: String::new(),
    };
    ReduceRequest {
        keys: vec!["key".into()],
        value: event.encode().unwrap(),
        watermark: chrono::DateTime::UNIX_EPOCH,
        eventtime: chrono::DateTime::UNIX_EPOCH,
        headers: HashMap::new(),
    }
}

/// An event that arrives now; its payload is its index.
pub(crate) fn waiting(calls: &KeyCalls, index: u64) -> Waiting {
    Waiting {
        payload: index.to_le_bytes().into(),
        id: EventId { generator: 7, index },
        arrived_ns: calls.ns(Instant::now()),
    }
}

/// How one attempt goes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Attempt {
    /// Waits so long and gives this outcome.
    Takes(Duration, Outcome),
    /// Gives this outcome without ever waiting.
    Computes(Outcome),
    Panics,
    Never,
}

/// A call that goes by a script: from the event's index and the number of the attempt, from 1.
pub(crate) struct Scripted {
    script: Box<dyn Fn(u64, u32) -> Attempt + Send + Sync>,
    attempts: Mutex<HashMap<u64, u32>>,
    /// Events in the order of their attempts.
    pub(crate) order: Mutex<Vec<u64>>,
    in_flight: AtomicUsize,
    pub(crate) peak: AtomicUsize,
}

impl Scripted {
    pub(crate) fn new(script: impl Fn(u64, u32) -> Attempt + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            script: Box::new(script),
            attempts: Mutex::default(),
            order: Mutex::default(),
            in_flight: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
        })
    }

    /// How often an event was attempted.
    pub(crate) fn attempts(&self, index: u64) -> u32 {
        self.attempts.lock().unwrap().get(&index).copied().unwrap_or(0)
    }

    fn begin(&self, index: u64) -> (Attempt, InFlightGuard<'_>) {
        let in_flight = self.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        self.peak.fetch_max(in_flight, Ordering::SeqCst);
        self.order.lock().unwrap().push(index);
        let mut attempts = self.attempts.lock().unwrap();
        let attempt = attempts.entry(index).or_default();
        *attempt += 1;
        ((self.script)(index, *attempt), InFlightGuard(&self.in_flight))
    }
}

/// Counts one call less when the call ends or is dropped.
struct InFlightGuard<'a>(&'a AtomicUsize);

impl Drop for InFlightGuard<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Call for Scripted {
    async fn call(&self, event: &Event) -> Outcome {
        let (attempt, _in_flight) = self.begin(event.id.index);
        match attempt {
            Attempt::Takes(time, outcome) => {
                tokio::time::sleep(time).await;
                outcome
            }
            Attempt::Computes(outcome) => outcome,
            Attempt::Panics => panic!("on purpose"),
            Attempt::Never => std::future::pending().await,
        }
    }

    fn call_blocking(&self, _event: &Event) -> Outcome {
        unreachable!("for the strategies that await")
    }
}
