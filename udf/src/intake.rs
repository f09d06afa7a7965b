//! Reads the input of one key and window to its end, records which events it saw, adds them to the backlog, and opens
//! the key when the start rule says so. Bounds how many events wait in the process.

use std::collections::BTreeMap;
use std::sync::Arc;

use numaflow::reduce::ReduceRequest;
use tokio::sync::mpsc::Receiver;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;
use wire::{Outcome, Ranges, StartRule};

use crate::backlog::{Backlog, KeyCalls, Waiting};
use crate::call::EventId;
use crate::metrics::Metrics;
use crate::tally::Tally;
use crate::window::{Window, Windows};

/// What was read from the input of one key and window.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    pub(crate) events: u64,
    pub(crate) undecoded: u64,
    /// Why the first of them could not be decoded.
    pub(crate) bad_event: Option<Box<str>>,
    pub(crate) repeated: u64,
    pub(crate) seen: BTreeMap<u64, Ranges>,
    pub(crate) first: Option<Instant>,
    pub(crate) last: Option<Instant>,
    pub(crate) close: Option<Instant>,
    pub(crate) reading_stopped: u64,
}

/// Reads all inputs of the process.
pub(crate) struct Intake {
    backlog: Arc<Backlog>,
    start_rule: StartRule,
    /// Permits for events that wait for their first attempt to begin.
    permits: Arc<Semaphore>,
    windows: Windows,
    metrics: Arc<Metrics>,
}

/// The calls of one key and window; abandons them if the SDK drops the reducer.
struct OpenWindow(Arc<KeyCalls>);

impl Intake {
    pub(crate) fn new(
        backlog: Arc<Backlog>,
        start_rule: StartRule,
        max_waiting: usize,
        metrics: Arc<Metrics>,
    ) -> Self {
        let permits = Arc::new(Semaphore::new(max_waiting.min(Semaphore::MAX_PERMITS)));
        Self {
            backlog,
            start_rule,
            permits,
            windows: Windows::new(Arc::clone(&metrics)),
            metrics,
        }
    }

    pub(crate) fn enter(&self, start_ms: i64, end_ms: i64) -> Arc<Window> {
        self.windows.enter(start_ms, end_ms)
    }

    /// Reads until the input ends, which is the close of book of this key, and waits until all calls have ended.
    pub(crate) async fn read(
        &self,
        window: &Window,
        keys: Arc<[String]>,
        mut input: Receiver<ReduceRequest>,
    ) -> (Arrivals, Tally) {
        let calls = OpenWindow(Arc::new(KeyCalls::new(keys, Arc::clone(&self.permits))));
        let calls = &calls.0;
        let mut arrivals = Arrivals::default();
        let mut open = self.start_rule == StartRule::AtArrival;
        if open {
            self.backlog.open(calls);
        }
        loop {
            tokio::select! {
                biased;
                () = window.opened(), if !open => {
                    open = true;
                    self.backlog.open(calls);
                }
                request = input.recv() => {
                    let Some(request) = request else { break };
                    self.metrics.events.inc();
                    let Some(event) = arrivals.record(request, calls) else {
                        // The record counts it so, too.
                        self.metrics.ended(Outcome::BadBody);
                        continue;
                    };
                    let permit = match self.permits.try_acquire() {
                        Ok(permit) => permit,
                        Err(_) => {
                            // Stops reading until a call begins. Every window is opened now: if all permits are
                            // held by events that wait for their close of book, no call would begin and no input
                            // would reach its end.
                            arrivals.reading_stopped += 1;
                            self.metrics.reading_stopped.inc();
                            self.windows.open_all();
                            open = true;
                            self.backlog.open(calls);
                            self.permit().await
                        }
                    };
                    // The backlog returns the permit when the event's first attempt begins.
                    permit.forget();
                    self.backlog.add(calls, event);
                }
            }
        }
        arrivals.close = Some(Instant::now());
        window.open();
        self.backlog.open(calls);
        let mut tally = calls.finished().await;
        for (outcome, count) in tally.outcomes() {
            if outcome != Outcome::Ok {
                window.failed(outcome, count, tally.causes.remove(&outcome));
            }
        }
        if arrivals.undecoded > 0 {
            window.failed(Outcome::BadBody, arrivals.undecoded, arrivals.bad_event.take());
        }
        (arrivals, tally)
    }

    async fn permit(&self) -> SemaphorePermit<'_> {
        match self.permits.acquire().await {
            Ok(permit) => permit,
            Err(_) => unreachable!("the semaphore is never closed"),
        }
    }
}

impl Drop for OpenWindow {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

impl Arrivals {
    /// Counts an event. Returns `None` if its payload cannot be decoded.
    fn record(&mut self, request: ReduceRequest, calls: &KeyCalls) -> Option<Waiting> {
        let now = Instant::now();
        self.first.get_or_insert(now);
        self.last = Some(now);
        self.events += 1;
        let decoded = match wire::Event::decode(&request.value) {
            Ok(decoded) => decoded,
            Err(error) => {
                self.bad_event.get_or_insert_with(|| {
                    // Without the error's text, which quotes the payload.
                    let (class, column) = (error.classify(), error.column());
                    format!("an event cannot be decoded: {class:?} at column {column}").into()
                });
                self.undecoded += 1;
                return None;
            }
        };
        if !self
            .seen
            .entry(decoded.generator)
            .or_default()
            .insert(decoded.number)
        {
            self.repeated += 1;
        }
        let id = EventId {
            generator: decoded.generator,
            index: decoded.index,
        };
        Some(Waiting {
            payload: request.value.into_boxed_slice(),
            id,
            arrived_ns: calls.ns(now),
        })
    }
}

#[cfg(test)]
mod tests;
