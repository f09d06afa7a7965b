//! The work for one event, in the two forms in which strategies need it. Start here to make the UDF your own.

mod cpu;
mod http;

use std::future::Future;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::call_error::CallError;
use crate::event::Event;

pub use cpu::CpuCall;
pub use http::{Client, ClientResponse, HttpCall, HttpCallError, RequestBody, RequestTemplate, Target};

/// What a call may give: it crosses a pipe as JSON if a child process makes the call. Implemented by every such type.
pub trait Answer: Serialize + DeserializeOwned + Send + 'static {}

impl<T: Serialize + DeserializeOwned + Send + 'static> Answer for T {}

/// The slow work for one event, as a future: for `sequential` and `async`.
///
/// A failure is an answer too: a reduce UDF cannot return an error, and a window without a result helps nobody. It is
/// tried again as often as `--retries` allows if its error [may be](CallError::may_retry), and is then passed to the
/// aggregate.
pub trait Call: Send + Sync + 'static {
    /// What a call gives.
    type Answer: Answer;

    /// Makes the call. It is dropped when the timeout of an attempt is over. It runs on a thread that makes other calls
    /// too, so it must not block that thread.
    fn call(&self, event: &Event) -> impl Future<Output = Result<Self::Answer, CallError>> + Send;
}

/// The slow work for one event as an ordinary function: for `thread-pool` and `process-pool`.
pub trait BlockingCall: Send + Sync + 'static {
    /// What a call gives.
    type Answer: Answer;

    /// Makes the call. It must keep the timeout of an attempt itself, as nothing can stop a thread from outside.
    fn call_blocking(&self, event: &Event) -> Result<Self::Answer, CallError>;
}
