//! A search for the capacity of a cell (the highest RPU that it sustains) or its demand (the least `max_workers`): which
//! level the next trial has, and the bracket that the trials leave. Pure: what a trial says of its level is passed in.
//!
//! From the first level it goes on by factors, each the square of the one before, until it has a level that is sustained
//! and one that is not. Then it bisects the ratio.

mod effort;
mod quantity;
#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

pub use effort::Effort;
pub use quantity::Quantity;

/// How often a trial that was undecided is repeated.
pub const REPEATS: u32 = 3;

/// The first factor. A prediction that is right is bracketed at once and needs one bisection.
const FIRST_FACTOR: f64 = 1.2;

/// What the trial at a level says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    Sustained,
    NotSustained,
    Undecided,
}

/// The level of a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Step {
    pub level: u64,
    /// How often the level has been tried before.
    pub repeat: u32,
}

/// What a search has found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Found {
    /// The limit lies between two levels that are close to each other.
    Limit,
    /// Between the two levels lie some that all repeats left undecided.
    Undecided,
    /// The hardest level that can be tried is sustained: the largest RPU, or one worker.
    Everything,
    /// The easiest level that can be tried is not sustained: an RPU of one event per window, or the most workers.
    Nothing,
    /// It has ended before.
    Unfinished,
}

/// The levels around the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bracket {
    /// The hardest level that is sustained.
    pub sustained: Option<u64>,
    /// The easiest level that is not.
    pub not_sustained: Option<u64>,
    pub found: Found,
    /// Trials so far.
    pub trials: u32,
}

/// A search in one cell.
#[derive(Debug, Clone)]
pub struct Search {
    quantity: Quantity,
    first: u64,
    range: RangeInclusive<u64>,
    precision: f64,
    sustained: Option<u64>,
    not_sustained: Option<u64>,
    /// The easiest and the hardest of the levels that all repeats left undecided.
    undecided: Option<(u64, u64)>,
    factor: f64,
    next: Option<Step>,
    trials: u32,
}

impl Search {
    /// Begins at `first`, or the level of the range that is closest to it, and ends when the ratio of the bracket's ends is
    /// `precision` at most.
    pub fn new(quantity: Quantity, first: u64, range: RangeInclusive<u64>, precision: f64) -> Self {
        let first = first.clamp(*range.start(), *range.end());
        Self {
            quantity,
            first,
            range,
            precision,
            sustained: None,
            not_sustained: None,
            undecided: None,
            factor: FIRST_FACTOR,
            next: Some(Step {
                level: first,
                repeat: 0,
            }),
            trials: 0,
        }
    }

    /// The next trial; `None` if the search has ended.
    pub const fn next(&self) -> Option<Step> {
        self.next
    }

    /// Takes what the trial of [`Self::next`] said.
    pub fn take(&mut self, answer: Answer) {
        let Some(step) = self.next else { return };
        self.trials += 1;
        let harder = |one, other| self.quantity.other_is_harder(one, other);
        match answer {
            Answer::Sustained => self.sustained = Some(step.level),
            Answer::NotSustained => self.not_sustained = Some(step.level),
            Answer::Undecided if step.repeat < REPEATS => {
                self.next = Some(Step {
                    repeat: step.repeat + 1,
                    ..step
                });
                return;
            }
            Answer::Undecided => {
                let (easiest, hardest) = self.undecided.unwrap_or((step.level, step.level));
                self.undecided = Some(match step.level {
                    level if harder(level, easiest) => (level, hardest),
                    level if harder(hardest, level) => (easiest, level),
                    _ => (easiest, hardest),
                });
            }
        }
        self.drop_contradicted();
        self.next = self.level().map(|level| Step { level, repeat: 0 });
    }

    /// Ends the search: no further level can change what was found, such as more workers where the machine is the limit.
    pub fn end(&mut self) {
        self.next = None;
    }

    /// How many trials are left, about.
    pub fn expected_trials(&self) -> u32 {
        let ratio = match (self.next, self.sustained, self.not_sustained) {
            (None, ..) => return 0,
            (_, Some(easy), Some(hard)) => ratio(easy, hard),
            // As if the next two levels were the bracket.
            _ => return 3,
        };
        (ratio.ln() / self.precision.ln()).log2().ceil().max(1.0) as u32
    }

    pub fn bracket(&self) -> Bracket {
        let found = match (self.next, self.sustained, self.not_sustained) {
            (Some(_), ..) => Found::Unfinished,
            (None, Some(easy), Some(hard)) if self.is_close(easy, hard) => Found::Limit,
            (None, Some(_), None) if self.undecided.is_none() => Found::Everything,
            (None, None, Some(_)) if self.undecided.is_none() => Found::Nothing,
            (None, ..) => Found::Undecided,
        };
        Bracket {
            sustained: self.sustained,
            not_sustained: self.not_sustained,
            found,
            trials: self.trials,
        }
    }

    /// Forgets undecided levels that now lie outside the bracket.
    fn drop_contradicted(&mut self) {
        let Some((easiest, hardest)) = self.undecided else {
            return;
        };
        let outside = |level: u64| {
            let easier = self
                .sustained
                .is_some_and(|sustained| !self.quantity.other_is_harder(sustained, level));
            let harder = self
                .not_sustained
                .is_some_and(|not| !self.quantity.other_is_harder(level, not));
            easier || harder
        };
        if outside(easiest) && outside(hardest) {
            self.undecided = None;
        }
    }

    /// The level to try next; `None` at the end.
    fn level(&mut self) -> Option<u64> {
        let (zone_easy, zone_hard) = self.undecided.unzip();
        match (self.sustained, self.not_sustained) {
            (None, hard) => {
                let from = zone_easy.or(hard).unwrap_or(self.first);
                let level = self.quantity.easier(from, self.stride());
                self.within(level, from)
            }
            (Some(easy), None) => {
                let from = zone_hard.unwrap_or(easy);
                let level = self.quantity.harder(from, self.stride());
                self.within(level, from)
            }
            (Some(easy), Some(hard)) if self.is_close(easy, hard) => None,
            (Some(easy), Some(hard)) => {
                let (Some(zone_easy), Some(zone_hard)) = (zone_easy, zone_hard) else {
                    return middle(easy, hard);
                };
                let is_wide = |(one, other): &(u64, u64)| ratio(*one, *other) > self.precision.sqrt();
                [(easy, zone_easy), (zone_hard, hard)]
                    .into_iter()
                    .filter(is_wide)
                    .filter_map(|(one, other)| Some((ratio(one, other), middle(one, other)?)))
                    .max_by(|a, b| a.0.total_cmp(&b.0))
                    .map(|(_, middle)| middle)
            }
        }
    }

    /// The factor of this step; the next one is its square.
    fn stride(&mut self) -> f64 {
        let stride = self.factor;
        self.factor *= stride;
        stride
    }

    /// The level, or the end of the range; `None` if that has been tried.
    fn within(&self, level: u64, from: u64) -> Option<u64> {
        let level = level.clamp(*self.range.start(), *self.range.end());
        (level != from).then_some(level)
    }

    fn is_close(&self, one: u64, other: u64) -> bool {
        one.abs_diff(other) <= 1 || ratio(one, other) <= self.precision
    }
}

impl Bracket {
    /// The level in the middle of the bracket, by ratio; `None` if one of its ends is missing.
    pub fn estimate(&self) -> Option<f64> {
        let (sustained, not) = self.sustained.zip(self.not_sustained)?;
        Some((sustained as f64 * not as f64).sqrt())
    }
}

fn ratio(one: u64, other: u64) -> f64 {
    one.max(other) as f64 / one.min(other).max(1) as f64
}

/// The level between two by ratio; `None` if they are neighbours.
fn middle(one: u64, other: u64) -> Option<u64> {
    let (low, high) = (one.min(other), one.max(other));
    let middle = (low as f64 * high as f64).sqrt().round() as u64;
    (high - low > 1).then(|| middle.clamp(low + 1, high - 1))
}
