//! The strategies: who makes the calls. One file for each kind of caller, one arm in [`build`].
//!
//! `threads` and `processes` are the two kinds of the original example's `ExecutorPool`: a pool of `max_workers`
//! workers that make blocking calls, created once per process.

mod error;
mod processes;
mod tasks;
mod threads;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use wire::StrategyKind;

use crate::backlog::{Backlog, Limit, Retry, Strategy};
use crate::call::Call;
use crate::metrics::Metrics;

pub use error::PoolError;
use processes::Processes;
pub use processes::WorkerCommand;
use tasks::Tasks;
use threads::Threads;

/// What a strategy is built from.
pub struct StrategySpec {
    /// Which strategy.
    pub kind: StrategyKind,
    /// Limit on calls in flight in this process; ignored by `sequential`.
    pub max_workers: NonZeroUsize,
    /// The work of one event.
    pub call: Arc<dyn Call>,
    /// Timeout of one attempt.
    pub timeout: Duration,
    /// Attempts after the first.
    pub retries: u32,
    /// How to start a worker of the process pool.
    pub worker: WorkerCommand,
    /// Counts the calls.
    pub metrics: Arc<Metrics>,
}

/// Builds the backlog of this process with its strategy, and starts the strategy's threads or child processes. Must be
/// called within a tokio runtime.
///
/// # Errors
/// Returns an error if a thread or a child process cannot be started.
pub fn build(spec: StrategySpec) -> Result<Arc<Backlog>, PoolError> {
    let shared = Limit::Shared(spec.max_workers);
    let (strategy, limit): (Box<dyn Strategy>, _) = match spec.kind {
        StrategyKind::Sequential => (Box::new(Tasks::new(spec.call, spec.timeout)), Limit::OnePerKey),
        StrategyKind::Async => (Box::new(Tasks::new(spec.call, spec.timeout)), shared),
        StrategyKind::ThreadPool => (Box::new(Threads::start(spec.call, spec.max_workers)?), shared),
        StrategyKind::ProcessPool => {
            let processes = Processes::start(spec.worker, spec.timeout, spec.max_workers)?;
            (Box::new(processes), shared)
        }
    };
    Ok(Arc::new(Backlog::new(
        strategy,
        limit,
        Retry::new(spec.retries),
        spec.metrics,
    )))
}
