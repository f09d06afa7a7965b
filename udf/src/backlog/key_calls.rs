//! The calls of one key and window: the queue of events that wait, and the tally of those that have ended.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use super::{Limit, Room, Waiting};
use crate::aggregate::Collect;
use crate::call_error::CallError;
use crate::event::{Event, Meta, Place, Reconnects};
use crate::tally::{Ended, Tally};
use tokio::sync::Notify;
use tokio::time::Instant;

/// The calls of one key and window.
pub(crate) struct KeyCalls<A> {
    place: Arc<Place>,
    /// Gets the answers, behind a lock of its own; `None` if only the record is wanted.
    answers: Option<Box<dyn Collect<A>>>,
    /// Room to wait, shared by the process: the intake takes it for each event, and it is given back when the event's
    /// first attempt begins; the same for each pause before another one.
    pub(super) room: Arc<Room>,
    created: Instant,
    /// Nonce of the first generator seen; hardly ever there is another.
    generator: OnceLock<u64>,
    state: Mutex<KeyState>,
    all_ended: Notify,
}

/// An event that is next in its key.
pub(super) enum Pending {
    /// Not attempted before.
    First(Waiting),
    /// With the number of attempts made.
    Retry(Event, u32),
}

/// The state of one key and window.
pub(super) struct KeyState {
    /// When its calls were allowed to begin, in microseconds since [`KeyCalls::new`]; `None` before, and once abandoned.
    open_us: Option<u64>,
    waiting: VecDeque<Waiting>,
    /// Events whose pause before a retry is over, with the attempts made.
    retries: VecDeque<(Event, u32)>,
    /// Whether the key is in the backlog's queue of turns.
    pub(super) has_turn: bool,
    /// Events that are in no queue and have not ended: in flight, reserved, or in a pause before a retry.
    taken: u64,
    in_flight: u64,
    input_ended: bool,
    tally: Tally,
}

impl<A> KeyCalls<A> {
    pub(crate) fn new(place: Arc<Place>, answers: Option<Box<dyn Collect<A>>>, room: Arc<Room>) -> Self {
        Self {
            place,
            answers,
            room,
            created: Instant::now(),
            generator: OnceLock::new(),
            state: Mutex::new(KeyState {
                open_us: None,
                waiting: VecDeque::new(),
                retries: VecDeque::new(),
                has_turn: false,
                taken: 0,
                in_flight: 0,
                input_ended: false,
                tally: Tally::default(),
            }),
            all_ended: Notify::new(),
        }
    }

    /// Microseconds from [`KeyCalls::new`] to `at`.
    pub(super) fn us(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.created).as_micros()).unwrap_or(u64::MAX)
    }

    pub(crate) fn place(&self) -> &Arc<Place> {
        &self.place
    }

    pub(crate) fn answers(&self) -> Option<&dyn Collect<A>> {
        self.answers.as_deref()
    }

    /// An event that has arrived.
    pub(crate) fn waiting(&self, payload: Vec<u8>, meta: Meta, arrived: Instant) -> Waiting {
        Waiting::new(payload, meta, &self.generator, self.us(arrived))
    }

    pub(super) fn meta(&self, waiting: &Waiting) -> Meta {
        waiting.meta(&self.generator)
    }

    pub(crate) fn event(&self, waiting: Waiting) -> Event {
        Event {
            place: Arc::clone(&self.place),
            meta: self.meta(&waiting),
            payload: waiting.into_payload(),
            reconnects: Reconnects::default(),
        }
    }

    /// Waits until all calls have ended, and returns their tally. No event may be added any more.
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

    /// Discards the events that wait, because nothing awaits their results any more. Calls in flight go on.
    pub(crate) fn abandon(&self) {
        let mut state = self.lock();
        state.open_us = None;
        let waiting = std::mem::take(&mut state.waiting);
        let retries = std::mem::take(&mut state.retries);
        drop(state);
        waiting
            .iter()
            .for_each(|waiting| self.room.give_back(waiting.bytes()));
        retries
            .iter()
            .for_each(|(event, _)| self.room.give_back(event.bytes()));
    }

    /// Passes on how the call of an event ended. No lock may be held, as the aggregate may take its time.
    pub(super) fn answer(&self, event: Event, answer: Result<A, CallError>) {
        if let Some(answers) = &self.answers {
            answers.add(event, answer);
        }
    }

    /// Counts an event that has ended. Returns whether others wait.
    pub(super) fn ended(
        &self,
        ended: Ended,
        attempts: u32,
        reconnects: u32,
        latency: Option<Duration>,
    ) -> bool {
        let mut state = self.lock();
        state.taken -= 1;
        state.in_flight -= 1;
        state.tally.ended(ended, attempts, latency);
        state.tally.reconnects += u64::from(reconnects);
        if state.is_over() {
            drop(state);
            self.all_ended.notify_one();
            return false;
        }
        !state.waiting.is_empty()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, KeyState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeyState {
    pub(super) fn add(&mut self, event: Waiting) {
        self.waiting.push_back(event);
    }

    pub(super) fn open(&mut self, now_us: u64) {
        self.open_us.get_or_insert(now_us);
    }

    /// Queues an event whose pause is over. Returns `false` if the window was abandoned meanwhile and the event is
    /// discarded.
    pub(super) fn retry(&mut self, event: Event, attempts: u32) -> bool {
        self.taken -= 1;
        let waits = self.open_us.is_some();
        if waits {
            self.retries.push_back((event, attempts));
        }
        waits
    }

    /// Number of calls that may begin, given enough slots.
    pub(super) fn ready(&self, limit: Limit) -> usize {
        let queued = self.waiting.len() + self.retries.len();
        match (self.open_us, limit) {
            (None, _) => 0,
            (Some(_), Limit::Shared(_)) => queued,
            (Some(_), Limit::OnePerKey(_)) => usize::from(self.taken == 0 && queued > 0),
        }
    }

    /// Takes the next event out of its queue.
    pub(super) fn take(&mut self, limit: Limit) -> Option<Pending> {
        if self.ready(limit) == 0 {
            return None;
        }
        let retry = self.retries.pop_front();
        let retry = retry.map(|(event, attempts)| Pending::Retry(event, attempts));
        let pending = retry.or_else(|| self.waiting.pop_front().map(Pending::First))?;
        self.taken += 1;
        Some(pending)
    }

    /// Puts back the event that was taken last. Returns `false` if the window was abandoned meanwhile and the event is
    /// discarded.
    pub(super) fn put_back(&mut self, pending: Pending) -> bool {
        self.taken -= 1;
        match pending {
            _ if self.open_us.is_none() => return false,
            Pending::First(waiting) => self.waiting.push_front(waiting),
            Pending::Retry(event, attempts) => self.retries.push_front((event, attempts)),
        }
        true
    }

    /// Counts an attempt that begins.
    pub(super) fn begins(&mut self) {
        self.in_flight += 1;
        self.tally.peak_in_flight = self.tally.peak_in_flight.max(self.in_flight);
    }

    /// Records and returns the time from when an event's call might begin until now, when its first attempt begins.
    pub(super) fn record_slot_wait(&mut self, event: &Waiting, now_us: u64) -> Duration {
        let might_begin_us = self.open_us.unwrap_or_default().max(event.arrived_us());
        let slot_wait = Duration::from_micros(now_us.saturating_sub(might_begin_us));
        self.tally.slot_wait.record(slot_wait);
        slot_wait
    }

    /// Counts an attempt that has ended and is followed by a pause.
    pub(super) fn pauses(&mut self) {
        self.in_flight -= 1;
    }

    fn is_over(&self) -> bool {
        self.input_ended && self.taken == 0 && self.waiting.is_empty() && self.retries.is_empty()
    }
}
