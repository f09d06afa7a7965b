//! Child processes that call a blocking function, each with frames on its standard input and output. A child that
//! dies fails only the call it was working on and is replaced. Where calls are so short that handing them over would
//! take as long, a child is given some ahead.

mod child;
mod prefetch;

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use wire::Outcome;

use super::PoolError;
use crate::backlog::{Backlog, Begun, Strategy};

use child::Worker;
pub use child::WorkerCommand;
use prefetch::Ahead;

/// How much longer than the timeout of an attempt a child may take to say that it timed out.
const ANSWER_GRACE: Duration = Duration::from_secs(1);

/// Pause before a child is replaced, doubled with every one that dies in succession.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// Longest pause before a child is replaced.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A pool of child processes.
pub struct Processes(Arc<Pool>);

struct Pool {
    command: WorkerCommand,
    timeout: Duration,
    /// A place for each worker that nobody uses; the strategy's slots let in no more calls than there are places.
    /// An empty place is that of a child which could not be replaced yet.
    idle: Mutex<Vec<Option<Worker>>>,
    deaths_in_succession: AtomicU32,
}

impl Processes {
    /// Starts all children; needs a tokio runtime.
    pub(super) fn start(
        command: WorkerCommand,
        timeout: Duration,
        max_workers: NonZeroUsize,
    ) -> Result<Self, PoolError> {
        let idle = (1..=max_workers.get())
            .map(|number| {
                Worker::start(&command)
                    .map(Some)
                    .map_err(|source| PoolError::StartProcess {
                        number,
                        max_workers: max_workers.get(),
                        source,
                    })
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self(Arc::new(Pool {
            command,
            timeout,
            idle: Mutex::new(idle),
            deaths_in_succession: AtomicU32::new(0),
        })))
    }
}

impl Strategy for Processes {
    fn start(&self, backlog: &Arc<Backlog>) {
        tokio::spawn(work(Arc::clone(&self.0), Arc::clone(backlog)));
    }
}

async fn work(pool: Arc<Pool>, backlog: Arc<Backlog>) {
    while let Some(begun) = backlog.take() {
        let worker = pool.idle().pop().flatten();
        let worker = pool.run(worker, begun, &backlog).await;
        pool.idle().push(worker);
    }
}

impl Pool {
    /// Has a child make a call, and then those that it is given ahead meanwhile. Gives what is left of the child.
    async fn run(&self, mut worker: Option<Worker>, begun: Begun, backlog: &Arc<Backlog>) -> Option<Worker> {
        let mut ahead = Ahead::new();
        let mut next = Some(begun);
        while let Some(begun) = next {
            worker = self.alive(worker).await;
            match &worker {
                Some(worker) => ahead.fill(backlog, worker.pace()),
                // Those that have a child make them.
                None => ahead.release(),
            }
            let (outcome, latency) = self.attempt(&mut worker, &begun, &ahead).await;
            let free = begun.since + latency;
            backlog.ended(begun, outcome, Some(latency));
            next = ahead.pop().map(|reserved| reserved.begin(free));
        }
        worker
    }

    /// Makes an attempt; leaves no child where it died.
    async fn attempt(
        &self,
        place: &mut Option<Worker>,
        begun: &Begun,
        ahead: &Ahead<'_>,
    ) -> (Outcome, Duration) {
        let failed = match place {
            None => Outcome::WorkerDied,
            Some(worker) => {
                let answer = worker.answer(&begun.event, ahead);
                match tokio::time::timeout(self.timeout + ANSWER_GRACE, answer).await {
                    Ok(Ok(answer)) => {
                        self.deaths_in_succession.store(0, Ordering::Relaxed);
                        return answer;
                    }
                    Ok(Err(error)) => {
                        tracing::warn!("a worker process died during a call: {error}");
                        self.deaths_in_succession.fetch_add(1, Ordering::Relaxed);
                        Outcome::WorkerDied
                    }
                    Err(_) => {
                        tracing::warn!(
                            "a worker process gave no answer for {:?}: replacing it",
                            self.timeout
                        );
                        Outcome::Timeout
                    }
                }
            }
        };
        *place = None;
        (failed, begun.since.elapsed())
    }

    /// The child, or another in its place. One that died while nobody used it is replaced before a call: that would
    /// not be the call's fault.
    async fn alive(&self, worker: Option<Worker>) -> Option<Worker> {
        if let Some(mut worker) = worker
            && worker.is_alive()
        {
            return Some(worker);
        }
        let deaths = self.deaths_in_succession.load(Ordering::Relaxed);
        if deaths > 1 {
            let pause = (FIRST_PAUSE * 2u32.pow(deaths.min(10))).min(LONGEST_PAUSE);
            tokio::time::sleep(pause).await;
        }
        Worker::start(&self.command)
            .inspect_err(|error| {
                self.deaths_in_succession.fetch_add(1, Ordering::Relaxed);
                tracing::error!("cannot replace a worker process: {error}");
            })
            .ok()
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Option<Worker>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
