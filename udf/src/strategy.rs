//! Who makes the calls: one file for each way, one line in [`build`].

mod retry;
mod tasks;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use wire::StrategyKind;

use crate::backlog::{Backlog, Order};
use crate::call::Call;
use crate::metrics::Metrics;
use crate::pool::{ExecutorPool, PoolError, PoolKind, WorkerCommand};

pub(crate) use retry::Retry;
use tasks::Tasks;

/// Who makes the calls of a process.
pub trait Strategy: Send + Sync + 'static {
    /// An event may begin and a slot is free: has somebody take events from the backlog until there are none. Called
    /// within a tokio runtime, and may not wait.
    fn start(&self, backlog: &Arc<Backlog>);
}

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

/// Builds a strategy, with its pool where it has one, and the backlog it takes from: once per process.
///
/// # Errors
/// Where a pool cannot be started.
pub fn build(spec: StrategySpec) -> Result<Arc<Backlog>, PoolError> {
    let in_tasks = || Tasks::new(Arc::clone(&spec.call), spec.timeout);
    let at_once = Order::AtOnce(spec.max_workers);
    let pool = |kind| ExecutorPool::new(kind, spec.max_workers);
    let (strategy, order): (Box<dyn Strategy>, _) = match spec.kind {
        StrategyKind::Sequential => (Box::new(in_tasks()), Order::OneByOne),
        StrategyKind::Async => (Box::new(in_tasks()), at_once),
        StrategyKind::ThreadPool => (Box::new(pool(PoolKind::Threads(spec.call))?), at_once),
        StrategyKind::ProcessPool => {
            let kind = PoolKind::Processes {
                worker: spec.worker,
                timeout: spec.timeout,
            };
            (Box::new(pool(kind)?), at_once)
        }
    };
    Ok(Arc::new(Backlog::new(
        strategy,
        order,
        Retry::new(spec.retries),
        spec.metrics,
    )))
}
