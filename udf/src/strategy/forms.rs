//! The forms in which a program can make its calls, with the type of the call forgotten: which strategies need which is
//! known here alone.

use std::sync::Arc;
use std::time::Duration;

use super::tasks::Tasks;
use crate::backlog::Strategy;
use crate::call::{Answer, BlockingCall, Call};

/// The forms in which a program can make its calls. A strategy that needs a missing one is refused at start.
pub struct Forms<A> {
    pub(crate) in_tasks: Option<Arc<dyn InTasks<A>>>,
    pub(crate) blocking: Option<Arc<dyn BlockingCall<Answer = A>>>,
    pub(crate) repeatable: bool,
}

impl<A> Forms<A> {
    /// The same for calls of which two do more than one. An attempt that may have reached the service and has no answer,
    /// like one whose time was over, is not made again; one that could not connect is, and so is one whose answer's status
    /// says so.
    #[must_use]
    pub fn unrepeatable(mut self) -> Self {
        self.repeatable = false;
        self
    }
}

/// A [`Call`] whose type is forgotten; the futures of its calls are not boxed for that.
pub(crate) trait InTasks<A>: Send + Sync {
    /// The strategy that makes its calls, each of which takes at most `timeout`.
    fn strategy(self: Arc<Self>, timeout: Duration) -> Box<dyn Strategy<A>>;
}

impl<C: Call> InTasks<C::Answer> for C {
    fn strategy(self: Arc<Self>, timeout: Duration) -> Box<dyn Strategy<C::Answer>> {
        Box::new(Tasks::new(self, timeout))
    }
}

/// A [`BlockingCall`] alone: for `thread-pool` and `process-pool`.
pub struct Blocking<B>(pub B);

/// A type that is a [`Call`] and a [`BlockingCall`]: for every strategy.
pub struct Both<C>(pub C);

/// What a program may give as its work: a [`Call`], [`Blocking`] or [`Both`].
pub trait Work {
    /// What a call gives.
    type Answer: Answer;

    /// The forms in which its calls can be made.
    fn into_forms(self) -> Forms<Self::Answer>;
}

impl<C: Call> Work for C {
    type Answer = C::Answer;

    fn into_forms(self) -> Forms<C::Answer> {
        Forms {
            in_tasks: Some(Arc::new(self)),
            blocking: None,
            repeatable: true,
        }
    }
}

impl<B: BlockingCall> Work for Blocking<B> {
    type Answer = B::Answer;

    fn into_forms(self) -> Forms<B::Answer> {
        Forms {
            in_tasks: None,
            blocking: Some(Arc::new(self.0)),
            repeatable: true,
        }
    }
}

impl<A: Answer, C: Call<Answer = A> + BlockingCall<Answer = A>> Work for Both<C> {
    type Answer = A;

    fn into_forms(self) -> Forms<A> {
        let call = Arc::new(self.0);
        Forms {
            in_tasks: Some(Arc::clone(&call) as Arc<dyn InTasks<A>>),
            blocking: Some(call),
            repeatable: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use wire::StrategyKind;

    use super::*;
    use crate::call_error::CallError;
    use crate::event::Event;
    use crate::fixtures::{Attempt, Scripted, spec};
    use crate::strategy::{StrategySpec, build};

    struct Blocks;

    impl BlockingCall for Blocks {
        type Answer = ();

        fn call_blocking(&self, _: &Event) -> Result<(), CallError> {
            Ok(())
        }
    }

    struct Awaits;

    impl Call for Awaits {
        type Answer = ();

        async fn call(&self, _: &Event) -> Result<(), CallError> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_strategy_whose_form_of_the_call_is_missing_is_refused_in_a_sentence() {
        let said = |kind, forms| {
            let unused = Scripted::new(|_, _| Attempt::Never);
            let spec = StrategySpec {
                kind,
                forms,
                ..spec(&unused)
            };
            build(spec).err().map(|error| error.to_string())
        };
        for kind in [StrategyKind::Sequential, StrategyKind::Async] {
            assert_eq!(said(kind, Awaits.into_forms()), None);
            let refused = said(kind, Blocking(Blocks).into_forms()).unwrap();
            let why = format!(
                "strategy: `{kind}` makes calls as futures, and this program has only a blocking call"
            );
            assert!(refused.starts_with(&why), "{refused}");
        }
        assert_eq!(
            said(StrategyKind::ThreadPool, Blocking(Blocks).into_forms()),
            None
        );
        for kind in [StrategyKind::ThreadPool, StrategyKind::ProcessPool] {
            let refused = said(kind, Awaits.into_forms()).unwrap();
            let why = format!("strategy: `{kind}` makes blocking calls, and this program has none");
            assert!(refused.starts_with(&why), "{refused}");
        }
    }
}
