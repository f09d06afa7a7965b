//! The calls of one key and window: the queue of events that wait, and the tally of those that have ended.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use super::{Limit, Room, Waiting};
use crate::aggregate::Collect;
use crate::call_error::CallError;
use crate::deadline::Deadline;
use crate::event::{Event, Meta, Place, Reconnects};
use crate::tally::{Ended, Tally};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

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
    deadline: Option<KeyDeadline>,
}

/// What a key needs that has a close deadline.
struct KeyDeadline {
    of_window: Arc<Deadline>,
    /// Cancelled once what has not ended is missed: calls in flight and pauses before retries are given up.
    missed: CancellationToken,
}

/// An event that was taken out of its queue, for an attempt.
pub(super) struct Pending {
    pub(super) event: Event,
    /// Attempts made.
    pub(super) attempts: u32,
    /// Of one without an attempt: its time of arrival, in microseconds since [`KeyCalls::new`].
    arrived_us: u64,
}

/// Events that were missed, with the attempts begun.
pub(super) type Missed = Vec<(Event, u32)>;

/// The state of one key and window.
pub(super) struct KeyState {
    /// When its calls were allowed to begin, in microseconds since [`KeyCalls::new`]; `None` before, and once it is abandoned
    /// or missed.
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
    /// Where there is a close deadline: copies of the events that are `taken`, by position, with the attempts begun. One
    /// that was reserved counts as begun, as a child process has it.
    copies: Option<HashMap<u32, (Event, u32)>>,
    /// Whether the deadline has passed, and whatever had not ended was missed.
    is_missed: bool,
    /// Where there is a close deadline: events that have ended and whose answer goes to the aggregate now.
    answering: usize,
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
                copies: None,
                is_missed: false,
                answering: 0,
            }),
            all_ended: Notify::new(),
            deadline: None,
        }
    }

    /// The same with a deadline, at which [`KeyCalls::miss`] can be called.
    pub(crate) fn with_deadline(mut self, deadline: Option<&Arc<Deadline>>) -> Self {
        self.lock().copies = deadline.map(|_| HashMap::new());
        self.deadline = deadline.map(|deadline| KeyDeadline {
            of_window: Arc::clone(deadline),
            missed: CancellationToken::new(),
        });
        self
    }

    /// Microseconds from [`KeyCalls::new`] to `at`.
    pub(super) fn us(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.created).as_micros()).unwrap_or(u64::MAX)
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

    /// Takes the next event out of its queue.
    pub(super) fn take(&self, key: &mut KeyState, limit: Limit) -> Option<Pending> {
        if key.ready(limit) == 0 {
            return None;
        }
        let pending = match key.retries.pop_front() {
            Some((event, attempts)) => Pending {
                event,
                attempts,
                arrived_us: 0,
            },
            None => {
                let waiting = key.waiting.pop_front()?;
                Pending {
                    arrived_us: waiting.arrived_us(),
                    event: self.event(waiting),
                    attempts: 0,
                }
            }
        };
        key.taken += 1;
        if let Some(copies) = &mut key.copies {
            let copy = (pending.event.clone(), pending.attempts + 1);
            copies.insert(pending.event.meta.position, copy);
        }
        Some(pending)
    }

    /// Puts back the event that was taken last. Returns `false` if the window was abandoned or the event missed meanwhile,
    /// so that it is discarded.
    pub(super) fn put_back(&self, key: &mut KeyState, pending: Pending) -> bool {
        let Pending {
            event,
            attempts,
            arrived_us,
        } = pending;
        key.is_back(&event);
        if key.open_us.is_none() {
            return false;
        }
        if attempts > 0 {
            key.retries.push_front((event, attempts));
        } else {
            // Whoever has the payload alone gets it without a copy.
            let waiting = Waiting::new(event.payload.into(), event.meta, &self.generator, arrived_us);
            key.waiting.push_front(waiting);
        }
        true
    }

    /// Whether a pause before a retry would last beyond the deadline.
    pub(super) fn is_too_late_after(&self, pause: Duration) -> bool {
        let deadline = self.deadline.as_ref();
        deadline.is_some_and(|deadline| deadline.of_window.is_within(pause))
    }

    /// Waits until the deadline has passed and what had not ended was missed; `None` without a deadline.
    pub(super) fn missed(&self) -> Option<WaitForCancellationFuture<'_>> {
        self.deadline.as_ref().map(|deadline| deadline.missed.cancelled())
    }

    /// Ends every event that has not ended, and returns them. Each must be passed to [`KeyCalls::answer`], all together
    /// then to [`KeyCalls::answered_missed`]. No call begins any more, and those in flight will not count.
    pub(super) fn miss(&self) -> Missed {
        let mut state = self.lock();
        state.is_missed = true;
        state.open_us = None;
        let waiting = std::mem::take(&mut state.waiting);
        let retries = std::mem::take(&mut state.retries);
        let copies = state.copies.take().unwrap_or_default();
        state.answering += waiting.len() + retries.len() + copies.len();
        drop(state);
        if let Some(deadline) = &self.deadline {
            deadline.missed.cancel();
        }
        let mut missed: Missed = copies.into_values().collect();
        for (event, attempts) in retries {
            self.room.give_back(event.bytes());
            missed.push((event, attempts));
        }
        for waiting in waiting {
            self.room.give_back(waiting.bytes());
            missed.push((self.event(waiting), 0));
        }
        missed
    }

    /// An event that arrives after that: ends it too.
    pub(super) fn miss_arrival(&self, waiting: Waiting) -> Missed {
        self.lock().answering += 1;
        vec![(self.event(waiting), 0)]
    }

    /// Counts missed events, given the sums of their attempts and reconnects.
    pub(super) fn answered_missed(&self, count: usize, attempts: u64, reconnects: u64) {
        let mut state = self.lock();
        state.answering -= count;
        state.tally.missed(count as u64, attempts);
        state.tally.reconnects += reconnects;
        self.tell_if_over(state);
    }

    /// Claims the end of an attempt for its event. Returns `false` if the event was missed and has ended before.
    pub(super) fn ends(&self, event: &Event) -> bool {
        if self.deadline.is_none() {
            return true;
        }
        let mut state = self.lock();
        if state.is_missed {
            state.taken -= 1;
            state.in_flight -= 1;
            return false;
        }
        if let Some(copies) = &mut state.copies {
            copies.remove(&event.meta.position);
        }
        state.answering += 1;
        true
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
        if self.deadline.is_some() {
            state.answering -= 1;
        }
        let others_wait = !state.waiting.is_empty();
        self.tell_if_over(state);
        others_wait
    }

    fn tell_if_over(&self, state: MutexGuard<'_, KeyState>) {
        if state.is_over() {
            drop(state);
            self.all_ended.notify_one();
        }
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
        if !self.is_missed {
            self.open_us.get_or_insert(now_us);
        }
    }

    /// Queues an event whose pause is over. Returns `false` if the window was abandoned or the event missed meanwhile, so
    /// that it is discarded.
    pub(super) fn retry(&mut self, event: Event, attempts: u32) -> bool {
        self.is_back(&event);
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

    /// Notes that an event is taken no more, but has not ended.
    fn is_back(&mut self, event: &Event) {
        self.taken -= 1;
        if let Some(copies) = &mut self.copies {
            copies.remove(&event.meta.position);
        }
    }

    /// Counts an attempt that begins. Returns the time from when the event's call might begin until now, if this is its
    /// first attempt. One that was missed while it was reserved is not counted any more.
    pub(super) fn begins(&mut self, pending: &Pending, now_us: u64) -> Option<Duration> {
        self.in_flight += 1;
        if self.is_missed {
            return None;
        }
        self.tally.peak_in_flight = self.tally.peak_in_flight.max(self.in_flight);
        if pending.attempts > 0 {
            return None;
        }
        let might_begin_us = self.open_us.unwrap_or_default().max(pending.arrived_us);
        let slot_wait = Duration::from_micros(now_us.saturating_sub(might_begin_us));
        self.tally.slot_wait.record(slot_wait);
        Some(slot_wait)
    }

    /// Counts an attempt that has ended and is followed by a pause. Returns `false` if the event was missed meanwhile, so
    /// that it is discarded.
    pub(super) fn pauses(&mut self, event: &Event) -> bool {
        self.in_flight -= 1;
        let copies = self.copies.as_mut();
        if let Some((copy, _)) = copies.and_then(|copies| copies.get_mut(&event.meta.position)) {
            copy.reconnects.clone_from(&event.reconnects);
        }
        if self.is_missed {
            self.taken -= 1;
        }
        !self.is_missed
    }

    fn is_over(&self) -> bool {
        let has_ended = self.taken == 0 && self.waiting.is_empty() && self.retries.is_empty();
        self.input_ended && self.answering == 0 && (has_ended || self.is_missed)
    }
}
