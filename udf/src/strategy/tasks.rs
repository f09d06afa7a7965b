//! Tasks that make calls, each one after another until nothing waits, on the runtime's threads.

use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use wire::Outcome;

use super::Strategy;
use crate::backlog::Backlog;
use crate::call::Call;

pub(super) struct Tasks {
    call: Arc<dyn Call>,
    timeout: Duration,
}

impl Tasks {
    /// Calls whose attempts last at most `timeout`.
    pub(super) fn new(call: Arc<dyn Call>, timeout: Duration) -> Self {
        Self { call, timeout }
    }
}

impl Strategy for Tasks {
    fn start(&self, backlog: &Arc<Backlog>) {
        tokio::spawn(work(Arc::clone(&self.call), self.timeout, Arc::clone(backlog)));
    }
}

async fn work(call: Arc<dyn Call>, timeout: Duration, backlog: Arc<Backlog>) {
    while let Some(begun) = backlog.take() {
        let attempt = AssertUnwindSafe(call.call(&begun.event)).catch_unwind();
        let (outcome, waited) = noting_waits(tokio::time::timeout(timeout, attempt)).await;
        match outcome {
            Ok(Ok(outcome)) => {
                let latency = begun.since.elapsed();
                backlog.ended(begun, outcome, Some(latency));
            }
            Err(_) => {
                let latency = begun.since.elapsed();
                backlog.ended(begun, Outcome::Timeout, Some(latency));
            }
            // That call's failure and nobody else's; the panic has told its own reason.
            Ok(Err(_)) => {
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
