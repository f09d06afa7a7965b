//! Child processes that call a blocking function, each with frames on its standard input and output. A child that
//! dies fails only the call it was working on and is replaced.

use std::ffi::OsString;
use std::io;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::io::BufReader;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use wire::Outcome;

use super::PoolError;
use crate::call::Event;
use crate::strategy::Executor;
use crate::worker::frame;

/// How much longer than the timeout of an attempt a child may take to say that it timed out.
const ANSWER_GRACE: Duration = Duration::from_secs(1);

/// Pause before a child is replaced, doubled with every one that dies in succession.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// Longest pause before a child is replaced.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How to start a worker process.
#[derive(Debug, Clone)]
pub struct WorkerCommand {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
}

struct Worker {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

/// A pool of child processes.
pub struct Processes {
    command: WorkerCommand,
    timeout: Duration,
    /// A place for each worker that nobody uses; the strategy's slots let in no more calls than there are places.
    /// An empty place is that of a child which could not be replaced yet.
    idle: Mutex<Vec<Option<Worker>>>,
    deaths_in_succession: AtomicU32,
}

impl Processes {
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
        Ok(Self {
            command,
            timeout,
            idle: Mutex::new(idle),
            deaths_in_succession: AtomicU32::new(0),
        })
    }

    async fn attempt_with(&self, worker: Option<Worker>, event: &Event) -> (Option<Worker>, Outcome) {
        let mut worker = match alive(worker) {
            Some(worker) => worker,
            None => match self.replace().await {
                Some(worker) => worker,
                None => return (None, Outcome::WorkerDied),
            },
        };
        match tokio::time::timeout(self.timeout + ANSWER_GRACE, worker.answer(event)).await {
            Ok(Ok(outcome)) => {
                self.deaths_in_succession.store(0, Ordering::Relaxed);
                (Some(worker), outcome)
            }
            Ok(Err(error)) => {
                tracing::warn!("a worker process died during a call: {error}");
                self.deaths_in_succession.fetch_add(1, Ordering::Relaxed);
                (None, Outcome::WorkerDied)
            }
            Err(_) => {
                tracing::warn!(
                    "a worker process gave no answer for {:?}: replacing it",
                    self.timeout
                );
                (None, Outcome::Timeout)
            }
        }
    }

    async fn replace(&self) -> Option<Worker> {
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

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Option<Worker>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Executor for Processes {
    async fn attempt(&self, event: &Event) -> Outcome {
        let place = self.idle().pop().flatten();
        let (worker, outcome) = self.attempt_with(place, event).await;
        self.idle().push(worker);
        outcome
    }
}

/// Not a worker that died while nobody used it: the next call would not be its fault.
fn alive(worker: Option<Worker>) -> Option<Worker> {
    worker.and_then(|mut worker| matches!(worker.child.try_wait(), Ok(None)).then_some(worker))
}

impl Worker {
    fn start(command: &WorkerCommand) -> io::Result<Self> {
        let mut child = Command::new(&command.program)
            .args(&command.args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let missing = || io::Error::other("the child has no pipe");
        let stdin = child.stdin.take().ok_or_else(missing)?;
        let stdout = BufReader::new(child.stdout.take().ok_or_else(missing)?);
        Ok(Self { child, stdin, stdout })
    }

    async fn answer(&mut self, event: &Event) -> io::Result<Outcome> {
        frame::write(&mut self.stdin, &frame::encode_event(event)?).await?;
        let answer = frame::read(&mut self.stdout).await?;
        frame::decode_outcome(&answer)
    }
}
