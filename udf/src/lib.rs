//! The UDF under test, and the library to start your own from: implement [`Call`] for the work of one event and hand
//! it to [`run`]; strategies, start rules, limits, timeouts, retries and records come with it.
//!
//! Map: [`Call`] is the work of one event, `backlog` what waits for its call, `strategy` who makes the calls,
//! `reducer` meets the SDK, `metrics` is what Prometheus is told, `settings` are the flags.

mod backlog;
mod call;
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

pub use backlog::{Backlog, Begun, Order, Reserved, Strategy};
pub use call::{Call, CpuCall, Event, EventId, HttpCall, HttpCallError, LeanCall, Target};
pub use metrics::Metrics;
pub use reducer::AsyncReduce;
pub use run::{RunError, run, run_dyn};
pub use settings::{Cli, Command, HttpClient, ResultFormat, Settings, SettingsError};
pub use strategy::{PoolError, StrategySpec, WorkerCommand, build};
