//! Shared by the unit tests: metrics, the events of a key without the SDK, and a call that follows a script.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::DateTime;
use clap::Parser;
use numaflow::reduce::ReduceRequest;
use tokio::time::Instant;
use wire::Outcome;

use crate::backlog::{Backlog, KeyCalls, Retry, Room, Waiting};
use crate::call::{BlockingCall, Call};
use crate::call_error::CallError;
use crate::deadline::Deadline;
use crate::event::{Event, EventId, Meta, Place, Window};
use crate::metrics::Metrics;
use crate::settings::Settings;
use crate::strategy::{Both, Forms, StrategySpec, Work};
use crate::tally::Tally;

/// The settings that these flags are.
pub(crate) fn parse(args: &[&str]) -> Settings {
    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        settings: Settings,
    }
    Cli::parse_from(["udf"].iter().chain(args)).settings
}

/// The default settings, as written into a record.
pub(crate) fn settings() -> wire::Settings {
    parse(&[]).of_record(NonZeroUsize::MIN)
}

/// The key `key` and the first ten seconds.
pub(crate) fn place() -> Arc<Place> {
    place_of(&["key"])
}

pub(crate) fn place_of(keys: &[&str]) -> Arc<Place> {
    let start = DateTime::UNIX_EPOCH;
    Arc::new(Place {
        keys: keys.iter().map(|key| (*key).to_owned()).collect(),
        window: Window {
            start,
            end: start + Duration::from_secs(10),
        },
        event_id: None,
    })
}

/// What an event of generator 7 has beside its payload.
pub(crate) fn meta(index: u64) -> Meta {
    Meta {
        headers: None,
        id: Some(EventId { generator: 7, index }),
        event_time_ns: 0,
        watermark_ms: 0,
        position: index as u32,
    }
}

/// The event with this number in the order of arrival.
pub(crate) fn event_at(position: u64) -> Event {
    Event {
        meta: meta(position),
        ..Event::new("")
    }
}

/// Metrics with all counts at zero.
pub(crate) fn metrics() -> Arc<Metrics> {
    Arc::new(Metrics::new(&settings()))
}

/// A number that is not zero.
pub(crate) fn some(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap()
}

pub(crate) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Compares a duration from a histogram, which keeps three digits.
#[track_caller]
pub(crate) fn assert_about(found: Option<Duration>, expected: Duration) {
    let found = found.unwrap();
    assert!(
        found.abs_diff(expected) <= expected / 1_000,
        "{found:?} instead of {expected:?}"
    );
}

/// Calls that are shared with the test.
pub(crate) struct Shared<C>(Arc<C>);

impl<C: Call> Call for Shared<C> {
    type Answer = C::Answer;

    fn call(&self, event: &Event) -> impl Future<Output = Result<C::Answer, CallError>> + Send {
        self.0.call(event)
    }
}

impl<C: BlockingCall> BlockingCall for Shared<C> {
    type Answer = C::Answer;

    fn call_blocking(&self, event: &Event) -> Result<C::Answer, CallError> {
        self.0.call_blocking(event)
    }
}

/// That many retries, with the default pauses and statuses.
pub(crate) fn retry(retries: u32) -> Retry {
    let settings = parse(&[]);
    Retry {
        retries,
        first_pause: settings.retry_pause,
        statuses: settings.retry_statuses,
        repeatable: true,
    }
}

/// The default strategy with three calls at once, no retries and a timeout of a second.
pub(crate) fn spec<C: Call<Answer = ()> + BlockingCall<Answer = ()>>(call: &Arc<C>) -> StrategySpec<()> {
    let forms: Forms<()> = Both(Shared(Arc::clone(call))).into_forms();
    StrategySpec {
        kind: wire::StrategyKind::Async,
        max_workers: some(3),
        forms,
        timeout: Duration::from_secs(1),
        retry: retry(0),
        worker: crate::WorkerCommand {
            program: "unused".into(),
            args: Vec::new(),
        },
        metrics: metrics(),
    }
}

/// Longer than any test takes, on a paused clock or on a busy machine: only a hang exceeds it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Awaits a future, and panics if it hangs.
pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("it ends")
}

/// A deadline of this long that does not count yet.
pub(crate) fn deadline(millis: u64) -> Arc<Deadline> {
    Arc::new(Deadline::new(Duration::from_millis(millis)))
}

/// A key that is open to calls, and the room of its events.
pub(crate) struct OpenKey {
    pub(crate) calls: Arc<KeyCalls<()>>,
    pub(crate) room: Arc<Room>,
}

impl OpenKey {
    pub(crate) fn new(backlog: &Arc<Backlog<()>>) -> Self {
        Self::with_deadline(backlog, None)
    }

    /// One whose events can be missed.
    pub(crate) fn with_deadline(backlog: &Arc<Backlog<()>>, deadline: Option<&Arc<Deadline>>) -> Self {
        let room = Arc::new(Room::new(1_000, u64::MAX));
        let calls = KeyCalls::new(place(), None, Arc::clone(&room)).with_deadline(deadline);
        let calls = Arc::new(calls);
        backlog.open(&calls);
        Self { calls, room }
    }

    /// Adds events with these indices, each with a permit.
    pub(crate) fn add(&self, backlog: &Arc<Backlog<()>>, indices: impl IntoIterator<Item = u64>) {
        for index in indices {
            let event = waiting(&self.calls, index);
            assert!(self.room.try_take(event.bytes()));
            backlog.add(&self.calls, event);
        }
    }

    /// Waits until all its events have ended.
    pub(crate) async fn finished(&self) -> Tally {
        soon(self.calls.finished()).await
    }
}

/// An event of generator 7, as the SDK delivers it.
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
pub(crate) fn waiting<A>(calls: &KeyCalls<A>, index: u64) -> Waiting {
    calls.waiting(index.to_le_bytes().into(), meta(index), Instant::now())
}

/// The course of one attempt.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Attempt {
    /// Waits for this time and returns this outcome.
    Takes(Duration, Outcome),
    /// Returns this outcome without ever being pending.
    Computes(Outcome),
    Panics,
    Never,
}

/// A call that follows a script: a function of the event's index and the number of the attempt, from 1.
pub(crate) struct Scripted {
    script: Box<dyn Fn(u64, u32) -> Attempt + Send + Sync>,
    attempts: Mutex<HashMap<u64, u32>>,
    /// The index of the event of each attempt, in the order they began.
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

    /// Number of attempts of an event.
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

/// Ends the count of a call in flight when the call ends or is dropped.
struct InFlightGuard<'a>(&'a AtomicUsize);

impl Drop for InFlightGuard<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The result of a call that ended so.
pub(crate) fn result(outcome: Outcome) -> Result<(), CallError> {
    match outcome {
        Outcome::Ok => Ok(()),
        outcome => Err(outcome.into()),
    }
}

/// Stands for the index of an event of nobody.
pub(crate) const NO_INDEX: u64 = u64::MAX;

/// The index of an event of generator 7.
pub(crate) fn index_of(event: &Event) -> u64 {
    event.meta.id.map_or(NO_INDEX, |id| id.index)
}

impl Call for Scripted {
    type Answer = ();

    async fn call(&self, event: &Event) -> Result<(), CallError> {
        let (attempt, _in_flight) = self.begin(index_of(event));
        match attempt {
            Attempt::Takes(time, outcome) => {
                tokio::time::sleep(time).await;
                result(outcome)
            }
            Attempt::Computes(outcome) => result(outcome),
            Attempt::Panics => panic!("on purpose"),
            Attempt::Never => std::future::pending().await,
        }
    }
}

impl BlockingCall for Scripted {
    type Answer = ();

    fn call_blocking(&self, _event: &Event) -> Result<(), CallError> {
        unreachable!("only for strategies with asynchronous calls")
    }
}
