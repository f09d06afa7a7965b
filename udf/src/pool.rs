//! Pools for blocking functions, made once per process: a kind and `max_workers`, as in the original `ExecutorPool`.

mod processes;
mod threads;

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use crate::backlog::Backlog;
use crate::call::Call;
use crate::strategy::Strategy;

use processes::Processes;
pub use processes::WorkerCommand;
use threads::Threads;

/// What a pool's workers are.
pub enum PoolKind {
    /// Threads of this process that call the blocking form.
    Threads(Arc<dyn Call>),
    /// Child processes that call the blocking form.
    Processes {
        /// How to start one.
        worker: WorkerCommand,
        /// Timeout of an attempt; a child that gives no answer for longer is replaced.
        timeout: Duration,
    },
}

/// A pool of `max_workers` threads or processes.
pub struct ExecutorPool(Box<dyn Strategy>);

/// Why a pool cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// A thread cannot be started.
    #[error(
        "max_workers: cannot start thread {number} of {max_workers}: {source}: choose fewer workers or raise the system's limit"
    )]
    StartThread {
        /// Which, from 1.
        number: usize,
        /// Of how many.
        max_workers: usize,
        /// What the system said.
        source: io::Error,
    },
    /// A child process cannot be started.
    #[error(
        "max_workers: cannot start worker process {number} of {max_workers}: {source}: choose fewer workers or raise the system's limit"
    )]
    StartProcess {
        /// Which, from 1.
        number: usize,
        /// Of how many.
        max_workers: usize,
        /// What the system said.
        source: io::Error,
    },
}

impl ExecutorPool {
    /// Starts all workers. Processes need a tokio runtime.
    ///
    /// # Errors
    /// Where one of them cannot be started.
    pub fn new(kind: PoolKind, max_workers: NonZeroUsize) -> Result<Self, PoolError> {
        Ok(Self(match kind {
            PoolKind::Threads(call) => Box::new(Threads::start(call, max_workers)?),
            PoolKind::Processes { worker, timeout } => {
                Box::new(Processes::start(worker, timeout, max_workers)?)
            }
        }))
    }
}

impl Strategy for ExecutorPool {
    fn start(&self, backlog: &Arc<Backlog>) {
        self.0.start(backlog);
    }
}
