//! The work for one event, in the two forms in which strategies need it. Start here to make the UDF your own.

mod cpu;
mod http;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::call_error::CallError;
use async_trait::async_trait;

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
    /// Requests that its calls have sent again.
    pub reconnects: Reconnects,
}

/// Counts requests that were sent once more within their attempt, over a fresh connection. It belongs to the event, not to
/// the result of a call, as a call that is dropped at its timeout has no result.
#[derive(Debug, Default)]
pub struct Reconnects(AtomicU32);

impl Reconnects {
    /// Adds to the count.
    pub fn add(&self, count: u32) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// The count.
    pub fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Clone for Reconnects {
    fn clone(&self) -> Self {
        Self(self.get().into())
    }
}

impl PartialEq for Reconnects {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl Eq for Reconnects {}

/// Names an event among all of its generator's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventId {
    /// Nonce of the generator's process.
    pub generator: u64,
    /// Number among all events of the generator.
    pub index: u64,
}

/// The slow work for one event. Both forms do the same. A failure is counted in the window's record, because a reduce UDF
/// cannot return an error and a window without result helps nobody.
#[async_trait]
pub trait Call: Send + Sync + 'static {
    /// The asynchronous form, for `sequential` and `async`. It is dropped when the timeout of an attempt is over.
    async fn call(&self, event: &Event) -> Result<(), CallError>;

    /// The blocking form, for `thread-pool` and `process-pool`: an ordinary function that may take its time. It
    /// must keep the timeout of an attempt itself, as nothing can stop a thread from outside.
    fn call_blocking(&self, event: &Event) -> Result<(), CallError>;
}
