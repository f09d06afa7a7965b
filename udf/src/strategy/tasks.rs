//! Tasks that make calls, each one after another while some wait, on the runtime's threads.
//!
//! A task without a call rests, as a new task and a new timer for each event cost more. Back-to-back windows, delay 0,
//! beside the Go SDK in the same run, twice each: 0.23 of its processor time and 2.85 times its events per second with
//! a task for each call, 0.21 and 2.95 times with tasks that rest.

use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::Semaphore;
use tokio::time::{Instant, Sleep};
use wire::Outcome;

use crate::backlog::{Backlog, Strategy};
use crate::call::Call;

/// For a timeout that no clock can tell.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3_600);

pub(super) struct Tasks(Arc<Crew>);

/// What the tasks share.
struct Crew {
    call: Arc<dyn Call>,
    timeout: Duration,
    /// Tasks that have nothing to do and were not recalled: no more than there were calls in flight at once.
    resting: Mutex<usize>,
    /// A permit for each that was recalled and does not know yet.
    recalled: Semaphore,
}

impl Tasks {
    /// Calls whose attempts last at most `timeout`.
    pub(super) fn new(call: Arc<dyn Call>, timeout: Duration) -> Self {
        Self(Arc::new(Crew {
            call,
            timeout,
            resting: Mutex::new(0),
            recalled: Semaphore::new(0),
        }))
    }
}

impl Strategy for Tasks {
    fn start(&self, backlog: &Arc<Backlog>) {
        if self.0.recall() {
            self.0.recalled.add_permits(1);
        } else {
            tokio::spawn(work(Arc::clone(&self.0), Arc::clone(backlog)));
        }
    }
}

impl Crew {
    /// Whether there is a task that rests; it does not any more.
    fn recall(&self) -> bool {
        let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        let some = *resting > 0;
        *resting -= usize::from(some);
        some
    }

    /// Waits until the task is recalled; false where it is not for so long that it shall end.
    async fn rest(&self, mut limit: Pin<&mut Sleep>) -> bool {
        *self.resting.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        let mut recalled = pin!(self.recalled.acquire());
        let permit = match within(limit.as_mut(), recalled.as_mut()).await.0 {
            Some(permit) => permit,
            None if self.recall() => return false,
            // All that rest were recalled at this moment, this one too.
            None => recalled.await,
        };
        if let Ok(permit) = permit {
            permit.forget();
        }
        true
    }
}

/// Makes calls for as long as there are some. A task that has none any more rests for the time of an attempt.
async fn work(crew: Arc<Crew>, backlog: Arc<Backlog>) {
    let mut limit = pin!(tokio::time::sleep(crew.timeout));
    loop {
        while let Some(begun) = backlog.take() {
            // To put a timer off costs less than to set one.
            limit.as_mut().reset(later(crew.timeout));
            let attempt = AssertUnwindSafe(crew.call.call(&begun.event)).catch_unwind();
            let (outcome, waited) = within(limit.as_mut(), attempt).await;
            let latency = begun.since.elapsed();
            match outcome {
                Some(Ok(outcome)) => backlog.ended(begun, outcome, Some(latency)),
                None => backlog.ended(begun, Outcome::Timeout, Some(latency)),
                // That call's failure and nobody else's; the panic has told its own reason.
                Some(Err(_)) => {
                    tracing::error!("a call panicked");
                    backlog.ended(begun, Outcome::Panic, None);
                }
            }
            if !waited {
                // A call that computed has held its thread all the while: the others' turn.
                tokio::task::yield_now().await;
            }
        }
        if limit.is_elapsed() || !crew.rest(limit.as_mut()).await {
            return;
        }
    }
}

/// So much later, or as good as never.
fn later(timeout: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(timeout).unwrap_or(now + LONGEST)
}

/// What comes of a future, nothing where the time is over before; and whether it ever waited.
async fn within<F: Future>(mut limit: Pin<&mut Sleep>, future: F) -> (Option<F::Output>, bool) {
    let mut future = pin!(future);
    let mut waited = false;
    let output = poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        waited = true;
        limit.as_mut().poll(cx).map(|()| None)
    })
    .await;
    (output, waited)
}

#[cfg(test)]
mod tests;
