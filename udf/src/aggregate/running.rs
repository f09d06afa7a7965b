//! An aggregate while answers come: behind a lock of its own, and with its panics kept from the process.

use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Aggregate, MakeAggregate, Message};
use crate::call_error::CallError;
use crate::event::{Event, Place, Window};

/// Collects the answers of a key and window.
pub(crate) trait Collect<A>: Send + Sync {
    /// Adds how the call of an event ended.
    fn add(&self, event: Event, answer: Result<A, CallError>);

    /// The work that makes the messages; its error is why there are none. Later answers are dropped.
    fn finish(&self, window: Window) -> Finish;
}

/// What remains to be done at the end of a key and window.
pub(crate) struct Finish {
    /// Whether it may take long.
    pub(crate) blocks: bool,
    pub(crate) run: Box<dyn FnOnce() -> Result<Vec<Message>, String> + Send>,
}

/// Makes what collects the answers.
pub(crate) trait Make<A>: Send + Sync {
    fn make(&self, place: &Place) -> Box<dyn Collect<A>>;
}

/// Makes the aggregates of a program.
pub(crate) struct Factory<F, M> {
    make: F,
    of: PhantomData<fn() -> M>,
}

struct Running<G>(Mutex<State<G>>);

enum State<G> {
    Adds(G),
    /// It panicked; with what it said.
    Failed(String),
    Ended,
}

impl<F, M> Factory<F, M> {
    pub(crate) fn new(make: F) -> Self {
        Self {
            make,
            of: PhantomData,
        }
    }
}

impl<A, M: 'static, F: MakeAggregate<M>> Make<A> for Factory<F, M>
where
    F::Aggregate: Aggregate<Answer = A>,
{
    fn make(&self, place: &Place) -> Box<dyn Collect<A>> {
        let made = guarded("made", || self.make.make(&place.keys, &place.window));
        let state = made.map_or_else(State::Failed, State::Adds);
        Box::new(Running(Mutex::new(state)))
    }
}

impl<G: Aggregate> Collect<G::Answer> for Running<G> {
    fn add(&self, event: Event, answer: Result<G::Answer, CallError>) {
        let mut state = self.state();
        if let State::Adds(aggregate) = &mut *state
            && let Err(reason) = guarded("adding an answer", || aggregate.add(event, answer))
        {
            let failed = std::mem::replace(&mut *state, State::Failed(reason));
            drop(state);
            let _ = guarded("dropped", || drop(failed));
        }
    }

    fn finish(&self, window: Window) -> Finish {
        let state = std::mem::replace(&mut *self.state(), State::Ended);
        Finish {
            blocks: G::FINISH_BLOCKS,
            run: Box::new(move || match state {
                State::Adds(aggregate) => guarded("finishing", || aggregate.finish(&window)),
                State::Failed(reason) => Err(reason),
                State::Ended => Err("the aggregate has ended".to_owned()),
            }),
        }
    }
}

impl<G> Running<G> {
    fn state(&self) -> MutexGuard<'_, State<G>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs a part of an aggregate; a panic in it is its error.
fn guarded<T>(doing: &str, run: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        let text = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned());
        let said = text.unwrap_or_else(|| "without a text".to_owned());
        format!("the aggregate panicked while {doing}: {said}")
    })
}
