//! The error of a strategy that cannot be started.

use std::io;

use wire::StrategyKind;

/// Why a strategy cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// The strategy needs the asynchronous form.
    #[error(
        "strategy: `{0}` makes calls as futures, and this program has only a blocking call: choose thread-pool or process-pool, or implement `Call`"
    )]
    NoCall(StrategyKind),
    /// The strategy needs the blocking form.
    #[error(
        "strategy: `{0}` makes blocking calls, and this program has none: choose async or sequential, or implement `BlockingCall`"
    )]
    NoBlockingCall(StrategyKind),
    /// A thread cannot be started.
    #[error(
        "max_workers: cannot start thread {number} of {max_workers}: {source}: choose fewer workers or raise the system's limit"
    )]
    StartThread {
        /// Number of the thread, from 1.
        number: usize,
        /// Size of the pool.
        max_workers: usize,
        /// Error of the operating system.
        source: io::Error,
    },
    /// A child process cannot be started.
    #[error(
        "max_workers: cannot start worker process {number} of {max_workers}: {source}: choose fewer workers or raise the system's limit"
    )]
    StartProcess {
        /// Number of the child process, from 1.
        number: usize,
        /// Size of the pool.
        max_workers: usize,
        /// Error of the operating system.
        source: io::Error,
    },
}
