//! The events that wait for their call, over all keys and windows of the process, and the slots for those calls.
//!
//! # Who calls whom
//!
//! The intake creates a [`KeyCalls`] for each key and window, calls [`Backlog::add`] for each event and
//! [`Backlog::open`] when the start rule lets the calls of that key begin. It then awaits [`KeyCalls::finished`], or
//! calls [`KeyCalls::abandon`] if its window is dropped.
//!
//! Whenever an event becomes ready and a slot is free, the backlog occupies the slot and calls [`Strategy::start`],
//! which starts a *caller*: a task, a thread, or a child process with the task that feeds it. A caller loops:
//! [`Backlog::take`] an event, make the call, report the result to [`Backlog::ended`]. It stops when `take` returns
//! `None`. A caller whose slot is occupied may [`Backlog::reserve`] further events, to begin after its current call.
//!
//! # When a slot is free
//!
//! [`Limit::Shared`] gives the process a fixed number of slots. `start` occupies one, and the caller keeps it from call
//! to call: `ended` does not free it, only a `take` that finds nothing does. So while events wait there are exactly as
//! many callers as slots, and a caller goes to its next call without waking anything. An event that pauses before a
//! retry occupies no slot. Under [`Limit::OnePerKey`] a key has one call at a
//! time besides.
//!
//! # Which event is next
//!
//! A key with ready events is in the queue of turns once. `take` serves the first key in the queue, and the key goes
//! to the back if it has more, so a key with many events does not delay the others. Within a key retries come first,
//! then events in the order of their arrival.
//!
//! # What is missed
//!
//! A window may have a close deadline. When it has passed, the intake calls [`Backlog::miss`] for each of the window's
//! keys: what waits, pauses or is in flight ends as missed at once. A caller that is still at such a call keeps its slot:
//! a task until it sees [`InFlight::missed`] and drops the call, a thread or child process until the call returns. What
//! it then passes to `ended` is discarded.
//!
//! Locks are taken in one order, the backlog's before the key's, and held for a few field updates only.

mod key_calls;
mod limit;
mod retry;
mod room;
mod waiting;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::OptionFuture;
use tokio::runtime::Handle;
use tokio::time::Instant;
use wire::Outcome;

use crate::call_error::CallError;
use crate::event::Event;
use crate::metrics::Metrics;
use crate::tally::Ended;

pub(crate) use key_calls::KeyCalls;
use key_calls::{KeyState, Missed, Pending};
pub use limit::Limit;
pub use retry::Retry;
pub(crate) use room::Room;
pub(crate) use waiting::Waiting;

/// Makes the calls of a process, which answer with `A`.
pub trait Strategy<A>: Send + Sync + 'static {
    /// Starts a caller, which takes events from the backlog until there are none. Called within a tokio runtime when an
    /// event is ready and a slot was free; must not block.
    fn start(&self, backlog: &Arc<Backlog<A>>);
}

/// The events whose calls may begin, and the slots for those calls.
pub struct Backlog<A> {
    strategy: Box<dyn Strategy<A>>,
    limit: Limit,
    retry: Retry,
    metrics: Arc<Metrics>,
    /// Runs the pauses before retries; a call may end on a thread outside the runtime.
    runtime: Handle,
    state: Mutex<State<A>>,
}

struct State<A> {
    /// Keys with an event whose call may begin, each once.
    turns: VecDeque<Arc<KeyCalls<A>>>,
    /// Slots without a caller.
    free_slots: usize,
}

/// An event whose call is in flight. The caller must pass it to [`Backlog::ended`].
pub struct InFlight<A> {
    /// The event.
    pub event: Event,
    /// When this attempt began.
    pub began: Instant,
    calls: Arc<KeyCalls<A>>,
    /// Attempts before this one.
    attempts: u32,
}

/// An event reserved for a caller whose slot is occupied; its call has not begun.
#[must_use = "a reserved event must begin or be released"]
pub struct Reserved<'a, A: Send + 'static> {
    backlog: &'a Arc<Backlog<A>>,
    taken: Taken<A>,
}

/// An event that was removed from the queue of its key.
struct Taken<A> {
    calls: Arc<KeyCalls<A>>,
    pending: Pending,
}

impl<A: Send + 'static> Backlog<A> {
    /// Creates an empty backlog. Must be called within a tokio runtime.
    pub(crate) fn new(
        strategy: Box<dyn Strategy<A>>,
        limit: Limit,
        retry: Retry,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            strategy,
            limit,
            retry,
            metrics,
            runtime: Handle::current(),
            state: Mutex::new(State {
                turns: VecDeque::new(),
                free_slots: limit.slots(),
            }),
        }
    }

    /// Adds an event of a key. Its call may begin once the key is open.
    pub(crate) fn add(self: &Arc<Self>, calls: &Arc<KeyCalls<A>>, event: Waiting) {
        self.change(calls, |key| key.add(event));
    }

    /// Lets the calls of a key begin.
    pub(crate) fn open(self: &Arc<Self>, calls: &Arc<KeyCalls<A>>) {
        self.change(calls, |key| key.open(calls.us(Instant::now())));
    }

    /// Changes the queue of a key, and starts a caller for each event that became ready, as far as slots are free.
    fn change(self: &Arc<Self>, calls: &Arc<KeyCalls<A>>, change: impl FnOnce(&mut KeyState)) {
        let starts = {
            let mut state = self.state();
            let mut key = calls.lock();
            let before = key.ready(self.limit);
            change(&mut key);
            let added = key.ready(self.limit) - before;
            state.give_turn(calls, &mut key, self.limit);
            let starts = added.min(state.free_slots);
            state.free_slots -= starts;
            starts
        };
        for _ in 0..starts {
            self.strategy.start(self);
        }
    }

    /// Takes the next event, whose attempt begins now. If none is ready, returns `None` and frees the caller's slot.
    pub fn take(&self) -> Option<InFlight<A>> {
        let taken = {
            let mut state = self.state();
            let taken = state.next(self.limit);
            state.free_slots += usize::from(taken.is_none());
            taken
        };
        Some(self.begin(taken?, Instant::now()))
    }

    /// Reserves the next event for a caller whose slot is occupied, to begin after its current call. Returns `None` if
    /// none is ready, or if another slot is free: a caller there would begin the event at once. Under
    /// [`Limit::OnePerKey`] too, as the end of a call makes the next of its key ready for the caller that comes back.
    pub fn reserve(self: &Arc<Self>) -> Option<Reserved<'_, A>> {
        let mut state = self.state();
        if state.free_slots > 0 || matches!(self.limit, Limit::OnePerKey(_)) {
            return None;
        }
        let taken = state.next(self.limit)?;
        Some(Reserved { backlog: self, taken })
    }

    fn begin(&self, taken: Taken<A>, began: Instant) -> InFlight<A> {
        let Taken { calls, pending } = taken;
        let slot_wait = calls.lock().begins(&pending, calls.us(began));
        if let Some(slot_wait) = slot_wait {
            self.metrics.slot_wait.observe(slot_wait);
        }
        calls.room.give_back(pending.event.bytes());
        self.metrics.calls_in_flight.inc();
        InFlight {
            event: pending.event,
            began,
            calls,
            attempts: pending.attempts,
        }
    }

    fn put_back(self: &Arc<Self>, taken: Taken<A>) {
        let Taken { calls, pending } = taken;
        let bytes = pending.event.bytes();
        let mut waits = true;
        self.change(&calls, |key| waits = calls.put_back(key, pending));
        if !waits {
            calls.room.give_back(bytes);
        }
    }

    /// Ends an attempt: the event is retried after a pause, or its answer goes to the aggregate of its key and it has
    /// ended too. If it was missed, it has ended before, and the answer is discarded. `latency` is `None` if the attempt's
    /// end was not observed. The caller keeps its slot and must take the next event itself.
    pub fn ended(
        self: &Arc<Self>,
        in_flight: InFlight<A>,
        answer: Result<A, CallError>,
        latency: Option<Duration>,
    ) {
        self.metrics.calls_in_flight.dec();
        let attempts = in_flight.attempts + 1;
        if let Err(error) = &answer
            && let Some(pause) = self.retry.pause(error, attempts, rand::random)
            && !in_flight.calls.is_too_late_after(pause)
        {
            return self.pause(in_flight, pause);
        }
        if !in_flight.calls.ends(&in_flight.event) {
            return;
        }
        let ended = Ended::of(&answer);
        let reconnects = in_flight.event.reconnects();
        self.metrics.ended(&ended);
        self.metrics.reconnects.inc_by(reconnects.into());
        if let Some(latency) = latency {
            self.metrics.call_duration.observe(latency);
        }
        let InFlight { event, calls, .. } = in_flight;
        // Before it counts as ended, as the aggregate is finished after the last event.
        calls.answer(event, answer);
        let has_waiting = calls.ended(ended, attempts, reconnects, latency);
        if matches!(self.limit, Limit::OnePerKey(_)) && has_waiting {
            self.state().give_turn(&calls, &mut calls.lock(), self.limit);
        }
    }

    /// Queues an event for its next attempt after a pause, during which it occupies no slot. It waits again, so it takes
    /// room from now on, also where there is none: reading stops until the room that is owed is paid.
    fn pause(self: &Arc<Self>, in_flight: InFlight<A>, pause: Duration) {
        let InFlight {
            event,
            calls,
            attempts,
            ..
        } = in_flight;
        if !calls.lock().pauses(&event) {
            return;
        }
        let bytes = event.bytes();
        calls.room.take_anyway(bytes);
        let backlog = Arc::clone(self);
        self.runtime.spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                Some(()) = OptionFuture::from(calls.missed()) => {}
            }
            let mut waits = true;
            backlog.change(&calls, |key| waits = key.retry(event, attempts + 1));
            if !waits {
                calls.room.give_back(bytes);
            }
        });
    }

    /// Ends all events of a key that have not ended: its deadline has passed.
    pub(crate) fn miss(&self, calls: &KeyCalls<A>) {
        self.answer_missed(calls, calls.miss());
    }

    /// Ends an event of a key that arrives after that. It takes no room.
    pub(crate) fn miss_arrival(&self, calls: &KeyCalls<A>, event: Waiting) {
        self.answer_missed(calls, calls.miss_arrival(event));
    }

    fn answer_missed(&self, calls: &KeyCalls<A>, missed: Missed) {
        let count = missed.len();
        let (mut attempts, mut reconnects) = (0, 0);
        for (event, of_event) in missed {
            attempts += u64::from(of_event);
            reconnects += u64::from(event.reconnects());
            self.metrics.ended(&Outcome::Missed.into());
            calls.answer(event, Err(CallError::missed()));
        }
        self.metrics.reconnects.inc_by(reconnects);
        calls.answered_missed(count, attempts, reconnects);
    }

    fn state(&self) -> MutexGuard<'_, State<A>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<A> InFlight<A> {
    /// Waits until its window's deadline has passed, so that nobody wants the answer any more; `None` without a deadline.
    /// The caller must pass it to [`Backlog::ended`] nevertheless.
    pub fn missed(&self) -> Option<impl Future<Output = ()>> {
        self.calls.missed()
    }
}

impl<A: Send + 'static> Reserved<'_, A> {
    /// What a child process has to know of the event.
    pub(crate) fn event(&self) -> &Event {
        &self.taken.pending.event
    }

    /// Begins the event's attempt, in the slot of the call before it.
    pub fn begin(self, began: Instant) -> InFlight<A> {
        self.backlog.begin(self.taken, began)
    }

    /// Puts the event back as the next of its key, for another caller.
    pub fn release(self) {
        self.backlog.put_back(self.taken);
    }
}

impl<A> State<A> {
    /// Takes an event of the key whose turn it is.
    fn next(&mut self, limit: Limit) -> Option<Taken<A>> {
        loop {
            let calls = self.turns.pop_front()?;
            let mut key = calls.lock();
            key.has_turn = false;
            let pending = calls.take(&mut key, limit);
            self.give_turn(&calls, &mut key, limit);
            drop(key);
            // A key that was abandoned while it had its turn has none.
            if let Some(pending) = pending {
                return Some(Taken { calls, pending });
            }
        }
    }

    fn give_turn(&mut self, calls: &Arc<KeyCalls<A>>, key: &mut KeyState, limit: Limit) {
        if !key.has_turn && key.ready(limit) > 0 {
            key.has_turn = true;
            self.turns.push_back(Arc::clone(calls));
        }
    }
}

#[cfg(test)]
mod tests;
