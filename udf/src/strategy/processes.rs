//! Calls made by a pool of child processes, in their blocking form. A task exchanges frames with each child over its
//! standard input and output. A child that dies fails only the call it was making, and is replaced.

mod child;
mod prefetch;

use std::io;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use vertex::machine::Memory;
use wire::Outcome;

use super::error::PoolError;
use crate::backlog::{Backlog, InFlight, Strategy};
use crate::call::Answer;
use crate::call_error::{CallError, is_own_lack};
use crate::worker::frame::Answered;

use child::Worker;
pub use child::WorkerCommand;
use prefetch::Prefetched;

/// Time beyond the timeout of an attempt in which a child can still report that timeout itself.
const ANSWER_GRACE: Duration = Duration::from_secs(1);

/// Pause before a child is replaced, doubled with every consecutive death.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// Upper bound of the pause before a child is replaced.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How long the children may take to end after their input has ended. Kubernetes kills a pod after 30 s by default.
const END_GRACE: Duration = Duration::from_secs(5);

/// How often children that end are looked at.
const END_STEP: Duration = Duration::from_millis(2);

/// A pool of child processes.
pub(super) struct Processes(Arc<Pool>);

struct Pool {
    command: WorkerCommand,
    timeout: Duration,
    /// The workers without a call. `None` stands for a child that could not be replaced yet. There are as many workers
    /// as slots, so a caller always finds an entry.
    idle: Mutex<Vec<Option<Worker>>>,
    size: NonZeroUsize,
    /// Whether the memory of the children was compared with what there is.
    weighed: Once,
    consecutive_deaths: AtomicU32,
}

impl Processes {
    /// Starts all children. Must be called within a tokio runtime.
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
            size: max_workers,
            weighed: Once::new(),
            consecutive_deaths: AtomicU32::new(0),
        })))
    }
}

impl<A: Answer> Strategy<A> for Processes {
    fn start(&self, backlog: &Arc<Backlog<A>>) {
        tokio::spawn(work(Arc::clone(&self.0), Arc::clone(backlog)));
    }
}

async fn work<A: Answer>(pool: Arc<Pool>, backlog: Arc<Backlog<A>>) {
    while let Some(in_flight) = backlog.take() {
        let worker = pool.idle().pop().flatten();
        let worker = pool.run(worker, in_flight, &backlog).await;
        pool.idle().push(worker);
    }
}

impl Pool {
    /// Makes a call in a child, then the calls that were prefetched meanwhile. Returns the child if it is still usable.
    async fn run<A: Answer>(
        &self,
        mut worker: Option<Worker>,
        in_flight: InFlight<A>,
        backlog: &Arc<Backlog<A>>,
    ) -> Option<Worker> {
        let mut prefetched = Prefetched::new();
        let mut next = Some(in_flight);
        while let Some(in_flight) = next {
            let mut alive = self.alive(worker).await;
            match &alive {
                Ok(worker) => prefetched.fill(backlog, worker.pace()),
                // The child is gone: put its queued calls back for other workers.
                Err(_) => prefetched.release(),
            }
            let (answer, latency) = self.attempt(&mut alive, &in_flight, &prefetched).await;
            worker = alive.ok();
            let ended = in_flight.began + latency;
            backlog.ended(in_flight, answer, Some(latency));
            // The child has begun its next call without waiting for this process.
            next = prefetched.pop().map(|reserved| reserved.begin(ended));
        }
        worker
    }

    /// Makes an attempt. Takes away the child if it died or did not answer.
    async fn attempt<A: Answer>(
        &self,
        child: &mut Result<Worker, CallError>,
        in_flight: &InFlight<A>,
        prefetched: &Prefetched<'_, A>,
    ) -> (Result<A, CallError>, Duration) {
        let failed = match child {
            Err(error) => error.clone(),
            Ok(worker) => {
                let answer = worker.answer(&in_flight.event, prefetched);
                match tokio::time::timeout(self.timeout.saturating_add(ANSWER_GRACE), answer).await {
                    Ok(Ok(Answered {
                        answer,
                        reconnects,
                        took,
                    })) => {
                        self.consecutive_deaths.store(0, Ordering::Relaxed);
                        self.weighed.call_once(|| self.weigh(worker));
                        in_flight.event.reconnects.add(reconnects);
                        return (answer, took);
                    }
                    Ok(Err(error)) => {
                        tracing::warn!("a worker process died during a call: {error}");
                        self.consecutive_deaths.fetch_add(1, Ordering::Relaxed);
                        CallError::from(Outcome::WorkerDied).because(error.to_string())
                    }
                    Err(_) => {
                        tracing::warn!(
                            "a worker process gave no answer for {:?}: replacing it",
                            self.timeout
                        );
                        Outcome::Timeout.into()
                    }
                }
            }
        };
        *child = Err(failed.clone());
        (Err(failed), in_flight.began.elapsed())
    }

    /// Returns the child, or a new one if it has died. A child that died while idle is replaced before the call, because
    /// that was not the call's fault.
    async fn alive(&self, worker: Option<Worker>) -> Result<Worker, CallError> {
        if let Some(mut worker) = worker
            && worker.is_alive()
        {
            return Ok(worker);
        }
        let deaths = self.consecutive_deaths.load(Ordering::Relaxed);
        if deaths > 1 {
            let pause = (FIRST_PAUSE * 2u32.pow(deaths.min(10))).min(LONGEST_PAUSE);
            tokio::time::sleep(pause).await;
        }
        Worker::start(&self.command).map_err(|error| {
            self.consecutive_deaths.fetch_add(1, Ordering::Relaxed);
            tracing::error!("cannot replace a worker process: {error}");
            not_started(&error)
        })
    }

    /// Warns if all children together, each as large as this one after its first call, need more memory than there is.
    fn weigh(&self, worker: &Worker) {
        let each = worker.id().and_then(vertex::proc::proportional_bytes);
        let (Some(each), Some(memory)) = (each, vertex::machine::memory()) else {
            return;
        };
        if let Some(warning) = too_heavy(each, self.size, memory) {
            tracing::warn!("{warning}");
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Option<Worker>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pool {
    /// Ends the input of the idle children and waits until they have cleaned up; those that take too long are killed. A
    /// child in a call is killed where its task is dropped, as nothing says when the call ends.
    fn drop(&mut self) {
        let idle = self.idle.get_mut().unwrap_or_else(PoisonError::into_inner);
        let mut ending: Vec<_> = idle.drain(..).flatten().map(Worker::end_input).collect();
        let begun = Instant::now();
        loop {
            ending.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
            if ending.is_empty() || begun.elapsed() > END_GRACE {
                break;
            }
            thread::sleep(END_STEP);
        }
        if !ending.is_empty() {
            tracing::warn!("{} worker processes have not ended: killing them", ending.len());
        }
    }
}

/// What to say of so many children of so many bytes each; `None` if there is memory for them.
fn too_heavy(each: u64, children: NonZeroUsize, memory: Memory) -> Option<String> {
    let all = each.saturating_mul(children.get() as u64);
    if all <= memory.bytes {
        return None;
    }
    let mib = |bytes: u64| bytes.div_ceil(1024 * 1024);
    let (whose, end) = match memory.is_limited {
        true => (
            "the control group of this process",
            "; on Kubernetes from 1.28 on the kernel ends the whole container with one child (cgroup v2), unless the \
             kubelet has singleProcessOOMKill",
        ),
        false => ("this machine", ""),
    };
    Some(format!(
        "max_workers: {children} worker processes of {} MiB, as the first one has, need {} MiB, and {whose} has {} MiB: choose \
         fewer workers or raise the memory limit{end}",
        mib(each),
        mib(all),
        mib(memory.bytes)
    ))
}

/// What a call ends as whose child could not be started.
fn not_started(error: &io::Error) -> CallError {
    let outcome = match is_own_lack(error) {
        true => Outcome::OwnLimit,
        false => Outcome::WorkerDied,
    };
    CallError::from(outcome).because(format!("cannot start a worker process: {error}"))
}

#[cfg(test)]
mod tests;
