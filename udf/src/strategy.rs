//! The strategies: who makes the calls. One file for each kind of caller, one arm in [`build`].
//!
//! `threads` and `processes` are the two kinds of the original example's `ExecutorPool`: a pool of `max_workers`
//! workers that make blocking calls, created once per process.

mod error;
mod forms;
mod processes;
mod tasks;
mod threads;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use wire::StrategyKind;

use crate::backlog::{Backlog, Limit, Retry, Strategy};
use crate::call::Answer;
use crate::metrics::Metrics;

pub use error::PoolError;
pub use forms::{Blocking, Both, Forms, Work};
use processes::Processes;
pub use processes::WorkerCommand;
use threads::Threads;

/// What a strategy is built from.
pub struct StrategySpec<A> {
    /// Which strategy.
    pub kind: StrategyKind,
    /// Limit on calls in flight in this process; of `sequential` that over all keys.
    pub max_workers: NonZeroUsize,
    /// The work of one event.
    pub forms: Forms<A>,
    /// Timeout of one attempt.
    pub timeout: Duration,
    /// Whether and when a failed event is attempted again.
    pub retry: Retry,
    /// How to start a worker of the process pool.
    pub worker: WorkerCommand,
    /// Counts the calls.
    pub metrics: Arc<Metrics>,
}

/// Builds the backlog of this process with its strategy, and starts the strategy's threads or child processes. Must be
/// called within a tokio runtime.
///
/// # Errors
/// Returns an error if the strategy needs a form of the call that is missing, or if a thread or a child process cannot be
/// started.
pub fn build<A: Answer>(spec: StrategySpec<A>) -> Result<Arc<Backlog<A>>, PoolError> {
    let shared = Limit::Shared(spec.max_workers);
    let in_tasks = || {
        let call = spec.forms.in_tasks.clone();
        call.ok_or(PoolError::NoCall(spec.kind))
    };
    let blocking = || {
        let call = spec.forms.blocking.clone();
        call.ok_or(PoolError::NoBlockingCall(spec.kind))
    };
    let (strategy, limit): (Box<dyn Strategy<A>>, _) = match spec.kind {
        StrategyKind::Sequential => (
            in_tasks()?.strategy(spec.timeout),
            Limit::OnePerKey(spec.max_workers),
        ),
        StrategyKind::Async => (in_tasks()?.strategy(spec.timeout), shared),
        StrategyKind::ThreadPool => (Box::new(Threads::start(blocking()?, spec.max_workers)?), shared),
        StrategyKind::ProcessPool => {
            // The children make the blocking calls; without one they would end at once.
            blocking()?;
            let processes = Processes::start(spec.worker, spec.timeout, spec.max_workers)?;
            (Box::new(processes), shared)
        }
    };
    Ok(Arc::new(Backlog::new(strategy, limit, spec.retry, spec.metrics)))
}
