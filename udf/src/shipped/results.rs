//! What a key and window make of the answers: one of the library's ready-made aggregates.

use std::fmt;

use async_reduce::{
    Aggregate, Answers, CallError, Count, Event, First, Last, Maximum, Mean, Message, Minimum, Sum, Window,
};

use super::answer::{Answer, Kept};

/// The aggregates that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ResultKind {
    /// All answers as a JSON array, in the order in which their events arrived
    Answers,
    /// The number of answers
    Count,
    /// The sum of the answers
    Sum,
    /// The mean of the answers
    Mean,
    /// The smallest answer
    Minimum,
    /// The largest answer
    Maximum,
    /// The answer of the event that arrived first
    First,
    /// The answer of the event that arrived last
    Last,
}

/// One of them.
pub(crate) enum Results {
    Answers(Answers<Answer>),
    Count(Count<Answer>),
    Sum(Sum<f64>),
    Mean(Mean<f64>),
    Minimum(Minimum<f64>),
    Maximum(Maximum<f64>),
    First(First<Answer>),
    Last(Last<Answer>),
}

impl ResultKind {
    /// Has every answer that this process reads checked for what the result needs.
    pub(super) fn expect_of_answers(self) {
        let kept = match self {
            Self::Count => Kept::Nothing,
            Self::Answers | Self::First | Self::Last => Kept::Json,
            Self::Sum | Self::Mean | Self::Minimum | Self::Maximum => Kept::Number,
        };
        kept.set();
    }
}

impl fmt::Display for ResultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = clap::ValueEnum::to_possible_value(self);
        f.write_str(value.as_ref().map_or("", |value| value.get_name()))
    }
}

impl Results {
    pub(super) fn new(kind: ResultKind) -> Self {
        match kind {
            ResultKind::Answers => Self::Answers(Answers::default()),
            ResultKind::Count => Self::Count(Count::default()),
            ResultKind::Sum => Self::Sum(Sum::default()),
            ResultKind::Mean => Self::Mean(Mean::default()),
            ResultKind::Minimum => Self::Minimum(Minimum::default()),
            ResultKind::Maximum => Self::Maximum(Maximum::default()),
            ResultKind::First => Self::First(First::default()),
            ResultKind::Last => Self::Last(Last::default()),
        }
    }
}

/// Adds a number to an aggregate of numbers. An answer without a body is no number and no failure: it is left out.
fn add_number(of: &mut impl Aggregate<Answer = f64>, event: Event, answer: Result<Answer, CallError>) {
    match answer {
        Ok(Answer::Number(number)) => of.add(event, Ok(number)),
        Ok(Answer::None | Answer::Json(_)) => {}
        Err(error) => of.add(event, Err(error)),
    }
}

impl Aggregate for Results {
    type Answer = Answer;

    fn add(&mut self, event: Event, answer: Result<Answer, CallError>) {
        match self {
            Self::Answers(of) => of.add(event, answer),
            Self::Count(of) => of.add(event, answer),
            Self::Sum(of) => add_number(of, event, answer),
            Self::Mean(of) => add_number(of, event, answer),
            Self::Minimum(of) => add_number(of, event, answer),
            Self::Maximum(of) => add_number(of, event, answer),
            Self::First(of) => of.add(event, answer),
            Self::Last(of) => of.add(event, answer),
        }
    }

    fn finish(self, window: &Window) -> Vec<Message> {
        match self {
            Self::Answers(of) => of.finish(window),
            Self::Count(of) => of.finish(window),
            Self::Sum(of) => of.finish(window),
            Self::Mean(of) => of.finish(window),
            Self::Minimum(of) => of.finish(window),
            Self::Maximum(of) => of.finish(window),
            Self::First(of) => of.finish(window),
            Self::Last(of) => of.finish(window),
        }
    }
}
