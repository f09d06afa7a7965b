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
