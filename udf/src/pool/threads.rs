//! Threads that call a blocking function. They end when the pool is dropped and their call has ended.

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use crossbeam_channel::{Receiver, Sender, unbounded};
use tokio::sync::oneshot;
use wire::Outcome;

use super::PoolError;
use crate::call::{Call, Event};

/// Enough for an HTTP client's frames; a hundred threads reserve 100 MiB of address space, not of memory.
const STACK_BYTES: usize = 1024 * 1024;

struct Request {
    event: Arc<Event>,
    reply: oneshot::Sender<Outcome>,
}

/// A pool of threads.
pub struct Threads {
    /// Unbounded, as the strategy's slots let in no more requests than there are threads.
    requests: Sender<Request>,
}

impl Threads {
    pub(super) fn start(call: Arc<dyn Call>, max_workers: NonZeroUsize) -> Result<Self, PoolError> {
        let (requests, receiver) = unbounded();
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
        Ok(Self { requests })
    }

    pub(super) async fn attempt(&self, event: &Arc<Event>) -> Outcome {
        let (reply, outcome) = oneshot::channel();
        let request = Request {
            event: Arc::clone(event),
            reply,
        };
        if self.requests.send(request).is_err() {
            return Outcome::WorkerDied;
        }
        outcome.await.unwrap_or(Outcome::WorkerDied)
    }
}

fn work(requests: &Receiver<Request>, call: &dyn Call) {
    for Request { event, reply } in requests {
        let outcome = catch_unwind(AssertUnwindSafe(|| call.call_blocking(&event)));
        // Nobody waits any more where the window was aborted.
        let _ = reply.send(outcome.unwrap_or(Outcome::Panic));
    }
}
