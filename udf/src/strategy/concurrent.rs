//! Many calls in flight, at most as many as there are slots in the process; where they run is the executor's.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinSet};
use wire::Outcome;

use super::{Executor, Retry, Strategy};
use crate::call::Event;
use crate::metrics::Metrics;
use crate::tally::{Counting, Ended, InFlight, Tally};
use crate::window::{Queued, Window};

/// The slots of a process. Each key asks for one slot at a time and slots are given in the order of asking, so a key
/// with many events takes turns with the others.
#[derive(Debug, Clone)]
pub struct Slots(Arc<Semaphore>);

impl Slots {
    /// As many slots as calls may be in flight.
    pub fn new(max_workers: NonZeroUsize) -> Self {
        Self(Arc::new(Semaphore::new(
            max_workers.get().min(Semaphore::MAX_PERMITS),
        )))
    }

    async fn acquire(&self) -> OwnedSemaphorePermit {
        match Arc::clone(&self.0).acquire_owned().await {
            Ok(slot) => slot,
            Err(_) => unreachable!("the semaphore is never closed"),
        }
    }
}

pub(super) struct Concurrent<E> {
    executor: Arc<E>,
    slots: Slots,
    retry: Retry,
    metrics: Arc<Metrics>,
}

impl<E: Executor> Concurrent<E> {
    pub(super) fn new(executor: E, slots: Slots, retry: Retry, metrics: Arc<Metrics>) -> Self {
        Self {
            executor: Arc::new(executor),
            slots,
            retry,
            metrics,
        }
    }

    /// Starts the call of an event that has its first slot.
    fn start(
        &self,
        calls: &mut JoinSet<Ended>,
        event: Event,
        slot: OwnedSemaphorePermit,
        in_flight: Arc<InFlight>,
    ) {
        let (executor, slots, retry) = (Arc::clone(&self.executor), self.slots.clone(), self.retry);
        calls.spawn(async move {
            attempts(
                &*executor,
                &Arc::new(event),
                retry,
                &in_flight,
                Some((slot, &slots)),
            )
            .await
        });
    }
}

#[async_trait]
impl<E: Executor> Strategy for Concurrent<E> {
    async fn run(&self, _window: &Window, mut events: UnboundedReceiver<Queued>) -> Tally {
        let mut counting = Counting::new(&self.metrics);
        let mut calls = JoinSet::new();
        while let Some(queued) = next(&mut events, &mut calls, &mut counting).await {
            let slot = {
                // Asked for once per event: asking again would lose the place among the other keys.
                let acquire = self.slots.acquire();
                tokio::pin!(acquire);
                loop {
                    tokio::select! {
                        biased;
                        slot = &mut acquire => break slot,
                        Some(call) = calls.join_next(), if !calls.is_empty() => counting.ended(ended(call)),
                    }
                }
            };
            counting.waited(queued.since.elapsed());
            drop(queued.place);
            self.start(&mut calls, queued.event, slot, counting.in_flight());
        }
        while let Some(call) = calls.join_next().await {
            counting.ended(ended(call));
        }
        counting.finish()
    }
}

/// The next event, while the calls that end are counted.
async fn next(
    events: &mut UnboundedReceiver<Queued>,
    calls: &mut JoinSet<Ended>,
    counting: &mut Counting,
) -> Option<Queued> {
    loop {
        tokio::select! {
            biased;
            queued = events.recv() => return queued,
            Some(call) = calls.join_next(), if !calls.is_empty() => counting.ended(ended(call)),
        }
    }
}

/// Attempts one after another; with slots each has one, which is free while the call pauses before the next.
pub(super) async fn attempts<E: Executor>(
    executor: &E,
    event: &Arc<Event>,
    retry: Retry,
    in_flight: &InFlight,
    slots: Option<(OwnedSemaphorePermit, &Slots)>,
) -> Ended {
    let (mut slot, slots) = slots.unzip();
    let mut attempts = 0;
    loop {
        let started = Instant::now();
        let outcome = {
            let _in_flight = in_flight.enter();
            executor.attempt(event).await
        };
        let latency = Some(started.elapsed());
        drop(slot.take());
        attempts += 1;
        let Some(pause) = retry.pause(outcome, attempts, rand::random()) else {
            return Ended {
                outcome,
                attempts,
                latency,
            };
        };
        tokio::time::sleep(pause).await;
        if let Some(slots) = slots {
            slot = Some(slots.acquire().await);
        }
    }
}

/// How a call's task ended; a panic is that call's failure and nobody else's.
pub(super) fn ended(call: Result<Ended, JoinError>) -> Ended {
    call.unwrap_or_else(|error| {
        tracing::error!("a call panicked: {error}");
        Ended {
            outcome: Outcome::Panic,
            attempts: 1,
            latency: None,
        }
    })
}
