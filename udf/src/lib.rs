//! A library for Numaflow reduce UDFs with slow work for each event: an HTTP call, a query, a computation.
//!
//! Implement [`Call`] (a future) or [`BlockingCall`] (a function) for the work of one event, choose a ready-made
//! [`Aggregate`] or write one for what a key and window make of the answers, and pass both to [`main()`], which adds
//! scheduling, limits, timeouts, retries, metrics, and records for the experiment.
//!
//! # Features
//!
//! All are on by default, as the program `udf` needs them. A UDF of one's own does without those that it does not use, and
//! without all three it needs no C compiler.
//!
//! * `http`: the module [`http`], a fast HTTP client with TLS.
//! * `reqwest`: errors of reqwest as those of a call, by `?`.
//! * `udf`: the calls of the shipped UDF; both others with it.
//!
//! # Layout
//!
//! From the top down; each module uses only those below it.
//!
//! * [`main()`], `program`: a program's flags beside the library's; the workers of its process pool.
//! * `run`: builds the reducers from the settings and serves until it is stopped.
//! * `reducer`: implements the SDK's reducer; sends the results of a window and its record.
//! * `intake`: reads the events of one key and window, bounds how many wait, and applies the start rule.
//! * `window`: what the keys of one window share, so that the first close opens all of them.
//! * `strategy`: the callers: tasks, threads (`thread-pool`) or child processes (`process-pool`). The pools are what the
//!   original example calls `ExecutorPool`.
//! * `worker`: the main loop of a child process, and the frames between it and its parent.
//! * `backlog`: the events that wait, the limit on calls in flight, the turns of the keys, and the retry policy. Start
//!   reading here.
//! * `aggregate`: the trait [`Aggregate`], ready-made ones, and their messages.
//! * `call`: the traits of a call, the calls of the shipped UDF (HTTP requests and processor time), and [`http`].
//! * `event`: an event with its window. `deadline`: when its calls must have ended. `call_error`: why a call gave no answer.
//! * `tally`: counts and latencies of one key and window.
//! * `metrics`: the Prometheus metrics of the process.
//! * `settings`: flags, environment variables, and their checks.

mod aggregate;
mod backlog;
mod call;
mod call_error;
mod deadline;
mod event;
#[cfg(test)]
mod fixtures;
mod intake;
mod metrics;
mod program;
mod reducer;
mod run;
mod settings;
mod strategy;
mod tally;
mod window;
mod worker;

/// The HTTP client of the shipped UDF, for calls of one's own.
#[cfg(feature = "http")]
pub mod http {
    pub use crate::call::{Client, ClientResponse as Response, HttpCallError, Target};
    pub use hyper::body::Bytes;
    pub use hyper::header::{self, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
    pub use hyper::http::uri::PathAndQuery;
    pub use hyper::{Method, StatusCode};
}

/// The formats that the library shares with the programs that measure it.
pub use wire;

pub use aggregate::{
    Aggregate, Answers, Count, First, Last, MakeAggregate, Maximum, Mean, Message, Minimum, Number, Sum,
    TAG_FAILURE,
};
pub use backlog::{Backlog, InFlight, Limit, Reserved, Retry, Strategy};
pub use call::{Answer, BlockingCall, Call, CpuCall};
#[cfg(feature = "udf")]
pub use call::{HttpCall, RequestBody, RequestTemplate};
pub use call_error::CallError;
pub use event::{Event, EventId, Headers, Window};
pub use metrics::Metrics;
pub use program::{Program, SetUp, SetUpError, main};
pub use reducer::AsyncReduce;
pub use run::{Reducers, RunError, reducers, serve_pool};
pub use settings::{CommandLine, Records, ResultFormat, Settings, SettingsError};
pub use strategy::{Blocking, Both, Forms, PoolError, StrategySpec, Work, WorkerCommand, build};
