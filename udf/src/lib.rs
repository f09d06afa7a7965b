//! The UDF under test, and the library to start your own from: implement [`Call`] for the work of one event and hand
//! it to [`run`]; strategies, start rules, limits, timeouts, retries and records come with it.
//!
//! Map: [`Call`] is the work of one event, `strategy` schedules the calls of a window, `pool` holds threads and
//! processes, `reducer` meets the SDK, `metrics` is what Prometheus is told, `settings` are the flags.

mod call;
mod intake;
mod metrics;
mod pool;
mod reducer;
mod run;
mod settings;
mod strategy;
mod tally;
mod window;
mod worker;

pub use call::{Call, CpuCall, Event, EventId, HttpCall, HttpCallError, HyperCall, Target};
pub use metrics::Metrics;
pub use pool::{ExecutorPool, PoolError, PoolKind, WorkerCommand};
pub use reducer::AsyncReduce;
pub use run::{RunError, run};
pub use settings::{Cli, Command, HttpClient, ResultFormat, Settings, SettingsError};
pub use strategy::{Executor, Slots, Strategy, StrategySpec, build};
pub use tally::Tally;
pub use window::{Queued, Window, Windows};
