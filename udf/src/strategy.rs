//! Who makes the calls: one file for each way, one line in [`build`]. Threads and processes are what the original's
//! `ExecutorPool` holds, made once per process: a kind and `max_workers`.

mod processes;
mod tasks;
mod threads;

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use wire::StrategyKind;

use crate::backlog::{Backlog, Order, Retry, Strategy};
use crate::call::Call;
use crate::metrics::Metrics;

use processes::Processes;
pub use processes::WorkerCommand;
use tasks::Tasks;
use threads::Threads;

/// What a strategy is built from.
pub struct StrategySpec {
    /// Which strategy.
    pub kind: StrategyKind,
    /// Calls in flight at once in this process; of no effect for `sequential`.
    pub max_workers: NonZeroUsize,
    /// The work of one event.
    pub call: Arc<dyn Call>,
    /// Timeout of one attempt.
    pub timeout: Duration,
    /// Attempts after the first.
    pub retries: u32,
    /// How to start a worker of the process pool.
    pub worker: WorkerCommand,
    /// Where calls are counted.
    pub metrics: Arc<Metrics>,
}

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

/// Builds a strategy, with its threads or processes where it has some, and the backlog it takes from: once per
/// process, within a tokio runtime.
///
/// # Errors
/// Returns an error if a thread or process cannot be started.
pub fn build(spec: StrategySpec) -> Result<Arc<Backlog>, PoolError> {
    let at_once = Order::AtOnce(spec.max_workers);
    let (strategy, order): (Box<dyn Strategy>, _) = match spec.kind {
        StrategyKind::Sequential => (Box::new(Tasks::new(spec.call, spec.timeout)), Order::OneByOne),
        StrategyKind::Async => (Box::new(Tasks::new(spec.call, spec.timeout)), at_once),
        StrategyKind::ThreadPool => (Box::new(Threads::start(spec.call, spec.max_workers)?), at_once),
        StrategyKind::ProcessPool => {
            let processes = Processes::start(spec.worker, spec.timeout, spec.max_workers)?;
            (Box::new(processes), at_once)
        }
    };
    Ok(Arc::new(Backlog::new(
        strategy,
        order,
        Retry::new(spec.retries),
        spec.metrics,
    )))
}
