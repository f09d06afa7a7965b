//! Calls made by a pool of threads, in their blocking form. The threads end when the pool is dropped, after their
//! current call.

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use crossbeam_channel::{Receiver, Sender, unbounded};
use wire::Outcome;

use super::error::PoolError;
use crate::backlog::{Backlog, Strategy};
use crate::call::{Answer, BlockingCall};

/// Stack of a thread. Enough for an HTTP client's frames; it reserves address space, not memory.
const STACK_BYTES: usize = 1024 * 1024;

/// A pool of threads.
pub(super) struct Threads<A> {
    /// Wakes an idle thread. Unbounded, but holds at most one message per slot.
    starts: Sender<Arc<Backlog<A>>>,
}

impl<A: Answer> Threads<A> {
    pub(super) fn start(
        call: Arc<dyn BlockingCall<Answer = A>>,
        max_workers: NonZeroUsize,
    ) -> Result<Self, PoolError> {
        let (starts, receiver) = unbounded();
        for number in 1..=max_workers.get() {
            let (receiver, call) = (receiver.clone(), Arc::clone(&call));
            thread::Builder::new()
                .name(format!("worker-{number}"))
                .stack_size(STACK_BYTES)
                .spawn(move || work(&receiver, &*call))
                .map_err(|source| PoolError::StartThread {
                    number,
                    max_workers: max_workers.get(),
                    source,
                })?;
        }
        Ok(Self { starts })
    }
}

impl<A: Answer> Strategy<A> for Threads<A> {
    fn start(&self, backlog: &Arc<Backlog<A>>) {
        // Cannot fail: the threads keep their receivers until this sender is dropped.
        let _ = self.starts.send(Arc::clone(backlog));
    }
}

fn work<A: Answer>(starts: &Receiver<Arc<Backlog<A>>>, call: &dyn BlockingCall<Answer = A>) {
    for backlog in starts {
        while let Some(in_flight) = backlog.take() {
            let answer = catch_unwind(AssertUnwindSafe(|| call.call_blocking(&in_flight.event)));
            let latency = in_flight.began.elapsed();
            let answer = answer.unwrap_or_else(|_| Err(Outcome::Panic.into()));
            backlog.ended(in_flight, answer, Some(latency));
        }
    }
}

#[cfg(test)]
mod tests;
