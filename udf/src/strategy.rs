//! How the calls of one window are scheduled: one file for each strategy, one line in [`build`].

mod concurrent;
mod in_task;
mod retry;
mod sequential;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc::UnboundedReceiver;
use wire::{Outcome, StrategyKind};

use crate::call::{Call, Event};
use crate::metrics::Metrics;
use crate::pool::{ExecutorPool, PoolError, PoolKind, WorkerCommand};
use crate::tally::Tally;
use crate::window::{Queued, Window};

use concurrent::Concurrent;
pub use concurrent::Slots;
use in_task::InTask;
pub(crate) use retry::Retry;
use sequential::Sequential;

/// How the calls of one window are scheduled. `window` is shared by the keys of the window.
#[async_trait]
pub trait Strategy: Send + Sync + 'static {
    /// Makes the call of every event that comes, and ends when there are no more and all calls have ended. The
    /// queue is bounded by the places of its events.
    async fn run(&self, window: &Window, events: UnboundedReceiver<Queued>) -> Tally;
}

/// Where one attempt of a call runs.
#[async_trait]
pub trait Executor: Send + Sync + 'static {
    /// Makes one attempt.
    async fn attempt(&self, event: &Arc<Event>) -> Outcome;
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

/// Builds a strategy, with its pool where it has one: once per process.
///
/// # Errors
/// Where a pool cannot be started.
pub fn build(spec: StrategySpec) -> Result<Arc<dyn Strategy>, PoolError> {
    let retry = Retry::new(spec.retries);
    let in_task = || InTask::new(Arc::clone(&spec.call), spec.timeout);
    let slots = Slots::new(spec.max_workers);
    let metrics = spec.metrics;
    Ok(match spec.kind {
        StrategyKind::Sequential => Arc::new(Sequential::new(in_task(), retry, metrics)),
        StrategyKind::Async => Arc::new(Concurrent::new(in_task(), slots, retry, metrics)),
        StrategyKind::ThreadPool => {
            let pool = ExecutorPool::new(PoolKind::Threads(spec.call), spec.max_workers)?;
            Arc::new(Concurrent::new(pool, slots, retry, metrics))
        }
        StrategyKind::ProcessPool => {
            let kind = PoolKind::Processes {
                worker: spec.worker,
                timeout: spec.timeout,
            };
            Arc::new(Concurrent::new(
                ExecutorPool::new(kind, spec.max_workers)?,
                slots,
                retry,
                metrics,
            ))
        }
    })
}
