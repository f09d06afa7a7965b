//! Reads a key's input to its end whatever happens, numbers what it sees, and passes each event on when the start
//! rule lets its call begin.

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

/// What was seen of a key's input.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    pub(crate) events: u64,
    pub(crate) undecoded: u64,
    pub(crate) repeated: u64,
    pub(crate) seen: BTreeMap<u64, Ranges>,
    pub(crate) first: Option<Instant>,
    pub(crate) last: Option<Instant>,
    pub(crate) close: Option<Instant>,
    pub(crate) reading_stopped: u64,
}

/// What the intakes of a process share.
pub(crate) struct Intake {
    backlog: Arc<Backlog>,
    start_rule: StartRule,
    /// Places for events that wait for their call to begin.
    places: Arc<Semaphore>,
    windows: Windows,
    metrics: Arc<Metrics>,
}

/// The calls of a key and window for as long as somebody waits for what comes of them.
struct Entered(Arc<KeyCalls>);

impl Intake {
    pub(crate) fn new(
        backlog: Arc<Backlog>,
        start_rule: StartRule,
        max_waiting: usize,
        metrics: Arc<Metrics>,
    ) -> Self {
        let places = Arc::new(Semaphore::new(max_waiting.min(Semaphore::MAX_PERMITS)));
        Self {
            backlog,
            start_rule,
            places,
            windows: Windows::new(Arc::clone(&metrics)),
            metrics,
        }
    }

    pub(crate) fn enter(&self, start_ms: i64, end_ms: i64) -> Arc<Window> {
        self.windows.enter(start_ms, end_ms)
    }

    /// Reads until the input ends, which is the close of book of this key, and until all its calls have ended.
    pub(crate) async fn read(
        &self,
        window: &Window,
        keys: Arc<[String]>,
        mut input: Receiver<ReduceRequest>,
    ) -> (Arrivals, Tally) {
        let calls = Entered(Arc::new(KeyCalls::new(keys, Arc::clone(&self.places))));
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
                    let Some(event) = arrivals.see(request, calls) else {
                        // As the record says it of an event that was not called.
                        self.metrics.ended(Outcome::BadBody);
                        continue;
                    };
                    let place = match self.places.try_acquire() {
                        Ok(place) => place,
                        Err(_) => {
                            // Reading stops here until calls have begun. Those that wait for close of book begin
                            // now, in every window, as otherwise no book would ever be closed.
                            arrivals.reading_stopped += 1;
                            self.metrics.reading_stopped.inc();
                            self.windows.open_all();
                            open = true;
                            self.backlog.open(calls);
                            self.place().await
                        }
                    };
                    // Given back when the event's call begins.
                    place.forget();
                    self.backlog.add(calls, event);
                }
            }
        }
        arrivals.close = Some(Instant::now());
        window.open();
        self.backlog.open(calls);
        let tally = calls.finished().await;
        (arrivals, tally)
    }

    async fn place(&self) -> SemaphorePermit<'_> {
        match self.places.acquire().await {
            Ok(place) => place,
            Err(_) => unreachable!("the semaphore is never closed"),
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

impl Arrivals {
    /// Counts an event; nothing where its payload cannot be decoded.
    fn see(&mut self, request: ReduceRequest, calls: &KeyCalls) -> Option<Waiting> {
        let now = Instant::now();
        self.first.get_or_insert(now);
        self.last = Some(now);
        self.events += 1;
        let decoded = match wire::Event::decode(&request.value) {
            Ok(decoded) => decoded,
            Err(error) => {
                if self.undecoded == 0 {
                    // Not the error's own words: they quote the payload.
                    let (class, column) = (error.classify(), error.column());
                    tracing::warn!(?class, column, "an event of the window cannot be decoded");
                }
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
