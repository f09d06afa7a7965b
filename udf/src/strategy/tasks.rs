//! Tasks that make calls, each one after another until nothing waits; where an attempt runs is the executor's.

use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;

use futures_util::FutureExt;
use wire::Outcome;

use super::{Executor, Strategy};
use crate::backlog::Backlog;

pub(crate) struct Tasks<E> {
    executor: Arc<E>,
}

impl<E: Executor> Tasks<E> {
    pub(crate) fn new(executor: E) -> Self {
        Self {
            executor: Arc::new(executor),
        }
    }
}

impl<E: Executor> Strategy for Tasks<E> {
    fn start(&self, backlog: &Arc<Backlog>) {
        tokio::spawn(work(Arc::clone(&self.executor), Arc::clone(backlog)));
    }
}

async fn work<E: Executor>(executor: Arc<E>, backlog: Arc<Backlog>) {
    while let Some(begun) = backlog.take() {
        let attempt = AssertUnwindSafe(executor.attempt(&begun.event)).catch_unwind();
        let (outcome, waited) = noting_waits(attempt).await;
        match outcome {
            Ok(outcome) => {
                let latency = begun.since.elapsed();
                backlog.ended(begun, outcome, Some(latency));
            }
            // That call's failure and nobody else's; the panic has told its own reason.
            Err(_) => {
                tracing::error!("a call panicked");
                backlog.ended(begun, Outcome::Panic, None);
            }
        }
        if !waited {
            // A call that computed has held its thread all the while: the others' turn.
            tokio::task::yield_now().await;
        }
    }
}

/// What comes of a future, and whether it ever waited.
async fn noting_waits<F: Future>(future: F) -> (F::Output, bool) {
    let mut future = pin!(future);
    let mut waited = false;
    let output = poll_fn(|cx| {
        let polled = future.as_mut().poll(cx);
        waited |= polled.is_pending();
        polled
    })
    .await;
    (output, waited)
}
