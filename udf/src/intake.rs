//! Reads a key's input to its end whatever happens, numbers what it sees, and passes each event on when the start
//! rule lets its call begin.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use numaflow::reduce::ReduceRequest;
use tokio::sync::mpsc::{Receiver, UnboundedSender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wire::{Outcome, Ranges, StartRule};

use crate::call::{Event, EventId};
use crate::metrics::Metrics;
use crate::window::{Queued, Window, Windows};

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
#[derive(Debug)]
pub(crate) struct Intake {
    start_rule: StartRule,
    /// Places for events that wait for their call to begin.
    places: Arc<Semaphore>,
    windows: Windows,
    metrics: Arc<Metrics>,
}

/// An event that waits for close of book.
type Held = Vec<(Event, OwnedSemaphorePermit)>;

impl Intake {
    pub(crate) fn new(start_rule: StartRule, max_waiting: usize, metrics: Arc<Metrics>) -> Self {
        let places = Arc::new(Semaphore::new(max_waiting.min(Semaphore::MAX_PERMITS)));
        Self {
            start_rule,
            places,
            windows: Windows::new(Arc::clone(&metrics)),
            metrics,
        }
    }

    pub(crate) fn enter(&self, start_ms: i64, end_ms: i64) -> Arc<Window> {
        self.windows.enter(start_ms, end_ms)
    }

    /// Reads until the input ends, which is the close of book of this key.
    pub(crate) async fn read(
        &self,
        window: &Window,
        keys: &Arc<[String]>,
        mut input: Receiver<ReduceRequest>,
        queue: UnboundedSender<Queued>,
    ) -> Arrivals {
        let mut arrivals = Arrivals::default();
        let mut held = Held::new();
        let mut open = self.start_rule == StartRule::AtArrival;
        loop {
            tokio::select! {
                biased;
                () = window.opened(), if !open => {
                    open = true;
                    release(&mut held, &queue);
                }
                request = input.recv() => {
                    let Some(request) = request else { break };
                    self.metrics.events.inc();
                    let Some(event) = arrivals.see(request, keys) else {
                        // As the record says it of an event that was not called.
                        self.metrics.ended(Outcome::BadBody);
                        continue;
                    };
                    let place = match Arc::clone(&self.places).try_acquire_owned() {
                        Ok(place) => place,
                        Err(_) => {
                            // Reading stops here until calls have begun. Those that wait for close of book begin
                            // now, in every window, as otherwise no book would ever be closed.
                            arrivals.reading_stopped += 1;
                            self.metrics.reading_stopped.inc();
                            self.windows.open_all();
                            open = true;
                            release(&mut held, &queue);
                            self.place().await
                        }
                    };
                    held.push((event, place));
                    if open {
                        release(&mut held, &queue);
                    }
                }
            }
        }
        arrivals.close = Some(Instant::now());
        window.open();
        release(&mut held, &queue);
        arrivals
    }

    async fn place(&self) -> OwnedSemaphorePermit {
        match Arc::clone(&self.places).acquire_owned().await {
            Ok(place) => place,
            Err(_) => unreachable!("the semaphore is never closed"),
        }
    }
}

fn release(held: &mut Held, queue: &UnboundedSender<Queued>) {
    let since = Instant::now();
    for (event, place) in held.drain(..) {
        // The strategy reads to the end, so the queue cannot be closed before.
        let _ = queue.send(Queued { event, since, place });
    }
}

impl Arrivals {
    /// Counts an event; nothing where its payload cannot be decoded.
    fn see(&mut self, request: ReduceRequest, keys: &Arc<[String]>) -> Option<Event> {
        let now = Instant::now();
        self.first.get_or_insert(now);
        self.last = Some(now);
        self.events += 1;
        let decoded = match wire::Event::decode(&request.value) {
            Ok(decoded) => decoded,
            Err(error) => {
                if self.undecoded == 0 {
                    tracing::warn!("an event of the window cannot be decoded: {error}");
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
        Some(Event {
            keys: Arc::clone(keys),
            payload: request.value,
            id,
        })
    }
}
