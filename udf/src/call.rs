//! The work for one event, in the two forms in which strategies need it. Start here to make the UDF your own.

mod cpu;
#[cfg(feature = "http")]
mod http;

use std::future::Future;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::call_error::CallError;
use crate::event::Event;

pub use cpu::CpuCall;
#[cfg(feature = "http")]
pub use http::{Client, ClientResponse, HttpCallError, Target};
#[cfg(feature = "udf")]
pub use http::{HttpCall, RequestBody, RequestTemplate};

/// What a call may give: it crosses a pipe as JSON if a child process makes the call. Implemented by every such type.
pub trait Answer: Serialize + DeserializeOwned + Send + 'static {}

impl<T: Serialize + DeserializeOwned + Send + 'static> Answer for T {}

/// The slow work for one event, as a future: for `sequential` and `async`.
///
/// A failure is an answer too: a reduce UDF cannot return an error, and a window without a result helps nobody. It is
/// tried again as often as `--retries` allows if its error [may be](CallError::may_retry), and is then passed to the
/// aggregate.
///
/// # Examples
/// ```
/// use async_reduce::{Call, CallError, Event};
///
/// /// Looks users up, each by a query.
/// struct Lookup;
///
/// # async fn query(user: &str) -> std::io::Result<Option<u32>> { Ok((user == "u1").then_some(7)) }
/// impl Call for Lookup {
///     type Answer = u32;
///
///     async fn call(&self, event: &Event) -> Result<u32, CallError> {
///         #[derive(serde::Deserialize)]
///         struct Payment<'a> {
///             user: &'a str,
///         }
///         // `bad-input` if the payload is something else, and not tried again.
///         let Payment { user } = event.json()?;
///         // An error of I/O may be tried again.
///         let found = query(user).await?;
///         found.ok_or_else(|| CallError::new("no-account"))
///     }
/// }
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// # runtime.block_on(async {
/// assert_eq!(Lookup.call(&Event::new(r#"{"user": "u1"}"#)).await, Ok(7));
/// let failed = Lookup.call(&Event::new(r#"{"user": "u2"}"#)).await.unwrap_err();
/// assert_eq!((failed.kind(), failed.may_retry()), ("no-account", false));
/// # });
/// ```
pub trait Call: Send + Sync + 'static {
    /// What a call gives.
    type Answer: Answer;

    /// Makes the call. It is dropped when the timeout of an attempt is over. It runs on a thread that makes other calls
    /// too, so it must not block that thread.
    fn call(&self, event: &Event) -> impl Future<Output = Result<Self::Answer, CallError>> + Send;
}

/// The slow work for one event as an ordinary function: for `thread-pool` and `process-pool`.
///
/// A program passes it to [`main`](crate::main()) as [`Blocking`](crate::Blocking), or as [`Both`](crate::Both) if it is a
/// [`Call`] too.
///
/// # Examples
/// ```
/// use async_reduce::{BlockingCall, CallError, Event};
///
/// /// The number of words in a text.
/// struct Words;
///
/// impl BlockingCall for Words {
///     type Answer = u64;
///
///     fn call_blocking(&self, event: &Event) -> Result<u64, CallError> {
///         let text = str::from_utf8(event.payload()).map_err(CallError::bad_input)?;
///         Ok(text.split_whitespace().count() as u64)
///     }
/// }
///
/// assert_eq!(Words.call_blocking(&Event::new("two words")), Ok(2));
/// assert_eq!(Words.call_blocking(&Event::new(&b"\xff"[..])).unwrap_err().kind(), "bad-input");
/// ```
pub trait BlockingCall: Send + Sync + 'static {
    /// What a call gives.
    type Answer: Answer;

    /// Makes the call. It must keep the timeout of an attempt itself, as nothing can stop a thread from outside.
    fn call_blocking(&self, event: &Event) -> Result<Self::Answer, CallError>;
}
