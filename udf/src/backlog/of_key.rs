//! The calls of one key and window: what waits for its slot, and what came of the others.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;
use wire::Outcome;

use super::Order;
use crate::call::{Event, EventId};
use crate::tally::Tally;

/// The calls of one key and window.
pub(crate) struct KeyCalls {
    keys: Arc<[String]>,
    /// Places among the events that may wait in the process; one is given back with each call that begins.
    pub(super) places: Arc<Semaphore>,
    made: Instant,
    state: Mutex<OfKey>,
    all_ended: Notify,
}

/// An event that waits for its first slot: what it takes is what a window costs in memory.
pub(crate) struct Waiting {
    pub(crate) payload: Box<[u8]>,
    pub(crate) id: EventId,
    /// When it arrived, in nanoseconds after its key and window.
    pub(crate) arrived_ns: u64,
}

/// An event whose turn it is.
pub(super) enum Next {
    /// Not attempted before.
    First(Waiting),
    /// Attempted so often.
    Again(Event, u32),
}

/// What changes with the calls of one key and window.
pub(super) struct OfKey {
    /// When its calls might begin, in nanoseconds after the key and window; nothing before.
    open_ns: Option<u64>,
    waiting: VecDeque<Waiting>,
    /// Those that have paused before another attempt, with the attempts made.
    again: VecDeque<(Event, u32)>,
    /// Whether it stands in line for a slot.
    pub(super) has_turn: bool,
    /// Events that somebody has taken and that have not ended: their call is in flight, pauses, or begins soon.
    begun: u64,
    in_flight: u64,
    input_ended: bool,
    tally: Tally,
}

impl KeyCalls {
    pub(crate) fn new(keys: Arc<[String]>, places: Arc<Semaphore>) -> Self {
        Self {
            keys,
            places,
            made: Instant::now(),
            state: Mutex::new(OfKey {
                open_ns: None,
                waiting: VecDeque::new(),
                again: VecDeque::new(),
                has_turn: false,
                begun: 0,
                in_flight: 0,
                input_ended: false,
                tally: Tally::default(),
            }),
            all_ended: Notify::new(),
        }
    }

    /// An instant in nanoseconds after this key and window.
    pub(crate) fn ns(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.made).as_nanos()).unwrap_or(u64::MAX)
    }

    pub(super) fn now(&self) -> u64 {
        self.ns(Instant::now())
    }

    pub(super) fn keys(&self) -> &[String] {
        &self.keys
    }

    pub(super) fn event(&self, waiting: Waiting) -> Event {
        Event {
            keys: Arc::clone(&self.keys),
            payload: waiting.payload.into_vec(),
            id: waiting.id,
        }
    }

    /// What came of all calls, when the last has ended. No event is added any more.
    pub(crate) async fn finished(&self) -> Tally {
        self.lock().input_ended = true;
        loop {
            {
                let mut state = self.lock();
                if state.is_over() {
                    return std::mem::take(&mut state.tally);
                }
            }
            self.all_ended.notified().await;
        }
    }

    /// Nobody waits for what comes of it any more: calls that have not begun do not begin.
    pub(crate) fn abandon(&self) {
        let mut state = self.lock();
        state.open_ns = None;
        self.places.add_permits(state.waiting.len());
        state.waiting = VecDeque::new();
        state.again = VecDeque::new();
    }

    /// Counts an event that has ended; whether another may begin.
    pub(super) fn ended(&self, outcome: Outcome, attempts: u32, latency: Option<Duration>) -> bool {
        let mut state = self.lock();
        state.begun -= 1;
        state.in_flight -= 1;
        state.tally.ended(outcome, attempts, latency);
        if state.is_over() {
            drop(state);
            self.all_ended.notify_one();
            return false;
        }
        !state.waiting.is_empty()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, OfKey> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OfKey {
    pub(super) fn add(&mut self, event: Waiting) {
        self.waiting.push_back(event);
    }

    pub(super) fn open(&mut self, now_ns: u64) {
        self.open_ns.get_or_insert(now_ns);
    }

    pub(super) fn again(&mut self, event: Event, attempts: u32) {
        self.begun -= 1;
        self.again.push_back((event, attempts));
    }

    /// How many calls may begin, where there are slots.
    pub(super) fn may_begin(&self, order: Order) -> usize {
        let waiting = self.waiting.len() + self.again.len();
        match (self.open_ns, order) {
            (None, _) => 0,
            (Some(_), Order::AtOnce(_)) => waiting,
            (Some(_), Order::OneByOne) => usize::from(self.begun == 0 && waiting > 0),
        }
    }

    /// The next event, for somebody who will make its call.
    pub(super) fn take(&mut self, order: Order) -> Option<Next> {
        if self.may_begin(order) == 0 {
            return None;
        }
        let again = self.again.pop_front();
        let again = again.map(|(event, attempts)| Next::Again(event, attempts));
        let next = again.or_else(|| self.waiting.pop_front().map(Next::First))?;
        self.begun += 1;
        Some(next)
    }

    /// Takes back what was taken last; whether it waits again. It does not where the window was abandoned meanwhile.
    pub(super) fn put_back(&mut self, next: Next) -> bool {
        self.begun -= 1;
        match next {
            _ if self.open_ns.is_none() => return false,
            Next::First(waiting) => self.waiting.push_front(waiting),
            Next::Again(event, attempts) => self.again.push_front((event, attempts)),
        }
        true
    }

    /// The call of an event that was taken begins.
    pub(super) fn begins(&mut self) {
        self.in_flight += 1;
        self.tally.peak_in_flight = self.tally.peak_in_flight.max(self.in_flight);
    }

    /// Counts how long an event has waited for its first slot.
    pub(super) fn waited(&mut self, event: &Waiting, now_ns: u64) -> Duration {
        let might_begin_ns = self.open_ns.unwrap_or_default().max(event.arrived_ns);
        let waited = Duration::from_nanos(now_ns.saturating_sub(might_begin_ns));
        self.tally.slot_wait.record(waited);
        waited
    }

    pub(super) fn pauses(&mut self) {
        self.in_flight -= 1;
    }

    fn is_over(&self) -> bool {
        self.input_ended && self.begun == 0 && self.waiting.is_empty() && self.again.is_empty()
    }
}
