//! Reads the input of one key and window to its end, records which events it saw, adds them to the backlog, and opens
//! the key when the start rule says so. Bounds how many events wait in the process.

use std::collections::BTreeMap;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use numaflow::reduce::ReduceRequest;
use tokio::sync::mpsc::Receiver;
use tokio::time::Instant;
use wire::{EVENT_ID_HEADER, Outcome, Ranges, StartRule, parse_event_id};

use crate::aggregate::{Finish, Make};
use crate::backlog::{Backlog, KeyCalls, Room, Waiting};
use crate::event::{EventId, Meta, PackedHeaders, Place, nanos};
use crate::metrics::Metrics;
use crate::tally::Tally;
use crate::window::{Window, Windows};

/// Event times of events without a number that a record has; further ones are only counted.
const MAX_UNNUMBERED: usize = 10_000;

/// What was read from the input of one key and window.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    pub(crate) events: u64,
    /// Events without a number of a generator.
    pub(crate) unnumbered: u64,
    pub(crate) unnumbered_ns: Vec<i64>,
    pub(crate) repeated: u64,
    pub(crate) seen: BTreeMap<u64, Ranges>,
    pub(crate) first: Option<Instant>,
    pub(crate) last: Option<Instant>,
    pub(crate) close: Option<Instant>,
    pub(crate) reading_stopped: u64,
}

/// A key and window whose calls have ended.
pub(crate) struct Closed {
    pub(crate) arrivals: Arrivals,
    pub(crate) tally: Tally,
    /// The rest of its aggregate's work, if it has an aggregate.
    pub(crate) finish: Option<Finish>,
}

/// Reads all inputs of the process.
pub(crate) struct Intake<A> {
    backlog: Arc<Backlog<A>>,
    /// Makes what collects the answers; `None` if only the record is wanted.
    make: Option<Arc<dyn Make<A>>>,
    /// Whether the numbers of the events are kept, for the record.
    numbers: bool,
    start_rule: StartRule,
    room: Arc<Room>,
    windows: Windows,
    metrics: Arc<Metrics>,
}

/// The calls of one key and window; abandons them if the SDK drops the reducer.
struct OpenWindow<A>(Arc<KeyCalls<A>>);

impl<A: Send + 'static> Intake<A> {
    pub(crate) fn new(
        backlog: Arc<Backlog<A>>,
        start_rule: StartRule,
        room: Room,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            backlog,
            make: None,
            numbers: true,
            start_rule,
            room: Arc::new(room),
            windows: Windows::new(Arc::clone(&metrics), None),
            metrics,
        }
    }

    /// The same with what collects the answers of each key and window.
    pub(crate) fn with_aggregates(mut self, make: Option<Arc<dyn Make<A>>>) -> Self {
        self.make = make;
        self
    }

    /// The same with a bound on how long after the close of its first key the calls of a window may last.
    pub(crate) fn with_close_deadline(mut self, after: Option<Duration>) -> Self {
        self.windows = Windows::new(Arc::clone(&self.metrics), after);
        self
    }

    /// The same with or without the numbers of the events.
    pub(crate) fn with_numbers(mut self, numbers: bool) -> Self {
        self.numbers = numbers;
        self
    }

    pub(crate) fn enter(&self, start_ms: i64, end_ms: i64) -> Arc<Window> {
        self.windows.enter(start_ms, end_ms)
    }

    /// Reads until the input ends, which is the close of book of this key, and waits until all calls have ended or the
    /// window's deadline has passed.
    pub(crate) async fn read(
        &self,
        window: &Window,
        place: &Arc<Place>,
        input: Receiver<ReduceRequest>,
    ) -> Closed {
        let answers = self.make.as_ref().map(|make| make.make(place));
        let room = Arc::clone(&self.room);
        let calls = KeyCalls::new(Arc::clone(place), answers, room).with_deadline(window.deadline());
        let calls = OpenWindow(Arc::new(calls));
        let calls = &calls.0;
        let mut deadline = pin!(window.deadline_passed());
        let (arrivals, is_missed) = self.read_input(window, calls, input, deadline.as_mut()).await;
        window.close();
        self.backlog.open(calls);
        let mut tally = tokio::select! {
            biased;
            tally = calls.finished() => tally,
            () = deadline, if !is_missed => {
                self.backlog.miss(calls);
                calls.finished().await
            }
        };
        for (outcome, count) in tally.outcomes() {
            if outcome != Outcome::Ok {
                window.failed(outcome, count, tally.causes.remove(&outcome));
            }
        }
        Closed {
            arrivals,
            tally,
            finish: calls.answers().map(|answers| answers.finish(place.window)),
        }
    }

    /// Reads until the input ends. Returns too whether the deadline, which counts from the close of another key, has passed
    /// meanwhile: then what this key still had to read is missed.
    async fn read_input(
        &self,
        window: &Window,
        calls: &Arc<KeyCalls<A>>,
        mut input: Receiver<ReduceRequest>,
        mut deadline: Pin<&mut impl Future<Output = ()>>,
    ) -> (Arrivals, bool) {
        let mut arrivals = Arrivals::default();
        let mut is_missed = false;
        let mut open = self.start_rule == StartRule::AtArrival;
        if open {
            self.backlog.open(calls);
        }
        // One future for all events: to make and drop one for each costs more than to look at it.
        let mut opened = pin!(window.opened());
        loop {
            tokio::select! {
                biased;
                () = &mut deadline, if !is_missed => {
                    is_missed = true;
                    self.backlog.miss(calls);
                }
                () = &mut opened, if !open => {
                    open = true;
                    self.backlog.open(calls);
                }
                request = input.recv() => {
                    let Some(request) = request else { break };
                    self.metrics.events.inc();
                    let event = arrivals.record(request, calls, self.numbers);
                    // The backlog gives the room back when the event's first attempt begins.
                    if !is_missed && !self.room.try_take(event.bytes()) {
                        // Stops reading until a call begins. Every window is opened now: if all room is taken by events
                        // that wait for their close of book, no call would begin and no input would reach its end.
                        arrivals.reading_stopped += 1;
                        self.metrics.reading_stopped.inc();
                        self.windows.open_all();
                        open = true;
                        self.backlog.open(calls);
                        tokio::select! {
                            () = self.room.take(event.bytes()) => {}
                            () = &mut deadline => {
                                is_missed = true;
                                self.backlog.miss(calls);
                            }
                        }
                    }
                    if is_missed {
                        self.backlog.miss_arrival(calls, event);
                    } else {
                        self.backlog.add(calls, event);
                    }
                }
            }
        }
        arrivals.close = Some(Instant::now());
        (arrivals, is_missed)
    }
}

impl<A> Drop for OpenWindow<A> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

impl Arrivals {
    /// Counts an event. Its number is in its header, or in a payload of the experiment's generator.
    fn record<A>(&mut self, request: ReduceRequest, calls: &KeyCalls<A>, numbers: bool) -> Waiting {
        let now = Instant::now();
        self.first.get_or_insert(now);
        self.last = Some(now);
        let mut headers = request.headers;
        let mut meta = Meta {
            headers: None,
            id: None,
            event_time_ns: nanos(request.eventtime),
            watermark_ms: request.watermark.timestamp_millis(),
            position: self.events.try_into().unwrap_or(u32::MAX),
        };
        self.events += 1;
        // It is the experiment's, and no matter of the call.
        let in_header = (!headers.is_empty())
            .then(|| headers.remove(EVENT_ID_HEADER))
            .flatten();
        let in_header = in_header.and_then(|id| parse_event_id(&id));
        if numbers {
            let number = match in_header {
                Some((generator, _, number)) => Some((generator, number)),
                None => wire::Event::decode(&request.value).map(|event| {
                    let numbered = (event.generator, event.number);
                    meta.id = Some(EventId::from(event));
                    numbered
                }),
            };
            self.number(number, meta.event_time_ns);
        }
        meta.headers = PackedHeaders::of(&headers);
        calls.waiting(request.value, meta, now)
    }

    /// Notes generator and number of an event, or its time if it has none.
    fn number(&mut self, number: Option<(u64, u64)>, event_time_ns: i64) {
        match number {
            Some((generator, number)) => {
                let is_new = self.seen.entry(generator).or_default().insert(number);
                self.repeated += u64::from(!is_new);
            }
            None => {
                self.unnumbered += 1;
                if self.unnumbered_ns.len() < MAX_UNNUMBERED {
                    self.unnumbered_ns.push(event_time_ns);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
