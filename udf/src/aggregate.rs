//! What a key and window make of their answers, and the messages that they become.

mod message;
mod ready_made;
mod running;

use crate::call_error::CallError;
use crate::event::{Event, Window};

pub(crate) use message::Outgoing;
pub use message::{Message, TAG_FAILURE};
pub use ready_made::{Answers, Count, First, Last, Maximum, Mean, Minimum, Number, Sum};
pub(crate) use running::{Collect, Factory, Finish, Make};

/// Makes one or more messages of the answers of a key and window. One is made for each key and window, and it is never
/// used by two threads at once.
///
/// After a panic it gets no more answers: its key and window send a message with the tag
/// [`async-reduce-failure`](TAG_FAILURE) in place of their result. Other windows and the process go on.
///
/// # Examples
/// ```
/// use async_reduce::{Aggregate, CallError, Event, Message, Window};
///
/// /// The largest score, with a tag if there are others that failed.
/// #[derive(Default)]
/// struct Best {
///     score: Option<u32>,
///     failed: u64,
/// }
///
/// impl Aggregate for Best {
///     type Answer = u32;
///
///     fn add(&mut self, _: Event, answer: Result<u32, CallError>) {
///         match answer {
///             Ok(score) => self.score = self.score.max(Some(score)),
///             Err(_) => self.failed += 1,
///         }
///     }
///
///     fn finish(self, _: &Window) -> Vec<Message> {
///         let Some(score) = self.score else { return Vec::new() };
///         let tag = if self.failed == 0 { "whole" } else { "incomplete" };
///         vec![Message::json(&score).tag(tag)]
///     }
/// }
///
/// let mut best = Best::default();
/// best.add(Event::new("a"), Ok(3));
/// best.add(Event::new("b"), Ok(8));
/// best.add(Event::new("c"), Err(CallError::timeout()));
/// let window = *Event::new("").window();
/// assert_eq!(best.finish(&window), [Message::new("8").tag("incomplete")]);
/// ```
pub trait Aggregate: Send + 'static {
    /// What a call gives.
    type Answer: Send + 'static;

    /// Whether [`finish`](Self::finish) computes for long. It then runs on a thread for blocking work; otherwise on the
    /// thread that reads the stream, which must not wait for more than a few milliseconds.
    const FINISH_BLOCKS: bool = false;

    /// Adds the answer of an event, or why there is none. Called as calls end, in whatever order; the order of arrival is
    /// [`Event::position`]. It must be quick, as the thread makes calls too.
    fn add(&mut self, event: Event, answer: Result<Self::Answer, CallError>);

    /// Ends it: the window is closed and all its calls have ended. No message is a result too.
    fn finish(self, window: &Window) -> Vec<Message>;
}

/// Makes an aggregate: a function of nothing, like `Mean::default`, or of the keys and the window.
///
/// `M` tells the two apart and is found by the compiler.
///
/// # Examples
/// ```
/// use async_reduce::{Aggregate, CallError, Event, MakeAggregate, Message, Sum, Window};
///
/// /// A sum that names its user, who is the key.
/// struct OfUser(String, Sum<u64>);
///
/// impl Aggregate for OfUser {
///     type Answer = u64;
///     fn add(&mut self, event: Event, answer: Result<u64, CallError>) {
///         self.1.add(event, answer);
///     }
///     fn finish(self, window: &Window) -> Vec<Message> {
///         let Self(user, sum) = self;
///         sum.finish(window).into_iter().map(|message| message.keys(["sums", &user])).collect()
///     }
/// }
///
/// let make = |keys: &[String], _: &Window| OfUser(keys[0].clone(), Sum::default());
/// let event = Event::new("").with_keys(["u1"]);
/// let mut sum = make.make(event.keys(), event.window());
/// sum.add(event.clone(), Ok(2));
/// assert_eq!(sum.finish(event.window()), [Message::new("2").keys(["sums", "u1"])]);
/// ```
pub trait MakeAggregate<M>: Send + Sync + 'static {
    /// What it makes.
    type Aggregate: Aggregate;

    /// Makes the aggregate of a key and window.
    fn make(&self, keys: &[String], window: &Window) -> Self::Aggregate;
}

impl<F, G> MakeAggregate<fn() -> G> for F
where
    F: Fn() -> G + Send + Sync + 'static,
    G: Aggregate,
{
    type Aggregate = G;

    fn make(&self, _: &[String], _: &Window) -> G {
        self()
    }
}

impl<F, G> MakeAggregate<fn(&[String], &Window) -> G> for F
where
    F: Fn(&[String], &Window) -> G + Send + Sync + 'static,
    G: Aggregate,
{
    type Aggregate = G;

    fn make(&self, keys: &[String], window: &Window) -> G {
        self(keys, window)
    }
}
