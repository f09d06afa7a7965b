//! A reduce UDF that makes one slow call for each event of a window, and the library to write your own: implement
//! [`Call`] for the work of one event and pass it to [`run`], which adds scheduling, limits, timeouts, retries, metrics
//! and the record of each window.
//!
//! # Layout
//!
//! From the top down; each module uses only those below it.
//!
//! * [`run()`], `run`: builds the process from its settings and serves until it is stopped.
//! * `reducer`: implements the SDK's reducer; writes the result of a window.
//! * `intake`: reads the events of one key and window, bounds how many wait, and applies the start rule.
//! * `window`: what the keys of one window share, so that the first close opens all of them.
//! * `strategy`: the callers: tasks, threads (`thread-pool`) or child processes (`process-pool`). The pools are what the
//!   original example calls `ExecutorPool`.
//! * `backlog`: the events that wait, the limit on calls in flight, the turns of the keys, and the retry policy. Start
//!   reading here.
//! * `worker`: the main loop of a child process, and the frames between it and its parent.
//! * `call`: the trait [`Call`], and the calls of the shipped UDF: HTTP requests and processor time.
//! * `call_error`: why a call failed.
//! * `tally`: counts and latencies of one key and window.
//! * `metrics`: the Prometheus metrics of the process.
//! * `settings`: flags, environment variables, and their checks.

mod backlog;
mod call;
mod call_error;
#[cfg(test)]
mod fixtures;
mod intake;
mod metrics;
mod reducer;
mod run;
mod settings;
mod strategy;
mod tally;
mod window;
mod worker;

pub use backlog::{Backlog, InFlight, Limit, Reserved, Strategy};
pub use call::{Call, CpuCall, Event, EventId, HttpCall, HttpCallError, Reconnects, Target};
pub use call_error::CallError;
pub use metrics::Metrics;
pub use reducer::AsyncReduce;
pub use run::{RunError, run, run_dyn};
pub use settings::{Cli, Command, ResultFormat, Settings, SettingsError};
pub use strategy::{PoolError, StrategySpec, WorkerCommand, build};
