//! The error of a pool that cannot be started.

use std::io;

/// Why a pool cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
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
