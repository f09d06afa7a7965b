//! What waits for its call, of all keys and windows of a process. Whoever makes calls takes from it; keys take turns,
//! so that one with many events cannot keep the others waiting.

mod of_key;
mod retry;

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;
use wire::Outcome;

use crate::call::{Event, EventId};
use crate::metrics::Metrics;

pub(crate) use of_key::{KeyCalls, Waiting};
use of_key::{Next, OfKey};
pub(crate) use retry::Retry;

/// Who makes the calls of a process.
pub trait Strategy: Send + Sync + 'static {
    /// An event may begin and a slot is free: has somebody take events from the backlog until there are none. Called
    /// within a tokio runtime, and may not wait.
    fn start(&self, backlog: &Arc<Backlog>);
}

/// The events whose calls may begin, and the slots for those calls.
pub struct Backlog {
    strategy: Box<dyn Strategy>,
    order: Order,
    retry: Retry,
    metrics: Arc<Metrics>,
    /// Where calls pause before another attempt.
    runtime: Handle,
    state: Mutex<State>,
}

/// Which calls may be in flight at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// As many as there are slots in the process.
    AtOnce(NonZeroUsize),
    /// One for each key and window; the next begins when it has ended.
    OneByOne,
}

struct State {
    /// Keys with an event whose call may begin, each once.
    turns: VecDeque<Arc<KeyCalls>>,
    /// Slots that nobody holds.
    free: usize,
}

/// An event whose call has begun; [`Backlog::ended`] takes it back.
pub struct Begun {
    /// The event.
    pub event: Event,
    /// When this attempt began.
    pub since: Instant,
    calls: Arc<KeyCalls>,
    /// Attempts before this one.
    attempts: u32,
}

/// An event that a caller has for later: its call has not begun.
#[must_use = "a reserved event begins or is released"]
pub struct Reserved<'a> {
    backlog: &'a Arc<Backlog>,
    taken: Taken,
}

/// An event that is in no queue any more.
struct Taken {
    calls: Arc<KeyCalls>,
    next: Next,
}

impl Backlog {
    /// Nothing waits yet. Needs a tokio runtime.
    pub(crate) fn new(
        strategy: Box<dyn Strategy>,
        order: Order,
        retry: Retry,
        metrics: Arc<Metrics>,
    ) -> Self {
        let free = match order {
            Order::AtOnce(slots) => slots.get(),
            Order::OneByOne => usize::MAX,
        };
        Self {
            strategy,
            order,
            retry,
            metrics,
            runtime: Handle::current(),
            state: Mutex::new(State {
                turns: VecDeque::new(),
                free,
            }),
        }
    }

    /// Adds an event of a key; its call may begin where the key is open.
    pub(crate) fn add(self: &Arc<Self>, calls: &Arc<KeyCalls>, event: Waiting) {
        self.change(calls, |of_key| of_key.add(event));
    }

    /// Lets the calls of a key begin.
    pub(crate) fn open(self: &Arc<Self>, calls: &Arc<KeyCalls>) {
        self.change(calls, |of_key| of_key.open(calls.now()));
    }

    /// Changes what waits of a key, and has as many calls begin as may.
    fn change(self: &Arc<Self>, calls: &Arc<KeyCalls>, change: impl FnOnce(&mut OfKey)) {
        let begin = {
            let mut state = self.state();
            let mut of_key = calls.lock();
            let before = of_key.may_begin(self.order);
            change(&mut of_key);
            let more = of_key.may_begin(self.order) - before;
            state.give_turn(calls, &mut of_key, self.order);
            let begin = more.min(state.free);
            state.free -= begin;
            begin
        };
        for _ in 0..begin {
            self.strategy.start(self);
        }
    }

    /// The next event, whose attempt begins with that. Where none waits there is nothing, and the slot is free again.
    pub fn take(&self) -> Option<Begun> {
        let next = {
            let mut state = self.state();
            let next = state.next(self.order);
            state.free += usize::from(next.is_none());
            next
        };
        Some(self.begin(next?, Instant::now()))
    }

    /// Another event for a caller whose slot has one in flight, to begin when that has ended. Nothing where another
    /// slot is free, whose caller would begin at once.
    pub fn reserve(self: &Arc<Self>) -> Option<Reserved<'_>> {
        let mut state = self.state();
        if state.free > 0 {
            return None;
        }
        let taken = state.next(self.order)?;
        Some(Reserved { backlog: self, taken })
    }

    fn begin(&self, taken: Taken, since: Instant) -> Begun {
        let Taken { calls, next } = taken;
        let mut of_key = calls.lock();
        of_key.begins();
        let (event, attempts) = match next {
            Next::First(waiting) => {
                let waited = of_key.waited(&waiting, calls.ns(since));
                drop(of_key);
                self.metrics.slot_wait.observe(waited);
                calls.places.add_permits(1);
                (calls.event(waiting), 0)
            }
            Next::Again(event, attempts) => {
                drop(of_key);
                (event, attempts)
            }
        };
        self.metrics.calls_in_flight.inc();
        Begun {
            event,
            since,
            calls,
            attempts,
        }
    }

    fn put_back(self: &Arc<Self>, taken: Taken) {
        let Taken { calls, next } = taken;
        let has_place = matches!(next, Next::First(_));
        let mut waits = true;
        self.change(&calls, |of_key| waits = of_key.put_back(next));
        if has_place && !waits {
            calls.places.add_permits(1);
        }
    }

    /// An attempt has ended: there is another after a pause, or the event has ended too. `latency` is the attempt's,
    /// where somebody saw its end. Who calls this takes the next event.
    pub fn ended(self: &Arc<Self>, begun: Begun, outcome: Outcome, latency: Option<Duration>) {
        self.metrics.calls_in_flight.dec();
        let attempts = begun.attempts + 1;
        if let Some(pause) = self.retry.pause(outcome, attempts, rand::random) {
            return self.pause(begun, pause);
        }
        self.metrics.ended(outcome);
        if let Some(latency) = latency {
            self.metrics.call_duration.observe(latency);
        }
        let calls = begun.calls;
        let next = calls.ended(outcome, attempts, latency);
        if self.order == Order::OneByOne && next {
            self.state().give_turn(&calls, &mut calls.lock(), self.order);
        }
    }

    /// Makes another attempt after a pause, in which its slot is free. No more pause at once than events had a place.
    fn pause(self: &Arc<Self>, begun: Begun, pause: Duration) {
        let Begun {
            event,
            calls,
            attempts,
            ..
        } = begun;
        calls.lock().pauses();
        let backlog = Arc::clone(self);
        self.runtime.spawn(async move {
            tokio::time::sleep(pause).await;
            backlog.change(&calls, |of_key| of_key.again(event, attempts + 1));
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reserved<'_> {
    /// Its keys, who it is, and its payload.
    pub fn event(&self) -> (&[String], EventId, &[u8]) {
        match &self.taken.next {
            Next::First(waiting) => (self.taken.calls.keys(), waiting.id, &waiting.payload),
            Next::Again(event, _) => (&event.keys, event.id, &event.payload),
        }
    }

    /// Its attempt begins, in the slot of the one before it.
    pub fn begin(self, since: Instant) -> Begun {
        self.backlog.begin(self.taken, since)
    }

    /// Gives it back, as the next of its key; its call will not begin here.
    pub fn release(self) {
        self.backlog.put_back(self.taken);
    }
}

impl State {
    /// The next event, by turns.
    fn next(&mut self, order: Order) -> Option<Taken> {
        loop {
            let calls = self.turns.pop_front()?;
            let mut of_key = calls.lock();
            of_key.has_turn = false;
            let next = of_key.take(order);
            self.give_turn(&calls, &mut of_key, order);
            drop(of_key);
            // Where there is none, its window was abandoned.
            if let Some(next) = next {
                return Some(Taken { calls, next });
            }
        }
    }

    fn give_turn(&mut self, calls: &Arc<KeyCalls>, of_key: &mut OfKey, order: Order) {
        if !of_key.has_turn && of_key.may_begin(order) > 0 {
            of_key.has_turn = true;
            self.turns.push_back(Arc::clone(calls));
        }
    }
}

#[cfg(test)]
mod tests;
