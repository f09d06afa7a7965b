//! The user-defined source: implements the SDK's trait on the state.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use numaflow::source::{Message, NackOffset, Offset, SourceReadRequest, Sourcer};
use tokio::sync::mpsc::{PermitIterator, Sender};
use tokio_util::sync::CancellationToken;
use vertex::Pace;
use wire::{Clock, EVENT_ID_HEADER, GeneratorStats};

use crate::event::Drawn;
use crate::own_payloads::OwnPayloads;
use crate::payload::{Offsets, Payloads};
use crate::state::{Counts, MAX_UNACKED, Next, State};

/// Shortest time between two wake-ups of a read. Above 6,700 events a second it bounds how often the process wakes, and
/// it delays an event by at most a seventh of the millisecond after which the event counts as overdue.
const STEP: Duration = Duration::from_micros(150);
/// Upper bound of events sent under one lock of the state, so that statistics and acks do not wait long for it. Far below
/// the capacity of the SDK's queue (1,000), as all of their places are reserved at once.
const MAX_BATCH: usize = 100;
/// How often a read that may not send anything checks again.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The source. Its clones share one state: the SDK's server has one clone, the statistics another.
#[derive(Debug, Clone)]
pub struct Generator {
    nonce: u64,
    replica: u16,
    payloads: Payloads,
    own: Option<Arc<OwnPayloads>>,
    offsets: Offsets,
    clock: Clock,
    stopping: CancellationToken,
    state: Arc<Mutex<State>>,
}

impl Generator {
    /// A source whose offsets carry `nonce` and the partition `replica`, with payloads of `payload_size` bytes. Reads end
    /// early once `stopping` is cancelled.
    pub fn new(
        state: State,
        nonce: u64,
        replica: u16,
        payload_size: usize,
        stopping: CancellationToken,
    ) -> Self {
        let state = Arc::new(Mutex::new(state));
        Self {
            nonce,
            replica,
            payloads: Payloads::new(nonce, payload_size),
            own: None,
            offsets: Offsets::new(nonce),
            clock: Clock::start(),
            stopping,
            state,
        }
    }

    /// The same with payloads of the user's own, if there are any.
    pub fn with_own_payloads(mut self, own: Option<OwnPayloads>) -> Self {
        self.own = own.map(Arc::new);
        self
    }

    /// Lets a schedule that waits begin with the next read.
    pub fn start(&self) {
        self.state().start();
    }

    /// The body of `/stats`.
    pub fn stats(&self) -> GeneratorStats {
        self.state()
            .stats(self.nonce, self.clock.stamp_ns(Instant::now()))
    }

    /// The counters now.
    pub fn counts(&self) -> Counts {
        self.state().counts(self.clock.stamp_ns(Instant::now()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic cannot leave the state inconsistent: no code that holds the lock panics half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends the next events into the reserved places. Returns how many, and why not more.
    fn fill(&self, places: PermitIterator<'_, Message>, deadline: Instant) -> (usize, Option<Next>) {
        let mut sent = 0;
        let mut state = self.state();
        for place in places {
            let now = Instant::now();
            let (now_ns, due_by_ns) = (self.clock.stamp_ns(now), self.clock.stamp_ns(now.min(deadline)));
            match state.next(now_ns, due_by_ns) {
                Next::Send(drawn) => place.send(self.message(&drawn, state.key_name(drawn.key))),
                reason => return (sent, Some(reason)),
            }
            sent += 1;
        }
        (sent, None)
    }

    fn message(&self, drawn: &Drawn, key: &str) -> Message {
        let Drawn { index, number, .. } = *drawn;
        let (value, headers) = match &self.own {
            None => (self.payloads.encode(index, number), HashMap::new()),
            Some(own) => {
                let id = self.offsets.event_id(index, number);
                let headers = HashMap::from([(EVENT_ID_HEADER.to_owned(), id)]);
                (own.payload(drawn, key), headers)
            }
        };
        Message {
            value,
            offset: Offset {
                offset: self.offsets.of(index),
                partition_id: self.replica.into(),
            },
            event_time: event_time(drawn.time_ns),
            keys: vec![key.to_owned()],
            headers,
            user_metadata: None,
        }
    }

    /// Waits until `at`. Returns `false` if the process is stopping.
    async fn wait_until(&self, pace: &mut Pace, at: Instant) -> bool {
        tokio::select! {
            () = self.stopping.cancelled() => false,
            () = pace.sleep_until(at) => true,
        }
    }

    /// Calls `action` for each of our offsets and logs how many were not ours.
    fn each<'a>(
        &self,
        what: &str,
        offsets: impl Iterator<Item = &'a Offset>,
        action: fn(&mut State, u64) -> bool,
    ) {
        let mut state = self.state();
        let unknown = offsets
            .filter(|offset| {
                !self
                    .offsets
                    .index(&offset.offset)
                    .is_some_and(|index| action(&mut state, index))
            })
            .count();
        drop(state);
        if unknown > 0 {
            tracing::warn!(unknown, "{what} for events that are not un-acked here: ignored");
        }
    }
}

#[async_trait::async_trait]
impl Sourcer for Generator {
    async fn read(&self, request: SourceReadRequest, transmitter: Sender<Message>) {
        let began = Instant::now();
        let deadline = began.checked_add(request.timeout).unwrap_or(began);
        let mut pace = Pace::default();
        let mut earliest_wake = began;
        let mut warned = false;
        let mut left = request.count;
        while left > 0 && !self.stopping.is_cancelled() {
            // Reserving first means that an event that leaves the state is sent, and that none leaves it without a reader.
            let Ok(places) = transmitter.reserve_many(left.min(MAX_BATCH)).await else {
                return;
            };
            let (sent, reason) = self.fill(places, deadline);
            left -= sent;
            let Some(reason) = reason else {
                // Lets the server send these events while the next are created.
                tokio::task::yield_now().await;
                continue;
            };
            if Instant::now() >= deadline {
                return;
            }
            if reason == Next::Full && !std::mem::replace(&mut warned, true) {
                tracing::warn!("{MAX_UNACKED} events are un-acked: no new ones until some are acked");
            }
            let wake = match reason {
                Next::DueAt(due_ns) => self.clock.instant_ns(due_ns).max(earliest_wake),
                Next::Full | Next::Held | Next::Finished | Next::Send(_) => Instant::now() + POLL_INTERVAL,
            };
            if !self.wait_until(&mut pace, wake.min(deadline)).await {
                return;
            }
            earliest_wake = Instant::now() + STEP;
        }
    }

    async fn ack(&self, offsets: Vec<Offset>) {
        self.each("acks", offsets.iter(), State::ack);
    }

    async fn nack(&self, offsets: Vec<NackOffset>) {
        self.each("nacks", offsets.iter().map(|nack| &nack.offset), State::nack);
    }

    async fn pending(&self) -> Option<usize> {
        let pending = self.counts().pending?;
        Some(usize::try_from(pending).unwrap_or(usize::MAX))
    }
}

fn event_time(time_ns: u64) -> DateTime<Utc> {
    DateTime::from_timestamp_nanos(i64::try_from(time_ns).unwrap_or(i64::MAX))
}
