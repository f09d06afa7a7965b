//! Aggregates that most programs need. Calls that failed are in the record and in the metrics, not in these results.

use std::marker::PhantomData;

use serde::Serialize;

use super::{Aggregate, Message};
use crate::call_error::CallError;
use crate::event::{Event, Window};

/// A number that can be added up.
pub trait Number: Copy + PartialOrd + Default + Serialize + Send + 'static {
    /// The sum; of integers at most the largest that there is.
    fn plus(self, other: Self) -> Self;

    /// The nearest number with a fraction.
    fn as_f64(self) -> f64;
}

macro_rules! numbers {
    ($($type:ty: $plus:expr;)+) => {
        $(impl Number for $type {
            fn plus(self, other: Self) -> Self {
                let plus: fn($type, $type) -> $type = $plus;
                plus(self, other)
            }

            #[allow(clippy::cast_precision_loss, clippy::cast_lossless, clippy::unnecessary_cast, reason = "as it says")]
            fn as_f64(self) -> f64 {
                self as f64
            }
        })+
    };
}

numbers! {
    i32: i32::saturating_add;
    i64: i64::saturating_add;
    u32: u32::saturating_add;
    u64: u64::saturating_add;
    f32: |one, other| one + other;
    f64: |one, other| one + other;
}

/// All answers as a JSON array, in the order in which their events arrived. Several messages if it is too long for one.
#[derive(Debug)]
pub struct Answers<A>(Vec<(u64, A)>);

/// The number of answers.
#[derive(Debug)]
pub struct Count<A> {
    answers: u64,
    of: PhantomData<fn(A)>,
}

/// The sum of the answers; 0 of none.
#[derive(Debug, Default)]
pub struct Sum<N>(N);

/// The mean of the answers; no message if there is none.
#[derive(Debug, Default)]
pub struct Mean<N> {
    sum: f64,
    answers: u64,
    of: PhantomData<N>,
}

/// The smallest answer; no message if there is none.
#[derive(Debug, Default)]
pub struct Minimum<N>(Option<N>);

/// The largest answer; no message if there is none.
#[derive(Debug, Default)]
pub struct Maximum<N>(Option<N>);

/// The answer of the event that arrived first, of those with an answer; no message if there is none.
#[derive(Debug)]
pub struct First<A>(Option<(u64, A)>);

/// The answer of the event that arrived last, of those with an answer; no message if there is none.
#[derive(Debug)]
pub struct Last<A>(Option<(u64, A)>);

impl<A> Default for Answers<A> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<A> Default for Count<A> {
    fn default() -> Self {
        Self {
            answers: 0,
            of: PhantomData,
        }
    }
}

impl<A> Default for First<A> {
    fn default() -> Self {
        Self(None)
    }
}

impl<A> Default for Last<A> {
    fn default() -> Self {
        Self(None)
    }
}

impl<A: Serialize + Send + 'static> Aggregate for Answers<A> {
    type Answer = A;

    fn add(&mut self, event: Event, answer: Result<A, CallError>) {
        if let Ok(answer) = answer {
            self.0.push((event.position(), answer));
        }
    }

    fn finish(mut self, _: &Window) -> Vec<Message> {
        self.0.sort_unstable_by_key(|(position, _)| *position);
        vec![Message::json_array(self.0.iter().map(|(_, answer)| answer))]
    }
}

impl<A: Send + 'static> Aggregate for Count<A> {
    type Answer = A;

    fn add(&mut self, _: Event, answer: Result<A, CallError>) {
        self.answers += u64::from(answer.is_ok());
    }

    fn finish(self, _: &Window) -> Vec<Message> {
        vec![Message::json(&self.answers)]
    }
}

impl<N: Number> Aggregate for Sum<N> {
    type Answer = N;

    fn add(&mut self, _: Event, answer: Result<N, CallError>) {
        if let Ok(answer) = answer {
            self.0 = self.0.plus(answer);
        }
    }

    fn finish(self, _: &Window) -> Vec<Message> {
        vec![Message::json(&self.0)]
    }
}

impl<N: Number> Aggregate for Mean<N> {
    type Answer = N;

    fn add(&mut self, _: Event, answer: Result<N, CallError>) {
        if let Ok(answer) = answer {
            self.sum += answer.as_f64();
            self.answers += 1;
        }
    }

    fn finish(self, _: &Window) -> Vec<Message> {
        let mean = (self.answers > 0).then(|| self.sum / self.answers.as_f64());
        one(mean)
    }
}

impl<N: Number> Aggregate for Minimum<N> {
    type Answer = N;

    fn add(&mut self, _: Event, answer: Result<N, CallError>) {
        if let Ok(answer) = answer
            && self.0.is_none_or(|least| answer < least)
        {
            self.0 = Some(answer);
        }
    }

    fn finish(self, _: &Window) -> Vec<Message> {
        one(self.0)
    }
}

impl<N: Number> Aggregate for Maximum<N> {
    type Answer = N;

    fn add(&mut self, _: Event, answer: Result<N, CallError>) {
        if let Ok(answer) = answer
            && self.0.is_none_or(|most| answer > most)
        {
            self.0 = Some(answer);
        }
    }

    fn finish(self, _: &Window) -> Vec<Message> {
        one(self.0)
    }
}

impl<A: Serialize + Send + 'static> Aggregate for First<A> {
    type Answer = A;

    fn add(&mut self, event: Event, answer: Result<A, CallError>) {
        let position = event.position();
        if let Ok(answer) = answer
            && self.0.as_ref().is_none_or(|(first, _)| position < *first)
        {
            self.0 = Some((position, answer));
        }
    }

    fn finish(self, _: &Window) -> Vec<Message> {
        one(self.0.map(|(_, answer)| answer))
    }
}

impl<A: Serialize + Send + 'static> Aggregate for Last<A> {
    type Answer = A;

    fn add(&mut self, event: Event, answer: Result<A, CallError>) {
        let position = event.position();
        if let Ok(answer) = answer
            && self.0.as_ref().is_none_or(|(last, _)| position > *last)
        {
            self.0 = Some((position, answer));
        }
    }

    fn finish(self, _: &Window) -> Vec<Message> {
        one(self.0.map(|(_, answer)| answer))
    }
}

fn one<T: Serialize>(result: Option<T>) -> Vec<Message> {
    result.iter().map(Message::json).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{event_at, place};

    /// The messages of answers that come out of order, with a failure between them.
    fn of<G: Aggregate<Answer = N>, N: Number>(mut aggregate: G, answers: [N; 3]) -> Vec<Message> {
        for (position, answer) in [2, 0, 1].into_iter().zip(answers) {
            aggregate.add(event_at(position), Ok(answer));
            aggregate.add(event_at(9), Err(CallError::timeout()));
        }
        aggregate.finish(&place().window)
    }

    #[test]
    fn each_makes_of_the_answers_what_its_name_says() {
        let json = |text: &str| vec![Message::new(text)];
        let answers = [5_i64, 3, 10];
        assert_eq!(of(Answers::default(), answers), [Message::json_array([3, 10, 5])]);
        assert_eq!(of(Count::default(), answers), json("3"));
        assert_eq!(of(Sum::default(), answers), json("18"));
        assert_eq!(of(Mean::default(), answers), json("6.0"));
        assert_eq!(of(Minimum::default(), answers), json("3"));
        assert_eq!(of(Maximum::default(), answers), json("10"));
        assert_eq!(of(First::default(), answers), json("3"));
        assert_eq!(of(Last::default(), answers), json("5"));
        assert_eq!(of(Sum::default(), [u64::MAX, 1, 0]), json(&u64::MAX.to_string()));
        assert_eq!(of(Sum::default(), [0.5, 0.25, 0.0]), json("0.75"));
    }

    #[test]
    fn a_fold_of_a_million_answers_keeps_none_of_them() {
        /// Adds the numbers from 1 on, and checks that nothing is held beside the value itself.
        fn million<G: Aggregate<Answer = u64> + Default>() -> Vec<Message> {
            assert!(!std::mem::needs_drop::<G>(), "it owns memory");
            assert!(size_of::<G>() <= 24, "{} bytes", size_of::<G>());
            let (mut aggregate, event) = (G::default(), event_at(0));
            for number in 1..=1_000_000 {
                aggregate.add(event.clone(), Ok(number));
            }
            aggregate.finish(&place().window)
        }
        assert_eq!(million::<Count<u64>>(), [Message::new("1000000")]);
        assert_eq!(million::<Sum<u64>>(), [Message::new("500000500000")]);
        assert_eq!(million::<Mean<u64>>(), [Message::new("500000.5")]);
        assert_eq!(million::<Minimum<u64>>(), [Message::new("1")]);
        assert_eq!(million::<Maximum<u64>>(), [Message::new("1000000")]);
    }

    #[test]
    fn without_an_answer_there_is_a_number_or_no_message() {
        fn none<G: Aggregate<Answer = f64> + Default>() -> Vec<Message> {
            G::default().finish(&place().window)
        }
        assert_eq!(none::<Answers<_>>(), [Message::json_array([0; 0])]);
        assert_eq!(none::<Count<_>>(), [Message::new("0")]);
        assert_eq!(none::<Sum<_>>(), [Message::new("0.0")]);
        for messages in [
            none::<Mean<_>>(),
            none::<Minimum<_>>(),
            none::<Maximum<_>>(),
            none::<First<_>>(),
            none::<Last<_>>(),
        ] {
            assert_eq!(messages, []);
        }
    }
}
