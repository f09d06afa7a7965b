//! The work for one event, in the two forms in which strategies need it. Start here to make the UDF your own.

mod cpu;
mod http;

use std::sync::Arc;

use async_trait::async_trait;
use wire::Outcome;

pub use cpu::CpuCall;
pub use http::{HttpCall, HttpCallError, Target};

/// One event of a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The keys of its window.
    pub keys: Arc<[String]>,
    /// The message's payload.
    pub payload: Vec<u8>,
    /// Who made it and which it is.
    pub id: EventId,
}

/// Names an event among all of its generator's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventId {
    /// Nonce of the generator's process.
    pub generator: u64,
    /// Number among all events of the generator.
    pub index: u64,
}

/// The slow work for one event. Both forms do the same; a failure is an outcome, not an error, because a reduce
/// UDF cannot return an error and a window without result helps nobody.
#[async_trait]
pub trait Call: Send + Sync + 'static {
    /// The asynchronous form, for `sequential` and `async`. It is dropped when the timeout of an attempt is over.
    async fn call(&self, event: &Event) -> Outcome;

    /// The blocking form, for `thread-pool` and `process-pool`: an ordinary function that may take its time. It
    /// must keep the timeout of an attempt itself, as nothing can stop a thread from outside.
    fn call_blocking(&self, event: &Event) -> Outcome;
}
