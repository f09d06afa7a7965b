//! Threads that call a blocking function. They end when the pool is dropped and their call has ended.

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use crossbeam_channel::{Receiver, Sender, unbounded};
use wire::Outcome;

use super::PoolError;
use crate::backlog::{Backlog, Strategy};
use crate::call::Call;

/// Enough for an HTTP client's frames; a hundred threads reserve 100 MiB of address space, not of memory.
const STACK_BYTES: usize = 1024 * 1024;

/// A pool of threads.
pub struct Threads {
    /// Unbounded, as no more are started than there are slots, of which each thread is one.
    starts: Sender<Arc<Backlog>>,
}

impl Threads {
    pub(super) fn start(call: Arc<dyn Call>, max_workers: NonZeroUsize) -> Result<Self, PoolError> {
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

impl Strategy for Threads {
    fn start(&self, backlog: &Arc<Backlog>) {
        // The threads end only with the pool.
        let _ = self.starts.send(Arc::clone(backlog));
    }
}

fn work(starts: &Receiver<Arc<Backlog>>, call: &dyn Call) {
    for backlog in starts {
        while let Some(begun) = backlog.take() {
            let outcome = catch_unwind(AssertUnwindSafe(|| call.call_blocking(&begun.event)));
            let latency = begun.since.elapsed();
            backlog.ended(begun, outcome.unwrap_or(Outcome::Panic), Some(latency));
        }
    }
}

#[cfg(test)]
mod tests;
